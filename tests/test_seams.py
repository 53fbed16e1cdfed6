"""What a lock decided is what is written after it (SR-25).

First the worst order, made certain: the change comes after the lock of a sign-in and before its session or token is
written. Then sign-ins and changes in the same instant, by threads on PostgreSQL.
"""

import pytest
from django.test import Client
from django.utils import timezone

from accounts import email_change, email_verification, passwords, sessions, ssh_keys, tokens
from accounts.models import EmailVerification, KnownBrowser, PublicKey, Session, Token, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD, new_key
from accounts.web import pending_sign_in, proofs, sign_in_page
from mfa import activation, challenges, code_failures, codes, factors, recovery, remembered_browsers
from mfa.models import Challenge, Factor, RememberedBrowser
from tests.signing_in import OTP, give_credentials, is_signed_in, pending_sign_in_of, sign_in
from tests.test_concurrency import ORIGIN, app_code, at_once

pytestmark = pytest.mark.django_db(transaction=True)
in_the_same_instant = pytest.mark.postgresql

SIGN_INS = 8
OWN = "only the owner knows this"


def waiting_browsers(user) -> list[Client]:
    """Bring browsers to the prompt."""
    browsers = [Client() for _number in range(SIGN_INS)]
    for window in browsers:
        assert give_credentials(window, user.email).url == OTP
    return browsers


def codes_for(user, browsers: list[Client]) -> list[str]:
    """Return the mailed code of each browser's sign-in."""
    found = []
    for window in browsers:
        challenge = pending_sign_in_of(window)
        found.append(codes.mailed_code(challenge.secret))
    return found


def give(window: Client, otp: str):
    return lambda: window.post(OTP, {"otp": otp}).status_code


@pytest.fixture
def no_limits(settings):
    settings.OTP_MAILS_PER_HOUR = 1000
    settings.IP_LOGIN_FAILURES = 1000


CHANGES = ["a new app", "address", "sign out", "password"]


@pytest.fixture
def then_first(monkeypatch):
    """Let something happen just before a function is called, once: nothing is replaced."""

    def arrange(module, name, happens) -> None:
        real, waiting = getattr(module, name), [happens]

        def after_it(*args, **kwargs):
            while waiting:
                waiting.pop()()
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, after_it)

    return arrange


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_written_after_the_change_is_over_at_its_first_request(client, dana_with_email, change, then_first):
    """SR-25: the sign-in was finished before the change, under the lock."""
    give_credentials(client, "dana")
    otp = codes_for(dana_with_email, [client])[0]
    then_first(pending_sign_in, "start_session", prepared(dana_with_email, change))

    assert client.post(OTP, {"otp": otp}).status_code == 302

    assert not is_signed_in(client)


@pytest.mark.parametrize("change", CHANGES)
def test_so_is_one_that_needed_no_code(client, dana, change, then_first):
    """SR-25: MFA is off until the change."""
    then_first(sign_in_page, "start_session", prepared(dana, change))

    give_credentials(client, "dana")

    assert not is_signed_in(client)


@pytest.mark.parametrize("change", CHANGES)
def test_so_is_one_of_a_remembered_browser(client, dana_with_email, change, then_first):
    """SR-25, SR-37."""
    give_credentials(client, "dana")
    client.post(OTP, {"otp": codes_for(dana_with_email, [client])[0], "remember": "on"})
    client.post("/account/logout")
    then_first(pending_sign_in, "start_session", prepared(dana_with_email, change))

    assert give_credentials(client, "dana").url == "/account"

    assert not is_signed_in(client)


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_written_after_the_change_opens_nothing(dana_with_email, change, then_first):
    """SR-25, SR-35."""
    terminal = Client()
    begun = terminal.post("/auth/signin", {"identifier": "dana", "password": PASSWORD}, "application/json").json()
    secret = Challenge.objects.get(pk=begun["mfaID"]).secret
    then_first(tokens, "issue", prepared(dana_with_email, change))

    answer = terminal.post(f"/auth/signin/mfa/{begun['mfaID']}", {"otp": codes.mailed_code(secret)}, "application/json")

    assert answer.status_code == 200
    assert tokens.find(answer.json()["sessionToken"]) is None


