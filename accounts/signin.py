"""The first and the last step of a sign-in: credentials → (one-time password) → session or token.

The step between them is a ``mfa.challenges`` challenge. No session and no token exists before ``finish``; the challenge
itself authorises nothing (SR-30).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import ClassVar

import structlog
from django.contrib.auth.hashers import check_password, make_password
from django.core import signing
from django.db import transaction
from django.db.models.expressions import BaseExpression
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import account_deletion, known_browsers, metrics, security_log, sessions, throttles
from accounts.identifiers import key_of
from accounts.limits import Limit, half
from accounts.models import Channel, PublicKey, SecurityEvent, User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from accounts.throttles import Slot

log = structlog.get_logger(__name__)

NO_ANNOTATIONS: Mapping[str, BaseExpression] = {}
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
    what="wrong passwords at sign-in", per="client network, outside known places", key="password-network",
    tries="IP_LOGIN_FAILURES", window="IP_LOGIN_FAILURE_WINDOW",
)  # fmt: skip


class WrongCredentials(Refused):
    """The account is unknown, the password is wrong, or the account is disabled: one message for all (SR-3)."""

    message = _("Incorrect username, email or password.")


class SignInOver(Refused):
    """The sign-in was finished, cancelled or replaced, or has expired."""

    message = _("This sign-in has expired or was ended. Sign in again.")


class NothingToWithdraw(Refused):
    """The base of the refusals of a link that withdraws a password. ``title`` is that of the page."""

    title: ClassVar[str | Promise] = ""


class LinkOver(NothingToWithdraw):
    """The link is incomplete or too old, or the account was deleted."""

    title = _("This link no longer works")
    message = _(
        "The link is incomplete or has expired, so nothing was changed. If you do not know the sign-in that our email "
        "told you of, choose a new password."
    )


class AlreadyWithdrawn(NothingToWithdraw):
    """The password was withdrawn before."""

    title = _("The password is already withdrawn")
    message = _(
        "It no longer works, and all sessions that it opened have ended. Choose a new password to sign in again."
    )


class PasswordReplaced(NothingToWithdraw):
    """The password was changed or reset since."""

    title = _("The password is no longer in use")
    message = _(
        "Your account has another password than when we sent the email, so there is nothing to withdraw. If you did "
        "not change it yourself, choose a new password."
    )


@cache
def _dummy_hash() -> str:
    return make_password("no account has this password")


def check_credentials(
    identifier: str,
    password: str,
    origin: Origin,
    *,
    channel: Channel = Channel.BROWSER,
    annotations: Mapping[str, BaseExpression] = NO_ANNOTATIONS,
) -> User:
    """Return the user with this username or email and this password.

    ``annotations`` are read with the user, in the same query. Raises ``WrongCredentials`` (counted), or
    ``TooManyTries`` or ``NoMoreTries`` (the password was not checked).
    """
    user = _find(identifier, origin, annotations)
    slots = _slots(identifier, user, origin, channel)
    try:
        throttles.take(slots)
    except Refused:
        metrics.count_sign_in(metrics.SignIn.THROTTLED)
        raise
    if user is None:
        # The same work as for a known account, so that the time taken reveals nothing.
        check_password(password, _dummy_hash())
        metrics.count_sign_in(metrics.SignIn.WRONG_CREDENTIALS)
        log.info("signin.refused", reason="unknown")
        raise WrongCredentials
    if not user.check_password(password) or not user.is_active:
        security_log.record(user, Kind.SIGN_IN_REFUSED, origin)
        metrics.count_sign_in(metrics.SignIn.WRONG_CREDENTIALS)
        log.info("signin.refused", user_id=str(user.pk), reason="password" if user.is_active else "disabled")
        raise WrongCredentials
    throttles.give_back([*slots, *password_slots_of(user)])
    return user


def _find(identifier: str, origin: Origin, annotations: Mapping[str, BaseExpression]) -> User | None:
    users = known_browsers.with_browser(User.objects.by_natural_key(identifier), origin)
    return next(iter(users.annotate(**annotations)[:1]), None)


def _slots(identifier: str, user: User | None, origin: Origin, channel: Channel) -> list[Slot]:
    """Return the slots in which a wrong password counts: the known place, or else the identifier and the network.

    The limits of an identifier and a network do not apply to a known place: others may have used them up (SR-57).
    """
    place = known_browsers.place_of(user, origin, channel=channel) if user else ""
    if user and place:
        # Each change that ends the user's sessions starts a new count, so a password reset lifts the limit (SR-5).
        return [slot_in_known_place(user, place)]
    return [WRONG_PASSWORDS_FOR_NAME.of(key_of(identifier)), WRONG_PASSWORDS_FROM_NETWORK.by_network(origin)]


def slot_in_known_place(user: User, place: str) -> Slot:
    """Return the slot in which a wrong password counts in a known place."""
    return WRONG_PASSWORDS_IN_KNOWN_PLACE.of(user.pk, user.credential_version, place)


def password_slots_of(user: User) -> list[Slot]:
    """Return the slots in which a wrong password counts: one for the user's email, one for the username."""
    return [WRONG_PASSWORDS_FOR_NAME.of(name) for name in (user.email_key, user.username_key) if name]


