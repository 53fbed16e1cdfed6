"""Encryption of secrets at rest, with rotating keys (SR-18)."""

from base64 import urlsafe_b64encode
from functools import cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


def _key(key: str) -> bytes:
    # A key is any long random text. Its hash has the size that Fernet needs.
    return urlsafe_b64encode(sha256(key.encode()).digest())


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(Fernet(_key(key)) for key in keys)


def seal(secret: bytes) -> str:
    """Encrypt with the first of ``ENCRYPTION_KEYS``."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(secret).decode()


def unseal(sealed: str) -> bytes:
    """Decrypt with the key that fits. Raises ``cryptography.fernet.InvalidToken`` if none does."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(sealed.encode())


def resealed(sealed: str) -> str | None:
    """Return a secret re-encrypted with the first key, or None if it already uses that key.

    Raises ``cryptography.fernet.InvalidToken`` if no key fits.
    """
    first = Fernet(_key(settings.ENCRYPTION_KEYS[0]))
    try:
        first.decrypt(sealed.encode())
    except InvalidToken:
        return _fernet(tuple(settings.ENCRYPTION_KEYS)).rotate(sealed.encode()).decode()
    return None
