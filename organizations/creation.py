"""Creation of organizations by users, as far as the operator allows it (``ORGANIZATION_CREATION``)."""

from datetime import timedelta

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts import throttles
from accounts.limits import Limit
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import membership
from organizations.models import Organization

PER_DAY = Limit(what="new organizations", per="user", key="organizations created", tries=10, window=timedelta(days=1))


class CreationNotAllowed(Refused):
    """The operator lets other users create organizations, or no one."""

    message = _("You cannot create organizations on this portal. Ask the people who run it.")


class EmailNotVerified(Refused):
    """Invitations go out in the name of the organization, so its owner's mailbox must be proven."""

    message = _("Verify your email address first. You do this when you activate multi-factor authentication.")


def may_create(user: User) -> bool:
    """Return whether the operator lets this user create organizations."""
    return settings.ORGANIZATION_CREATION == "everybody" or (
        settings.ORGANIZATION_CREATION == "staff" and user.is_staff
    )


def create(user: User, name: str, origin: Origin) -> Organization:
    """Create an organization whose first owner is ``user``.

    Raise ``CreationNotAllowed``, ``EmailNotVerified`` or ``TooManyTries``.
    """
    if not may_create(user):
        raise CreationNotAllowed
    if user.email_verified_at is None:
        raise EmailNotVerified
    throttles.take([PER_DAY.of(user.pk)])
    return membership.create(name, user, origin)
