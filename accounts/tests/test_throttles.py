"""Guessing and flooding: who is held back, for how long, and who is not."""

from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from django.test import RequestFactory
from django.utils import timezone

from accounts import signin, throttles
from accounts.limits import Limit
from accounts.models import Throttle
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from accounts.web.origin import client_ip
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import give_credentials, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


def guess(client, identifier="dana", **headers):
    return give_credentials(client, identifier, "wrong", **headers)


def test_the_fifth_wrong_password_brings_a_delay_that_doubles(client, dana, clock):
    """SR-5."""
    for _try in range(5):
        assert guess(client).status_code == 400

    for seconds in (5, 10, 20, 40):
        page = guess(client)
        assert page.status_code == 429
        assert page.headers["Retry-After"] == str(seconds)
        assert f"Try again in {seconds} seconds." in text_of(page)
        clock.shift(timedelta(seconds=seconds))
        assert guess(client).status_code == 400


def test_a_right_password_is_not_even_looked_at_meanwhile(client, dana, clock):
    """SR-5."""
    for _try in range(5):
        guess(client)

    assert give_credentials(client, "dana").status_code == 429
    clock.shift(timedelta(seconds=5))
    assert give_credentials(client, "dana").status_code == 302
    assert guess(client).status_code == 400  # the row begins anew


def test_whether_there_is_such_an_account_makes_no_difference(client, another_browser, dana, clock):
    """SR-3."""
    other = another_browser()
    seen = [
        [(page.status_code, text_of(page)) for page in (guess(browser, name) for _try in range(8))]
        for browser, name in ((client, "dana"), (other, "nobody"))
    ]

    assert seen[0] == seen[1]


def test_guesses_at_my_user_name_do_not_show_that_my_address_is_the_same_account(client, dana, clock):
    """SR-3."""
    for _try in range(6):
        guess(client, "dana")

    assert guess(client, "dana@example.com").status_code == 400


def test_after_a_hundred_in_a_row_only_a_new_password_helps(client, dana, clock, settings):
    """SR-5: fifty for each of the two names of an account."""
    settings.IP_LOGIN_FAILURES = 1000
    for name in ("dana", "Dana@Example.com"):
        for _try in range(50):
            clock.shift(timedelta(minutes=15))
            assert guess(client, name).status_code == 400
        clock.shift(timedelta(days=30))
        page = give_credentials(client, name)
        assert "Reset your password by email to sign in again" in text_of(page)
        assert page.status_code == 400

    client.post("/account/password/reset", {"identifier": "dana"})
    new = {"code": mailed_code(), "password": "a brand new phrase", "password_confirm": "a brand new phrase"}
    client.post("/account/password/reset/complete", new)

    assert give_credentials(client, "dana", "a brand new phrase").status_code == 302


def test_a_strangers_guesses_do_not_keep_me_out_of_my_own_browser(client, another_browser, dana, clock):
    """SR-5."""
    sign_in(client, dana)
    client.post("/account/logout")
    for _try in range(10):
        guess(another_browser())

    assert give_credentials(another_browser(), "dana").status_code == 429
    assert give_credentials(client, "dana").status_code == 302


def test_my_own_browser_is_limited_too(client, dana, clock):
    """SR-5: a stolen cookie is no way around."""
    sign_in(client, dana)
    client.post("/account/logout")

    pages = [guess(client).status_code for _try in range(7)]

    assert pages == [400] * 5 + [429] * 2


def test_a_known_browser_is_known_for_its_own_account_only(client, another_browser, dana, sam, clock):
    sign_in(client, sam)
    client.post("/account/logout")
    for _try in range(6):
        guess(another_browser())

    assert give_credentials(client, "dana").status_code == 429


def test_wrong_passwords_do_not_hold_back_the_code(client, another_browser, dana_with_email, clock):
    give_credentials(client, "dana")
    for _try in range(10):
        guess(another_browser())

    assert client.post("/account/login/otp", {"otp": mailed_code()}).status_code == 302


def test_one_address_may_guess_fifty_times(client, dana, clock):
    """SR-6: at many accounts."""
    for number in range(50):
        assert guess(client, f"somebody{number}").status_code == 400

    page = give_credentials(client, "dana")
    assert page.status_code == 429
    assert page.headers["Retry-After"] == "900"
    assert give_credentials(client, "dana", REMOTE_ADDR="192.0.2.1").status_code == 429  # a field is no address
    clock.shift(timedelta(minutes=15))
    assert give_credentials(client, "dana").status_code == 302


def test_an_address_is_not_charged_for_right_passwords(client, another_browser, dana, clock, settings):
    settings.IP_LOGIN_FAILURES = 3

    assert [give_credentials(another_browser(), "dana").status_code for _person in range(10)] == [302] * 10


