"""The passkeys of a user: adding, naming and removing them. What they prove is in ``mfa.passkey_proofs``."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from mfa import authenticator_models
from mfa.ceremonies import Created
from mfa.models import Factor, Passkey
from mfa.passkey_proofs import MODE, digest_of

MAX_PASSKEYS = 25  # of a user: what a page lists and a browser is asked to exclude
NAME_LENGTH = 64
# Transports of a security key; a phone or computer has "internal" or "hybrid".
PLUGGED_IN = frozenset({"usb", "nfc", "smart-card"})


class AddedAlready(Refused):
    """The passkey is on an account already."""

    message = _("This passkey was added already. Use another device or security key for another passkey.")


class TooManyPasskeys(Refused):
    """The account has ``MAX_PASSKEYS``."""

    message = _("Your account has as many passkeys as it can have. First remove one that you no longer use.")


class NoSuchPasskey(Refused):
    """The account has no such passkey, or no longer."""

    message = _("This passkey was already removed.")


class NoName(Refused):
    """The name is empty."""

    message = _("Enter a name for this passkey.")


def of_user(user: User) -> "QuerySet[Passkey]":
    """Return a user's passkeys, oldest first; at most ``MAX_PASSKEYS``."""
    return Passkey.objects.filter(factor__user=user)


def add(factor: Factor, created: Created, origin: Origin) -> Passkey:
    """Add a checked credential to a factor. Call under the lock on the user's row.

    Raises ``AddedAlready`` or ``TooManyPasskeys``.
    """
    digest = digest_of(created.credential_id)
    if Passkey.objects.filter(digest=digest).exists():
        raise AddedAlready
    names = list(factor.passkeys.values_list("name", flat=True))
    if len(names) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    return Passkey.objects.create(
        factor=factor,
        name=_proposed_name(created, origin, taken=set(names)),
        credential_id=created.credential_id,
        digest=digest,
        public_key=created.public_key,
        sign_count=created.sign_count,
        transports=created.transports,
        aaguid=created.aaguid,
        can_sync=created.can_sync,
        is_synced=created.is_synced,
        signs_in_alone=created.is_discoverable,
        verifies_user=created.user_verified,
    )


def _proposed_name(created: Created, origin: Origin, *, taken: set[str]) -> str:
    """Return a name from the authenticator's model, or else from its kind or from where it was added."""
    name = authenticator_models.NAMES.get(created.aaguid, "")
    if not name and PLUGGED_IN & set(created.transports) and "internal" not in created.transports:
        name = gettext("Security key")
    name = (name or security_log.agent_in_words(origin.agent))[: NAME_LENGTH - 3]
    numbered = (f"{name} {number}" for number in range(2, MAX_PASSKEYS + 2))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def rename(user: User, passkey_id: UUID, name: str, *, origin: Origin) -> str:
    """Rename a passkey; return the new name, in one line. Raises ``NoSuchPasskey`` or ``NoName``."""
    name = "".join(letter for letter in name if unicodedata.category(letter)[0] != "C").strip()[:NAME_LENGTH]
    if not name:
        raise NoName
    with transaction.atomic():
        user = lock_unchanged(user)
        if not of_user(user).filter(pk=passkey_id).update(name=name):
            raise NoSuchPasskey
        security_log.record(user, Kind.PASSKEY_RENAMED, origin, mode=MODE, factor_name=name)
    return name


@dataclass(frozen=True)
class Removed:
    """The result of removing one of several passkeys."""

    user: User  # reread; the kept session needs its fingerprint
    name: str


def remove(
    user: User, passkey_id: UUID, *, origin: Origin, end_everything_else: Callable[[User], None]
) -> Removed | None:
    """Remove one of several passkeys. Return None, having done nothing, for the last one: the mode ends with it.

    ``end_everything_else`` ends the user's other sessions and sign-ins (SR-25). Raises ``NoSuchPasskey``.
    """
    with transaction.atomic(durable=True):
        user = lock_unchanged(user)
        passkeys = list(of_user(user))
        passkey = next((passkey for passkey in passkeys if passkey.pk == passkey_id), None)
        if passkey is None:
            raise NoSuchPasskey
        if len(passkeys) == 1:
            return None
        passkey.delete()
        end_everything_else(user)
        security_log.record(user, Kind.PASSKEY_REMOVED, origin, mode=MODE, factor_name=passkey.name)
    return Removed(user, passkey.name)
