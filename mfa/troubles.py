"""What may keep a user from signing in, as far as the portal knows: where the page that helps begins.

Ask only for a user whose password was right, and tell no more than ``of_challenge`` until a factor is proven (SR-30).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import known_browsers, mail_limits, mail_progress, throttles
from accounts.models import Channel, Mail, User
from accounts.refusals import wait_in_words
from accounts.security_log import Origin
from mfa import challenges, code_failures, modes, way_back
from mfa.models import Challenge
from mfa.way_back import Health

CODE_MAIL = "mfa.one_time_password"
RECENT = timedelta(days=1)  # an older mail tells nothing about the next one


class Kind(StrEnum):
    """What the next step depends on."""

    CODES_REFUSED = "codes refused"
    MAILS_REFUSED = "mails refused"
    MAIL_LOST = "mail lost"
    MAIL_LATE = "mail late"
    MAIL_ARRIVED = "mail arrived"
    MAILBOX = "mailbox"
    CLOCK = "clock"
    NO_RECOVERY_CODES = "no recovery codes"


@dataclass(frozen=True)
class Trouble:
    """What the portal sees, in a sentence or two. ``mailed_at``: it is about the code that was mailed then."""

    kind: Kind
    text: str
    mailed_at: datetime | None = None


def of_user(user: User, origin: Origin) -> list[Trouble]:
    """Return what may keep a signed-in user from the next sign-in, the most urgent first. At most four queries."""
    if not user.mfa_is_on:
        return list(_of_mailbox(user, mail_is_lost=False))
    place = known_browsers.place_of(user, origin, channel=Channel.BROWSER, by_factor=True)
    health = way_back.health_of(user)
    mail = mail_progress.newest(user, CODE_MAIL, since=timezone.now() - RECENT)
    if mail and _code_came_after(mail, health):
        mail = None
    found = list(_found(user, origin, place, mail, health, is_waiting=False))
    if not health.recovery_codes_left and not health.recovery_codes_wait:
        found.append(Trouble(Kind.NO_RECOVERY_CODES, _("You have no recovery codes. They help when all else is lost.")))
    return found


def of_challenge(challenge: Challenge, origin: Origin) -> list[Trouble]:
    """Return what may keep a user from finishing a sign-in whose password was right. At most four queries.

    Only about the mode in use, and not how many recovery codes are left: to an attacker with the password it would tell
    which other ways are open.
    """
    user, place = challenge.user, challenges.known_place_of(challenge, origin)
    mail = mail_progress.newest_about(challenge.pk)
    found = _found(user, origin, place, mail, way_back.health_of(user), is_waiting=True)
    of_others = {Kind.CLOCK} if modes.get(challenge.mode).is_mailed else {Kind.MAILBOX, Kind.MAILS_REFUSED}
    return [trouble for trouble in found if trouble.kind not in of_others]


def _code_came_after(mail: Mail, health: Health) -> bool:
    used = [factor.last_used_at for name, factor in health.factors.items() if modes.get(name).is_mailed]
    return any(at and at > mail.created_at for at in used)


def _found(
    user: User, origin: Origin, place: str, mail: Mail | None, health: Health, *, is_waiting: bool
) -> Iterator[Trouble]:
    yield from _of_limits(user, origin, place)
    mail_is_lost = False
    if mail and (of_mail := _of_mail(mail, is_waiting=is_waiting)):
        mail_is_lost = of_mail.kind is Kind.MAIL_LOST
        yield of_mail
    yield from _of_mailbox(user, mail_is_lost=mail_is_lost)
    yield from _of_clock(health)


def _of_limits(user: User, origin: Origin, place: str) -> Iterator[Trouble]:
    """Yield what this browser has to wait for. One query."""
    codes = [code_failures.slot_of(user, place)]
    mails = []
    if modes.any_mailed(user.modes):
        limit = mail_limits.ONE_TIME_PASSWORDS
        mails = mail_limits.slots_at(limit, user.pk, origin=origin, is_known_place=bool(place))
    counts = throttles.counts_of([*codes, *mails])
    for kind, slots, text in (
        (Kind.CODES_REFUSED, codes, challenges.TooManyFailures.message),
        (Kind.MAILS_REFUSED, mails, challenges.TooManyMails.message),
    ):
        waits = [counts[slot].blocked_until for slot in slots if slot in counts]
        if until := max((at for at in waits if at), default=None):
            yield Trouble(kind, f"{text} {wait_in_words(until)}")


def _of_mail(mail: Mail, *, is_waiting: bool) -> Trouble | None:
    """Return what became of the newest code. One that arrived is told only to a user who waits for it."""
    progress = mail_progress.progress_of(mail)
    if progress.problem:
        return Trouble(Kind.MAIL_LOST if progress.is_lost else Kind.MAIL_LATE, progress.problem, mail.created_at)
    if not is_waiting or mail.state == Mail.State.DROPPED:
        return None
    if not mail.sent_at:
        text = _("No mail server has taken it yet. We go on trying.")
        return Trouble(Kind.MAIL_LATE, text, mail.created_at)
    return Trouble(Kind.MAIL_ARRIVED, _("A mail server has taken it."), mail.created_at)


def _of_mailbox(user: User, *, mail_is_lost: bool) -> Iterator[Trouble]:
    if user.mailbox_problem and not mail_is_lost:
        text = _("Mail to your address does not arrive: %(reason)s.") % {"reason": user.mailbox_problem}
        yield Trouble(Kind.MAILBOX, text)


def _of_clock(health: Health) -> Iterator[Trouble]:
    for factor in health.factors.values():
        if factor.seconds_ahead > 0:
            text = ngettext(
                "Your phone's clock was about %(n)d second ahead when its last code was right.",
                "Your phone's clock was about %(n)d seconds ahead when its last code was right.",
                factor.seconds_ahead,
            )
            yield Trouble(Kind.CLOCK, text % {"n": factor.seconds_ahead})
        elif factor.seconds_ahead < 0:
            text = ngettext(
                "Your phone's clock was about %(n)d second behind when its last code was right.",
                "Your phone's clock was about %(n)d seconds behind when its last code was right.",
                factor.seconds_behind,
            )
            yield Trouble(Kind.CLOCK, text % {"n": factor.seconds_behind})
