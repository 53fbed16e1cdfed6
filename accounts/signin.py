"""The sign-in state machine: credentials → ``SignInAttempt`` → (one-time password) → session or token.

No session and no token exists before ``finish``; the attempt itself authorises nothing (SR-30).
"""

from dataclasses import replace
from datetime import timedelta
from functools import cache

import structlog
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts import known_browsers, security_log, sessions, throttles
from accounts.identifiers import key_of
from accounts.limits import Limit, half
from accounts.models import Channel, PublicKey, SecurityEvent, SignInAttempt, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from accounts.throttles import Slot

log = structlog.get_logger(__name__)

UNFINISHED_BATCH_SIZE = 500
REPORT_INTERVAL = timedelta(days=1)
WITHDRAWAL_SALT = "accounts.disown"  # also of the links in mails of older releases
WITHDRAWAL_LIFETIME = timedelta(days=7)
# An account has at most two identifiers, username and email: each gets half of what SR-5 allows.
WRONG_PASSWORDS_FOR_NAME = Limit(
    what="wrong passwords at sign-in", per="typed username or email, outside known places", key="password",
    free="PASSWORD_FAILURES_FREE", first_delay="PASSWORD_FIRST_DELAY", longest_delay="PASSWORD_LONGEST_DELAY",
    in_a_row=half("PASSWORD_FAILURES_IN_A_ROW"),
)  # fmt: skip
WRONG_PASSWORDS_IN_KNOWN_PLACE = replace(WRONG_PASSWORDS_FOR_NAME, per="known place of a user", key="password-in-place")
WRONG_PASSWORDS_FROM_NETWORK = Limit(
    what="wrong passwords at sign-in", per="client network, outside known places", key="password",
    tries="IP_LOGIN_FAILURES", window="IP_LOGIN_FAILURE_WINDOW",
)  # fmt: skip


class WrongCredentials(Refused):
    """The account is unknown, the password is wrong, or the account is disabled: one message for all (SR-3)."""

    message = _("Incorrect username, email or password.")


class AttemptOver(Refused):
    """The attempt was finished, cancelled or replaced, or has expired."""

    message = _("This sign-in has expired or was ended. Sign in again.")


@cache
def _dummy_hash() -> str:
    return make_password("no account has this password")


def check_credentials(identifier: str, password: str, origin: Origin, *, channel: Channel = Channel.BROWSER) -> User:
    """Return the user with this username or email and this password.

    Raises ``WrongCredentials`` (counted), or ``TooManyTries`` or ``NoMoreTries`` (the password was not checked).
    """
    user = _find(identifier)
    slots = _slots(identifier, user, origin, channel)
    throttles.take(slots)
    if user is None:
        # The same work as for a known account, so that the time taken reveals nothing.
        check_password(password, _dummy_hash())
        log.info("signin.refused", reason="unknown")
        raise WrongCredentials
    if not user.check_password(password) or not user.is_active:
        security_log.record(user, Kind.SIGN_IN_REFUSED, origin)
        log.info("signin.refused", user_id=str(user.pk), reason="password" if user.is_active else "disabled")
        raise WrongCredentials
    throttles.give_back([*slots, *password_slots_of(user)])
    return user


def _find(identifier: str) -> User | None:
    try:
        return User.objects.get_by_natural_key(identifier)
    except User.DoesNotExist:
        return None


def _slots(identifier: str, user: User | None, origin: Origin, channel: Channel) -> list[Slot]:
    """Return the slots in which a wrong password counts: the known place, or else the identifier and the network.

    The limits of an identifier and a network do not apply to a known place: others may have used them up (SR-57).
    """
    place = known_browsers.place_of(user, origin, channel=channel) if user else ""
    if user and place:
        # Each change that ends the user's sessions starts a new count, so a password reset lifts the limit (SR-5).
        return [WRONG_PASSWORDS_IN_KNOWN_PLACE.of(user.pk, user.credential_version, place)]
    return [WRONG_PASSWORDS_FOR_NAME.of(key_of(identifier)), WRONG_PASSWORDS_FROM_NETWORK.by_network(origin)]


def password_slots_of(user: User) -> list[Slot]:
    """Return the slots in which a wrong password counts: one for the user's email, one for the username."""
    return [WRONG_PASSWORDS_FOR_NAME.of(name) for name in (user.email_key, user.username_key) if name]


def lock_checked(user: User) -> User:
    """Lock and reread a user whose password was checked. Raise ``WrongCredentials`` if it was changed meanwhile.

    A concurrent password change must not leave a new session behind.
    """
    locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if locked.password != user.password or not locked.is_active:
        raise WrongCredentials
    return locked


