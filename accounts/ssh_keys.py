"""The SSH keys of an account, and signing in with an RSA key."""

import binascii
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.locks import lock_unchanged
from accounts.models import PublicKey, UsedNonce, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin

log = structlog.get_logger(__name__)

MAX_NAME_LENGTH = 64
MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384
# The command line puts key names into URL paths.
FORBIDDEN_IN_PATHS = frozenset("/?%#\\")
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
MAX_NONCE_LENGTH = 128


class NotAKey(Refused):
    """The text is neither an RSA nor an Ed25519 key in OpenSSH form, or the key is too short or too long."""

    message = _(
        "This key cannot be used. Use an OpenSSH public key of type RSA with at least 2048 bits. "
        "To make one for the command line, run ssh-keygen -t rsa -b 4096 -m PEM."
    )


class NotAName(Refused):
    """The name is empty or too long, looks like an option, or does not fit into a URL path."""

    message = _(
        "Give the key a name of at most 64 characters that does not begin with a dash and has no / ? % # or backslash."
    )


class KeyExists(Refused):
    """The account has this name or this key already."""

    message = _("Your account already has a key with this name, or this key under another name.")


class TooManyKeys(Refused):
    """The account has ``MAX_KEYS`` keys."""

    message = _("Your account has the maximum number of keys. Remove one first.")


class NoSuchKey(Refused):
    """The user has no key with this name."""

    message = _("Your account has no key with this name.")


class WrongKey(Refused):
    """The key is unknown, the signature is wrong, or the account is disabled: one message for all."""

    message = _("Unknown key or invalid signature. Sign in with your password, then add the key.")


class AccountNotNamed(Refused):
    """The signature is right, but the client does not name one of the accounts that hold the key (SR-38)."""

    message = _(
        "This key does not identify your account. Run datica clear --private-key and sign in once with your password "
        "on this computer. Then set the key again."
    )


class ClockOff(Refused):
    """The signature is too old, or from the future (SR-38)."""

    message = _("Your computer's clock is more than five minutes off. Correct it and try again.")


class SignatureUsed(Refused):
    """The nonce was used before (SR-38)."""

    message = _("This signature was already used. Run the command again.")


def parse(text: str) -> RSAPublicKey | Ed25519PublicKey:
    """Return an OpenSSH public key. Raises ``NotAKey``."""
    try:
        key = load_ssh_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise NotAKey from None
    if isinstance(key, RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise NotAKey
    elif not isinstance(key, Ed25519PublicKey):
        raise NotAKey
    return key


def text_of(key: RSAPublicKey | Ed25519PublicKey) -> str:
    """Return a key in OpenSSH form, without comment."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(text: str) -> str:
    """Return the SHA-256 of a key's blob as ``ssh-keygen`` writes it, without the prefix ``SHA256:``."""
    return b64encode(sha256(b64decode(text.split()[1])).digest()).decode().rstrip("=")


def of_user(user: User) -> QuerySet[PublicKey]:
    """Return the keys of a user, by name."""
    return PublicKey.objects.filter(user=user).order_by("name")


def add(user: User, name: str, text: str, origin: Origin) -> PublicKey:
    """Store a key. Raises ``NotAName``, ``NotAKey``, ``KeyExists`` or ``TooManyKeys``."""
    fits = name == name.strip() and name.isprintable() and not FORBIDDEN_IN_PATHS & set(name)
    if not fits or not 0 < len(name) <= MAX_NAME_LENGTH or name in {".", ".."} or name.startswith("-"):
        raise NotAName
    text = text_of(parse(text))
    with transaction.atomic():
        user = lock_unchanged(user)
        if PublicKey.objects.filter(user=user).count() >= MAX_KEYS:
            raise TooManyKeys
        try:
            with transaction.atomic():
                key = PublicKey.objects.create(user=user, name=name, text=text, fingerprint=fingerprint(text))
        except IntegrityError:
            raise KeyExists from None
        security_log.record(user, Kind.KEY_ADDED, origin)
    return key


def remove(user: User, name: str, origin: Origin) -> None:
    """Remove a key by its name. Raises ``NoSuchKey``."""
    with transaction.atomic():
        user = lock_unchanged(user)
        if not PublicKey.objects.filter(user=user, name=name).delete()[0]:
            raise NoSuchKey
        security_log.record(user, Kind.KEY_REMOVED, origin)


def check_signature(text: str, signature: str, *, nonce: str, timestamp: str, named: str = "", origin: Origin) -> User:
    """Return the user who proves with a signature to hold a key.

    ``signature`` is base64 of RSA PKCS#1 v1.5 with SHA-256 over ``nonce&timestamp``; ``timestamp`` is in Unix
    seconds. Each is accepted once, within five minutes (SR-38). ``named`` is the id of the account that the client
    means, or blank. A signature replaces the password only: a code is still due where MFA is on. Raises
    ``WrongKey``, ``AccountNotNamed``, ``ClockOff`` or ``SignatureUsed``.
    """
    text = _verified(text, signature, f"{nonce}&{timestamp}")
    signed_at = _time(timestamp)
    if signed_at is None or abs(timezone.now() - signed_at) > MAX_CLOCK_DIFFERENCE:
        raise ClockOff
    if not 0 < len(nonce) <= MAX_NONCE_LENGTH:
        raise WrongKey
    key = _find_key(fingerprint(text), named)
    with transaction.atomic():
        digest = sha256(f"{key.fingerprint}&{nonce}".encode()).hexdigest()
        _nonce, is_new = UsedNonce.objects.get_or_create(
            digest=digest, defaults={"expires_at": signed_at + 2 * MAX_CLOCK_DIFFERENCE}
        )
        if not is_new:
            security_log.record(key.user, Kind.SIGN_IN_REFUSED, origin)
        PublicKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
    if not is_new:
        raise SignatureUsed
    return key.user


def _find_key(key_fingerprint: str, named: str) -> PublicKey:
    """Return the key of the account that a correct signature is for (SR-38).

    An attacker can add the public key of another user to their own account. So the first sign-in with a key must name
    its account. Without a name, only an account that has signed in with the key before is found.
    """
    rows = PublicKey.objects.select_related("user").filter(fingerprint=key_fingerprint, user__is_active=True)
    holders = list(rows.order_by("created_at", "pk"))
    found = [key for key in holders if str(key.user_id) == named or (not named and key.last_used_at)]
    if len(found) == 1:
        return found[0]
    log.info("signin.refused", reason="key", holders=len(holders), named=bool(named))
    if named or not holders:
        raise WrongKey
    raise AccountNotNamed


def _verified(text: str, signature: str, signed: str) -> str:
    """Check a signature against the key sent with it; return the key's text. Unknown keys take equally long."""
    try:
        key = parse(text)
        if not isinstance(key, RSAPublicKey):
            raise WrongKey
        key.verify(b64decode(signature, validate=True), signed.encode(), PKCS1v15(), SHA256())
    except (NotAKey, InvalidSignature, binascii.Error, ValueError):
        raise WrongKey from None
    return text_of(key)


def _time(timestamp: str) -> datetime | None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        return None
    return datetime.fromtimestamp(int(timestamp), UTC)
