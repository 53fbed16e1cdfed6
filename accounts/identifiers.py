"""How user names and e-mail addresses are compared (SR-4)."""

import unicodedata


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
