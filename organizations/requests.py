"""What the pages of an organization share: who asks, and whether they may (SR-39)."""

from collections.abc import Collection
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from accounts.origin import origin_of
from accounts.requests import person
from accounts.wire import token_of
from organizations import membership, policy
from organizations.models import Door, Membership, Role

EVERYBODY = frozenset(Role)
OWNERS = frozenset({Role.OWNER})


def membership_of(request: HttpRequest, organization_id: UUID, *, roles: Collection[Role] = EVERYBODY) -> Membership:
    """Give the membership of the signed-in user: 404 for strangers, 403 without one of ``roles``."""
    found = membership.find(person(request), organization_id)
    if found is None:
        raise Http404
    if found.role not in roles:
        raise PermissionDenied
    found.user = person(request)
    return found


def membership_of_token(
    request: HttpRequest, organization_id: UUID, *, roles: Collection[Role] = EVERYBODY
) -> Membership:
    """Give the membership of a token's user; a refusal of the policy, the role or a stranger is raised."""
    token = token_of(request)
    door = Door.KEY if token.by_key else Door.CLI
    return policy.enter(token.user, organization_id, roles=roles, door=door, origin=origin_of(request))
