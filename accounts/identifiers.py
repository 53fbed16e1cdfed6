"""How user names and e-mail addresses are compared (SR-4), what a name may hold, how codes and tokens are made."""

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


NOT_IN_ADDRESSES = frozenset('"[]\\ ')


def is_compared_as_written(email: str) -> bool:
    """Return whether an e-mail address is the only spelling, but for ASCII case, of the mailbox that it names (SR-4).

    Mail must go to exactly what is compared: ``\u017fam@example.com`` is compared as ``sam@example.com``, but its mail
    would go elsewhere. Quoted local parts and domains that IDNA maps or shortens are further spellings of one mailbox.
    """
    email = email.strip()
    if not email.isprintable() or set(email) & NOT_IN_ADDRESSES or _ascii_lower(email) != key_of(email):
        return False
    domain = email.rpartition("@")[2].casefold()
    try:
        return domain.encode("idna").decode("idna") == domain
    except UnicodeError:
        return False


def _ascii_lower(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)


# Bidirectional controls: they let one name be read as another.
_BIDIRECTIONAL = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_plain_line(text: str) -> bool:
    """Return whether a name is one line without control characters (SR-48)."""
    return not any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} or sign in _BIDIRECTIONAL for sign in text)


def as_plain_line(text: str) -> str:
    """Return a text as one line without control characters, for names that were stored before they were checked."""
    return "".join(sign if is_plain_line(sign) else " " for sign in text)


def masked(email: str) -> str:
    """Show just enough of an address to recognise it: ``d•••@example.com``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"
