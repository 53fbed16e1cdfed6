"""Context of every page: the Organizations menu and banners about announced policies."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import User
from accounts.web.access import memberships_of, policy_status_of
from organizations import creation
from organizations.models import Membership, Organization

MENU_LENGTH = 10
BANNERS = 3


@dataclass(frozen=True)
class Menu:
    """The first organizations of a user, whether there are more, and whether the user may create one."""

    organizations: list[Organization]
    more: bool
    may_create: bool


def menu(request: HttpRequest) -> dict[str, object]:
    """Return the Organizations menu and the announced policies. Both are read from the database only if shown."""

    def read() -> Menu:
        rows = memberships_of(request).rows
        may_create = isinstance(request.user, User) and creation.may_create(request.user)
        return Menu([row.organization for row in rows[:MENU_LENGTH]], len(rows) > MENU_LENGTH, may_create)

    def coming() -> list[Organization]:
        return policy_status_of(request).announcing[:BANNERS] if request.user.is_authenticated else []

    if not hasattr(request, "user"):
        return {}
    return {"menu": SimpleLazyObject(read), "announced": SimpleLazyObject(coming)}


@dataclass(frozen=True)
class OrganizationRow:
    """A row in a list of organizations."""

    name: str
    get_absolute_url: str
    role_label: str
    mfa_required: bool


def as_row(membership: Membership) -> OrganizationRow:
    """Return the row of a membership's organization."""
    return OrganizationRow(
        name=membership.organization.name,
        get_absolute_url=membership.organization.get_absolute_url(),
        role_label=membership.get_role_display(),
        mfa_required=membership.organization.mfa_required,
    )
