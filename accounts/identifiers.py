"""How usernames and emails are compared (SR-4), what a name may hold, how codes and tokens are made."""

import re
import secrets
import unicodedata
from hashlib import sha256
from uuid import UUID

# Characters that are not confused with each other: no 0 and O, no 1, I and L, no U and V.
UNAMBIGUOUS = "23456789ABCDEFGHJKMNPQRSTWXYZ"


def new_code(length: int) -> str:
    """Return a random code of unambiguous characters, for people to type."""
    return "".join(secrets.choice(UNAMBIGUOUS) for _index in range(length))


def digest_of(token: str) -> str:
    """Return the hash under which a token is stored. Tokens have 192 random bits or more, so no slow hash is needed."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def in_groups(code: str, size: int) -> str:
    """Return a code in groups of ``size`` characters: ``K7Q-F2M-9XA``."""
    return "-".join(code[start : start + size] for start in range(0, len(code), size))


def tag_of(row_id: object) -> str:
    """Return a letter and a digit, ``K7``, by which a person finds the mail of this sign-in among others.

    It is no secret: it only tells one's own mails apart, and a mail that was not asked for is seen to be foreign.
    """
    letters = [sign for sign in UNAMBIGUOUS if sign.isalpha()]
    digits = [sign for sign in UNAMBIGUOUS if sign.isdigit()]
    number = int.from_bytes(sha256(str(row_id).encode()).digest()[:4], "big")
    return letters[number % len(letters)] + digits[number // len(letters) % len(digits)]


def key_of(identifier: str) -> str:
    """Return the form in which all spellings of one username or email are equal.

    Unicode NFKC, case-folded, without outer spaces. Case folding can undo the normal form, so it is applied twice.
    """
    folded = unicodedata.normalize("NFKC", identifier.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)


NOT_IN_EMAILS = frozenset('"[]\\ ')


def is_compared_as_written(email: str) -> bool:
    """Return whether an email is the only spelling, apart from ASCII case, of the mailbox that it names (SR-4).

    Mail must go to exactly what is compared: ``\u017fam@example.com`` is compared as ``sam@example.com``, but its mail
    would go elsewhere. Quoted local parts, and domains that IDNA maps or shortens, are also second spellings.
    """
    email = email.strip()
    if not email.isprintable() or set(email) & NOT_IN_EMAILS or _ascii_lower(email) != key_of(email):
        return False
    domain = email.rpartition("@")[2].casefold()
    try:
        return domain.encode("idna").decode("idna") == domain
    except UnicodeError:
        return False


MAX_USERNAME_LENGTH = 64
USERNAME = r"\A[\w.+-]*\Z"  # no "@": a username can never be mistaken for an email


def is_username(text: str) -> bool:
    """Return whether a text, as typed and as compared, can be a username (SR-4)."""
    return all(len(form) <= MAX_USERNAME_LENGTH and re.match(USERNAME, form) for form in (text, key_of(text)))


def _ascii_lower(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)


# Bidirectional controls can make one name look like another.
_BIDIRECTIONAL = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_plain_line(text: str) -> bool:
    """Return whether a name is one line without control characters (SR-48)."""
    return not any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} or char in _BIDIRECTIONAL for char in text)


def as_plain_line(text: str) -> str:
    """Return a text as one line without control characters, for names stored before ``is_plain_line`` was required."""
    return "".join(char if is_plain_line(char) else " " for char in text)


def masked(email: str) -> str:
    """Return just enough of an email to recognise it: ``d•••@example.com``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def uuid_of(text: str) -> UUID | None:
    """Return the id that a text writes, or None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
