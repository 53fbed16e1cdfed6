"""Sentences of commands about an account."""

from datetime import datetime

from mfa.unlocking import Hold


def time_in_words(moment: datetime | None) -> str:
    """Return a time of the output; "never" for none."""
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def hold_in_words(hold: Hold) -> str:
    """Return what a kind of tries has counted, and what it blocks."""
    if hold.is_over:
        state = "blocked until the password is reset"
    elif hold.until:
        state = f"blocked until {time_in_words(hold.until)}"
    else:
        state = "not blocked"
    return f"{hold.what}: {hold.tries} counted, {state}."
