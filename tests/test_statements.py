"""What a sign-in and the most used pages send to PostgreSQL: statements, and marks of transactions."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mfa.tests.factories import add_mode, add_passkey
from mfa.tests.test_passkeys import signed
from organizations.tests.factories import MembershipFactory
from tests.codes import app_code, mailed_code
from tests.passkeys import SoftwareAuthenticator
from tests.signing_in import LOGIN, OTP, give_credentials, sign_in
from tests.statements import recorded

pytestmark = pytest.mark.postgresql

# Of each step: statements and marks. A browser is the account's first, known from an earlier sign-in, or a new one that
# the user is told of by email.
STEPS = ("login page", "password", "prompt", "code", "account page", "sign out")
SIGN_INS = {
    ("authenticator", "first"): [(0, 0), (4, 2), (1, 0), (8, 2), (3, 0), (3, 0)],
    ("authenticator", "known"): [(0, 0), (4, 2), (1, 0), (7, 2), (3, 0), (3, 0)],
    ("authenticator", "new"): [(0, 0), (4, 2), (1, 0), (10, 2), (3, 0), (3, 0)],
    # The mail's limit and its row, in the transaction that begins the challenge; once counted, the limit is updated.
    # The prompt reads how far the mail has got.
    ("email", "first"): [(0, 0), (6, 4), (2, 0), (8, 2), (3, 0), (3, 0)],
    ("email", "known"): [(0, 0), (7, 4), (2, 0), (7, 2), (3, 0), (3, 0)],
    # The passkeys are read for the prompt, and the one that signed is read and written.
    ("passkey", "first"): [(0, 0), (4, 2), (2, 0), (10, 2), (3, 0), (3, 0)],
    ("passkey", "known"): [(0, 0), (4, 2), (2, 0), (9, 2), (3, 0), (3, 0)],
    ("passkey", "new"): [(0, 0), (4, 2), (2, 0), (12, 2), (3, 0), (3, 0)],
    ("email", "new"): [(0, 0), (7, 4), (2, 0), (10, 2), (3, 0), (3, 0)],
}


def proof_on(page, user, mode: str, phone: SoftwareAuthenticator) -> str:
    """Return what proves the user on the page of the prompt."""
    if mode == "passkey":
        return signed(page, phone)
    return app_code(user) if mode == "authenticator" else mailed_code()


def costs(client: Client, user, mode: str, phone: SoftwareAuthenticator) -> list[tuple[int, int]]:
    """Sign in and out; return the statements and marks of each step."""
    found = []

    def count(act) -> object:
        with recorded() as sent:
            result = act()
        found.append((sent.statements, sent.marks))
        return result

    count(lambda: client.get(LOGIN))
    count(lambda: give_credentials(client, user.email))
    page = count(lambda: client.get(OTP))
    otp = proof_on(page, user, mode, phone)
    count(lambda: client.post(OTP, {"otp": otp}))
    count(lambda: client.get("/account/view"))
    count(lambda: client.post("/account/logout"))
    return found


@pytest.mark.parametrize("mode", ["authenticator", "email", "passkey"])
def test_a_sign_in_costs_so_much(client, another_browser, dana, mode, phone):
    add_mode(dana, mode)
    if mode == "passkey":
        add_passkey(dana, phone)
    MembershipFactory(user=dana)
    found = {}

    for minutes, (name, browser) in enumerate([("first", client), ("known", client), ("new", another_browser())]):
        with time_machine.travel(timezone.now() + timedelta(minutes=2 * minutes)):
            found[mode, name] = costs(browser, dana, mode, phone)

    assert found == {key: steps for key, steps in SIGN_INS.items() if key[0] == mode}


def test_a_whole_sign_in_stays_below_what_was_promised():
    for (mode, browser), steps in SIGN_INS.items():
        statements, marks = (sum(column) for column in zip(*steps, strict=True))
        assert len(steps) == len(STEPS)
        looks_for_mail = 1 if mode == "email" else 0  # the prompt says where the mail is
        assert statements <= (24 if browser == "new" or mode != "authenticator" else 20) + looks_for_mail
        assert marks <= 8


def test_a_sign_in_by_a_passkey_alone_costs_so_much(client, dana, phone):
    """The refusals of its network; passkey and user; one row that shows the use; then as after a code."""
    add_passkey(dana, phone)
    MembershipFactory(user=dana)
    answer = signed(client.get(LOGIN), phone)

    with recorded() as sent:
        assert client.post("/account/login/passkey", {"otp": answer}).status_code == 302

    assert (sent.statements, sent.marks) == (9, 4), str(sent)


@pytest.mark.parametrize("mode", ["authenticator", "email"])
def test_a_wrong_code_costs_so_much(client, dana, mode):
    """Of a mailed code, the earlier mails are looked at for the message."""
    add_mode(dana, mode)
    give_credentials(client, "dana")

    with recorded() as sent:
        assert client.post(OTP, {"otp": "000000"}).status_code == 400

    assert (sent.statements, sent.marks) == (10 if mode == "email" else 8, 2)


def test_a_wrong_password_costs_the_same_for_an_unknown_account(client, another_browser, dana):
    """SR-3: but for the line in the security log of the account that there is."""
    sent = {}
    for name, address in (("dana", "192.0.2.1"), ("unknown", "192.0.2.2")):
        with recorded() as sent[name]:
            give_credentials(another_browser(REMOTE_ADDR=address), name, "wrong")

    assert sent["unknown"].statements == sent["dana"].statements - 1
    assert sent["unknown"].marks == sent["dana"].marks


PAGES = {
    "accounts:dashboard": 4,
    "accounts:settings": 3,
    "accounts:sessions": 7,
    "accounts:security_log": 4,
    "accounts:profile_edit": 2,
    "accounts:password_change": 2,
    "mfa:recovery_codes": 3,
    "organizations:list": 4,
    "organizations:organization": 5,
    "organizations:members": 6,
    "organizations:invitations": 4,
    "organizations:log": 4,
}


@pytest.mark.parametrize(("name", "statements"), PAGES.items())
def test_the_most_used_pages_cost_so_much(client, dana_with_app, name, statements):
    organization = MembershipFactory(user=dana_with_app, role="owner").organization
    sign_in(client, dana_with_app)
    args = [organization.pk] if name.startswith("organizations:") and name != "organizations:list" else []

    with recorded() as sent:
        assert client.get(reverse(name, args=args)).status_code == 200

    assert (sent.statements, sent.marks) == (statements, 0), str(sent)
