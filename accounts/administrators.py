"""Staff of the portal: administrators may do everything, support staff may look and unlock.

A change of rights is recorded, mailed to the account and to every administrator, and ends the account's sessions: the
administration begins with a new sign-in (SR-52).
"""

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import outbox, security_log, sessions
from accounts.locks import lock_user
from accounts.models import Mail, User
from accounts.refusals import Refused
from accounts.security_log import Intervention, Kind, Origin

SUPPORT = "Support"  # name of the group
# App and codename. Everything else stays denied.
SUPPORT_PERMISSIONS = (
    ("accounts", "view_user"),
    ("accounts", "unlock_user"),
    ("organizations", "view_organization"),
)
MAX_ADMINISTRATORS_TOLD = 100


class Disabled(Refused):
    """A disabled account gets no rights."""

    message = _("This account is disabled. Enable it first.")


class Unverified(Refused):
    """The mailbox was not proven: codes and notices may go to another person."""

    message = _("The email address of this account is not verified yet.")


class LastAdministrator(Refused):
    """The portal would have no administrator."""

    message = _("This is the only administrator. Make another account an administrator first.")


def administrators() -> QuerySet[User]:
    """Return the accounts that may do everything, ordered by email."""
    return User.objects.filter(is_staff=True, is_superuser=True, is_active=True).order_by("email_key")


def is_administrator(user: User) -> bool:
    """Return whether an account may do everything."""
    return user.is_staff and user.is_superuser


def make_administrator(user: User, origin: Origin, *, by: Intervention) -> User:
    """Grant an account all rights. Raises ``Disabled`` or ``Unverified``."""
    with transaction.atomic():
        user = _lock_eligible(user)
        return _set_rights(user, Kind.ADMINISTRATOR_MADE, origin, by=by, is_staff=True, is_superuser=True)


def make_support(user: User, origin: Origin, *, by: Intervention) -> User:
    """Let an account look at accounts and unlock them. Raises ``Disabled``, ``Unverified`` or ``LastAdministrator``."""
    with transaction.atomic():
        keep_one(user)
        user = _lock_eligible(user)
        user.groups.set([_support_group()])
        return _set_rights(user, Kind.SUPPORT_MADE, origin, by=by, is_staff=True, is_superuser=False)


def remove_rights(user: User, origin: Origin, *, by: Intervention) -> User:
    """Take all staff rights from an account. Raises ``LastAdministrator``."""
    with transaction.atomic():
        keep_one(user)
        user = lock_user(user)
        user.groups.clear()
        user.user_permissions.clear()
        return _set_rights(user, Kind.STAFF_RIGHTS_REMOVED, origin, by=by, is_staff=False, is_superuser=False)


def _lock_eligible(user: User) -> User:
    user = lock_user(user)
    if not user.is_active:
        raise Disabled
    if user.email_verified_at is None:
        raise Unverified
    return user


def keep_one(user: User) -> None:
    """Raise ``LastAdministrator`` if only this account is one. Locks all of them: two cannot remove each other."""
    keys = list(administrators().select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    if keys == [user.pk]:
        raise LastAdministrator


def _support_group() -> Group:
    """Return the group of support staff, with exactly its permissions."""
    group, _is_new = Group.objects.get_or_create(name=SUPPORT)
    allowed = Q(pk__in=[])
    for app, codename in SUPPORT_PERMISSIONS:
        allowed |= Q(content_type__app_label=app, codename=codename)
    group.permissions.set(Permission.objects.filter(allowed))
    return group


def _set_rights(
    user: User, kind: Kind, origin: Origin, *, by: Intervention, is_staff: bool, is_superuser: bool
) -> User:
    user.is_staff, user.is_superuser = is_staff, is_superuser
    user.save(update_fields=["is_staff", "is_superuser"])
    sessions.end_others(user, keep=None)
    event = security_log.record(user, kind, origin, by=by)
    told = administrators().exclude(pk=user.pk)[:MAX_ADMINISTRATORS_TOLD]
    outbox.post_many([Mail(task="accounts.staff_changed", user=other, about=str(event.pk)) for other in told])
    return user
