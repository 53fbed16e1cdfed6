"""Changing the key that encrypts secrets, while people sign in (SR-18)."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import data_export, email_verification
from accounts.encryption import seal, unseal
from accounts.models import DeletedAccount
from accounts.security_log import Origin
from datica_account import sealed
from datica_account.management.commands import rotate_secrets
from mfa import assisted_reset, recovery
from mfa.models import Factor
from mfa.tests.factories import add_mode
from organizations import invitations
from organizations.models import Role
from organizations.tests.factories import MembershipFactory
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "an old key " * 4, "a new key " * 4


def rotate() -> str:
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    return said.getvalue()


@pytest.fixture
def secrets(client, dana, sam, settings):
    settings.ENCRYPTION_KEYS = [OLD]
    add_mode(dana, "authenticator")
    sign_in(client, dana)
    recovery.make(dana)
    assisted_reset.start(dana, by=sam, authority="staff", reason="lost", origin=Origin())
    email_verification.ask_reset("dana", Origin())
    owner = MembershipFactory(user=dana, role=Role.OWNER)
    data_export.ask(dana, Origin())
    data_export.build_waiting()
    DeletedAccount.objects.create(sealed_email=seal(b"gone@example.com"))
    invitations.send(owner, "new@example.com", role=Role.MEMBER, origin=Origin())


def everything() -> list[bytes]:
    return [unseal(secret) for model, field in sealed.SEALED for _pk, secret in sealed.rows(model, field)]


def test_all_secrets_move_to_the_first_key(secrets, settings, monkeypatch):
    """SR-18."""
    monkeypatch.setattr(sealed, "BATCH", 1)
    before = everything()
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    said = rotate()
    settings.ENCRYPTION_KEYS = [NEW]

    assert everything() == before
    assert len(before) >= 5
    assert all(f"{model.__name__}: 1 encrypted anew" in said for model, _field in sealed.SEALED)


def test_it_can_be_stopped_and_run_again(secrets, settings):
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    rotate()

    assert "Factor: 0 encrypted anew" in rotate()


def test_what_changes_meanwhile_is_left_alone(secrets, settings):
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    factor = Factor.objects.get()
    stale = factor.sealed_secret
    factor.secret = b"another secret of the user"
    factor.save()

    assert rotate_secrets.Command()._rotate(Factor, "sealed_secret", factor.pk, stale) == 0

    assert Factor.objects.get().secret == b"another secret of the user"


def test_a_key_taken_away_too_early_is_told(secrets, settings):
    settings.ENCRYPTION_KEYS = [NEW]

    with pytest.raises(CommandError, match="fits none of ENCRYPTION_KEYS"):
        rotate()


def test_i_sign_in_with_either_key_in_place(client, dana, secrets, settings):
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    rotate()
    settings.ENCRYPTION_KEYS = [NEW]
    client.post("/account/logout")

    import time_machine
    from django.utils import timezone

    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        sign_in(client, dana)
