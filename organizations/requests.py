"""What the pages of an organization share: who asks, and whether they may (SR-39)."""

from collections.abc import Collection
from typing import cast
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import person
from accounts.wire import token_of
from organizations import membership, policy
from organizations.models import Door, Membership, Role

STANDING = "mfa_standing"  # of a request
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


def standing_of(request: HttpRequest) -> policy.Standing:
    """Give, asked once a request, what the organizations of the signed-in user say of their MFA."""
    if not hasattr(request, STANDING):
        setattr(request, STANDING, policy.standing(person(request)))
    return cast("policy.Standing", getattr(request, STANDING))


class ProofTooOld(Refused):
    """The token's sign-in did not prove, moments ago, the best that its user has (SR-40)."""

    message = _("This needs a sign-in moments ago, not by a key alone. Sign in again, then retry.")


def needs_fresh_token(request: HttpRequest) -> None:
    """Raise ``ProofTooOld`` unless the token was given moments ago: what a browser asks a step-up for.

    A key alone is no such proof: any token can add one.
    """
    token = token_of(request)
    is_old = timezone.now() - token.created_at > settings.STEP_UP_LIFETIME
    if is_old or (token.by_key and not token.mode):
        raise ProofTooOld


def door_of(request: HttpRequest) -> Door:
    """Say how a token's user came."""
    return Door.KEY if token_of(request).by_key else Door.CLI


def membership_of_token(
    request: HttpRequest, organization_id: UUID, *, roles: Collection[Role] = EVERYBODY
) -> Membership:
    """Give the membership of a token's user; a refusal of the policy, the role or a stranger is raised."""
    user = token_of(request).user
    return policy.enter(user, organization_id, roles=roles, door=door_of(request), origin=origin_of(request))
