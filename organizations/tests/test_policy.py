"""Organizations: who sees what, and what happens when MFA is required."""

from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.tests.factories import PASSWORD
from mfa.factors import enabled
from mfa.tests.factories import add_mode
from organizations.models import Membership, OrganizationEvent, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.codes import mailed_code
from tests.pages import text_of
from tests.signing_in import is_signed_in, sign_in

pytestmark = pytest.mark.django_db

REQUIRED = "/account/mfa/required"


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf_the_owner(clinic, django_user_model):
    from accounts.tests.factories import UserFactory

    olaf = UserFactory(email="olaf@example.com")
    MembershipFactory(organization=clinic, user=olaf, role=Role.OWNER)
    add_mode(olaf, "authenticator")
    return olaf


@pytest.fixture
def member(clinic, dana):
    return MembershipFactory(organization=clinic, user=dana)


def require(client, clinic):
    return client.post(f"{clinic.get_absolute_url()}/require", follow=True)


def required(clinic, olaf, browser):
    sign_in(browser, olaf)
    require(browser, clinic)


def test_an_owner_requires_mfa_with_one_click(client, clinic, olaf_the_owner):
    sign_in(client, olaf_the_owner)
    page = text_of(client.get(clinic.get_absolute_url()))
    assert "NOT REQUIRED Require" in page

    page = text_of(require(client, clinic))

    assert "REQUIRED Stop requiring" in page
    assert OrganizationEvent.objects.get().kind == "mfa_required"


def test_an_owner_takes_it_back(client, clinic, olaf_the_owner):
    required(clinic, olaf_the_owner, client)

    page = client.post(f"{clinic.get_absolute_url()}/stop-requiring", follow=True)

    assert "NOT REQUIRED" in text_of(page)


def test_an_owner_without_mfa_cannot_require_it(client, clinic, dana):
    """SR-40."""
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    sign_in(client, dana)

    page = require(client, clinic)

    clinic.refresh_from_db()
    assert not clinic.mfa_required
    assert "Enable multi-factor authentication for your own account" in text_of(page)


def test_a_member_sees_the_state_and_no_button(client, clinic, member):
    sign_in(client, member.user)

    page = text_of(client.get(clinic.get_absolute_url()))

    assert "NOT REQUIRED" in page
    assert "Require " not in page
    assert "Update name" not in page


def test_the_log_says_how_it_was_called_and_is_called_now(client, clinic, olaf_the_owner):
    """SR-53."""
    sign_in(client, olaf_the_owner)

    client.post(clinic.get_absolute_url(), {"name": "Practice"})

    assert "Organization renamed Clinic → Practice" in text_of(client.get(f"{clinic.get_absolute_url()}/log"))


@pytest.mark.parametrize(("person", "status"), [("stranger", 404), ("member", 403), ("owner", 302), ("nobody", 302)])
@pytest.mark.parametrize("action", ["", "/require", "/stop-requiring"])
def test_only_owners_change_an_organization(client, olaf_the_owner, member, sam, person, status, action):
    """SR-39."""
    clinic = member.organization
    who = {"stranger": sam, "member": member.user, "owner": olaf_the_owner}.get(person)
    if who:
        sign_in(client, who)

    page = client.post(f"{clinic.get_absolute_url()}{action}", {"name": "New name"})

    assert page.status_code == status
    clinic.refresh_from_db()
    assert (clinic.name == "New name") is (person == "owner" and action == "")
    assert clinic.mfa_required is (person == "owner" and action == "/require")


def test_a_stranger_and_a_wrong_id_get_the_same_answer(client, clinic, sam):
    """SR-39."""
    sign_in(client, sam)

    pages = [client.get(clinic.get_absolute_url()), client.get(f"/organizations/{uuid4()}")]

    assert {page.status_code for page in pages} == {404}
    assert text_of(pages[0]) == text_of(pages[1])


def test_an_owner_renames_the_organization(client, clinic, olaf_the_owner):
    sign_in(client, olaf_the_owner)

    client.post(clinic.get_absolute_url(), {"name": "  Clinic North ", "mfa_required_at": "2020-01-01"})

    clinic.refresh_from_db()
    assert clinic.name == "Clinic North"
    assert not clinic.mfa_required  # SR-44


def test_a_member_without_mfa_is_led_to_one_page_that_explains(client, another_browser, clinic, member, olaf_the_owner):
    """SR-41."""
    sign_in(client, member.user)
    required(clinic, olaf_the_owner, another_browser())

    page = client.get("/account", follow=True)

    assert page.redirect_chain == [(REQUIRED, 302)]
    text = text_of(page)
    assert "Clinic has required multi-factor authentication of all its members since" in text
    assert "olaf@example.com decided this." in text
    for what in ("Activate", "Help", "Your account settings", "Leave Clinic", "Sign out"):
        assert what in text


