"""Encryption of secrets at rest, with rotating keys (SR-18)."""

from base64 import urlsafe_b64encode
from functools import cache
from hashlib import sha256

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    # A key is any long random text; hashing gives it the size that Fernet wants.
    return MultiFernet(Fernet(urlsafe_b64encode(sha256(key.encode()).digest())) for key in keys)


def seal(secret: bytes) -> str:
    """Encrypt with the first of ``ENCRYPTION_KEYS``."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(secret).decode()


def unseal(sealed: str) -> bytes:
    """Decrypt with whichever key fits. Raises ``cryptography.fernet.InvalidToken`` if none does."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(sealed.encode())
