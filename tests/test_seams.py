"""What a lock decided is what is written after it (SR-25): changes and sign-ins in the same instant, on PostgreSQL."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts import addresses, sessions, tokens
from accounts.models import Mode, Session, Token, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from conftest import OTP, give_credentials, is_signed_in
from mfa import activation, challenges, codes, modes
from mfa.models import Challenge
from tests.test_concurrency import ORIGIN, app_code, at_once

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

SIGN_INS = 8


def waiting_browsers(user) -> list[Client]:
    """Bring browsers to the prompt."""
    browsers = [Client() for _number in range(SIGN_INS)]
    for browser in browsers:
        assert give_credentials(browser, user.email).url == OTP
    return browsers


def codes_for(user, browsers: list[Client]) -> list[str]:
    """Return the mailed code of each browser's sign-in."""
    found = []
    for browser in browsers:
        challenge = Challenge.objects.get(pk=browser.session["sign_in"]["challenge"])
        found.append(codes.mailed_code(challenge.secret))
    return found


def give(browser: Client, otp: str):
    return lambda: browser.post(OTP, {"otp": otp}).status_code


@pytest.fixture
def no_limits(settings):
    settings.OTP_MAILS_PER_HOUR = 1000
    settings.ADDRESS_FAILURES = 1000


@pytest.mark.parametrize("change", ["a new app", "address", "sign out", "password"])
@pytest.mark.parametrize("_round", range(3))
def test_no_session_made_with_what_was_before_survives_a_change(dana_with_email, no_limits, change, _round):
    """SR-25: whichever of the two comes first."""
    user = dana_with_email
    browsers = waiting_browsers(user)
    otps = codes_for(user, browsers)
    act = prepared(user, change)

    at_once(*[give(browser, otp) for browser, otp in zip(browsers, otps, strict=True)], act)

    version = User.objects.get(pk=user.pk).credential_version
    assert version == 1
    assert [browser for browser in browsers if is_signed_in(browser)] == []


def prepared(user, change: str):
    """Return a change that only has to be made."""
    if change == "a new app":
        enrolment = activation.begin(user, Mode.AUTHENTICATOR, proven=True, mailbox_proven=True)
        otp = codes_otp(enrolment)
        return lambda: activation.complete(enrolment, otp, set_as_preferred=True, origin=ORIGIN)
    if change == "address":
        proof = addresses.ask(user, "elsewhere@example.com", ORIGIN)
        return lambda: addresses.complete(proof, proof.code, ORIGIN, session_key=None)
    if change == "password":
        from accounts import passwords

        return lambda: passwords.change(user, "a brand new password", ORIGIN, current=PASSWORD, session_key=None)
    return lambda: sessions.end_all_others(user, ORIGIN, keep=None)


def codes_otp(enrolment: Challenge) -> str:
    import pyotp

    return pyotp.TOTP(codes.base32(enrolment.secret)).at(timezone.now())


@pytest.mark.parametrize("_round", range(3))
def test_no_token_made_with_the_old_factors_survives_their_change(dana_with_both, no_limits, _round):
    """SR-25, SR-35."""
    user = dana_with_both
    User.objects.filter(pk=user.pk).update(preferred_mode=Mode.EMAIL)
    user.refresh_from_db()
    given: list[str] = []

    def sign_in(challenge):
        def job():
            factor = challenges.answer(challenge, codes.mailed_code(challenge.secret), ORIGIN)
            given.append(tokens.issue(factor.user, ORIGIN, mode=factor.proved_as))

        return job

    begun = [challenges.begin_sign_in(user, channel="cli", origin=ORIGIN) for _number in range(SIGN_INS)]
    for challenge in begun:
        challenges.send_code(challenge, ORIGIN)

    at_once(
        *[sign_in(challenge) for challenge in begun],
        lambda: modes.disable(user, Mode.AUTHENTICATOR, may_keep=lambda _left: True, origin=ORIGIN, session_key=None),
    )

    assert [value for value in given if tokens.find(value)] == []
    assert Token.objects.count() <= len(given)


def test_a_session_that_was_ended_is_not_made_anew_by_a_request_under_way(dana_with_app):
    """SR-25: a step-up in the session, and its end from elsewhere, in the same instant."""
    for _round in range(5):
        Session.objects.all().delete()
        User.objects.filter(pk=dana_with_app.pk).update(credential_version=0)
        browser = Client()
        give_credentials(browser, dana_with_app.email)
        from mfa.models import Factor

        Factor.objects.update(last_step=0)
        browser.post(OTP, {"otp": app_code(dana_with_app)})
        assert is_signed_in(browser)
        browser.get("/account/confirm")
        Factor.objects.update(last_step=0)
        otp = app_code(dana_with_app)

        at_once(
            lambda browser=browser, otp=otp: (
                browser.post("/account/confirm", {"otp": otp, "next": "/account"}) and None
            ),
            lambda: sessions.end_all_others(dana_with_app, Origin("192.0.2.9"), keep=None) and None,
        )

        assert not is_signed_in(browser)
