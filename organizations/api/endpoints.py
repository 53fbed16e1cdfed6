"""Endpoints of the command-line client for organizations, invitations, members and environments."""

from uuid import UUID

from django.http import HttpRequest
from ninja import HeaderEx, P, Router, Schema, Status
from pydantic import StrictInt

from accounts.api.authentication import bearer, token_of
from accounts.api.schemas import ERRORS, Nothing, Text
from accounts.web.origin import origin_of
from organizations import environments, invitations, membership
from organizations.api.authorization import channel_of, membership_of_token, needs_fresh_token, proved_modes
from organizations.models import MANAGERS, Environment, Role

router = Router(tags=["Organizations and environments"])

ROLE_IDS = {Role.OWNER: 1, Role.ADMIN: 2, Role.MEMBER: 5}
ROLES = {number: role for role, number in ROLE_IDS.items()}
ACLS: dict[Role, list[str]] = {Role.OWNER: ["*"], Role.ADMIN: ["invites:*", "users:*"], Role.MEMBER: []}


class Pod(Schema):
    """A place where environments run."""

    name: str
    phiSafe: bool
    importRequiresLength: bool


class Pods(Schema):
    """All pods."""

    pods: list[Pod]


class EnvironmentOut(Schema):
    """An environment of one of my organizations. It has no ``namespace`` if the organization's policy is not met."""

    id: str
    name: str
    namespace: str | None = None
    organizationId: str


class Health(Schema):
    """The state of the portal."""

    status: str


class Invitation(Schema):
    """An invitation that was neither accepted nor withdrawn."""

    id: str
    orgID: str
    senderID: str
    roleID: int
    email: str
    consumed: bool
    revoked: bool


class NewInvitation(Schema):
    """The email to invite, and the URL of the mail's link, with ``{inviteCode}`` in it."""

    email: Text
    role: StrictInt = ROLE_IDS[Role.MEMBER]
    linkTemplate: Text = ""


class Joined(Schema):
    """The organization that the user has joined."""

    orgID: str


class Member(Schema):
    """A member of an organization."""

    id: str
    name: str
    email: str
    roleID: int


class GroupMember(Schema):
    """A member of a group."""

    id: str
    email: str


class Group(Schema):
    """The members of one role."""

    name: str
    acls: list[str]
    protected: bool
    members: list[GroupMember]


class Groups(Schema):
    """All groups of an organization."""

    groups: list[Group]


# --- pods and environments --------------------------------------------------------------------


@router.get("/pods", response={200: Pods, **ERRORS}, summary="List the pods")
def list_pods(request: HttpRequest) -> dict[str, object]:
    """List all pods. Needs no session: the client asks before the user signs in."""
    return {
        "pods": [
            {"name": pod.name, "phiSafe": pod.phi_safe, "importRequiresLength": pod.import_requires_length}
            for pod in environments.pods()
        ]
    }


def _environment(environment: Environment) -> dict[str, str]:
    return {**_closed_environment(environment), "namespace": environment.namespace}


def _closed_environment(environment: Environment) -> dict[str, str]:
    """Return only what the client needs to name an environment and to learn why it is blocked (SR-41)."""
    return {
        "id": str(environment.pk),
        "name": environment.name,
        "organizationId": str(environment.organization_id),
    }


@router.get(
    "/environments",
    auth=bearer,
    response={200: list[EnvironmentOut], **ERRORS},
    exclude_unset=True,
    summary="List environments",
)
def list_environments(
    request: HttpRequest, pod: HeaderEx[Text, P(default="", alias="X-Pod-ID")]
) -> list[dict[str, str]]:
    """List my environments on one pod, or on all pods.

    Environments of an organization whose policy I or this token do not meet are listed by id and name. Everything else
    about them is refused with 4031.
    """
    listed = environments.of_user(
        token_of(request).user,
        pod=pod,
        proved=proved_modes(request),
        channel=channel_of(request),
        origin=origin_of(request),
    )
    return [_closed_environment(row.environment) if row.is_closed else _environment(row.environment) for row in listed]


def _find_environment(request: HttpRequest, environment_id: UUID) -> Environment:
    user = token_of(request).user
    proved, channel = proved_modes(request), channel_of(request)
    return environments.find(user, environment_id, proved=proved, channel=channel, origin=origin_of(request))


@router.get(
    "/environments/{uuid:environment_id}",
    auth=bearer,
    response={200: EnvironmentOut, **ERRORS},
    summary="Retrieve an environment",
)
def retrieve_environment(request: HttpRequest, environment_id: UUID) -> dict[str, str]:
    """Return one environment."""
    return _environment(_find_environment(request, environment_id))


@router.put(
    "/environments/{uuid:environment_id}", auth=bearer, response=ERRORS, summary="Rename an environment: refused"
)
def rename_environment(request: HttpRequest, environment_id: UUID) -> None:
    """Refuse with 4032: environments are renamed in the browser."""
    _find_environment(request, environment_id)
    raise environments.RenamedElsewhere


