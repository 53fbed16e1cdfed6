"""The assisted reset, for a user who has lost the phone and every recovery code (SR-28).

An owner or staff starts it and gives a reason. The member confirms it with a mailed code. During a waiting time, any
sign-in with an existing factor cancels it. Then a second email carries a code that replaces the factor once; the
password is still required. MFA stays on: the session that the code opens can only enrol a new factor.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from hmac import compare_digest

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import email_verification, known_browsers, metrics, outbox, security_log, throttles
from accounts.housekeeping import RETENTION, delete_in_batches
from accounts.identifiers import new_code
from accounts.limits import Limit
from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.security_log import Intervention, Kind, Origin
from accounts.throttles import Slot
from mfa import factors, modes, recovery
from mfa.models import AssistedReset

MODE = "assisted reset"  # the ``mode`` of its sessions and events
STARTS = Limit(what="started assisted resets", per="user", tries=3, window=timedelta(days=1))
WRONG_CODES_FROM_NETWORK = Limit(
    what="wrong codes that confirm an assisted reset", per="client network, outside known browsers",
    key="assisted-reset", tries="IP_LOGIN_FAILURES", window="IP_LOGIN_FAILURE_WINDOW",
)  # fmt: skip
WRONG_CODES_IN_KNOWN_BROWSER = replace(
    WRONG_CODES_FROM_NETWORK, per="known browser of a user", key="assisted-reset-in-place"
)
READY_BATCH_SIZE = 500


class NotNeeded(Refused):
    """MFA is off, or the user can still receive codes by email."""

    message = _(
        "This account needs no assisted reset: multi-factor authentication is off, or codes can be sent by email."
    )


class AlreadyStarted(Refused):
    """The account has an open reset."""

    message = _("An assisted reset of this account is already under way.")


class AccountDeleted(Refused):
    """The account was deleted since the page was opened."""

    message = _("This account was deleted a moment ago.")


class NotForOneself(Refused):
    """A reset must be started by a second person."""

    message = _("You cannot start an assisted reset of your own account. Ask another owner or the staff.")


class TooManyStarts(Refused):
    """The account had as many resets as ``STARTS`` allows, so its mailbox gets no more emails about them."""

    message = _("This account had too many assisted resets in the last 24 hours.")


class WrongCode(Refused):
    """No open reset of this account waits for this code. Counted by known browser or network."""

    message = _("Incorrect account or code. Enter your own account and the code from the newest email about the reset.")


def start(user: User, *, by: User, authority: str, reason: str, origin: Origin) -> AssistedReset:
    """Start the reset of ``user``, and email the user to confirm it.

    ``authority`` is the role of ``by``, in words for the member. The caller has checked that ``by`` may start it and
    has proven a factor recently. Raises ``AccountDeleted``, ``NotForOneself``, ``NotNeeded``, ``AlreadyStarted`` or
    ``TooManyStarts``.
    """
    now = timezone.now()
    started = AssistedReset.objects.filter(user=user, created_at__gt=now - STARTS.interval).order_by("-created_at")
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        if locked is None:
            raise AccountDeleted
        user = locked
        if started.count() >= STARTS.count:
            metrics.count_throttled("assisted-reset-start")
            raise TooManyStarts(retry_at=started[STARTS.count - 1].created_at + STARTS.interval)
        if user.pk == by.pk:
            raise NotForOneself
        enabled = factors.enabled(user)
        if not is_possible([factor.mode for factor in enabled]):
            raise NotNeeded
        if _open(user, now):
            raise AlreadyStarted
        AssistedReset.objects.filter(user=user, ended_at=None).update(ended_at=now)  # expired ones
        reset = AssistedReset(user=user, started_by=by, authority=authority[:254], reason=reason[:500])
        reset.expires_at = now + settings.ASSISTED_RESET_LIFETIME
        reset.secret = new_code(email_verification.CODE_LENGTH).encode()
        reset.save()
        security_log.record(user, Kind.ASSISTED_RESET_STARTED, origin, by=Intervention(by.email, reason))
        outbox.post("mfa.confirm_reset", user=user, about=reset.pk, queue=outbox.OTP_QUEUE, is_on_page=False)
    return reset


def is_possible(enabled: Collection[str]) -> bool:
    """Return whether an account with these modes may need a reset: MFA is on, and no code can come by email."""
    return bool(enabled) and not modes.any_mailed(enabled)


def is_open_for(user: OuterRef) -> Exists:
    """Return the condition that a user has a reset that has not ended, for a query."""
    return Exists(AssistedReset.objects.filter(user=user, ended_at=None))


def open_of(user: User) -> AssistedReset | None:
    """Return the open reset of a user, with who started it. One query."""
    open_resets = AssistedReset.objects.filter(user=user, ended_at=None, expires_at__gt=timezone.now())
    return open_resets.select_related("started_by").first()


def _open(user: User, now: datetime) -> AssistedReset | None:
    return AssistedReset.objects.filter(user=user, ended_at=None, expires_at__gt=now).first()


def confirm(user: User | None, code: str, origin: Origin) -> datetime:
    """Start the waiting time, confirmed by the code from the member's mailbox. Return when it ends.

    ``user`` is None for an unknown account, and the answer is the same (SR-3). Raises ``WrongCode`` (counted) or
    ``TooManyTries``.
    """
    throttles.take([_slot_of(user, origin)])
    now = timezone.now()
    due = now + settings.ASSISTED_RESET_WAIT
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first() if user else None
        reset = _open(user, now) if user else None
        if user is None or reset is None or not _is_right(reset, code):
            raise WrongCode
        reset.due_at, reset.expires_at = due, due + settings.ASSISTED_RESET_LIFETIME
        # The length of a recovery code: the code is typed into the same field.
        reset.secret = new_code(recovery.LENGTH).encode()
        reset.save()
        security_log.record(user, Kind.ASSISTED_RESET_CONFIRMED, origin)
    return due


def _slot_of(user: User | None, origin: Origin) -> Slot:
    """Return what a wrong code of the first email counts for: the user's known browser, or else the network."""
    place = known_browsers.place_of(user, origin, channel=Channel.BROWSER) if user else ""
    if user and place:
        return WRONG_CODES_IN_KNOWN_BROWSER.of(user.pk, place)
    return WRONG_CODES_FROM_NETWORK.by_network(origin)