def test_ipv6_is_counted_by_the_network_of_one_customer(settings):
    """SR-6."""
    addresses = ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1")

    limit = Limit(what="x", per="client network", key="x", tries=1, window=timedelta(1))
    slots = [limit.by_network(Origin(a)) for a in addresses]

    assert slots[0] == slots[1] != slots[2]


@pytest.mark.parametrize(
    ("connection", "header", "address"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "192.0.2.1", "198.51.100.7"),  # forged: no proxy of ours said it
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.66, 192.0.2.1", "192.0.2.1"),  # what the client wrote itself lies further left
        ("10.0.0.1", "192.0.2.66, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("", "192.0.2.1", None),  # a Unix socket whose proxy nobody trusts
    ],
)
def test_a_forwarded_address_counts_only_from_our_proxies(settings, connection, header, address):
    """SR-6."""
    from ipaddress import ip_network

    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]
    headers = {"X-Forwarded-For": header} if header else {}
    request = RequestFactory(headers=headers).get("/", REMOTE_ADDR=connection)

    assert client_ip(request) == address


def test_the_proxy_at_a_unix_socket_is_trusted_by_name(settings):
    """SR-6."""
    settings.TRUST_UNIX_SOCKET = True
    request = RequestFactory(headers={"X-Forwarded-For": "192.0.2.66, 192.0.2.1"}).get("/", REMOTE_ADDR="")

    assert client_ip(request) == "192.0.2.1"


def test_requests_without_an_address_share_one_count(another_browser, dana, clock):
    """SR-6: behind a Unix socket every limit by address was gone."""
    pages = [guess(another_browser(REMOTE_ADDR=""), f"somebody{number}").status_code for number in range(51)]

    assert pages == [400] * 50 + [429]


@pytest.mark.django_db(transaction=True)
def test_a_count_cannot_be_rolled_back_by_the_request_that_was_refused(dana):
    """SR-7: taking a slot within somebody's transaction is a fault, found at once."""
    slot = signin.WRONG_PASSWORDS_FOR_NAME.of("dana")

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        throttles.take([slot])


def test_the_current_password_cannot_be_guessed_either(client, dana, clock):
    """SR-5: from a session that somebody left open."""
    sign_in(client, dana)
    fields = {"password": "a brand new phrase", "password_confirm": "a brand new phrase"}

    pages = [client.post("/account/password/change", {"current_password": "x", **fields}) for _try in range(6)]

    assert [page.status_code for page in pages] == [400] * 5 + [429]


def test_registrations_and_resets_of_one_address_are_limited(client, dana, clock, settings):
    settings.IP_MAILS_PER_HOUR = 2
    fields = {"password": "a quiet place by the sea", "password_confirm": "a quiet place by the sea"}

    pages = [client.post("/account/register", {"email": f"n{n}@example.com", **fields}) for n in range(3)]
    resets = [client.post("/account/password/reset", {"identifier": name}) for name in ("dana", "nobody", "dana")]

    assert [page.status_code for page in pages] == [302, 302, 429]
    assert [page.status_code for page in resets] == [302, 302, 429]
    assert pages[2].headers["Retry-After"] == "3600"


def test_no_name_and_no_address_is_kept(client, dana):
    guess(client)

    assert "dana" not in str(list(Throttle.objects.values()))


def test_i_am_told_of_a_new_browser_but_not_of_my_first(client, another_browser, dana):
    """SR-54."""
    sign_in(client, dana)
    assert not [message for message in read_mail() if "new browser" in message.subject]

    sign_in(another_browser(), dana)

    assert [message.to for message in read_mail() if "new browser" in message.subject] == [["Dana@example.com"]]


def test_a_browser_stays_known_over_sign_outs_and_until_a_reset(client, dana):
    sign_in(client, dana)
    client.post("/account/logout")
    sign_in(client, dana)

    assert not [message for message in read_mail() if "new browser" in message.subject]
    cookie = client.cookies["browser"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_the_command_line_has_the_same_limit(client, dana, clock):
    for _try in range(5):
        guess(client)

    answer = client.post("/auth/signin", {"identifier": "dana", "password": PASSWORD}, "application/json")

    assert answer.status_code == 429
    assert answer.json()["code"] == 4290
    assert answer.headers["Retry-After"] == "5"


def test_a_refused_try_is_counted_nowhere():
    """SR-7: not even where it would have been the first."""
    full, empty = (Limit(what="x", per="y", key=key, tries=1, window=timedelta(1)).of("z") for key in ("full", "empty"))
    throttles.count([full])

    with transaction.atomic():
        assert throttles.try_take([full, empty])

    assert throttles.left(empty) == 1
    assert not Throttle.objects.filter(digest=empty.digest).exists()
