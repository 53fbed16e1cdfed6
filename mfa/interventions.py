"""What staff do to the sessions and the access of another user's account. Unlocking has a module of its own."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import administrators, security_log
from accounts.locks import lock_user
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Intervention, Kind, Origin
from mfa import factors


class AlreadySo(Refused):
    """The account is disabled, or enabled, already."""

    message = _("Another member of staff has already done this.")


def sign_out(user: User, origin: Origin, *, by: Intervention) -> None:
    """End all sessions, tokens, remembered browsers and unfinished sign-ins of an account."""
    with transaction.atomic():
        user = lock_user(user)
        factors.end_everything_else(user, session_key=None)
        security_log.record(user, Kind.SIGNED_OUT_BY_STAFF, origin, by=by)


def set_active(user: User, origin: Origin, *, is_active: bool, by: Intervention) -> None:
    """Disable or enable an account. Both end everything that is signed in (SR-25).

    Raises ``AlreadySo`` or ``LastAdministrator``.
    """
    with transaction.atomic():
        if not is_active:
            administrators.keep_one(user)
        user = lock_user(user)
        if user.is_active == is_active:
            raise AlreadySo
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        factors.end_everything_else(user, session_key=None)
        security_log.record(user, Kind.ENABLED if is_active else Kind.DISABLED, origin, by=by)