def test_a_session_that_is_ended_under_a_step_up_is_not_made_anew(client, dana_with_email, then_first):
    """SR-25: a proof gives a session a new key, but only one that still exists."""
    give_credentials(client, "dana")
    client.post(OTP, {"otp": codes_for(dana_with_email, [client])[0]})
    client.get("/account/confirm")
    challenge = Challenge.objects.get(purpose="step_up")
    challenges.send_code(challenge, ORIGIN)
    then_first(proofs, "remember_proof", prepared(dana_with_email, "sign out"))

    answer = client.post("/account/confirm", {"otp": codes.mailed_code(challenge.secret), "next": "/account"})

    assert answer.status_code == 400
    assert not is_signed_in(client)
    assert not Session.objects.filter(user=dana_with_email).exists()


def owner_resets(user):
    """Return the reset with which an owner throws a thief out."""

    def reset() -> None:
        proof = email_verification.ask_reset(user.email, Origin("192.0.2.77"))
        code = EmailVerification.objects.get(pk=proof.pk).code
        email_verification.reset_password(proof, code, OWN, Origin("192.0.2.77"), also=code_failures.ease)

    return reset


class TestARequestUnderWayWhenItsSessionEnds:
    """SR-25, SR-27: it must not act after the reset that was meant to throw it out."""

    def test_changes_no_password(self, client, dana, then_first):
        sign_in(client, dana)
        then_first(passwords.throttles, "give_back", owner_resets(dana))

        fields = {"password": "the thief's own secret", "password_confirm": "the thief's own secret"}
        page = client.post("/account/password/change", {"current_password": PASSWORD, **fields})

        assert page.status_code == 400
        assert User.objects.get(pk=dana.pk).check_password(OWN)

    def test_changes_no_address(self, client, dana, then_first):
        sign_in(client, dana)
        client.post("/account/confirm", {"password": PASSWORD})
        client.post("/account/email", {"email": "thief@example.org"})
        code = EmailVerification.objects.get(purpose="change_email").code
        then_first(email_change, "complete", owner_resets(dana))

        client.post("/account/email/confirm", {"code": code})

        assert User.objects.get(pk=dana.pk).email == "Dana@example.com"

    def test_adds_no_key(self, dana, then_first):
        terminal = Client()
        body = {"identifier": "dana", "password": PASSWORD}
        token = terminal.post("/auth/signin", body, "application/json").json()["sessionToken"]
        then_first(ssh_keys, "add", owner_resets(dana))

        answer = terminal.post(
            "/keys", {"name": "x", "key": new_key()}, "application/json", headers={"Authorization": f"Bearer {token}"}
        )

        assert (answer.status_code, answer.json()["code"]) == (401, 4013)
        assert not PublicKey.objects.exists()

    @pytest.mark.parametrize(("path", "function"), [("disable", "disable"), ("prefer", "prefer")])
    def test_changes_no_mode(self, client, dana_with_both, then_first, path, function):
        sign_in(client, dana_with_both)
        then_first(factors, function, owner_resets(dana_with_both))

        client.post(f"/account/mfa/email/{path}")

        dana_with_both.refresh_from_db()
        assert dana_with_both.preferred_mode == "authenticator"
        assert Factor.objects.filter(user=dana_with_both).count() == 2

    def test_makes_no_recovery_codes_count(self, client, dana_with_app, then_first):
        sign_in(client, dana_with_app)
        made = client.post("/account/mfa/recovery-codes").context["codes"]
        then_first(recovery, "confirm", owner_resets(dana_with_app))

        client.post("/account/mfa/recovery-codes/confirm", {"code": made[0]})

        assert recovery.left(dana_with_app) == 0


@pytest.mark.parametrize("change", CHANGES)
def test_no_browser_is_remembered_with_what_was_proven_before_a_change(client, dana_with_email, change, then_first):
    """SR-37: the record would be bound to what is true after it."""
    give_credentials(client, "dana")
    then_first(remembered_browsers, "note", prepared(dana_with_email, change))

    client.post(OTP, {"otp": codes_for(dana_with_email, [client])[0], "remember": "on"})

    assert not RememberedBrowser.objects.exists()


