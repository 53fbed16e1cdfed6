"""Why a code was refused, in words for the person who typed it."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.refusals import Counted


class RefusedCode(Counted):
    """A code that was looked at and refused (SR-15).

    ``left`` says what that leaves, where one can try again; ``is_last``, that it ended the challenge.
    """

    left = ""
    is_last = False

    @property
    def reason(self) -> str:
        """Why the code was refused."""
        return str(self.message)

    @property
    def text(self) -> str:
        """The reason and what is left."""
        return f"{self.reason} {self.left}".strip()


class WrongCode(RefusedCode):
    """None of the codes that would be right at any time."""

    message = _("That code is not right. Please check it and try again.")

    @property
    def reason(self) -> str:
        """The message, or less where what is left says the rest."""
        if self.is_last:
            return ""
        return gettext("That code is wrong.") if self.left else str(self.message)


class ClockOff(RefusedCode):
    """A code of the app that is right for another time, some ``minutes`` away. Counted."""

    def __init__(self, *, minutes: int) -> None:
        super().__init__()
        self.minutes = minutes

    @property
    def reason(self) -> str:
        """The message with how far the clock is off."""
        return str(self.message) % {"n": self.minutes}


class CodeTooOld(ClockOff):
    """One that was right some minutes ago."""

    message = _(
        "That code has expired. Enter the one that your app shows now; if it is the same, your phone's clock is about "
        "%(n)d min behind: let it set the time automatically."
    )


class ClockAhead(ClockOff):
    """One that will be right in some minutes; it will not be accepted then either."""

    message = _(
        "Your phone's clock is about %(n)d min ahead. Let it set the time automatically, then enter a new code."
    )


class CodeUsed(RefusedCode):
    """A code of the app that was accepted before, or that was told to be of no use."""

    message = _("That code was already used. Wait until your app shows the next one.")


class CodeOvertaken(CodeUsed):
    """A code of the app that is older than the last accepted one."""

    message = _("A newer code was accepted after that one. Wait until your app shows the next one.")
