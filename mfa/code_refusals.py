"""The refusals of a code, with their messages."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.refusals import Counted


class RefusedCode(Counted):
    """A code was checked and refused (SR-15).

    ``left`` says how many tries are left, or blank; ``is_last``: the code ended the challenge.
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
    """The code is not right for any recent or coming time."""

    message = _("That code is wrong. Check it and try again.")

    @property
    def reason(self) -> str:
        """The message, shortened if ``left`` follows it, and blank if ``left`` says all."""
        if self.is_last:
            return ""
        return gettext("That code is wrong.") if self.left else str(self.message)


class EarlierCode(WrongCode):
    """The code was mailed for a prompt that is over. ``tag``: of the mails of this one."""

    message = _(
        "That code is from an earlier email and no longer works. Enter the code from the email with the tag %(tag)s."
    )

    def __init__(self, *, tag: str) -> None:
        super().__init__()
        self.tag = tag

    @property
    def reason(self) -> str:
        """The message, also of the last try."""
        return str(self.message) % {"tag": self.tag}


class CodeWaits(RefusedCode):
    """A recovery code of which the user has not shown yet that it was saved (docs/decisions.md#15)."""

    message = _(
        "That recovery code does not work yet: you have not typed one of your newest codes back in the account "
        "settings. Use an earlier code, or another way to sign in."
    )


class CodeIsOver(RefusedCode):
    """A recovery code that was used, or that newer ones replaced."""

    message = _("That recovery code no longer works: it was used, or you have made new ones since. Use another one.")


class CodeIsShown(RefusedCode):
    """At the command line, six digits for a mode that cannot be typed, and not the code that the browser shows."""

    message = _(
        "Your account signs in with a passkey, which cannot be typed. Run the command again and open %(url)s in your "
        "browser: it shows a code for the prompt."
    )

    @property
    def reason(self) -> str:
        """The message, with the page's address."""
        return str(self.message) % {"url": f"{settings.SITE_URL}{reverse('mfa:cli_code')}"}


class ClockOff(RefusedCode):
    """An app's code that is right for a time some ``minutes`` away."""

    def __init__(self, *, minutes: int) -> None:
        super().__init__()
        self.minutes = minutes

    @property
    def reason(self) -> str:
        """The message, with how far the clock is off."""
        return str(self.message) % {"n": self.minutes}


class CodeTooOld(ClockOff):
    """The code was right some minutes ago."""

    message = _(
        "That code has expired. Enter the code that your app shows now. If it is the same code, your phone's clock is "
        "about %(n)d min behind: set it to automatic time."
    )


class ClockAhead(ClockOff):
    """The code will be right in some minutes. It will not be accepted then either."""

    message = _("Your phone's clock is about %(n)d min ahead. Set it to automatic time, then enter a new code.")


class CodeUsed(RefusedCode):
    """An app's code was accepted before, or was refused as too early."""

    message = _("That code was already used. Wait until your app shows the next one.")


class CodeOvertaken(CodeUsed):
    """An app's code is older than the last accepted one."""

    message = _("A newer code was accepted after that one. Wait until your app shows the next one.")
