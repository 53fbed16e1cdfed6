"""Context of every page: the Organizations menu and banners about announced policies."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.web.access import memberships_of, policy_status_of
from organizations.models import Membership, Organization

MENU_LENGTH = 10
BANNERS = 3


@dataclass(frozen=True)
class Menu:
    """The first organizations of a user, and whether there are more."""

    organizations: list[Organization]
    more: bool


def menu(request: HttpRequest) -> dict[str, object]:
    """Return the Organizations menu and the announced policies. Both are read from the database only if shown."""

    def read() -> Menu:
        rows = memberships_of(request).rows
        return Menu([row.organization for row in rows[:MENU_LENGTH]], len(rows) > MENU_LENGTH)

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
