"""What a token may do in an organization (SR-39, SR-40)."""

from collections.abc import Collection
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.api.authentication import token_of
from accounts.models import Channel
from accounts.refusals import Refused
from accounts.web.origin import origin_of
from organizations import policy
from organizations.models import Membership, Role
from organizations.web.memberships import EVERYBODY


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


def channel_of(request: HttpRequest) -> Channel:
    """Say how a token's user came."""
    return Channel.KEY if token_of(request).by_key else Channel.CLI


def membership_of_token(
    request: HttpRequest, organization_id: UUID, *, roles: Collection[Role] = EVERYBODY
) -> Membership:
    """Give the membership of a token's user; a refusal of the policy, the role or a stranger is raised."""
    user = token_of(request).user
    return policy.authorize(user, organization_id, roles=roles, channel=channel_of(request), origin=origin_of(request))
