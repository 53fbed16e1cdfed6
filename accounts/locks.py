"""The lock on a user's row, and the check that the credentials of a request are still valid under it."""

from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.refusals import Refused


class ChangedMeanwhile(Refused):
    """Password, email or factors were changed, or the sessions ended, since this request began (SR-25)."""

    message = _("Your password, email or sign-in methods changed a moment ago, so nothing was saved. Try again.")


def lock_user(user: User) -> User:
    """Lock and reread a user. Call within a transaction. Raise ``ChangedMeanwhile`` if the account is gone."""
    locked = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
    if locked is None:  # the account was deleted
        raise ChangedMeanwhile
    return locked


def is_unchanged(user: User, locked: User) -> bool:
    """Return whether the credential fingerprint of ``user`` still matches the locked row."""
    return constant_time_compare(user.get_session_auth_hash(), locked.get_session_auth_hash())


def lock_unchanged(user: User) -> User:
    """Lock and reread the user of a request. Raise ``ChangedMeanwhile`` if the request's session has ended since.

    ``user`` is the row that the request's session or token was checked against. A request that was under way when its
    session ended must change nothing.
    """
    locked = lock_user(user)
    if not is_unchanged(user, locked) or not locked.is_active:
        raise ChangedMeanwhile
    return locked
