"""An operator ends sessions: of one user, or of everyone after a restore."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import email_verification, tokens
from accounts.models import EmailVerification, Token
from accounts.security_log import Kind, Origin, of_user
from mfa import assisted_reset
from mfa.models import AssistedReset
from tests.codes import app_code
from tests.signing_in import LOGIN, OTP, give_credentials, is_signed_in, open_sign_ins, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def end_sessions(*arguments: str) -> str:
    said = StringIO()
    call_command("end_sessions", *arguments, stdout=said)
    return said.getvalue()


def test_one_user_is_signed_out_everywhere(client, another_browser, dana, sam):
    """SR-36: by username or email, and the others stay."""
    other = another_browser()
    sign_in(client, dana)
    sign_in(other, sam)
    tokens.issue(dana, Origin(), mode="")

    assert "dana@example.com is signed out" in end_sessions("DANA").lower()

    assert not is_signed_in(client)
    assert not Token.objects.exists()
    assert is_signed_in(other)
    assert of_user(dana).filter(kind=Kind.SESSIONS_ENDED).exists()


def test_everyone_is_signed_out_after_a_restore(client, another_browser, dana_with_app, sam):
    """SR-25, SR-28, SR-37, SR-64: what had ended since the backup cannot be used again."""
    waiting, others = another_browser(), another_browser()
    give_credentials(client, "dana")
    client.post(OTP, {"otp": app_code(dana_with_app), "remember": "on"})
    give_credentials(waiting, "dana")
    sign_in(others, sam)
    assisted_reset.start(dana_with_app, by=sam, authority="staff", reason="lost", origin=Origin())
    email_verification.ask_reset("dana", Origin())

    said = end_sessions("--all")

    assert "2 sessions ended" in said
    assert "1 remembered browsers ended" in said
    assert not is_signed_in(client)
    assert not is_signed_in(others)
    assert not open_sign_ins(dana_with_app)
    assert not EmailVerification.objects.exists()
    assert not AssistedReset.objects.filter(ended_at=None).exists()
    assert give_credentials(client, "dana").url == OTP  # the browser is no longer remembered


def test_codes_of_registrations_stay():
    """There is no account yet that a code could open."""
    expires_at = timezone.now() + timezone.timedelta(hours=1)
    waiting = EmailVerification(purpose="register", email="new@example.com", expires_at=expires_at)
    waiting.code = "ABC"
    waiting.save()

    end_sessions("--all")

    assert EmailVerification.objects.count() == 1


def test_a_user_or_everyone_must_be_named(client, sam):
    sign_in(client, sam)
    with pytest.raises(CommandError):
        end_sessions()
    with pytest.raises(CommandError, match="There is no user"):
        end_sessions("unknown@example.com")

    assert is_signed_in(client)
    assert client.get(LOGIN).status_code in {200, 302}
