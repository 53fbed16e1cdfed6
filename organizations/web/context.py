"""What every page shows of organizations: the menu."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.web.access import policy_status_of
from organizations import membership
from organizations.models import Membership, Organization

MENU_LENGTH = 10
BANNERS = 3


@dataclass(frozen=True)
class Menu:
    """The first of a user's organizations, and whether there are more."""

    organizations: list[Organization]
    more: bool


def menu(request: HttpRequest) -> dict[str, object]:
    """Offer the Organizations menu and the policies that will hold soon, which are read only when shown."""

    def read() -> Menu:
        rows = list(membership.of_user(request.user)[: MENU_LENGTH + 1])  # type: ignore[arg-type]
        return Menu([row.organization for row in rows[:MENU_LENGTH]], len(rows) > MENU_LENGTH)

    def coming() -> list[Organization]:
        return policy_status_of(request).announcing[:BANNERS] if request.user.is_authenticated else []

    if not hasattr(request, "user"):
        return {}
    return {"menu": SimpleLazyObject(read), "announced": SimpleLazyObject(coming)}


def as_row(membership: Membership) -> dict[str, object]:
    """Give what a list of organizations shows of one."""
    return {
        "name": membership.organization.name,
        "get_absolute_url": membership.organization.get_absolute_url(),
        "role_label": membership.get_role_display(),
        "mfa_required": membership.organization.mfa_required,
    }
