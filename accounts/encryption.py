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


def can_unseal(sealed: str) -> bool:
    """Return whether one of ``ENCRYPTION_KEYS`` decrypts a secret."""
    try:
        unseal(sealed)
    except InvalidToken:
        return False
    return True


def new_sealed_key() -> str:
    """Return a new key for one large thing, sealed: when ``ENCRYPTION_KEYS`` rotate, only this key is sealed again."""
    return seal(Fernet.generate_key())


def encrypt(data: bytes, sealed_key: str) -> bytes:
    """Encrypt with a key of ``new_sealed_key``."""
    return Fernet(unseal(sealed_key)).encrypt(data)


def decrypt(data: bytes, sealed_key: str) -> bytes:
    """Decrypt with a key of ``new_sealed_key``. Raises ``cryptography.fernet.InvalidToken`` if it does not fit."""
    return Fernet(unseal(sealed_key)).decrypt(data)


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
