"""One-time passwords by e-mail: an HOTP of the challenge, which each of its mails repeats (RFC 4226)."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import masked, tag_of
from accounts.security_log import Origin
from mfa import codes
from mfa.code_refusals import WrongCode
from mfa.modes.base import Enrolled, Level, Mode

if TYPE_CHECKING:
    from accounts.models import User
    from mfa.models import Challenge, Factor


class Email(Mode):
    """A code is mailed to the account's address."""

    name = "email"
    label = _("email")
    hint = _("a code that we email to you")
    icon = "mail"
    way_in_words = _("a code by email")
    loss_in_words = _("your mailbox")
    absence_in_words = _("No access to your mailbox?")
    is_mailed = True
    keeps_secret = False
    level = Level.MAILED

    def enrolment_lifetime(self) -> timedelta:
        """Return the lifetime of a mailed code (SR-14)."""
        return settings.CHALLENGE_LIFETIME

    def target_of(self, user: "User") -> str:
        """Return the masked address."""
        return masked(user.email)

    def where_to_look(self, challenge: "Challenge") -> str:
        """Return to which address the code went, and the tag by which its mail is told from others."""
        if not challenge.mails:
            return ""
        email, tag = masked(challenge.user.email), tag_of(challenge.pk)
        text = gettext("Enter the code from our email to %(email)s. Its subject ends with the tag %(tag)s.")
        return text % {"email": email, "tag": tag}

    def enrol(self, enrolment: "Challenge", proof: str, *, now: datetime) -> Enrolled:
        """Check the mailed code of an enrolment."""
        del now
        _check(enrolment, proof)
        return Enrolled()

    def spend(self, factor: "Factor", challenge: "Challenge", proof: str, *, origin: Origin, now: datetime) -> str:
        """Check the mailed code; the challenge, which ends with it, is what is used up."""
        del factor, origin, now
        _check(challenge, proof)
        return ""


def _check(challenge: "Challenge", otp: str) -> None:
    """Raise ``WrongCode`` unless ``otp`` was mailed; before the first mail, a hit is a guess."""
    if not challenge.mails or not codes.same(codes.mailed_code(challenge.secret), otp):
        raise WrongCode