def begin(user: User, *, channel: Channel, origin: Origin, by_key: bool = False) -> SignInAttempt:
    """Create the attempt of a user whose first proof was right: the password, or an SSH key (``by_key``).

    A code is due if ``user.mfa_is_on``.
    """
    with transaction.atomic():
        return SignInAttempt.objects.create(
            user=lock_checked(user),
            channel=channel,
            by_key=by_key,
            ip_address=origin.ip_address,
            agent=origin.agent[:255],
            known_place=known_browsers.place_of(user, origin, channel=channel, by_factor=True),
            expires_at=timezone.now() + settings.CHALLENGE_LIFETIME,
        )


def find(attempt_id: str | None, *, channel: Channel) -> SignInAttempt | None:
    """Return the open attempt with this id, if it belongs to this channel."""
    if not attempt_id:
        return None
    attempt = SignInAttempt.objects.select_related("user").filter(pk=attempt_id, channel=channel).first()
    return attempt if attempt and attempt.is_open(timezone.now()) else None


def finish(attempt: SignInAttempt, origin: Origin, *, mode: str = "") -> User:
    """End the attempt and return its user, who is now signed in. Raises ``AttemptOver``.

    This is the last step: every proof must have been checked. ``mode`` is the mode proven after the password or SSH
    key; blank if MFA is off.
    """
    now = timezone.now()
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=attempt.user_id)
        fresh = SignInAttempt.objects.select_for_update().get(pk=attempt.pk)
        if not fresh.is_open(now) or not user.is_active or bool(mode) != user.mfa_is_on:
            raise AttemptOver
        fresh.ended_at = user.last_login = now
        fresh.save(update_fields=["ended_at"])
        user.save(update_fields=["last_login"])
        security_log.record(user, Kind.SIGNED_IN, origin, mode=mode)
    log.info("signin.finished", user_id=str(user.pk), channel=attempt.channel, mode=mode)
    return user


def cancel(attempt: SignInAttempt) -> None:
    """End an attempt that was cancelled or had too many wrong codes. Notify the user if it is suspicious."""
    with transaction.atomic():
        if SignInAttempt.objects.filter(pk=attempt.pk, ended_at=None).update(ended_at=timezone.now()):
            _report_if_suspicious(attempt)


def report_unfinished() -> int:
    """End the sign-ins that expired without a correct code, and notify users of suspicious ones. Return how many."""
    expired = SignInAttempt.objects.filter(
        ended_at=None, known_place="", expires_at__lt=timezone.now(), user__preferred_mode__gt=""
    )
    count = 0
    for attempt in expired.select_related("user").order_by("expires_at")[:UNFINISHED_BATCH_SIZE]:
        cancel(attempt)
        count += 1
    return count


def _report_if_suspicious(attempt: SignInAttempt) -> None:
    """Notify the user that an attacker may know the password, at most once a day (SR-54).

    Not for a known place, and not if a later sign-in from the same IP address succeeded.
    """
    user, now = attempt.user, timezone.now()
    if attempt.known_place or not user.mfa_is_on:
        return
    events = SecurityEvent.objects.filter(user=user)
    notified = events.filter(kind=Kind.PASSWORD_KNOWN, at__gt=now - REPORT_INTERVAL).exists()
    if (
        notified
        or events.filter(kind=Kind.SIGNED_IN, ip_address=attempt.ip_address, at__gte=attempt.created_at).exists()
    ):
        return
    security_log.record(user, Kind.PASSWORD_KNOWN, Origin(attempt.ip_address, attempt.agent))


# --- Withdrawing a password: "that was not me" ----------------------------------------------------


def withdrawal_token(event: SecurityEvent) -> str:
    """Return the token of the email's link. It can only withdraw the password."""
    return signing.dumps([event.pk, _password_fingerprint(event.user)], salt=WITHDRAWAL_SALT)


def _password_fingerprint(user: User) -> str:
    return salted_hmac(WITHDRAWAL_SALT, user.password, algorithm="sha256").hexdigest()[:16]


def find_withdrawal(token: str) -> SecurityEvent | None:
    """Return the event of a token, unless the token is too old or the password has changed since."""
    try:
        event_id, fingerprint = signing.loads(token, salt=WITHDRAWAL_SALT, max_age=WITHDRAWAL_LIFETIME)
    except signing.BadSignature:
        return None
    event = SecurityEvent.objects.select_related("user").filter(pk=event_id, kind=Kind.PASSWORD_KNOWN).first()
    return event if event and constant_time_compare(fingerprint, _password_fingerprint(event.user)) else None


def withdraw_password(event: SecurityEvent, origin: Origin) -> None:
    """Withdraw a password that an attacker knows, and end everything that it opened. Sign no one in."""
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=event.user_id)
        user.set_unusable_password()
        user.save(update_fields=["password"])
        sessions.end_others(user, keep=None)
        PublicKey.objects.filter(user=user).delete()  # an SSH key replaces the password
        security_log.record(user, Kind.PASSWORD_WITHDRAWN, origin)
