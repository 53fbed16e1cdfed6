"""SSH keys of an account, and signing in with an RSA one."""

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
# They would not survive the way into a path and back.
UNFIT_FOR_A_PATH = frozenset("/?%#\\")
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
MAX_NONCE_LENGTH = 128


class NotAKey(Refused):
    """Neither RSA nor Ed25519 in OpenSSH form, or too short."""

    message = _(
        "This key cannot be used. Give an OpenSSH public key of type RSA, of at least 2048 bits: "
        "ssh-keygen -t rsa -b 4096 -m PEM makes one that the command line can sign in with."
    )


class NotAName(Refused):
    """Empty, too long, an option for the command line, or it could not be put into a path."""

    message = _(
        "Give the key a name of at most 64 characters that does not begin with a dash and has no / ? % # or backslash."
    )


class KeyExists(Refused):
    """The name or the key itself."""

    message = _("Your account already has a key with this name, or this very key under another name.")


class TooManyKeys(Refused):
    """More than anybody needs."""

    message = _("Your account has as many keys as it can hold. Remove one first.")


class NoSuchKey(Refused):
    """None of the user's keys."""

    message = _("Your account has no key with this name.")


class WrongKey(Refused):
    """An unknown key, a wrong signature and a disabled account alike."""

    message = _("This key is not known, or its signature is not right. Sign in with your password, then add the key.")


class AccountNotNamed(Refused):
    """The signature is right, but does not say which account is meant (SR-38)."""

    message = _(
        "This key does not tell which account you mean. Run datica clear --private-key and sign in with your password "
        "once on this computer, then set the key again."
    )


class ClockOff(Refused):
    """The signature is too old, or from the future (SR-38)."""

    message = _("The signature is more than five minutes off. Correct your computer's clock and try again.")


class SignatureUsed(Refused):
    """The same nonce a second time (SR-38)."""

    message = _("This signature was already used. Run the command again.")


def parse(text: str) -> tuple[RSAPublicKey | Ed25519PublicKey, str]:
    """Read an OpenSSH public key; gives it and its text without comment. Raises ``NotAKey``."""
    try:
        key = load_ssh_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise NotAKey from None
    if isinstance(key, RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise NotAKey
    elif not isinstance(key, Ed25519PublicKey):
        raise NotAKey
    return key, key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(text: str) -> str:
    """Give the SHA-256 of a key's blob as ``ssh-keygen`` does, without its prefix."""
    return b64encode(sha256(b64decode(text.split()[1])).digest()).decode().rstrip("=")


def of_user(user: User) -> QuerySet[PublicKey]:
    """Give the keys of a user by name."""
    return PublicKey.objects.filter(user=user).order_by("name")


def add(user: User, name: str, text: str, origin: Origin) -> PublicKey:
    """Store a key. Raises ``NotAName``, ``NotAKey``, ``KeyExists`` or ``TooManyKeys``."""
    fits = name == name.strip() and name.isprintable() and not UNFIT_FOR_A_PATH & set(name)
    if not fits or not 0 < len(name) <= MAX_NAME_LENGTH or name in {".", ".."} or name.startswith("-"):
        raise NotAName
    _key, text = parse(text)
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
    key = _key_of_holder(fingerprint(text), named)
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


def _key_of_holder(print_of_key: str, named: str) -> PublicKey:
    """Return the key of the account that a right signature is for (SR-38).

    Any account can add the public key of another one. Only the account that the client names can be the first to sign
    in with a key, so that one which merely stores it is never found without a name.
    """
    rows = PublicKey.objects.select_related("user").filter(fingerprint=print_of_key, user__is_active=True)
    holders = list(rows.order_by("created_at", "pk"))
    found = [key for key in holders if str(key.user_id) == named or (not named and key.last_used_at)]
    if len(found) == 1:
        return found[0]
    log.info("signin.refused", reason="key", holders=len(holders), named=bool(named))
    if named or not holders:
        raise WrongKey
    raise AccountNotNamed


def _verified(text: str, signature: str, signed: str) -> str:
    """Check a signature against the key that came with it, known or not, which takes the same time."""
    try:
        key, text = parse(text)
        if not isinstance(key, RSAPublicKey):
            raise WrongKey
        key.verify(b64decode(signature, validate=True), signed.encode(), PKCS1v15(), SHA256())
    except (NotAKey, InvalidSignature, binascii.Error, ValueError):
        raise WrongKey from None
    return text


def _time(timestamp: str) -> datetime | None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 11):
        return None
    return datetime.fromtimestamp(int(timestamp), UTC)
