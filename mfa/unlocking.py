"""What throttles an account, and unlocking it: for support, at the command line and in the administration.

Limits of a client network are not an account's and stay: their windows are short. The longest count of wrong passwords
in a row ends only with a password reset (SR-5), and wrong one-time passwords get back a few tries (SR-15), as after a
password reset.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import email_change, known_browsers, mail_limits, passwords, security_log, signin, throttles
from accounts.locks import lock_user
from accounts.models import EmailVerification, User
from accounts.security_log import Intervention, Kind, Origin
from accounts.throttles import Count, Slot
from mfa import assisted_reset, code_failures

Purpose = EmailVerification.Purpose


@dataclass(frozen=True)
class Subject:
    """One kind of tries that is counted for an account, with all its counts."""

    what: str | Promise
    slots: list[Slot]
    is_eased: bool = False  # unlocking restores some tries and keeps the count in a row


@dataclass(frozen=True)
class Hold:
    """What one kind of tries has counted for an account now."""

    what: str | Promise
    tries: int
    until: datetime | None  # when the last of its blocks ends
    is_over: bool  # only a password reset helps

    @property
    def is_blocked(self) -> bool:
        """Whether it refuses the next try, at least somewhere."""
        return self.is_over or self.until is not None


@dataclass(frozen=True)
class Unlocked:
    """The result of unlocking an account."""

    cleared: list[Hold]
    remaining: list[Hold]  # that only a password reset ends

    @property
    def was_blocked(self) -> bool:
        """Whether something that was cleared had refused tries."""
        return any(hold.is_blocked for hold in self.cleared)


def holds_on(user: User) -> list[Hold]:
    """Return what is counted for an account now. Three queries."""
    return [_hold(subject, counts) for subject, counts in _counted(user)]


def unlock(user: User, origin: Origin, *, by: Intervention) -> Unlocked:
    """Clear what throttles an account, and record it if there was anything."""
    cleared, remaining = [], []
    with transaction.atomic():
        user = lock_user(user)
        for subject, counts in _counted(user):
            over = {slot: count for slot, count in counts.items() if count.is_over}
            rest = {slot: count for slot, count in counts.items() if not count.is_over}
            if over:
                remaining.append(_hold(subject, over))
            if rest:
                cleared.append(_hold(subject, rest))
                _clear(subject, list(rest))
        if cleared:
            security_log.record(user, Kind.UNLOCKED, origin, by=by)
    return Unlocked(cleared, remaining)


def _clear(subject: Subject, slots: list[Slot]) -> None:
    if not subject.is_eased:
        throttles.clear(slots)
        return
    for slot in slots:
        throttles.ease(slot, left=code_failures.FAILURES_FORGIVEN_BY_RESET)


def _hold(subject: Subject, counts: dict[Slot, Count]) -> Hold:
    return Hold(
        what=subject.what,
        tries=sum(count.tries for count in counts.values()),
        until=max((count.blocked_until for count in counts.values() if count.blocked_until), default=None),
        is_over=any(count.is_over for count in counts.values()),
    )


def _counted(user: User) -> list[tuple[Subject, dict[Slot, Count]]]:
    """Return the subjects that have counted something, with their counts."""
    subjects = _subjects(user)
    found = throttles.counts_of([slot for subject in subjects for slot in subject.slots])
    pairs = [(subject, {slot: found[slot] for slot in subject.slots if slot in found}) for subject in subjects]
    return [(subject, counts) for subject, counts in pairs if counts]


def _subjects(user: User) -> list[Subject]:
    places = known_browsers.places_of(user)
    return [
        Subject(
            _("wrong passwords"),
            [*signin.password_slots_of(user), *(signin.slot_in_known_place(user, place) for place in places.known)],
        ),
        Subject(_("wrong current passwords in a session"), [passwords.WRONG_CURRENT_PASSWORDS.of(user.pk)]),
        Subject(
            _("wrong one-time passwords"),
            [code_failures.slot_of(user, place) for place in ("", *places.known)],
            is_eased=True,
        ),
        Subject(
            _("wrong recovery codes"),
            [code_failures.WRONG_RECOVERY_CODES.of(user.pk, place) for place in (*places.known, *places.networks)],
        ),
        Subject(
            _("wrong codes that confirm an assisted reset"),
            [assisted_reset.WRONG_CODES_IN_KNOWN_BROWSER.of(user.pk, place) for place in places.known],
        ),
        *_mail_subjects(user, places.networks),
    ]


def _mail_subjects(user: User, networks: list[str]) -> list[Subject]:
    of_mailbox = [
        slot
        for purpose in (Purpose.CONFIRM_MAILBOX, Purpose.RESET_PASSWORD)
        for slot in mail_limits.slots_of(mail_limits.MAILBOX_CODES, purpose, user.email_key, networks=networks)
    ]
    one_time = mail_limits.slots_of(mail_limits.ONE_TIME_PASSWORDS, user.pk, networks=networks)
    notices = mail_limits.slots_of(mail_limits.NOTICES, user.email_key, networks=networks)
    return [
        Subject(_("emails with one-time passwords"), one_time),
        Subject(_("emails with codes that verify the mailbox"), of_mailbox),
        Subject(_("emails that the address is already used"), notices),
        Subject(_("changes of the email address"), [email_change.CHANGES_OF_USER.of(user.pk)]),
    ]
