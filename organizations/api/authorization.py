"""Authorization of tokens in organizations (SR-39, SR-40)."""

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
from organizations.models import EVERYBODY, Membership, Role


class ProofTooOld(Refused):
    """The action needs a token from a recent sign-in with password and one-time password (SR-40)."""

    message = _("For this, sign in again with your password, not with a key alone. Then retry.")


def needs_fresh_token(request: HttpRequest) -> None:
    """Raise ``ProofTooOld`` unless the token is younger than ``STEP_UP_LIFETIME``.

    Use it where the browser asks for a step-up. A sign-in with a key alone does not count: any token can add a key.
    """
    token = token_of(request)
    is_old = timezone.now() - token.created_at > settings.STEP_UP_LIFETIME
    if is_old or (token.by_key and not token.mode):
        raise ProofTooOld


def channel_of(request: HttpRequest) -> Channel:
    """Return the channel of a token: key or command line."""
    return Channel.KEY if token_of(request).by_key else Channel.CLI


def membership_of_token(
    request: HttpRequest, organization_id: UUID, *, roles: Collection[Role] = EVERYBODY
) -> Membership:
    """Return the membership of a token's user.

    Raise ``OrganizationNotFound``, ``MfaMissing``, ``ModeNotProved`` or ``RoleMissing``.
    """
    return policy.authorize(
        token_of(request).user,
        organization_id,
        roles=roles,
        proved=proved_modes(request),
        channel=channel_of(request),
        origin=origin_of(request),
    )


def proved_modes(request: HttpRequest) -> frozenset[str]:
    """Return the mode that proved the token, if its user still has it; empty after a recovery code (SR-60)."""
    token = token_of(request)
    return token.user.modes & {token.mode}