@router.get(
    "/environments/{uuid:environment_id}/services", auth=bearer, response=ERRORS, summary="List services: refused"
)
def list_services(request: HttpRequest, environment_id: UUID) -> None:
    """Refuse with 4041: the portal has no services, and an empty list would crash the client."""
    _find_environment(request, environment_id)
    raise environments.NoServices


@router.api_operation(
    ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "/environments/{uuid:environment_id}/{path:inside}",
    auth=bearer,
    response=ERRORS,
    include_in_schema=False,
)
def refuse_inside_environment(request: HttpRequest, environment_id: UUID, inside: str) -> None:
    """Refuse with 4041 requests about metrics, images and other contents of an environment."""
    list_services(request, environment_id)


@router.get("/healthcheck", response=Health, summary="Check that the portal is up")
def healthcheck(request: HttpRequest) -> dict[str, str]:
    """Return "ok" without any check: the client asks before it imports into a database."""
    return {"status": "ok"}


# --- invitations --------------------------------------------------------------------------------


@router.get(
    "/orgs/{uuid:org_id}/invites", auth=bearer, response={200: list[Invitation], **ERRORS}, summary="List invitations"
)
def list_invitations(request: HttpRequest, org_id: UUID) -> list[dict[str, object]]:
    """List the open invitations; for owners and admins."""
    manager = membership_of_token(request, org_id, roles=MANAGERS)
    return [
        {
            "id": str(row.pk),
            "orgID": str(row.organization_id),
            "senderID": str(row.sender_id or ""),
            "roleID": ROLE_IDS[Role(row.role)],
            "email": row.email,
            "consumed": False,
            "revoked": False,
        }
        for row in invitations.pending(manager.organization)
    ]


@router.post(
    "/orgs/{uuid:org_id}/invites", auth=bearer, response={201: Nothing, **ERRORS}, summary="Send an invitation"
)
def send_invitation(request: HttpRequest, org_id: UUID, new: NewInvitation) -> Status[dict[str, str]]:
    """Send an invitation by email; for owners and admins. Roles: 1 owner, 2 admin, 5 member."""
    manager = membership_of_token(request, org_id, roles=MANAGERS)
    role = ROLES.get(new.role)
    if role is None:
        raise invitations.NoSuchRole
    if role in MANAGERS:
        needs_fresh_token(request)
    invitations.send(manager, new.email, role=role, origin=origin_of(request), link_template=new.linkTemplate)
    return Status(201, {})


@router.delete(
    "/orgs/{uuid:org_id}/invites/{invitation_id}",
    auth=bearer,
    response={204: None, **ERRORS},
    summary="Withdraw an invitation",
)
def withdraw_invitation(request: HttpRequest, org_id: UUID, invitation_id: str) -> Status[None]:
    """Withdraw an open invitation, named by its id; for owners and admins."""
    manager = membership_of_token(request, org_id, roles=MANAGERS)
    invitations.withdraw(manager, _id_of_invitation(invitation_id), origin_of(request))
    return Status(204, None)


def _id_of_invitation(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise invitations.NotAnId from None


@router.post(
    "/orgs/accept-invite/{code}", auth=bearer, response={200: Joined, **ERRORS}, summary="Accept an invitation"
)
def accept_invitation(request: HttpRequest, code: str) -> dict[str, str]:
    """Join the organization of an invitation that was sent to my email."""
    organization = invitations.accept(token_of(request).user, code, origin_of(request))
    return {"orgID": str(organization.pk)}


# --- members ------------------------------------------------------------------------------------


@router.get("/orgs/{uuid:org_id}/users", auth=bearer, response={200: list[Member], **ERRORS}, summary="List members")
def list_members(request: HttpRequest, org_id: UUID) -> list[dict[str, object]]:
    """List the members of an organization."""
    organization = membership_of_token(request, org_id).organization
    return [
        {"id": str(row.user_id), "name": row.name, "email": row.email, "roleID": ROLE_IDS[row.role]}
        for row in membership.roster(organization)
    ]


@router.delete(
    "/orgs/{uuid:org_id}/users/{uuid:user_id}", auth=bearer, response={204: None, **ERRORS}, summary="Remove a member"
)
def remove_member(request: HttpRequest, org_id: UUID, user_id: UUID) -> Status[None]:
    """Remove a member; for owners and admins. Every member can remove themselves, except the last owner."""
    actor = membership_of_token(request, org_id)
    if membership.is_manager(actor.organization, user_id):
        needs_fresh_token(request)
    membership.remove(actor, user_id, origin_of(request))
    return Status(204, None)


@router.get("/acls/{uuid:org_id}/groups", auth=bearer, response={200: Groups, **ERRORS}, summary="List groups")
def list_groups(request: HttpRequest, org_id: UUID) -> dict[str, object]:
    """List the members by role."""
    groups: dict[Role, list[dict[str, str]]] = {role: [] for role in Role}
    for row in membership.roster(membership_of_token(request, org_id).organization):
        groups[row.role].append({"id": str(row.user_id), "email": row.email})
    return {
        "groups": [
            {"name": f"{role.value}s", "acls": ACLS[role], "protected": True, "members": found}
            for role, found in groups.items()
        ]
    }
