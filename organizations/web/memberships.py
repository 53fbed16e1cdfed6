"""Authorization of the signed-in user on an organization's pages (SR-39)."""

from collections.abc import Collection
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404

from accounts.web.access import AuthenticatedHttpRequest
from organizations import membership
from organizations.models import EVERYBODY, Membership, Role


def membership_of(
    request: AuthenticatedHttpRequest, organization_id: UUID, *, roles: Collection[Role] = EVERYBODY
) -> Membership:
    """Return the membership of the signed-in user. Raise ``Http404`` if there is none.

    Raise ``PermissionDenied`` if the role is not one of ``roles``.
    """
    found = membership.find(request.user, organization_id)
    if found is None:
        raise Http404
    if found.role not in roles:
        raise PermissionDenied
    found.user = request.user
    return found
