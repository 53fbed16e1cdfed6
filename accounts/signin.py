"""The sign-in state machine: credentials → ``SignInAttempt`` → (one-time password) → session or token.

No session and no token exists before ``finish``; the attempt itself authorises nothing (SR-30).
"""

from functools import cache

import structlog
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import browsers, security_log, throttles
from accounts.identifiers import key_of
from accounts.models import Channel, SignInAttempt, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from accounts.throttles import Slot

log = structlog.get_logger(__name__)


class WrongCredentials(Refused):
    """Unknown account, wrong password and disabled account alike (SR-3)."""

    message = _("The username, email or password is not right. Please try again.")


class AttemptOver(Refused):
    """The attempt was finished, cancelled, replaced or has expired."""

    message = _("This sign-in has expired or was ended. Please sign in again.")


@cache
def _nobodys_password() -> str:
    return make_password("a password that nobody has")


def check_credentials(identifier: str, password: str, origin: Origin) -> User:
    """Find the user by user name or e-mail and check the password.

    Raises ``WrongCredentials`` (counted), or ``TooManyTries`` or ``NoMoreTries`` (not looked at).
    """
    user = _find(identifier)
    slots = _slots(identifier, user, origin)
    throttles.take(slots)
    if user is None:
        # As much work as for a known account: the time taken must tell nothing.
        check_password(password, _nobodys_password())
        log.info("signin.refused", reason="unknown")
        raise WrongCredentials
    if not user.check_password(password) or not user.is_active:
        security_log.record(user, Kind.SIGN_IN_REFUSED, origin)
        log.info("signin.refused", user_id=str(user.pk), reason="password" if user.is_active else "disabled")
        raise WrongCredentials
    throttles.give_back([*slots, *passwords_of(user)])
    return user


def _find(identifier: str) -> User | None:
    try:
        return User.objects.get_by_natural_key(identifier)
    except User.DoesNotExist:
        return None


def _slots(identifier: str, user: User | None, origin: Origin) -> list[Slot]:
    """Give what a wrong password counts for: the name (or the owner's own browser) and the client address."""
    known = browsers.find(user, origin.browser) if user else None
    name = throttles.password_in_known_browser(known.digest) if known else throttles.password_of(key_of(identifier))
    count, window = settings.ADDRESS_FAILURES, settings.ADDRESS_FAILURE_WINDOW
    return [name, *throttles.tries_from("password", origin.address, count=count, window=window)]


def passwords_of(user: User) -> list[Slot]:
    """Give the counts of wrong passwords of an account, by each of its names."""
    return [throttles.password_of(name) for name in (user.email_key, user.username_key) if name]


def lock_checked(user: User) -> User:
    """Lock and reread a user whose password was checked. Raises ``WrongCredentials`` if it was changed meanwhile.

    What a password opens must not appear just after its change has ended everything that it had opened.
    """
    locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if locked.password != user.password or not locked.is_active:
        raise WrongCredentials
    return locked


def begin(user: User, *, channel: Channel) -> SignInAttempt:
    """Open the sign-in of a user whose first proof was right. A code is due if ``user.mfa_is_on``."""
    with transaction.atomic():
        return SignInAttempt.objects.create(
            user=lock_checked(user), channel=channel, expires_at=timezone.now() + settings.CHALLENGE_LIFETIME
        )


def find(attempt_id: str | None, *, channel: Channel) -> SignInAttempt | None:
    """Find an open attempt of this channel; an attempt of another channel does not exist here."""
    if not attempt_id:
        return None
    attempt = SignInAttempt.objects.select_related("user").filter(pk=attempt_id, channel=channel).first()
    return attempt if attempt and attempt.is_open(timezone.now()) else None


def finish(attempt: SignInAttempt, origin: Origin, *, mode: str = "") -> User:
    """Spend the attempt and give the user, who is signed in from here on. Raises ``AttemptOver``.

    Every proof must have been checked: this is the last step. ``mode`` says what proved it besides the password.
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
    """End an attempt that its owner no longer wants, or that used up its guesses."""
    SignInAttempt.objects.filter(pk=attempt.pk, ended_at=None).update(ended_at=timezone.now())
