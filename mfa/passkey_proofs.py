"""Proofs by a passkey: the check of what one passkey of a user has signed (SR-58)."""

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import structlog
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.models import User
from accounts.security_log import Kind, Origin
from mfa import ceremonies
from mfa.ceremonies import Ceremony
from mfa.code_refusals import RefusedCode

if TYPE_CHECKING:  # the models ask the modes for their constraints, and the mode asks this module
    from mfa.models import Challenge, Passkey

log = structlog.get_logger(__name__)

MODE = "passkey"


class RefusedPasskey(RefusedCode):
    """The browser's answer is malformed, altered, too late, for another ceremony, or of another key."""

    message = _("That passkey was not accepted. Try again, or use another way.")


class UnknownPasskey(RefusedPasskey):
    """The account, or for a sign-in without a name any account, has no such passkey."""

    message = _("This passkey no longer works here: it was removed from its account. Use another way.")


class CopiedPasskey(RefusedPasskey):
    """The counter of a passkey went back, so two authenticators may hold it (WebAuthn 3 section 6.1.1)."""

    message = _(
        "This passkey was refused because it may have been copied. Use another way, remove the passkey in your account "
        "settings, and add a new one."
    )


def user_handle(user: User) -> bytes:
    """Return what names a user to an authenticator: random, and no one's name (WebAuthn 3 section 14.6.1)."""
    return user.pk.bytes


def digest_of(credential_id: bytes) -> str:
    """Return the digest by which a credential is found."""
    return sha256(credential_id).hexdigest()


def ceremony_of(challenge: "Challenge") -> Ceremony:
    """Return the ceremony of a challenge: for its purpose and this row alone. It works as long as the row is open."""
    return Ceremony(challenge.secret, f"{challenge.purpose} {challenge.pk}")


def credentials_of(user: Any) -> list[tuple[bytes, list[str]]]:
    """Return id and transports of a user's credentials, for the options of a ceremony. One query."""
    factors = user.factor_set.filter(mode=MODE, passkeys__isnull=False)
    rows = factors.order_by("passkeys__created_at").values_list("passkeys__credential_id", "passkeys__transports")
    return [(bytes(credential_id), transports) for credential_id, transports in rows]


def digest_of_answer(credential: str) -> str:
    """Return the digest of the credential that an answer names. Raise ``RefusedPasskey`` if it is malformed."""
    try:
        return digest_of(ceremonies.credential_id_of(credential))
    except ceremonies.InvalidCredential as error:
        raise RefusedPasskey from error


def spend(
    passkey: "Passkey", credential: str, ceremony: Ceremony, *, nameless: bool, origin: Origin, now: datetime
) -> bytes:
    """Check what a passkey has signed, and write down its counter and use. Return the challenge that was signed.

    ``nameless``: it stands for the password too. Call under the lock on the row of ``passkey.factor.user``. Raises
    ``RefusedPasskey`` or ``CopiedPasskey``.
    """
    user = passkey.factor.user
    try:
        signed = ceremonies.check_signature(
            ceremony,
            credential,
            public_key=bytes(passkey.public_key),
            user_handle=user_handle(user),
            nameless=nameless,
            now=now,
        )
    except ceremonies.InvalidCredential as error:
        log.info("mfa.passkey_refused", user_id=str(user.pk), reason=str(error))
        raise RefusedPasskey from error
    if signed.can_sync != passkey.can_sync:  # WebAuthn 3 section 7.2: it never changes
        raise RefusedPasskey
    # Synced passkeys count nothing: both counters stay 0.
    if (signed.sign_count or passkey.sign_count) and signed.sign_count <= passkey.sign_count:
        security_log.record(user, Kind.PASSKEY_COPIED, origin, mode=MODE, factor_name=passkey.name)
        log.warning("mfa.passkey_copied", user_id=str(user.pk), passkey_id=str(passkey.pk))
        raise CopiedPasskey
    passkey.sign_count, passkey.is_synced, passkey.last_used_at = signed.sign_count, signed.is_synced, now
    passkey.last_ip_address, passkey.last_agent = origin.ip_address, origin.agent[:255]
    passkey.save(update_fields=["sign_count", "is_synced", "last_used_at", "last_ip_address", "last_agent"])
    return signed.challenge
