"""Environments on pages and in the admin."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from accounts.models import SecurityEvent
from mfa.tests.factories import add_mode
from organizations.models import Environment, OrganizationEvent, Pod, Role
from organizations.tests.factories import MembershipFactory
from tests.codes import app_code
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def pod():
    return Pod.objects.create(name="pod01")


@pytest.fixture
def clinic(dana):
    return MembershipFactory(user=dana, role=Role.OWNER).organization


@pytest.fixture
def page(clinic):
    return f"/organizations/{clinic.pk}/environments"


def test_an_owner_makes_renames_and_removes_one(client, dana, clinic, page, pod):
    sign_in(client, dana)

    made = client.post(page, {"name": "clinic-live", "pod": pod.pk}, follow=True)
    environment = Environment.objects.get()
    renamed = client.post(f"{page}/{environment.pk}", {"name": "clinic-main"}, follow=True)
    asked = client.get(f"{page}/{environment.pk}/remove")
    removed = client.post(f"{page}/{environment.pk}/remove", follow=True)

    assert "The environment clinic-live is created." in text_of(made)
    assert "clinic-main pod01" in text_of(renamed)
    assert "Remove the environment clinic-main?" in text_of(asked)
    assert "This organization has no environments yet." in text_of(removed)
    assert list(OrganizationEvent.objects.order_by("pk").values_list("kind", "subject")) == [
        ("environment_created", "clinic-live"),
        ("environment_renamed", "clinic-live → clinic-main"),
        ("environment_removed", "clinic-main"),
    ]


@pytest.mark.parametrize("name", ["", "with blank", "a/b", "-x", "x" * 65, "ü"])
def test_a_name_that_a_command_line_could_not_take(client, dana, page, pod, name):
    sign_in(client, dana)

    answer = client.post(page, {"name": name, "pod": pod.pk})

    assert answer.status_code == 400
    assert not Environment.objects.exists()


def test_names_are_unique_in_an_organization(client, dana, clinic, page, pod):
    Environment.objects.create(organization=clinic, pod=pod, name="live")
    other = Environment.objects.create(organization=clinic, pod=pod, name="staging")
    sign_in(client, dana)

    for answer in (
        client.post(page, {"name": "live", "pod": pod.pk}),
        client.post(f"{page}/{other.pk}", {"name": "live"}),
    ):
        assert answer.status_code == 400
        assert "already has an environment with this name" in text_of(answer)
    assert Environment.objects.count() == 2


@pytest.mark.parametrize(("who", "status"), [("member", 403), ("admin", 403), ("stranger", 404)])
def test_only_owners_change_environments(client, sam, clinic, page, pod, who, status):
    """SR-39."""
    environment = Environment.objects.create(organization=clinic, pod=pod, name="live")
    if who != "stranger":
        MembershipFactory(organization=clinic, user=sam, role=who)
    sign_in(client, sam)

    assert client.get(page).status_code == (404 if who == "stranger" else 200)
    for path, fields in (
        (page, {"name": "x", "pod": pod.pk}),
        (f"{page}/{environment.pk}", {"name": "x"}),
        (f"{page}/{environment.pk}/remove", {}),
    ):
        assert client.post(path, fields).status_code == status
    assert list(Environment.objects.values_list("name", flat=True)) == ["live"]


def test_an_environment_of_another_organization_is_out_of_reach(client, dana, page, pod):
    """SR-39."""
    other = MembershipFactory(user=dana, role=Role.MEMBER).organization
    environment = Environment.objects.create(organization=other, pod=pod, name="live")
    sign_in(client, dana)

    assert client.post(f"{page}/{environment.pk}/remove").status_code == 404


# --- the admin ------------------------------------------------------------------------------------


@pytest.fixture
def staff(django_user_model, db):
    return django_user_model.objects.create_superuser("staff@example.com", "a quiet harbour at dawn")


def test_staff_need_a_factor(client, staff):
    """SR-52."""
    sign_in(client, staff)

    page = client.get("/admin/", follow=True)

    assert page.redirect_chain[-1][0] == "/account/mfa/activate"
    assert "The administration requires multi-factor authentication" in text_of(page)


def test_others_do_not_get_in(client, dana_with_app):
    """SR-52."""
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/account/login?next=")
    sign_in(client, dana_with_app)

    assert client.get("/admin/", follow=True).status_code == 403


def test_staff_look_after_environments_and_each_change_is_logged(client, staff, clinic, pod):
    """SR-52."""
    add_mode(staff, "authenticator")
    sign_in(client, staff)
    assert client.get("/admin/").status_code == 200

    client.post("/admin/organizations/pod/add/", {"name": "pod02", "phi_safe": "on", "reason": "New rack"})
    fields = {"name": "live", "organization": str(clinic.pk), "pod": pod.pk, "namespace": "", "reason": "Ticket 7"}
    client.post("/admin/organizations/environment/add/", fields)
    environment = Environment.objects.get()
    client.post(f"/admin/organizations/environment/{environment.pk}/change/", {**fields, "name": "main"})
    client.post(f"/admin/organizations/environment/{environment.pk}/act/remove/", {"reason": "Moved away"})

    assert Pod.objects.filter(name="pod02").exists()
    assert not Environment.objects.exists()
    assert list(OrganizationEvent.objects.order_by("pk").values_list("kind", "subject")) == [
        ("environment_created", "live: Ticket 7"),
        ("environment_changed", "main: Ticket 7"),
        ("environment_removed", "main: Moved away"),
    ]
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "New rack (name)",
        "Ticket 7 (name, organization, pod)",
        "Ticket 7 (name)",
        "Remove: Moved away",
    ]


def test_nothing_is_changed_without_a_reason(client, staff, clinic, pod):
    """SR-52."""
    add_mode(staff, "authenticator")
    sign_in(client, staff)
    environment = Environment.objects.create(organization=clinic, pod=pod, name="live")
    fields = {"name": "main", "organization": str(clinic.pk), "pod": pod.pk, "namespace": ""}

    client.post(f"/admin/organizations/environment/{environment.pk}/change/", fields)
    client.post(f"/admin/organizations/environment/{environment.pk}/act/remove/", {"reason": " "})

    assert Environment.objects.get().name == "live"
    assert not LogEntry.objects.exists()


def test_a_pod_in_use_stays(client, staff, clinic, pod):
    add_mode(staff, "authenticator")
    sign_in(client, staff)
    Environment.objects.create(organization=clinic, pod=pod, name="live")
    remove = f"/admin/organizations/pod/{pod.pk}/act/remove/"

    assert remove in client.get(f"/admin/organizations/pod/{pod.pk}/change/").content.decode()
    assert client.post(f"/admin/organizations/pod/{pod.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "Environments run on this pod" in text_of(client.post(remove, {"reason": "Old rack"}))
    assert Pod.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_change_needs_a_proof_of_moments_ago(client, staff, clinic, pod):
    """SR-52: looking does not."""
    add_mode(staff, "authenticator")
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in(client, staff)
        clock.shift(timedelta(hours=3))
        change = f"/admin/organizations/pod/{pod.pk}/change/"

        assert client.get("/admin/organizations/pod/").status_code == 200
        assert client.get(change).url.startswith("/account/confirm?next=")
        assert client.post(change, {"name": "renamed"}).url.startswith("/account/confirm?next=")
        pod.refresh_from_db()
        assert pod.name != "renamed"

        client.get("/account/confirm")
        client.post("/account/confirm", {"otp": app_code(staff), "next": change})
        assert client.get(change).status_code == 200

        clock.shift(timedelta(hours=3))
        assert client.post("/admin/logout/").url == "/account/login"


@pytest.mark.parametrize("lookup", ["password__regex", "password__startswith", "credential_version", "email__contains"])
def test_no_column_can_be_read_sign_by_sign(client, staff, lookup):
    """SR-52: the address of a list filters by what the list offers."""
    add_mode(staff, "authenticator")
    sign_in(client, staff)

    assert client.get("/admin/accounts/user/?is_staff__exact=1").status_code == 200
    assert client.get(f"/admin/accounts/user/?{lookup}=a").status_code == 400


def test_the_admin_signs_out_and_changes_passwords_as_the_portal_does(client, staff):
    add_mode(staff, "authenticator")
    sign_in(client, staff)

    assert client.get("/admin/password_change/").url == "/account/password/change"
    assert client.get("/admin/logout/").status_code == 405
    assert client.post("/admin/logout/").url == "/account/login"

    assert SecurityEvent.objects.filter(user=staff, kind="signed_out").exists()
