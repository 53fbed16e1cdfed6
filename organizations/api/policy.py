"""Endpoints for owners' scripts: the MFA policy of an organization, and which members meet it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from ninja import P, QueryEx, Router, Schema
from pydantic import AfterValidator, AwareDatetime, WithJsonSchema

from accounts.api.authentication import bearer, token_of
from accounts.api.schemas import ERRORS, ShortText
from accounts.identifiers import key_of
from accounts.web.origin import origin_of
from organizations import accepted_modes, member_counts, member_list, membership, policy_changes
from organizations.api.authorization import ProofTooOld, membership_of_token, needs_fresh_token, proved_modes
from organizations.models import OWNERS, Membership

router = Router(tags=["Policy (for owners)"])

PER_PAGE = 100
MAX_ORGANIZATIONS = 1000
ANY_MODE = "any"


def _accepted_names() -> list[str]:
    return [value or ANY_MODE for value in accepted_modes.values()]


def _states() -> list[str]:
    return ["all", "missing", "exempt", *member_list.states()]


def _one_of(names: Callable[[], list[str]]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names():
            raise ValueError(f"must be one of: {', '.join(names())}")
        return name

    return AfterValidator(check)


def _documented(names: list[str], description: str = "") -> WithJsonSchema:
    about = {"description": description} if description else {}
    return WithJsonSchema({"type": "string", "enum": names, **about})


def _meanings() -> str:
    meanings = "; ".join(f"{value or ANY_MODE}: {label}" for value, label in accepted_modes.choices())
    return f"The weakest mode that is accepted, of the member and of each session or token ({meanings})."


# Each request is checked against the modes of that moment; the document lists those of the start.
AcceptedModes = Annotated[str, _one_of(_accepted_names), _documented(_accepted_names(), _meanings())]
State = Annotated[str, _one_of(_states), _documented(_states())]


class Mine(Schema):
    """One of my organizations, and whether it requires MFA."""

    id: str
    name: str
    role: str
    required: bool


class Policy(Schema):
    """The policy, and how many members have an accepted mode.

    With ``required`` false, ``requiredFrom`` is a date to come or null. ``modes``: "any" or the weakest accepted mode.
    """

    required: bool
    requiredFrom: datetime | None
    modes: AcceptedModes
    rememberedBrowsersForbidden: bool
    rehearsalUntil: datetime | None
    members: int
    membersReady: int
    membersExempt: int


class NewPolicy(Schema):
    """The new policy. If ``requiredFrom`` is left out or in the past, MFA is required now.

    ``modes`` is "any" or the weakest accepted mode: stronger ones are accepted too.
    """

    required: bool
    requiredFrom: AwareDatetime | None = None
    modes: AcceptedModes = ANY_MODE
    rememberedBrowsersForbidden: bool = False


class MemberState(Schema):
    """A member with the enabled modes; ``meetsPolicy``: one of them is accepted.

    ``mailFailure``: why mail to the member does not arrive, such as "full" or "no_mailbox"; blank if it does.
    """

    id: str
    email: str
    role: str
    modes: list[str]
    preferred: str
    meetsPolicy: bool
    exemptUntil: datetime | None
    lastVerified: datetime | None
    lastSignIn: datetime | None
    mailFailure: str


class MemberPage(Schema):
    """A page of members, ordered by email. Pass ``next`` as ``after`` to get the following page; blank on the last."""

    members: list[MemberState]
    next: str


def _owner(request: HttpRequest, organization_id: UUID) -> Membership:
    return membership_of_token(request, organization_id, roles=OWNERS)


def _policy(owner: Membership) -> dict[str, object]:
    organization, counts = owner.organization, member_counts.of(owner.organization)
    return {
        "required": organization.mfa_required,
        "requiredFrom": organization.mfa_required_at,
        "modes": accepted_modes.name_of(organization.accepted_modes) or ANY_MODE,
        "rememberedBrowsersForbidden": organization.remembering_forbidden,
        "rehearsalUntil": organization.rehearsal_until if organization.is_rehearsing else None,
        "members": sum(counts.by_state.values()),
        "membersReady": counts.ready,
        "membersExempt": counts.exempt,
    }


@router.get("/organizations", auth=bearer, response={200: list[Mine], **ERRORS}, summary="List my organizations")
def list_organizations(request: HttpRequest) -> list[dict[str, object]]:
    """List the organizations of the token's user by name, with the user's role; at most 1,000."""
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
    """Return the policy; for owners."""
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
    settings = policy_changes.PolicySettings(
        required=new.required,
        required_from=new.requiredFrom,
        accepted_modes="" if new.modes == ANY_MODE else new.modes,
        remembering_forbidden=new.rememberedBrowsersForbidden,
    )
    policy_changes.set_policy(owner, settings, origin, proved=proved_modes(request))
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
    """List members, ordered by email, a page at a time; for owners."""
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
                "lastVerified": member_list.verified_at(row),
                "lastSignIn": row.user.last_login,
                "mailFailure": row.user.mailbox_failure if row.user.mailbox_failed_at else "",
            }
            for row in page.rows
        ],
    }
