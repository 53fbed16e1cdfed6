"""Sign-ins with a correct password and no correct code: their users are told, once a day of each browser (SR-54)."""

from datetime import timedelta
from itertools import takewhile

from django.db import transaction
from django.utils import timezone

from accounts import security_log
from accounts.models import SecurityEvent, User
from accounts.security_log import Kind, Origin
from mfa.models import Challenge

BATCH_SIZE = 500
REPORT_INTERVAL = timedelta(days=1)
MAX_REPORTS = 3  # in that time, of all browsers: more mails would say nothing new
# After these there is another password. That someone knows it, too, is told at once.
NEW_PASSWORD = (Kind.PASSWORD_CHANGED, Kind.PASSWORD_RESET)


def end(challenge: Challenge) -> None:
    """End a sign-in that was cancelled or expired without a correct code; notify its user if it is suspicious."""
    with transaction.atomic():
        if Challenge.objects.filter(pk=challenge.pk, ended_at=None).update(ended_at=timezone.now()):
            report_if_suspicious(challenge)


def report() -> int:
    """End the sign-ins that expired without a correct code, and notify users of suspicious ones. Return how many."""
    expired = Challenge.objects.filter(
        purpose=Challenge.Purpose.SIGN_IN,
        ended_at=None,
        known_place="",
        expires_at__lt=timezone.now(),
        user__preferred_mode__gt="",
    )
    count = 0
    for challenge in expired.select_related("user").order_by("expires_at")[:BATCH_SIZE]:
        end(challenge)
        count += 1
    return count


def report_if_suspicious(challenge: Challenge) -> None:
    """Notify the user of a sign-in that ended that an attacker may know the password, once a day, browser and password.

    Not in a known place, not after a change of the credentials, which has ended the sign-in and was told itself, and
    not if a later sign-in from the same IP address succeeded.
    """
    user = challenge.user
    if challenge.purpose != Challenge.Purpose.SIGN_IN or challenge.known_place or not user.mfa_is_on:
        return
    if not challenge.is_of_current_credentials:
        return
    events = SecurityEvent.objects.filter(user=user)
    signed_in = events.filter(kind=Kind.SIGNED_IN, ip_address=challenge.ip_address, at__gte=challenge.created_at)
    origin = Origin(challenge.ip_address, challenge.agent)
    if not _is_notified(user, origin) and not signed_in.exists():
        security_log.record(user, Kind.PASSWORD_KNOWN, origin)


def _is_notified(user: User, origin: Origin) -> bool:
    """Return whether the user was notified within a day of the present password and this browser, or often enough."""
    kinds = (Kind.PASSWORD_KNOWN, *NEW_PASSWORD)
    events = security_log.of_user(user).filter(kind__in=kinds, at__gt=timezone.now() - REPORT_INTERVAL)
    since_password = list(takewhile(lambda event: event.kind == Kind.PASSWORD_KNOWN, events[:MAX_REPORTS]))
    places = {(event.ip_address, event.agent) for event in since_password}
    return len(since_password) == MAX_REPORTS or (origin.ip_address, origin.agent) in places
