"""The code that the browser shows for a sign-in at the command line: a passkey cannot be typed."""

import re

import pytest
import time_machine
from django.utils import timezone

from accounts.models import SecurityEvent, Token
from accounts.tests.factories import PASSWORD
from mfa.models import Challenge
from mfa.tests.factories import add_mode, add_passkey
from mfa.tests.test_passkeys import uses_passkey
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/cli-code"
AGENT = {"HTTP_USER_AGENT": "datica-cli-4.4.1 linux amd64"}


@pytest.fixture(name="dana_with_passkey")
def with_a_passkey_only(dana, phone):
    add_passkey(dana, phone)
    return dana


@pytest.fixture(name="terminal")
def another_machine(client):
    return client.__class__(REMOTE_ADDR="203.0.113.7", **AGENT)


def begin(terminal) -> dict:
    credentials = {"identifier": "dana", "password": PASSWORD}
    return terminal.post("/auth/signin", credentials, content_type="application/json").json()


def type_code(terminal, begun, otp):
    return terminal.post(f"/auth/signin/mfa/{begun['mfaID']}", {"otp": otp}, content_type="application/json")


def shown(client, begun) -> str:
    page = client.post(f"{PAGE}/{begun['mfaID']}")
    return re.search(r"\b[0-9]{6}\b", text_of(page).split("Type this code at the command line")[2])[0]


def test_who_has_only_a_passkey_types_the_code_of_the_page(client, dana_with_passkey, phone, terminal):
    begun = begin(terminal)
    assert begun["mfaPreferredType"] == "passkey"
    uses_passkey(client, phone)
    page = text_of(client.get(PAGE))
    assert "datica command line 4.4.1 on Linux" in page
    assert "from 203.0.113.7" in page

    answer = type_code(terminal, begun, shown(client, begun))

    assert answer.status_code == 200
    assert Token.objects.get().mode == "passkey"


def test_a_mail_leads_to_the_page(dana_with_passkey, terminal):
    begin(terminal)
    mail = read_mail()[-1]
    assert "http://testserver/account/cli-code" in mail.body
    assert "203.0.113.7" in mail.body
    assert not re.search(r"\b[0-9]{6}\b", mail.body)


def test_a_code_that_is_none_is_answered_with_the_address_of_the_page(dana_with_passkey, terminal):
    answer = type_code(terminal, begin(terminal), "000000")
    assert answer.status_code == 401
    assert answer.json()["code"] == 4012
    assert "http://testserver/account/cli-code" in answer.json()["description"]


def test_a_preferred_passkey_leaves_the_next_typed_mode(dana, phone, terminal):
    add_passkey(dana, phone)
    add_mode(dana, "email")
    add_mode(dana, "authenticator")
    begun = begin(terminal)
    assert begun["mfaPreferredType"] == "email"
    assert type_code(terminal, begun, mailed_code()).status_code == 200


def test_everyone_with_mfa_can_switch_the_mode_by_it(client, dana_with_both, terminal):
    sign_in(client, dana_with_both)
    begun = begin(terminal)
    assert type_code(terminal, begun, shown(client, begun)).status_code == 200
    assert Token.objects.get().mode == "authenticator"


def test_the_page_needs_a_recent_proof(client, dana_with_passkey, phone, terminal):
    """SR-22, SR-59."""
    begun = begin(terminal)
    uses_passkey(client, phone)
    with time_machine.travel(timezone.now() + timezone.timedelta(minutes=10, seconds=30)):
        assert client.get(PAGE).url.startswith("/account/confirm")
        assert client.post(f"{PAGE}/{begun['mfaID']}").url.startswith("/account/confirm")


def test_it_works_once(client, dana_with_passkey, phone, terminal):
    uses_passkey(client, phone)
    begun = begin(terminal)
    code = shown(client, begun)
    assert type_code(terminal, begun, code).status_code == 200
    assert type_code(terminal, begun, code).status_code == 401


def test_it_works_for_five_minutes(client, dana_with_passkey, phone, terminal):
    uses_passkey(client, phone)
    begun = begin(terminal)
    code = shown(client, begun)
    with time_machine.travel(timezone.now() + timezone.timedelta(minutes=5, seconds=1)):
        assert type_code(terminal, begun, code).status_code == 401


def test_it_is_nothing_before_it_is_shown(client, dana_with_passkey, phone, terminal):
    uses_passkey(client, phone)
    begun, other = begin(terminal), begin(terminal)
    code = shown(client, begun)
    assert type_code(terminal, other, code).status_code == 401
    Challenge.objects.filter(pk=begun["mfaID"]).update(shown_until=None)
    assert type_code(terminal, begun, code).status_code == 401


def test_it_is_none_for_a_sign_in_of_the_browser(client, dana_with_passkey, phone):
    uses_passkey(client, phone)
    other = client.__class__()
    other.post("/account/login", {"identifier": "dana", "password": PASSWORD})
    challenge = Challenge.objects.filter(ended_at=None).get()
    assert client.post(f"{PAGE}/{challenge.pk}").url == PAGE


def test_no_one_sees_a_sign_in_of_another_account(client, dana_with_passkey, sam, terminal):
    begun = begin(terminal)
    add_mode(sam, "authenticator")
    sign_in(client, sam)
    assert "No sign-in at the command line waits" in text_of(client.get(PAGE))
    assert client.post(f"{PAGE}/{begun['mfaID']}").url == PAGE
    assert client.post(f"{PAGE}/{begun['mfaID']}/end").url == PAGE
    assert Challenge.objects.filter(pk=begun["mfaID"], ended_at=None).exists()


def test_this_is_not_me_ends_it_and_leads_to_a_new_password(client, dana_with_passkey, phone, terminal):
    uses_passkey(client, phone)
    begun = begin(terminal)
    code = shown(client, begun)

    response = client.post(f"{PAGE}/{begun['mfaID']}/end", follow=True)

    assert "That sign-in is ended." in text_of(response)
    assert type_code(terminal, begun, code).status_code == 401
    assert SecurityEvent.objects.filter(kind="password_known").exists()


def test_the_page_costs_few_statements(client, dana_with_passkey, phone, terminal, django_assert_max_num_queries):
    uses_passkey(client, phone)
    begin(terminal)
    with django_assert_max_num_queries(4):
        assert client.get(PAGE).status_code == 200


def test_mails_are_limited_and_the_sign_in_goes_on(dana_with_passkey, terminal, settings):
    """SR-17."""
    settings.OTP_MAILS_PER_HOUR = 2
    for _time in range(4):
        assert begin(terminal)["mfaID"]
    assert len([mail for mail in read_mail() if "command line" in mail.subject]) <= 2
