"""The user's name and username."""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts import security_log
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Kind, Origin


class UsernameTaken(Refused):
    """Another account has this username, in this or another spelling (SR-4)."""

    message = _("That username is taken. Choose another one.")


def change(user: User, *, name: str, username: str, origin: Origin) -> None:
    """Change the name and the username. Raises ``UsernameTaken``."""
    changed = User.objects.get(pk=user.pk)
    changed.name, changed.username = name, username
    try:
        with transaction.atomic():
            changed.save(update_fields=["name", "username"])
            security_log.record(changed, Kind.PROFILE_CHANGED, origin)
    except IntegrityError:
        raise UsernameTaken from None