def test_nothing_of_that_organization_works_until_it_is_done(client, another_browser, clinic, member, olaf_the_owner):
    """SR-41."""
    sign_in(client, member.user)
    required(clinic, olaf_the_owner, another_browser())

    for path in (clinic.get_absolute_url(), f"{clinic.get_absolute_url()}/require", "/account"):
        assert client.get(path).url == REQUIRED
        assert client.post(path, {"name": "x"}).url == REQUIRED


def test_what_the_page_promises_still_works(client, another_browser, clinic, member, olaf_the_owner):
    other = MembershipFactory(user=member.user).organization
    sign_in(client, member.user)
    required(clinic, olaf_the_owner, another_browser())

    for path in (
        "/help/mfa",
        "/account/view",
        "/account/profile",
        "/account/mfa/activate",
        other.get_absolute_url(),
        "/organizations",
    ):
        assert client.get(path).status_code == 200
    assert client.post("/account/logout").status_code == 302


def test_leaving_sets_me_free(client, another_browser, clinic, member, olaf_the_owner):
    sign_in(client, member.user)
    required(clinic, olaf_the_owner, another_browser())

    assert "Leave Clinic?" in text_of(client.get(f"{clinic.get_absolute_url()}/leave"))
    client.post(f"{clinic.get_absolute_url()}/leave")

    assert client.get("/account").status_code == 200
    assert not Membership.objects.filter(user=member.user).exists()


def test_enabling_a_mode_sets_me_free(client, another_browser, clinic, member, olaf_the_owner):
    from mfa.tests.test_activation import COMPLETE, activate

    sign_in(client, member.user)
    required(clinic, olaf_the_owner, another_browser())

    activate(client, "email")
    client.post(COMPLETE, {"otp": mailed_code()})

    assert client.get(clinic.get_absolute_url()).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [("/organizations", "/organizations"), ("https://evil.example", "/account/view?mfa=open#mfa")],
)
def test_who_set_mfa_up_comes_back_to_the_page_that_asked_for_it(client, dana, wanted, leads_to):
    """SR-19: only to a page of this portal."""
    from mfa.tests.test_activation import CONFIRM

    sign_in(client, dana)
    page = f"/account/mfa/activate?next={wanted}"
    asked = client.post(page, {"type": "email", "identifier": "dana", "password": PASSWORD})
    if asked.url == CONFIRM:
        client.post(CONFIRM, {"code": mailed_code()})

    done = client.post("/account/mfa/activate/complete", {"otp": mailed_code()})

    assert done.url == f"/account/mfa/recovery-codes?next={quote(leads_to, safe='')}"


def test_an_announced_policy_is_named_before_the_last_mode_goes(client, clinic, member):
    add_mode(member.user, "authenticator")
    clinic.mfa_required_at = timezone.now() + timedelta(days=4)
    clinic.save()
    sign_in(client, member.user)

    page = text_of(client.get("/account/mfa/authenticator/disable"))

    assert "Clinic requires multi-factor authentication. Without an accepted mode, you cannot open Clinic." in page
    assert f"From {clinic.mfa_required_at:%-d %B %Y}, " in page


def test_an_announced_policy_that_another_mode_meets_is_not(client, clinic, member):
    add_mode(member.user, "authenticator")
    add_mode(member.user, "email")
    clinic.mfa_required_at = timezone.now() + timedelta(days=4)
    clinic.save()
    sign_in(client, member.user)

    assert "you cannot open Clinic" not in text_of(client.get("/account/mfa/email/disable"))


def test_loosening_the_policy_sets_everybody_free_at_once(client, another_browser, clinic, member, olaf_the_owner):
    """SR-41: computed on each request."""
    sign_in(client, member.user)
    owner = another_browser()
    required(clinic, olaf_the_owner, owner)
    assert client.get("/account").url == REQUIRED

    owner.post(f"{clinic.get_absolute_url()}/stop-requiring")

    assert client.get("/account").status_code == 200


def test_the_last_mode_stays_while_an_organization_requires_one(
    client, clinic, member, olaf_the_owner, another_browser
):
    """SR-42: and the page says which one."""
    add_mode(member.user, "email")
    required(clinic, olaf_the_owner, another_browser())
    sign_in(client, member.user)

    page = client.post("/account/mfa/email/disable", follow=True)

    assert "It is required by: Clinic." in text_of(page)
    assert [factor.mode for factor in enabled(member.user)] == ["email"]


def test_disabling_what_is_required_is_refused_before_it_is_asked(
    client, clinic, member, olaf_the_owner, another_browser
):
    """SR-42: the settings say so, and the first click does, with the name."""
    add_mode(member.user, "email")
    required(clinic, olaf_the_owner, another_browser())
    sign_in(client, member.user)

    settings = text_of(client.get("/account/view?mfa=open"))
    page = client.get("/account/mfa/email/disable", follow=True)

    assert "Cannot be disabled: required by Clinic." in settings
    assert page.redirect_chain == [("/account/view?mfa=open#mfa", 302)]
    assert "It is required by: Clinic." in text_of(page)
    assert "Disable the email mode?" not in text_of(page)