def test_no_browser_is_known_that_signed_in_before_a_reset(client, dana_with_email, then_first):
    """SR-5: the reset has forgotten all."""
    give_credentials(client, "dana")
    otp = codes_for(dana_with_email, [client])[0]
    then_first(pending_sign_in, "start_session", owner_resets(dana_with_email))

    client.post(OTP, {"otp": otp})

    assert not KnownBrowser.objects.exists()


@in_the_same_instant
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("_round", range(3))
def test_no_session_made_with_what_was_before_survives_a_change(dana_with_email, no_limits, change, _round):
    """SR-25: whichever of the two comes first."""
    user = dana_with_email
    browsers = waiting_browsers(user)
    otps = codes_for(user, browsers)
    act = prepared(user, change)

    at_once(*[give(window, otp) for window, otp in zip(browsers, otps, strict=True)], act)

    version = User.objects.get(pk=user.pk).credential_version
    assert version == 1
    assert [window for window in browsers if is_signed_in(window)] == []


def prepared(user, change: str):
    """Return a change that only has to be made."""
    if change == "a new app":
        enrolment = activation.begin(user, "authenticator", proven=True, mailbox_proven=True)
        otp = codes_otp(enrolment)
        return lambda: activation.complete(enrolment, otp, set_as_preferred=True, origin=ORIGIN)
    if change == "address":
        proof = email_change.ask(user, "elsewhere@example.com", ORIGIN)
        return lambda: email_change.complete(proof, proof.code, ORIGIN, session_key=None)
    if change == "password":
        return lambda: passwords.change(user, "a brand new password", ORIGIN, current=PASSWORD, session_key=None)
    return lambda: sessions.end_all_others(user, ORIGIN, keep=None)


def codes_otp(enrolment: Challenge) -> str:
    import pyotp

    return pyotp.TOTP(codes.base32(enrolment.secret)).at(timezone.now())


@in_the_same_instant
@pytest.mark.parametrize("_round", range(3))
def test_no_token_made_with_the_old_factors_survives_their_change(dana_with_both, no_limits, _round):
    """SR-25, SR-35."""
    user = dana_with_both
    User.objects.filter(pk=user.pk).update(preferred_mode="email")
    user.refresh_from_db()
    given: list[str] = []

    def sign_in(challenge):
        def job():
            finished = challenges.answer(challenge, codes.mailed_code(challenge.secret), ORIGIN).finished
            given.append(tokens.issue(finished.user, ORIGIN, mode=finished.proof.mode))

        return job

    begun = [challenges.begin_sign_in(user, channel="cli", origin=ORIGIN) for _number in range(SIGN_INS)]
    at_once(
        *[sign_in(challenge) for challenge in begun],
        lambda: factors.disable(user, "authenticator", may_keep=lambda _left: True, origin=ORIGIN, session_key=None),
    )

    assert [value for value in given if tokens.find(value)] == []
    assert Token.objects.count() <= len(given)


@in_the_same_instant
def test_a_session_that_was_ended_is_not_made_anew_by_a_request_under_way(dana_with_app):
    """SR-25: a step-up in the session, and its end from elsewhere, in the same instant."""
    for _round in range(5):
        Session.objects.all().delete()
        User.objects.filter(pk=dana_with_app.pk).update(credential_version=0)
        window = Client()
        give_credentials(window, dana_with_app.email)
        Factor.objects.update(last_step=0)
        window.post(OTP, {"otp": app_code(dana_with_app)})
        assert is_signed_in(window)
        window.get("/account/confirm")
        Factor.objects.update(last_step=0)
        otp = app_code(dana_with_app)

        at_once(
            lambda window=window, otp=otp: window.post("/account/confirm", {"otp": otp, "next": "/account"}) and None,
            lambda: sessions.end_all_others(dana_with_app, Origin("192.0.2.9"), keep=None) and None,
        )

        assert not is_signed_in(window)
