"""The enabled modes of a user and the preferred one among them (docs/decisions.md#b; SR-24)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import security_log, sessions
from accounts.locks import lock_unchanged
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin
from mfa import modes, passkeys, recovery, remembered_browsers
from mfa.models import Challenge, Factor
from mfa.modes import Enrolled


class NotEnabled(Refused):
    """The user has not enabled this mode."""

    message = _("This mode is not enabled for your account.")


class StillRequired(Refused):
    """The modes that would be left do not meet an organization's policy (SR-42)."""

    message = _(
        "An organization that you belong to requires multi-factor authentication, so this mode cannot be "
        "disabled. Enable another mode first, or leave the organization."
    )


def enabled(user: User) -> list[Factor]:
    """Return the user's factors, oldest first. One query."""
    return list(Factor.objects.filter(user=user).order_by("created_at", "pk"))


def oldest_of(users: Iterable[object]) -> dict[object, datetime]:
    """Return since when each of these users, by id, has MFA at least: a mode set up again counts anew. One query."""
    rows = Factor.objects.filter(user__in=list(users)).values("user").annotate(since=Min("created_at"))
    return {row["user"]: row["since"] for row in rows}


def for_terminal(user: User) -> str:
    """Return the mode for the command line: the preferred one if it can be typed, else the oldest that can.

    Without any, the preferred one: a page of the portal then shows a code to type (``mfa.shown_codes``).
    """
    if modes.get(user.preferred_mode).is_typed:
        return user.preferred_mode
    typed = [str(factor.mode) for factor in enabled(user) if modes.get(factor.mode).is_typed]
    return typed[0] if typed else user.preferred_mode


def add(user: User, mode: str, enrolled: Enrolled, *, prefer: bool, origin: Origin) -> Factor:
    """Enable or replace a mode, or add a passkey. Call only under the lock on the user's row, after a right proof."""
    factor = Factor.objects.filter(user=user, mode=mode).first()
    is_another = factor is not None and modes.get(mode).has_several
    replaces = factor is not None and modes.get(mode).can_be_replaced
    factor = factor or Factor(user=user, mode=mode, name=mode)
    if not is_another:
        factor.last_step, factor.drift, factor.refused_steps = enrolled.last_step, 0, []
        factor.created_at, factor.last_used_at = timezone.now(), None
        if enrolled.secret is not None:
            factor.secret = enrolled.secret
        factor.save()
    name = passkeys.add(factor, enrolled.passkey, origin).name if enrolled.passkey else ""
    if prefer or not user.preferred_mode:
        user.preferred_mode = mode
        user.save(update_fields=["preferred_mode"])
    kind = Kind.PASSKEY_ADDED if is_another else Kind.MODE_REPLACED if replaces else Kind.MODE_ENABLED
    security_log.record(user, kind, origin, mode=mode, factor_name=name)
    return factor


@dataclass(frozen=True)
class Disabled:
    """The result of disabling a mode."""

    user: User  # reread; the kept session needs its fingerprint
    remaining: Factor | None  # a factor that is left, if any


def disable(
    user: User, mode: str, *, may_keep: Callable[[frozenset[str]], bool], origin: Origin, session_key: str | None
) -> Disabled:
    """Disable a mode. Another one becomes preferred in its place; without another one, MFA is off.

    Ends the user's other sessions, sign-ins and enrolments (SR-25). ``may_keep`` returns whether the modes that are
    left meet every policy. Raises ``NotEnabled`` or ``StillRequired``.
    """
    with transaction.atomic(durable=True):
        user = lock_unchanged(user)
        factors = enabled(user)
        left = [factor for factor in factors if factor.mode != mode]
        if len(left) == len(factors):
            raise NotEnabled
        if not may_keep(frozenset(factor.mode for factor in left)):
            raise StillRequired
        Factor.objects.filter(user=user, mode=mode).delete()
        prefer_another(user, mode, left)
        if not left:
            recovery.forget(user)
        end_everything_else(user, session_key=session_key)
        security_log.record(user, Kind.MODE_DISABLED, origin, mode=mode)
    for factor in left:
        factor.user = user
    return Disabled(user, remaining=left[0] if left else None)


def prefer_another(user: User, mode: str, left: list[Factor]) -> None:
    """Make the oldest factor that is left the preferred one, if ``mode``, which has gone, was. Call under the lock."""
    if user.preferred_mode == mode:
        user.preferred_mode = left[0].mode if left else ""
        user.save(update_fields=["preferred_mode"])


def prefer(user: User, mode: str, *, origin: Origin) -> None:
    """Make an enabled mode the preferred one. Raises ``NotEnabled``."""
    with transaction.atomic(durable=True):
        user = lock_unchanged(user)
        if not Factor.objects.filter(user=user, mode=mode).exists():
            raise NotEnabled
        if user.preferred_mode != mode:
            user.preferred_mode = mode
            user.save(update_fields=["preferred_mode"])
            security_log.record(user, Kind.MODE_PREFERRED, origin, mode=mode)


def remove_all(user: User) -> None:
    """Remove every factor and recovery code of a user, added since an email change that is being undone (SR-29).

    Call under the lock on the user's row; the caller ends the sessions.
    """
    Factor.objects.filter(user=user).delete()
    recovery.forget(user)
    remembered_browsers.forget_all(user)
    if user.preferred_mode:
        user.preferred_mode = ""
        user.save(update_fields=["preferred_mode"])


def end_everything_else(user: User, *, session_key: str | None) -> None:
    """End other sessions, remembered browsers, sign-ins and open challenges after a change of factors (SR-25).

    Call under the lock on the user's row. The kept session needs the user's new fingerprint.
    """
    sessions.end_others(user, keep=session_key)
    remembered_browsers.forget_all(user)
    Challenge.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())
