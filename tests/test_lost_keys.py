"""``ENCRYPTION_KEYS`` are lost: each user has a way back, and none is a password alone."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import email_verification
from accounts.security_log import Kind, Origin, of_user
from mfa import recovery
from mfa.models import AssistedReset, Challenge, Factor, RecoveryCodes
from mfa.tests.factories import add_mode, add_passkey
from organizations import invitations
from organizations.models import Invitation, Role
from organizations.tests.factories import MembershipFactory
from tests.codes import mailed_code
from tests.signing_in import OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "an old key " * 4, "a new key " * 4


def replace(*arguments: str) -> str:
    said = StringIO()
    call_command("replace_lost_secrets", *arguments, stdout=said)
    return said.getvalue()


@pytest.fixture
def lost(client, dana, sam, settings):
    """Dana has an app and recovery codes, is signed in, asked for a new password, and has invited someone."""
    settings.ENCRYPTION_KEYS = [OLD]
    add_mode(dana, "authenticator")
    sign_in(client, dana)
    recovery.make(dana)
    email_verification.ask_reset("dana", Origin())
    owner = MembershipFactory(user=dana, role=Role.OWNER)
    invitations.send(owner, "new@example.com", role=Role.MEMBER, origin=Origin())
    settings.ENCRYPTION_KEYS = [NEW]


def test_nothing_is_removed_before_it_is_confirmed(lost):
    """SR-64: perhaps the old key is only missing from the settings."""
    with pytest.raises(CommandError, match="add it to ENCRYPTION_KEYS"):
        replace()

    assert Factor.objects.get().mode == "authenticator"


def test_whose_app_is_lost_gets_codes_by_mail(client, another_browser, dana, lost):
    """SR-64, SR-25: never a password alone; and the user is told."""
    assert "Factor: 1 removed" in replace("--remove")

    assert not is_signed_in(client)
    again = another_browser()
    assert give_credentials(again, "dana").url == OTP
    again.post(OTP, {"otp": mailed_code()})
    assert is_signed_in(again)
    kinds = set(of_user(dana).values_list("kind", flat=True))
    assert {Kind.MODE_DISABLED, Kind.MODE_ENABLED} <= kinds


def test_who_has_another_mode_keeps_it(dana, settings):
    settings.ENCRYPTION_KEYS = [OLD]
    add_mode(dana, "authenticator")
    add_passkey(dana)
    settings.ENCRYPTION_KEYS = [NEW]

    replace("--remove")

    dana.refresh_from_db()
    assert dana.modes == {"passkey"}
    assert dana.preferred_mode == "passkey"


def test_what_waits_for_an_answer_is_removed(lost):
    replace("--remove")

    for model in (RecoveryCodes, Challenge, AssistedReset):
        assert not model.objects.exists()
    call_command("rotate_secrets", stdout=StringIO())  # finds nothing that no key opens


def test_an_invitation_that_was_mailed_still_works(lost):
    replace("--remove")

    invitation = Invitation.objects.get()
    assert invitation.sealed_code == ""
    assert invitation.accepted_at is None
    assert invitation.revoked_at is None


def test_what_a_key_opens_stays(lost, settings):
    """Another user has enabled an app since the new key came."""
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    assert "Factor: 0 removed" in replace("--remove")
