"""The navigation of an organization, its state line and the Organizations menu."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations.models import Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

ALL = ["Overview", "Members", "Invites", "Rules", "Progress", "Environments", "Security log", "Settings"]
SEEN = {
    Role.OWNER: ALL,
    Role.ADMIN: ALL[:-1],
    Role.MEMBER: ["Overview", "Environments"],
}


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


def person(clinic, role, *, mode="authenticator"):
    user = UserFactory()
    if mode:
        add_mode(user, mode)
    MembershipFactory(organization=clinic, user=user, role=role)
    return user


def links_of(page):
    nav = page.content.decode().partition('<nav class="sections')[2].partition("</nav>")[0]
    return re.findall(r'<a href="([^"]+)"(?: aria-current="(\w+)")?>([^<]+)</a>', nav)


@pytest.mark.parametrize("role", SEEN)
def test_each_role_sees_the_sections_that_it_may_open(client, clinic, role):
    """SR-39: no link leads to a refusal."""
    sign_in(client, person(clinic, role))

    links = links_of(client.get(clinic.get_absolute_url()))

    assert [label for _url, _current, label in links] == SEEN[role]
    assert {client.get(url).status_code for url, _current, _label in links} == {200}


@pytest.mark.parametrize(
    ("path", "current"),
    [("", ["Overview"]), ("/members", ["Members"]), ("/invitations", ["Invites"]), ("/compliance", ["Progress"]),
     ("/environments", ["Environments"]), ("/log", ["Security log"]), ("/settings", ["Settings"]),
     ("/policy", ["Rules", "Accepted modes and start date"]), ("/rehearsal", ["Rules", "Rehearsal"]),
     ("/exemptions", ["Rules", "Exemptions"]), ("/evidence", ["Progress"])],
)  # fmt: skip
def test_the_page_where_i_am_is_marked(client, clinic, path, current):
    sign_in(client, person(clinic, Role.OWNER))

    links = links_of(client.get(f"{clinic.get_absolute_url()}{path}"))

    assert [label for _url, mark, label in links if mark] == current
    assert [mark for _url, mark, _label in links].count("page") == (path != "/evidence")


def test_an_admin_finds_the_rules_that_admins_may_see(client, clinic):
    sign_in(client, person(clinic, Role.ADMIN))

    links = links_of(client.get(f"{clinic.get_absolute_url()}/rehearsal"))

    assert [label for _url, _mark, label in links] == [*SEEN[Role.ADMIN], "Rehearsal", "Exemptions"]


def state(client, clinic):
    page = client.get(clinic.get_absolute_url()).content.decode()
    block = page.partition('<div class="state row">')[2].partition("</div>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", block).split())


class TestState:
    @pytest.fixture
    def owner(self, client, clinic):
        sign_in(client, person(clinic, Role.OWNER))
        return client

    def test_alone(self, owner, clinic):
        assert state(owner, clinic) == "MFA is not required. 1 member has set it up. Invite members"

    def test_not_required(self, owner, clinic):
        person(clinic, Role.MEMBER, mode=None)

        assert state(owner, clinic) == "MFA is not required. 1 of 2 members has not set it up. Start with a rehearsal"

    def test_everyone_is_ready(self, owner, clinic):
        person(clinic, Role.MEMBER)

        assert state(owner, clinic) == "MFA is not required. All 2 members have set it up. Require MFA"

    def test_rehearsed(self, owner, clinic):
        person(clinic, Role.MEMBER, mode=None)
        clinic.rehearsal_until = timezone.now() + timedelta(days=3)
        clinic.save()

        assert state(owner, clinic).startswith("MFA is not required. A rehearsal is running.")
        assert state(owner, clinic).endswith("See who would be blocked")

    def test_required(self, owner, clinic):
        for _number in range(2):
            person(clinic, Role.MEMBER, mode=None)
        clinic.mfa_required_at = timezone.now()
        clinic.save()

        assert state(owner, clinic) == "MFA is required. 2 of 3 members have not set it up. Remind these members"

    def test_required_and_met(self, owner, clinic):
        clinic.mfa_required_at = timezone.now()
        clinic.save()
        person(clinic, Role.MEMBER)

        assert state(owner, clinic) == "MFA is required. All 2 members have set it up."

    def test_accepted_modes(self, owner, clinic):
        person(clinic, Role.MEMBER, mode="email")
        clinic.accepted_modes = "authenticator"
        clinic.save()

        assert "1 of 2 members has no accepted mode." in state(owner, clinic)

    def test_an_owner_without_mfa_begins_with_it(self, client, clinic):
        sign_in(client, person(clinic, Role.OWNER, mode=None))

        assert state(client, clinic).endswith("Set up MFA for your own account")
        page = client.get(clinic.get_absolute_url()).content.decode()
        assert f'href="/account/mfa/activate?next={quote(clinic.get_absolute_url(), safe="")}"' in page
        assert "Your role: owner" in text_of(client.get(clinic.get_absolute_url()))

    def test_an_admin_reads_it_without_a_step(self, client, clinic):
        sign_in(client, person(clinic, Role.ADMIN, mode=None))

        assert state(client, clinic) == "MFA is not required. 1 of 1 members has not set it up."

    def test_a_member_does_not_see_it(self, client, clinic):
        sign_in(client, person(clinic, Role.MEMBER))

        assert state(client, clinic) == ""


class TestAllOrganizations:
    def test_it_is_searched_by_any_part_of_the_name(self, client, dana):
        for name in ("North Clinic", "South Clinic", "Laboratory"):
            MembershipFactory(user=dana, organization=OrganizationFactory(name=name))
        sign_in(client, dana)

        page = client.get("/organizations?q=CLIN")

        assert [row.name for row in page.context["organizations"]] == ["North Clinic", "South Clinic"]
        assert "No organization matches your search." in text_of(client.get("/organizations?q=zzz"))

    def test_a_search_finds_only_my_own(self, client, dana):
        """SR-39."""
        OrganizationFactory(name="Foreign Clinic")
        sign_in(client, dana)

        assert "Foreign" not in text_of(client.get("/organizations?q=clinic"))

    def test_long_names_keep_their_full_text(self, client, dana):
        name = "The Very Long Name " * 6
        MembershipFactory(user=dana, organization=OrganizationFactory(name=name.strip()))
        sign_in(client, dana)

        assert f'title="{name.strip()}"' in client.get("/account").content.decode()


def test_cells_carry_the_heading_of_their_column(client, clinic):
    """A phone shows each row as a card, and each cell with its heading."""
    sign_in(client, person(clinic, Role.OWNER))

    page = client.get(f"{clinic.get_absolute_url()}/members").content.decode()

    labels = re.findall(r'<td role="cell" data-label="([^"]*)"', page)
    assert labels == ["User", "Role", "MFA", "Last verified", "Last sign-in", "Manage"]


@pytest.mark.parametrize(
    ("role", "opens"), [(Role.OWNER, "/help/owners"), (Role.ADMIN, "/help/owners"), (Role.MEMBER, "/help/mfa")]
)
def test_the_question_mark_opens_the_help_of_my_role(client, clinic, role, opens):
    sign_in(client, person(clinic, role))

    def help_of(path):
        return re.search(r'class="help" href="([^"]+)"', client.get(path).content.decode())[1]

    assert help_of(clinic.get_absolute_url()) == help_of(f"{clinic.get_absolute_url()}/environments") == opens
    assert help_of("/organizations") == "/help/mfa"