def test_a_mode_that_is_not_the_last_may_go(client, clinic, member, olaf_the_owner, another_browser):
    add_mode(member.user, "email")
    add_mode(member.user, "authenticator")
    required(clinic, olaf_the_owner, another_browser())
    sign_in(client, member.user)

    assert "Cannot be disabled" not in text_of(client.get("/account/view?mfa=open"))
    client.post("/account/mfa/authenticator/disable")

    assert [factor.mode for factor in enabled(member.user)] == ["email"]


def test_a_factor_that_goes_by_another_way_stops_access_at_the_next_request(client, clinic, member, another_browser):
    """SR-42."""
    from accounts.models import User
    from mfa.models import Factor

    add_mode(member.user, "email")
    clinic.mfa_required_at = "2026-01-01T00:00:00Z"
    clinic.save()
    sign_in(client, member.user)
    assert client.get(clinic.get_absolute_url()).status_code == 200

    Factor.objects.all().delete()
    User.objects.filter(pk=member.user.pk).update(preferred_mode="")

    assert client.get(clinic.get_absolute_url()).url == REQUIRED


def test_the_last_owner_cannot_leave(client, clinic, olaf_the_owner):
    """SR-40."""
    sign_in(client, olaf_the_owner)

    page = client.post(f"{clinic.get_absolute_url()}/leave", follow=True)

    assert "An organization needs an owner who can use it" in text_of(page)
    assert Membership.objects.filter(user=olaf_the_owner).exists()


def test_the_menu_lists_mine_and_links_to_the_rest(client, dana):
    for number in range(12):
        MembershipFactory(user=dana, organization=OrganizationFactory(name=f"Org {number:02}"))
    sign_in(client, dana)

    page = text_of(client.get("/account/view"))

    assert "All organizations Org 00" in page
    assert "Org 09" in page
    assert "Org 10" not in page


def test_all_my_organizations_are_listed_page_by_page(client, dana, django_assert_max_num_queries):
    for number in range(30):
        MembershipFactory(user=dana, organization=OrganizationFactory(name=f"Org {number:02}"))
    sign_in(client, dana)

    with django_assert_max_num_queries(6):
        page = text_of(client.get("/organizations?page=2"))

    assert "Org 29" in page
    assert "Page 2 of 2" in page


@pytest.mark.parametrize("members", [3, 300])
def test_the_organization_page_asks_eight_times_at_most(
    client, clinic, olaf_the_owner, members, django_assert_max_num_queries
):
    from accounts.models import User

    people = User.objects.bulk_create(
        [User(email=f"m{n}@example.com", email_key=f"m{n}@example.com", password="!") for n in range(members)]
    )
    Membership.objects.bulk_create([Membership(organization=clinic, user=person) for person in people])
    sign_in(client, olaf_the_owner)

    with django_assert_max_num_queries(9):
        client.get(clinic.get_absolute_url())


def test_requiring_is_the_same_work_for_any_size(client, clinic, olaf_the_owner, django_assert_max_num_queries):
    sign_in(client, olaf_the_owner)

    with django_assert_max_num_queries(17):
        client.post(f"{clinic.get_absolute_url()}/require")

    assert is_signed_in(client)


def test_policy_needs_a_fresh_proof(client, clinic, olaf_the_owner):
    """SR-40."""
    from datetime import timedelta

    import time_machine
    from django.utils import timezone

    sign_in(client, olaf_the_owner)

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        page = client.post(f"{clinic.get_absolute_url()}/require")

    assert page.url.startswith("/account/confirm?next=")
    clinic.refresh_from_db()
    assert not clinic.mfa_required


def test_owners_and_admins_read_what_happened(client, clinic, olaf_the_owner, another_browser, member, sam):
    """SR-53."""
    required(clinic, olaf_the_owner, client)
    page = text_of(client.get(f"{clinic.get_absolute_url()}/log"))
    assert "Multi-factor authentication required – olaf@example.com 127.0.0.1" in page

    for person, role, status in ((member.user, "member", 403), (member.user, "admin", 200), (sam, "", 404)):
        Membership.objects.filter(user=person).update(role=role or "member")
        add_mode(person, "email") if not person.preferred_mode else None
        browser = another_browser()
        sign_in(browser, person)
        assert browser.get(f"{clinic.get_absolute_url()}/log").status_code == status, role


def test_the_log_can_be_taken_away(client, clinic, olaf_the_owner):
    """SR-53."""
    required(clinic, olaf_the_owner, client)

    lines = b"".join(client.get(f"{clinic.get_absolute_url()}/log.csv").streaming_content).decode().splitlines()

    assert lines[0] == "Time (UTC),What,Whom or what,By,IP address,Browser"
    assert ",Multi-factor authentication required,,olaf@example.com,127.0.0.1," in lines[1]
    assert len(lines) == 2


def test_every_event_that_is_written_has_words():
    import re
    from pathlib import Path

    from organizations.models import EventKind

    app = Path(__file__).resolve().parent.parent
    named = {kind for file in app.glob("*.py") for kind in re.findall(r"EventKind\.([A-Z_]+)", file.read_text())}

    assert named == set(EventKind.names)
