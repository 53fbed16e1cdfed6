"""How user names and e-mail addresses are compared (SR-4), and codes and tokens are made and found."""

import secrets
import unicodedata
from hashlib import sha256

# Signs that nobody mistakes for another: no 0 and O, no 1, I and L, no U and V.
UNMISTAKABLE = "23456789ABCDEFGHJKMNPQRSTWXYZ"


def new_code(length: int) -> str:
    """Make a code that people type, of signs that nobody mistakes."""
    return "".join(secrets.choice(UNMISTAKABLE) for _sign in range(length))


def digest_of(token: str) -> str:
    """Give the form in which a token of 192 random bits and more is stored: nothing to guess, so no slow hash."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def in_groups(code: str, size: int) -> str:
    """Write a code in groups, as people read it: ``K7Q-F2M-9XA``."""
    return "-".join(code[start : start + size] for start in range(0, len(code), size))


def key_of(identifier: str) -> str:
    """Give the form in which two spellings of one user name or address are equal.

    Unicode NFKC, case-folded, without outer blanks; folding can undo the normal form, so it is restored after.
    """
    folded = unicodedata.normalize("NFKC", identifier.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


def masked(email: str) -> str:
    """Show just enough of an address to recognise it: ``d•••@example.com``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"
