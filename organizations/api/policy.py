"""What owners' machines read and set: the MFA policy of an organization, and how its members stand."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import P, QueryEx, Router, Schema
from pydantic import AwareDatetime

from accounts.api.authentication import bearer, token_of
from accounts.api.schemas import ERRORS, ShortText
from accounts.identifiers import key_of
from accounts.web.origin import origin_of
from organizations import member_counts, member_list, membership, policy_changes
from organizations.api.authorization import ProofTooOld, membership_of_token, needs_fresh_token
from organizations.models import Membership
from organizations.web.memberships import OWNERS

router = Router(tags=["Policy (for owners)"])

PER_PAGE = 100
MODES = {"any": "", "authenticator": "authenticator"}
MAX_ORGANIZATIONS = 1000
State = Literal["all", "missing", "exempt", "off", "authenticator", "authenticator email", "email"]


class Mine(Schema):
    """An organization of mine, and what it asks for."""

    id: str
    name: str
    role: str
    required: bool


class Policy(Schema):
    """The policy, and how many members meet it. It is ``required`` now, or will be from ``requiredFrom`` on."""

    required: bool
    requiredFrom: datetime | None  # noqa: N815  (the spelling of the other endpoints)
    modes: Literal["any", "authenticator"]
    rememberedBrowsersForbidden: bool  # noqa: N815
    rehearsalUntil: datetime | None  # noqa: N815
    members: int
    membersReady: int  # noqa: N815
    membersExempt: int  # noqa: N815


class NewPolicy(Schema):
    """The policy to be: ``requiredFrom`` left out or in the past means now."""

    required: bool
    requiredFrom: AwareDatetime | None = None  # noqa: N815
    modes: Literal["any", "authenticator"] = "any"
    rememberedBrowsersForbidden: bool = False  # noqa: N815


class MemberState(Schema):
    """A member and the modes that are enabled."""

    id: str
    email: str
    role: str
    modes: list[str]
    preferred: str
    meetsPolicy: bool  # noqa: N815
    exemptUntil: datetime | None  # noqa: N815
    lastVerified: datetime | None  # noqa: N815
    lastSignIn: datetime | None  # noqa: N815


class MemberPage(Schema):
    """A part of the members, by address; ``next`` is what ``after`` has to be for the following one."""

    members: list[MemberState]
    next: str


def _owner(request: HttpRequest, organization_id: UUID) -> Membership:
    return membership_of_token(request, organization_id, roles=OWNERS)


def _policy(owner: Membership) -> dict[str, object]:
    organization, counts = owner.organization, member_counts.of(owner.organization)
    return {
        "required": organization.mfa_required,
        "requiredFrom": organization.mfa_required_at,
        "modes": organization.accepted_modes or "any",
        "rememberedBrowsersForbidden": organization.remembering_forbidden,
        "rehearsalUntil": organization.rehearsal_until if organization.is_rehearsing else None,
        "members": sum(counts.by_state.values()),
        "membersReady": counts.ready,
        "membersExempt": counts.exempt,
    }


@router.get("/organizations", auth=bearer, response={200: list[Mine], **ERRORS}, summary="List my organizations")
def list_organizations(request: HttpRequest) -> list[dict[str, object]]:
    """Give the organizations of the token's user by name, the first thousand, with the role there."""
    return [
        {
            "id": str(row.organization_id),
            "name": row.organization.name,
            "role": row.role,
            "required": row.organization.mfa_required,
        }
        for row in membership.of_user(token_of(request).user)[:MAX_ORGANIZATIONS]
    ]


@router.get(
    "/organizations/{uuid:org_id}/policy", auth=bearer, response={200: Policy, **ERRORS}, summary="Read the policy"
)
def read_policy(request: HttpRequest, org_id: UUID) -> dict[str, object]:
    """Give the policy; for owners."""
    return _policy(_owner(request, org_id))


@router.put(
    "/organizations/{uuid:org_id}/policy", auth=bearer, response={200: Policy, **ERRORS}, summary="Set the policy"
)
def set_policy(request: HttpRequest, org_id: UUID, new: NewPolicy) -> dict[str, object]:
    """Set the policy as a whole; for owners who have just signed in with a one-time password."""
    owner, token, origin = _owner(request, org_id), token_of(request), origin_of(request)
    needs_fresh_token(request)
    if not token.mode:
        raise ProofTooOld
    terms = policy_changes.PolicySettings(
        required=new.required,
        required_from=new.requiredFrom,
        counting=MODES[new.modes],
        remembering_forbidden=new.rememberedBrowsersForbidden,
    )
    policy_changes.set_policy(owner, terms, origin)
    return _policy(_owner(request, org_id))


@router.get(
    "/organizations/{uuid:org_id}/members",
    auth=bearer,
    response={200: MemberPage, **ERRORS},
    summary="List members with their MFA",
)
def list_members(
    request: HttpRequest,
    org_id: UUID,
    after: QueryEx[ShortText, P(default="")],
    limit: QueryEx[int, P(default=PER_PAGE, ge=1, le=1000)],
    mfa: State = "all",
) -> dict[str, object]:
    """Give members by address, a page at a time; for owners."""
    organization = _owner(request, org_id).organization
    page = member_list.page(organization, state=mfa, after=key_of(after), limit=limit)
    return {
        "next": page.next,
        "members": [
            {
                "id": str(row.user_id),
                "email": row.user.email,
                "role": row.role,
                "modes": row.modes.split(),
                "preferred": row.user.preferred_mode,
                "meetsPolicy": organization.is_met_by(row.modes.split()),
                "exemptUntil": row.exempt_until if row.is_exempt else None,
                "lastVerified": row.verified_at,  # type: ignore[attr-defined]
                "lastSignIn": row.user.last_login,
            }
            for row in page.rows
        ],
    }