def hours_to_wait() -> int:
    """Return how long a confirmed reset waits, in whole hours."""
    return int(settings.ASSISTED_RESET_WAIT.total_seconds() // 3600)


def _is_right(reset: AssistedReset, code: str) -> bool:
    """Return whether ``code`` is the one of the first email.

    Wrong codes count for the network that sent them and never end a reset (SR-28). A code has 43 bits: fifty tries per
    network in a quarter of an hour do not find it in three days.
    """
    return reset.due_at is None and compare_digest(reset.secret, code.encode("utf-8", "surrogatepass"))


def tell_ready() -> int:
    """Mail the codes of resets whose waiting time is over. Return the number of resets."""
    now = timezone.now()
    ready = Q(ended_at=None, told_at=None, due_at__lte=now, expires_at__gt=now)
    count = 0
    for reset in AssistedReset.objects.filter(ready).select_related("user").order_by("due_at")[:READY_BATCH_SIZE]:
        with transaction.atomic():
            if AssistedReset.objects.filter(ready, pk=reset.pk).update(told_at=now):
                outbox.post(
                    "mfa.reset_ready", user=reset.user, about=reset.pk, queue=outbox.OTP_QUEUE, is_on_page=False
                )
                count += 1
    return count


def spend(user: User, code: str, origin: Origin) -> bool:
    """Spend the code of a reset. Return whether it was correct. Call under the lock on the user's row."""
    now = timezone.now()
    reset = _open(user, now)
    if reset is None or not reset.is_ready(now) or not compare_digest(reset.secret, code.encode()):
        return False
    reset.ended_at = now
    reset.save(update_fields=["ended_at"])
    security_log.record(user, Kind.ASSISTED_RESET_USED, origin)
    return True


def cancel(user: User, origin: Origin, *, by: Intervention | None = None) -> None:
    """End the open reset of a user, if any: a factor was just proven or, ``by`` staff, the reset was withdrawn."""
    with transaction.atomic():
        if AssistedReset.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now()):
            security_log.record(user, Kind.ASSISTED_RESET_CANCELLED, origin, by=by)


def forget_expired() -> int:
    """Delete expired resets. Return the number deleted."""
    return delete_in_batches(AssistedReset.objects.filter(expires_at__lt=timezone.now() - RETENTION))