def lock_checked(user: User) -> User:
    """Lock and reread a user whose password was checked. Raise ``WrongCredentials`` if it has changed.

    A concurrent password change must not leave a new session behind.
    """
    locked = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
    if locked is None or locked.password != user.password or not locked.is_active:
        raise WrongCredentials
    return locked


@dataclass(frozen=True)
class Proof:
    """What has proven a sign-in besides the password or SSH key; ``mode`` is blank if nothing."""

    mode: str = ""  # of a factor, or what stood in its place
    factor_name: str = ""  # of a passkey


@dataclass(frozen=True)
class Finished:
    """A finished sign-in. The session carries the fingerprint of ``user``, which was read under the lock (SR-25)."""

    user: User
    proof: Proof
    browser_tokens: tuple[str, ...] = ()  # for the browser's cookie
    kept_account: bool = False  # it was about to be deleted: this sign-in has undone that


NO_PROOF = Proof()


def finish_without_code(user: User, origin: Origin, *, channel: Channel) -> Finished:
    """Sign in a user whose password or SSH key was right and whose MFA is off.

    Raises ``WrongCredentials`` if the password was changed meanwhile, ``SignInOver`` if MFA was turned on.
    """
    is_known = known_browsers.find(user, origin) is not None
    with transaction.atomic():
        finished = finish(lock_checked(user), origin, channel=channel, is_known=is_known)
    if is_known:
        known_browsers.note_use(user, origin)
    return finished


def finish(
    user: User,
    origin: Origin,
    *,
    channel: Channel,
    proof: Proof = NO_PROOF,
    by_factor: bool = False,
    is_known: bool = False,
    is_first: bool | None = None,
) -> Finished:
    """Record a sign-in. Raises ``SignInOver`` if the account does not allow it any more.

    This is the last step: every proof must have been checked, under the lock on the row of ``user``. ``proof``: none
    if MFA is off; ``by_factor``: it was a factor. ``is_known``: the user has signed in with this browser before, and if
    by a factor, then also by one; ``is_first``: with none before.
    """
    if not user.is_active or bool(proof.mode) != user.mfa_is_on:
        raise SignInOver
    user.last_login = timezone.now()
    if channel == Channel.BROWSER and origin.time_zone:
        user.last_time_zone = origin.time_zone
    User.objects.filter(pk=user.pk).update(last_login=user.last_login, last_time_zone=user.last_time_zone)
    security_log.record(user, Kind.SIGNED_IN, origin, mode=proof.mode, factor_name=proof.factor_name)
    metrics.count_sign_in(metrics.SignIn.SUCCESS, mode=proof.mode)
    if kept_account := user.deletion_due_at is not None:
        account_deletion.keep(user, origin)
    tokens = origin.browser_tokens
    if channel == Channel.BROWSER and not is_known:
        tokens = known_browsers.note_sign_in(user, origin, by_factor=by_factor, is_first=is_first)
    log.info("signin.finished", user_id=str(user.pk), channel=channel, mode=proof.mode)
    return Finished(user, proof, tokens, kept_account=kept_account)


# --- Withdrawing a password: "that was not me" ----------------------------------------------------


def withdrawal_token(event: SecurityEvent) -> str:
    """Return the token of the email's link. It can only withdraw the password."""
    return signing.dumps([event.pk, _fingerprint(event.user.password)], salt=WITHDRAWAL_SALT)


def _fingerprint(password_hash: str) -> str:
    return salted_hmac(WITHDRAWAL_SALT, password_hash, algorithm="sha256").hexdigest()[:16]


def find_withdrawal(token: str) -> SecurityEvent:
    """Return the event of a token.

    Raises ``LinkOver`` if the token is incomplete or too old, ``AlreadyWithdrawn`` or ``PasswordReplaced``.
    """
    try:
        event_id, fingerprint = signing.loads(token, salt=WITHDRAWAL_SALT, max_age=WITHDRAWAL_LIFETIME)
    except signing.BadSignature:
        raise LinkOver from None
    event = SecurityEvent.objects.select_related("user").filter(pk=event_id, kind=Kind.PASSWORD_KNOWN).first()
    if event is None:
        raise LinkOver
    _check_is_of(event.user, fingerprint)
    return event


def _check_is_of(user: User, fingerprint: str) -> None:
    """Raise ``AlreadyWithdrawn`` or ``PasswordReplaced`` unless the password has this fingerprint."""
    if constant_time_compare(fingerprint, _fingerprint(user.withdrawn_password)):
        raise AlreadyWithdrawn
    if not constant_time_compare(fingerprint, _fingerprint(user.password)):
        raise PasswordReplaced


def withdraw_password(event: SecurityEvent, origin: Origin) -> None:
    """Withdraw a password that an attacker knows, and end everything that it opened. Sign no one in.

    ``event`` is of ``find_withdrawal``. Raises its refusals if the account or the password changed meanwhile.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).filter(pk=event.user_id).first()
        if user is None:
            raise LinkOver
        _check_is_of(user, _fingerprint(event.user.password))
        user.withdraw_password()
        user.save(update_fields=["password", "withdrawn_password"])
        sessions.end_others(user, keep=None)
        PublicKey.objects.filter(user=user).delete()  # an SSH key replaces the password
        security_log.record(user, Kind.PASSWORD_WITHDRAWN, origin)
