"""``manage.py unlock``: what throttles an account is cleared, and only that."""

import pytest
from django.core.management import CommandError, call_command

from accounts import mail_limits, signin, throttles
from accounts.models import SecurityEvent
from accounts.security_log import Origin
from mfa import code_failures, unlocking
from tests.codes import app_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def unlock(capsys):
    def run(account, *arguments):
        call_command("unlock", account, *arguments)
        return capsys.readouterr().out

    return run


def fail_passwords(client, identifier, times):
    for _try in range(times):
        give_credentials(client, identifier, "wrong")


def test_dana_who_has_mistyped_her_password_gets_in_again(client, dana, unlock):
    fail_passwords(client, "dana", 6)
    assert "Too many tries" in text_of(give_credentials(client, "dana"))

    told = unlock("dana@example.com", "--reason=She called")

    assert "Cleared wrong passwords: 5 counted, blocked until" in told
    assert "Dana@example.com is unlocked." in told
    assert give_credentials(client, "dana").status_code == 302
    event = SecurityEvent.objects.get(user=dana, kind="unlocked")
    assert event.reason == "She called"
    assert event.actor.startswith("operator ")
    assert "Account unlocked" in read_mail()[0].subject
    assert "Reason: She called" in read_mail()[0].body


def test_a_known_browser_is_unlocked_too(client, dana, unlock):
    sign_in(client, dana)
    client.post("/account/logout")
    fail_passwords(client, "dana", 6)
    assert "Too many tries" in text_of(give_credentials(client, "dana"))

    unlock("dana")

    assert give_credentials(client, "dana").status_code == 302


def test_wrong_codes_are_forgiven(client, dana_with_app, unlock, settings):
    """SR-15: some tries, as after a password reset; the count in a row goes on."""
    settings.OTP_FAILURES_PER_WINDOW = 3
    give_credentials(client, "dana")
    for _try in range(3):
        client.post(OTP, {"otp": "000000"})
    assert client.post(OTP, {"otp": app_code(dana_with_app)}).status_code == 429

    told = unlock("dana")

    assert "Cleared wrong one-time passwords: 3 counted, blocked until" in told
    assert client.post(OTP, {"otp": app_code(dana_with_app)}).status_code == 302


def test_after_a_hundred_wrong_codes_ten_tries_are_left(dana, settings):
    """SR-15: staff cannot give an attacker another hundred."""
    slot = code_failures.slot_of(dana, "")
    for _try in range(settings.OTP_FAILURES_IN_A_ROW):
        code_failures.count(slot)

    result = unlocking.unlock(dana, Origin(), by=unlocking.Intervention("x", "y"))

    assert result.was_blocked
    assert code_failures.refusal_of(slot) is None
    assert throttles.Throttle.objects.get(digest=slot.digest).in_a_row == settings.OTP_FAILURES_IN_A_ROW - 10


def test_the_end_of_wrong_passwords_stays_until_the_password_is_reset(dana, unlock, settings):
    """SR-5."""
    slot = signin.password_slots_of(dana)[0]
    for _try in range(settings.PASSWORD_FAILURES_IN_A_ROW // 2):
        throttles.count([slot])

    told = unlock("dana")

    assert "unlocked" not in told
    assert "Kept wrong passwords: 50 counted, blocked until the password is reset." in told
    assert "/account/password/reset" in told
    assert not SecurityEvent.objects.filter(kind="unlocked").exists()


def test_mail_limits_are_cleared(dana, unlock, settings):
    settings.OTP_MAILS_PER_HOUR = 4
    far = Origin("203.0.113.7")
    while mail_limits.take(mail_limits.ONE_TIME_PASSWORDS, dana.pk, origin=far, is_known_place=True) is None:
        pass
    SecurityEvent.objects.create(user=dana, kind="sign_in_refused", ip_address=far.ip_address)

    told = unlock("dana")

    assert "Cleared emails with one-time passwords" in told
    assert mail_limits.take(mail_limits.ONE_TIME_PASSWORDS, dana.pk, origin=far, is_known_place=False) is None


def test_where_nothing_is_held_nothing_is_unlocked(dana, unlock):
    told = unlock("dana")

    assert "Nothing is counted against Dana@example.com, so nothing was changed." in told
    assert "unlocked" not in told
    assert not SecurityEvent.objects.exists()


def test_what_is_only_counted_is_not_called_unlocked(client, dana, unlock):
    fail_passwords(client, "dana", 2)

    told = unlock("dana")

    assert "Cleared wrong passwords: 2 counted, not blocked." in told
    assert "Nothing blocked Dana@example.com." in told
    assert "unlocked" not in told
    assert "Nothing is counted" in unlock("dana")


def test_other_accounts_stay_blocked(client, dana, sam, unlock):
    fail_passwords(client, "sam", 6)
    fail_passwords(client, "dana", 6)

    unlock("dana")

    assert "Too many tries" in text_of(give_credentials(client, "sam"))


def test_a_disabled_account_is_named(dana, unlock):
    dana.is_active = False
    dana.save()

    assert "The account is disabled." in unlock("dana")


def test_an_unknown_account_is_named():
    with pytest.raises(CommandError, match="There is no account nobody"):
        call_command("unlock", "nobody")
