"""The same for machines: an owner's script reads and sets the policy and lists who has what."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import tokens
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations.models import Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def call(client, clinic):
    user = UserFactory(email="olaf@example.com")
    add_mode(user, "authenticator")
    MembershipFactory(organization=clinic, user=user, role=Role.OWNER)
    user.refresh_from_db()
    headers = {"Authorization": f"Bearer {tokens.issue(user, Origin(), mode='authenticator')}"}

    def call(method, path, body=None):
        address = f"/api/v1/organizations/{clinic.pk}/{path}"
        if path.startswith("../"):
            address = f"/api/v1/{path.removeprefix('../')}"
        return client.generic(method, address, *([] if body is None else [body]), "application/json", headers=headers)

    return call


def test_a_script_reads_and_sets_the_policy(call, clinic):
    assert call("GET", "policy").json()["required"] is False

    answer = call("PUT", "policy", '{"required": true, "modes": "authenticator", "rememberedBrowsersForbidden": true}')

    assert answer.status_code == 200, answer.content
    clinic.refresh_from_db()
    assert (clinic.mfa_required, clinic.accepted_modes, clinic.remembering_forbidden) == (True, "authenticator", True)
    assert answer.json() == {**call("GET", "policy").json(), "members": 1, "membersReady": 1}
    call("PUT", "policy", '{"required": false}')
    assert call("GET", "policy").json()["requiredFrom"] is None


def test_from_a_date_on(call, clinic):
    day = (timezone.now() + timedelta(days=3)).isoformat()

    answer = call("PUT", "policy", f'{{"required": true, "requiredFrom": "{day}"}}').json()

    assert answer["required"] is False
    assert answer["requiredFrom"]


def test_setting_needs_a_proof_moments_ago(call, clinic):
    """SR-40: an old token reads only."""
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        answer = call("PUT", "policy", '{"required": true}')

        assert answer.status_code == 403
        assert "sign in again with your password" in answer.json()["description"]
        assert call("GET", "policy").status_code == 200
    clinic.refresh_from_db()
    assert not clinic.mfa_required


WRONG = (
    "",
    "{}",
    "[]",
    '{"required": "yes please"}',
    '{"required": true, "modes": "fax"}',
    '{"required": true, "requiredFrom": "2026-13-01"}',
    '{"required": true, "requiredFrom": "2026-12-01T00:00:00"}',
)


@pytest.mark.parametrize("body", WRONG)
def test_what_is_wrong_is_refused_and_changes_nothing(call, clinic, body):
    """SR-32."""
    assert call("PUT", "policy", body).status_code == 400
    clinic.refresh_from_db()
    assert clinic.mfa_required_at is None


def test_members_page_by_page(call, clinic):
    for number in range(5):
        MembershipFactory(organization=clinic, user=UserFactory(email=f"m{number}@example.com"))
    seen, after = [], ""
    for _page in range(5):
        page = call("GET", f"members?limit=2&after={after}").json()
        seen += [row["email"] for row in page["members"]]
        after = page["next"]
        if not after:
            break

    assert seen == [*(f"m{number}@example.com" for number in range(5)), "olaf@example.com"]
    assert [row["email"] for row in call("GET", "members?mfa=authenticator").json()["members"]] == ["olaf@example.com"]
    for wrong in ("limit=100000", "limit=0", "limit=-1", "limit=x", "mfa=fax", f"after={'x' * 255}", "after=%00"):
        assert call("GET", f"members?{wrong}").status_code == 400


def test_a_script_finds_its_organizations_and_who_is_left(call, client, clinic):
    MembershipFactory(organization=clinic, user=UserFactory(email="left@example.com"))
    robot = MembershipFactory(
        organization=clinic,
        user=UserFactory(email="robot@example.com"),
        exempt_until=timezone.now() + timedelta(days=3),
    )

    (mine,) = call("GET", "../organizations").json()
    left = call("GET", "members?mfa=missing").json()["members"]
    spared = call("GET", "members?mfa=exempt").json()["members"]

    assert mine == {"id": str(clinic.pk), "name": "Clinic", "role": "owner", "required": False}
    assert [row["email"] for row in left] == ["left@example.com"]
    assert [row["id"] for row in spared] == [str(robot.user_id)]
    policy = call("GET", "policy").json()
    assert (policy["members"], policy["membersReady"], policy["membersExempt"]) == (3, 1, 1)


def test_a_script_finds_whom_mail_does_not_reach(call, clinic):
    gone = UserFactory(email="gone@example.com", mailbox_failed_at=timezone.now(), mailbox_failure="no_mailbox")
    MembershipFactory(organization=clinic, user=gone)

    members = call("GET", "members").json()["members"]

    assert [(row["email"], row["mailFailure"]) for row in members] == [
        ("gone@example.com", "no_mailbox"),
        ("olaf@example.com", ""),
    ]


def test_the_document_knows_it(client):
    paths = client.get("/api/openapi.json").json()["paths"]

    assert {"get", "put"} <= set(paths["/api/v1/organizations/{org_id}/policy"])


def test_cookies_open_nothing(client, clinic, dana):
    """SR-45."""
    client.force_login(dana)

    assert client.get(f"/api/v1/organizations/{clinic.pk}/policy").status_code == 401
