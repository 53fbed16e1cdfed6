"""A made-up mode of the third level, whose proof cannot be typed at the command line."""

from datetime import datetime

import pyotp

from accounts.models import User
from accounts.security_log import Origin
from mfa import codes, modes
from mfa.code_refusals import WrongCode
from mfa.models import Challenge, Factor


class Beacon(modes.Mode):
    """A device that answers this site alone."""

    name = "beacon"
    label = "beacon"
    hint = "a beacon"
    icon = "key"
    way_in_words = "a beacon"
    loss_in_words = "your beacon"
    is_typed = False
    level = modes.Level.PHISHING_RESISTANT

    def enrol(self, enrolment: Challenge, proof: str, *, now: datetime) -> modes.Enrolled:
        raise WrongCode

    def spend(self, factor: Factor, challenge: Challenge, proof: str, *, origin: Origin, now: datetime) -> str:
        if not codes.same(shown(factor.secret, factor.last_step + 1), proof):
            raise WrongCode
        factor.last_step += 1
        return ""


def shown(secret: bytes, count: int) -> str:
    """Return the beacon's ``count``-th answer."""
    return pyotp.HOTP(codes.base32(secret)).at(count)


def add_beacon(user: User) -> Factor:
    """Enable the beacon for a user."""
    factor = Factor(user=user, mode="beacon", name="beacon", secret=codes.new_secret())
    factor.save()
    user.refresh_from_db()
    return factor


def next_answer(user: User) -> str:
    """Return what the user's beacon answers next."""
    factor = Factor.objects.get(user=user, mode="beacon")
    return shown(factor.secret, factor.last_step + 1)
