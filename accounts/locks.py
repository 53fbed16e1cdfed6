"""The lock on a user's row, and whether what a request was authenticated by still holds under it."""

from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.refusals import Refused


class ChangedMeanwhile(Refused):
    """Password, address or factors were changed, or the sessions ended, since this request began (SR-25)."""

    message = _("Your password, email or sign-in methods were changed a moment ago. Nothing else was done: try again.")


def lock_user(user: User) -> User:
    """Lock and reread a user. Call within a transaction."""
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


def is_unchanged(user: User, locked: User) -> bool:
    """Return whether the fingerprint of a user is still that of the locked row."""
    return constant_time_compare(user.get_session_auth_hash(), locked.get_session_auth_hash())


def lock_unchanged(user: User) -> User:
    """Lock and reread a user who acts, as the session or token of the request knows them.

    A request that was under way when its session ended must not act after that. Raises ``ChangedMeanwhile``.
    """
    locked = lock_user(user)
    if not is_unchanged(user, locked) or not locked.is_active:
        raise ChangedMeanwhile
    return locked
