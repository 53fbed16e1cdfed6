"""Who may do what at the command line: every endpoint by every role (SR-39)."""

import json

import pytest
from django.test import Client

from accounts import tokens
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from organizations import invitations
from organizations.models import Environment, Pod, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db

ROLES = ("nobody", "stranger", "member", "admin", "owner")
INVITE = {"email": "new@example.com", "role": 5}
# Status by role, in the order of ROLES.
MATRIX = {
    ("GET", "/auth/verify"): (401, 200, 200, 200, 200),
    ("GET", "/keys"): (401, 200, 200, 200, 200),
    ("DELETE", "/keys/none"): (401, 404, 404, 404, 404),
    ("GET", "/pods"): (200, 200, 200, 200, 200),
    ("GET", "/environments"): (401, 200, 200, 200, 200),
    ("GET", "/environments/{environment}"): (401, 404, 200, 200, 200),
    ("PUT", "/environments/{environment}"): (401, 404, 403, 403, 403),
    ("GET", "/environments/{environment}/services"): (401, 404, 404, 404, 404),
    ("GET", "/environments/{environment}/images/web/tags"): (401, 404, 404, 404, 404),
    ("GET", "/orgs/{org}/invites"): (401, 404, 403, 200, 200),
    ("POST", "/orgs/{org}/invites"): (401, 404, 403, 201, 201),
    ("POST as admin", "/orgs/{org}/invites"): (401, 404, 403, 201, 201),
    ("POST as owner", "/orgs/{org}/invites"): (401, 404, 403, 403, 201),
    ("DELETE", "/orgs/{org}/invites/{invitation}"): (401, 404, 403, 204, 204),
    ("DELETE", "/orgs/{org}/invites/{foreign_invitation}"): (401, 404, 403, 404, 404),
    ("DELETE", "/orgs/{org}/invites/x@example.com"): (401, 404, 403, 404, 404),
    ("POST", "/orgs/accept-invite/wrong"): (401, 404, 404, 404, 404),
    ("GET", "/orgs/{org}/users"): (401, 404, 200, 200, 200),
    ("GET", "/acls/{org}/groups"): (401, 404, 200, 200, 200),
    ("DELETE", "/orgs/{org}/users/{other_member}"): (401, 404, 403, 204, 204),
    ("DELETE", "/orgs/{org}/users/{other_admin}"): (401, 404, 403, 204, 204),
    ("DELETE", "/orgs/{org}/users/{other_owner}"): (401, 404, 403, 403, 204),
    ("DELETE", "/orgs/{org}/users/{me}"): (401, 404, 204, 204, 204),
    ("DELETE", "/orgs/{org}/users/{foreigner}"): (401, 404, 403, 404, 404),
    ("GET", "/api/v1/organizations"): (401, 200, 200, 200, 200),
    ("GET", "/api/v1/organizations/{org}/policy"): (401, 404, 403, 403, 200),
    ("PUT", "/api/v1/organizations/{org}/policy"): (401, 404, 403, 403, 403),  # the owner has no factor
    ("GET", "/api/v1/organizations/{org}/members"): (401, 404, 403, 403, 200),
}


@pytest.fixture
def world(db):
    org, foreign = OrganizationFactory(), OrganizationFactory()
    people = {name: UserFactory() for name in (*ROLES[1:], "other_member", "other_admin", "other_owner", "foreigner")}
    memberships = {
        name: MembershipFactory(organization=org, user=people[name], role=name.removeprefix("other_"))
        for name in people
        if name not in {"stranger", "foreigner"}
    }
    foreign_owner = MembershipFactory(organization=foreign, user=people["foreigner"], role=Role.OWNER)
    environment = Environment.objects.create(organization=org, name="live", pod=Pod.objects.create(name="pod01"))
    sent = {
        name: invitations.send(owner, "x@example.com", role=Role.MEMBER, origin=Origin())
        for name, owner in {"invitation": memberships["owner"], "foreign_invitation": foreign_owner}.items()
    }
    ids = {name: str(person.pk) for name, person in people.items()}
    ids |= {name: str(row.pk) for name, row in sent.items()}
    return people, {**ids, "org": str(org.pk), "environment": str(environment.pk)}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("endpoint", MATRIX, ids=" ".join)
def test_every_endpoint_by_every_role(world, endpoint, role):
    people, ids = world
    method, path = endpoint
    ids["me"] = ids.get(role, ids["owner"])
    body = {**INVITE, "role": {"POST as admin": 2, "POST as owner": 1}.get(method, 5), "required": True}
    headers = {"Authorization": f"Bearer {tokens.issue(people[role], Origin(), mode='')}"} if role != "nobody" else {}

    answer = Client(headers=headers).generic(
        method.split()[0],
        path.format(**ids),
        json.dumps(body) if method.startswith(("POST", "PUT")) else "",
        "application/json",
    )

    assert answer.status_code == MATRIX[endpoint][ROLES.index(role)], answer.content


def test_the_matrix_names_every_endpoint_that_needs_a_token():
    from datica_account.api import api

    schema = api.get_openapi_schema()
    guarded = {
        (method.upper(), path)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if operation.get("security")
    }
    named = {(method.split()[0], path.split("/")[1], path.count("/")) for method, path in MATRIX}

    assert {(method, path.split("/")[1], path.count("/")) for method, path in guarded} - named == {("POST", "keys", 1)}
