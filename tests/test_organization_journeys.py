"""An owner, an admin, a member and a stranger, from the first look to the auditor's sheet, in a real browser."""

import csv
import io
import re
from pathlib import Path

import pytest
import time_machine
from playwright.sync_api import expect

from accounts.models import User
from accounts.tests.factories import PASSWORD, UserFactory
from mfa.tests.factories import add_mode
from organizations import reminders
from organizations.models import Membership, Organization, Role
from tests.cli import Cli, FatalError
from tests.codes import app_code
from tests.emails import read_mail
from tests.people import Person
from tests.stack import PASSWORD as STACK_PASSWORD

pytestmark = pytest.mark.browser


CROWD = """
from accounts.models import User
from organizations.models import Membership
for number in range(60):
    user = User.objects.create(email=f"temp{{number:02}}@example.com", password="!")
    Membership.objects.create(organization_id="{organization}", user=user)
"""


def number_of(person: Person) -> int:
    return int(re.findall(r"\d+", person.address)[0])


def goes_to_own_organization(person: Person) -> str:
    person.goes_to("/organizations")
    name = f"Clinic {number_of(person)}"
    person.page.locator("main").get_by_role("link", name=name, exact=True).click()
    return person.page.url


@pytest.fixture
def members(person, portal, browser_window):
    """An owner with MFA in front of the organization's page, and a member without, signed in."""
    member = Person(browser_window(), portal, address=f"person{number_of(person) + 1}@example.com")
    member.signs_in()
    person.activates_email()
    person.signs_in()
    return person, member, goes_to_own_organization(person)


def test_an_owner_looks_rehearses_and_requires(members, portal):
    person, member, organization = members
    users = f"/orgs/{organization.rsplit('/', 1)[-1]}/users"

    person.reads("1 of 2 members has MFA (50 %).")
    person.reads(f"Signed in right now: {member.address} (in a browser: 1).")
    person.page.get_by_text("What would happen to these members").click()
    person.reads("1 member has no mode yet")
    person.follows("Show these members")
    assert person.page.get_by_role("row").count() == 2
    person.reads(member.address)

    person.page.goto(organization)
    person.follows("Rehearsal (see who would be blocked)")
    person.clicks("Set rehearsal")
    person.reads("The rehearsal runs until")
    member.page.goto(organization)
    member.reads("What owners and admins see about you")
    cli = Cli(portal.url, member.address, STACK_PASSWORD)
    cli.signs_in()
    assert cli.must("GET", users).json
    person.page.reload()
    for door in ("browser", "command line"):
        assert person.page.get_by_role("row", name=f"{member.address} {door} 1").is_visible()

    person.clicks("Require")
    person.reads("now required of every member. 1 of 2 members does not meet this policy yet")
    member.page.reload()
    member.reads("Multi-factor authentication is required")
    with pytest.raises(FatalError, match=rf"Clinic {number_of(person)} requires multi-factor .*/account/mfa/activate"):
        cli.must("GET", users)
    member.activates_email()
    member.page.goto(organization)
    member.reads("What owners and admins see about you")


def test_an_owner_watches_it_happen_and_proves_it(members, portal):
    person, member, _organization = members
    person.clicks("Require")
    person.reads("now required of every member.")

    person.follows("MFA progress, reminders and evidence")
    assert person.page.get_by_role("progressbar").get_attribute("value") == "50"
    assert person.page.locator("figure svg path.line").bounding_box()["width"] > 100
    person.follows("Remind these members")
    person.clicks("Send the reminders")
    person.reads("We are sending the reminders.")
    with person.page.expect_download() as download:
        person.follows("Download members as CSV")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert {row["Email"]: (row["Role"], row["Modes"], row["Meets the policy"]) for row in rows} == {
        person.address: ("owner", "email", "yes"),
        member.address: ("member", "off", "no"),
    }
    portal.wait_for_mail(member.address, "asks you to activate multi-factor authentication")

    person.follows("Evidence for auditors")
    person.reads("and still required.")
    person.reads("Multi-factor authentication required")
    portal.wait_for_mail(person.address, f"Clinic {number_of(person)}: Multi-factor authentication required")


def test_an_admin_looks_after_members_but_not_after_the_policy(person, portal, browser_window):
    number = number_of(person)
    admin = Person(browser_window(), portal, address=f"person{number + 1}@example.com")
    person.signs_in()
    organization = goes_to_own_organization(person)
    person.follows("Members and invitations")
    person.page.get_by_role("row", name=admin.address).get_by_role("link", name="Edit").click()
    person.page.get_by_label("Role").select_option("admin")
    person.clicks("Save")
    person.reads("The role is changed.")

    admin.signs_in()
    admin.page.goto(organization)
    admin.reads("0 of 2 members have MFA (0 %).")
    assert admin.page.get_by_role("button", name="Require").count() == 0
    assert admin.page.get_by_role("button", name="Update name").count() == 0
    admin.follows("Members and invitations")
    file = {"name": "people.csv", "mimeType": "text/csv",
            "buffer": f"Name,Email\nA,a.{number}@example.com\nB,b.{number}@example.com\n".encode()}  # fmt: skip
    admin.page.get_by_label("Or a CSV file with emails").set_input_files(file)
    assert admin.page.get_by_label("Role").get_by_role("option", name="owner").count() == 0
    admin.clicks("Send")
    admin.reads("2 invitations are on their way.")
    assert portal.wait_for_link(f"b.{number}@example.com")
    admin.page.get_by_role("button", name="Delete").first.click()
    admin.reads("The invitation is withdrawn.")
    for path in ("/policy", "/require"):
        assert admin.page.goto(organization + path).status == 403
    assert admin.page.goto(organization + "/rehearsal").ok
    assert admin.page.get_by_role("button", name="Set rehearsal").count() == 0


def test_a_stranger_finds_nothing(person, portal, browser_window):
    person.signs_in()
    organization = goes_to_own_organization(person)
    stranger = Person(browser_window(), portal)
    stranger.signs_in()

    for path in ("", "/members", "/members.csv", "/policy", "/rehearsal", "/exemptions", "/compliance", "/evidence",
                 "/invitations", "/log", "/log.csv", "/require", "/environments"):  # fmt: skip
        assert stranger.page.goto(organization + path).status == 404, path
    stranger.goes_to("/account")
    stranger.page.get_by_role("button", name="Organizations").hover()
    assert stranger.page.get_by_role("link", name=f"Clinic {number_of(person)}", exact=True).count() == 0


class HereAndNow:
    """The portal in this process, whose clock can be moved."""

    name = "here"

    def __init__(self, url: str) -> None:
        self.url = url

    def codes_sent_to(self, address: str) -> int:
        return sum(" is your" in message.body for message in read_mail() if message.to == [address])

    def wait_for_code(self, address: str, *, after: int = 0) -> str:
        codes = [message.body[:6] for message in read_mail() if message.to == [address] and " is your" in message.body]
        assert len(codes) > after
        return codes[-1]


@pytest.fixture
def here(chromium, live_server):
    return HereAndNow(live_server.url)


def signs_in(person: Person) -> None:
    """Sign in with the password, and with the code that is due."""
    person.page.context.clear_cookies()
    person.goes_to("/account/login")
    person.page.get_by_label("Username or Email").fill(person.address)
    person.page.get_by_label("Password").fill(PASSWORD)
    before = person.stack.codes_sent_to(person.address)
    person.clicks("Submit")
    if "/login/otp" in person.page.url:
        user = User.objects.get(email=person.address)
        by_app = user.preferred_mode == "authenticator"
        person.types_code(app_code(user) if by_app else person.stack.wait_for_code(person.address, after=before))
        person.clicks("Submit")


@pytest.fixture
def clinic(here):
    """Olaf owns it, with an authenticator; Dana is a member, without."""
    clinic = Organization.objects.create(name="Clinic")
    for name, role in (("olaf", Role.OWNER), ("dana", Role.MEMBER)):
        Membership.objects.create(organization=clinic, user=UserFactory(email=f"{name}@example.com"), role=role)
    add_mode(User.objects.get(email="olaf@example.com"), "authenticator")
    return clinic


def reminded() -> int:
    reminders.begin_due()
    reminders.fan_out()
    return sum("Clinic asks you" in message.subject for message in read_mail())


def test_a_grace_period_day_by_day(browser_window, here, clinic):
    """SR-41: from the announcement to the day on which it holds, though nobody clicks."""
    olaf, dana = (Person(browser_window(), here, address=f"{name}@example.com") for name in ("olaf", "dana"))
    page = f"/organizations/{clinic.pk}"

    with time_machine.travel("2026-12-01T09:00:00Z", tick=False) as clock:
        signs_in(olaf)
        olaf.goes_to(f"{page}/policy")
        olaf.page.get_by_label("Required from (UTC)").fill("2026-12-21")
        olaf.clicks("Save")
        olaf.reads("from 21 December 2026, 00:00 UTC")
        assert reminded() == 0
        clock.shift(300)  # the time to change one's mind
        assert reminded() == 1

        signs_in(dana)
        dana.reads("Clinic requires multi-factor authentication from 21 December 2026: 20 days left.")
        dana.goes_to(page)
        dana.reads("Your role: member")

        clock.move_to("2026-12-14T09:00:00Z")
        assert reminded() == 2
        signs_in(dana)
        dana.reads("7 days left.")

        clock.move_to("2026-12-20T15:00:00Z")
        assert reminded() == 3
        signs_in(dana)
        dana.reads("9 hours left.")
        dana.goes_to(page)
        dana.reads("Your role: member")

        clock.move_to("2026-12-21T00:00:01Z")  # she is at it when the day comes
        dana.page.reload()
        dana.reads("Multi-factor authentication is required")
        dana.reads("since 21 December 2026, 00:00 UTC")
        assert reminded() == 3

        dana.follows("Activate")
        dana.page.get_by_text("email", exact=True).click()
        dana.page.get_by_label("Username or Email").fill(dana.address)
        dana.page.get_by_label("Password").fill(PASSWORD)
        before = here.codes_sent_to(dana.address)
        dana.clicks("Activate")
        dana.types_code(here.wait_for_code(dana.address, after=before))
        dana.clicks("Complete MFA Activation")
        dana.goes_to(page)
        dana.reads("Your role: member")

        signs_in(olaf)
        olaf.goes_to(f"{page}/evidence")
        olaf.reads("Required without a break from 21 December 2026, 00:00 UTC")
        olaf.reads("2 of 2 members meet the policy.")


def test_an_owner_of_many_finds_one_by_touch_and_by_keyboard(browser_window, small):
    """The menu never lengthens the page, scrolls inside, and tells screen readers whether it is open."""
    person = Person(browser_window(viewport={"width": 390, "height": 500}, has_touch=True), small)
    person.signs_in()
    for number in range(9):
        person.goes_to("/organizations/new")
        person.page.get_by_label("Organization Name:").fill(f"Lab {number} of {'very ' * 8}long names")
        person.clicks("Create")
    person.goes_to("/account")
    page, menu = person.page, person.page.locator(".menu-panel")
    button = page.get_by_role("button", name="Organizations")
    height = page.evaluate("document.documentElement.scrollHeight")

    button.tap()
    assert button.get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.documentElement.scrollHeight") == height
    box = menu.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["y"] + box["height"] <= 500
    assert menu.evaluate("panel => panel.scrollHeight > panel.clientHeight")
    button.tap()
    assert menu.is_hidden()
    assert button.get_attribute("aria-expanded") == "false"

    page.keyboard.press("Enter")  # the touch has left the focus on the button
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "All organizations"
    page.keyboard.press("Escape")
    assert menu.is_hidden()
    assert page.locator(":focus").inner_text() == "Organizations"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    person.page.get_by_label("Search for an organization").fill("LAB 7")
    person.clicks("Search")
    assert page.locator("main .rows a").all_inner_texts() == [f"Lab 7 of {'very ' * 8}long names"]


def test_an_owner_removes_those_who_match_and_watches(members):
    """A worker removes them while the page follows, without being loaded again."""
    person, member, organization = members
    person.page.goto(f"{organization}/members?mfa=member&q={member.address.split('@')[0]}")

    person.clicks("Remove all members who match")
    person.reads("Remove 1 member?")
    person.clicks("Remove these members")

    person.reads("Removed: 1 of 1.")
    assert member.page.goto(organization).status == 404


def test_an_owner_plans_the_deletion_and_keeps_the_organization(members):
    person, member, organization = members
    person.follows("Settings")
    person.follows("Delete this organization")
    person.clicks("Delete this organization")
    person.reads("Every owner can undo it.")
    member.page.goto(organization)
    member.reads("will be deleted on")

    person.clicks("Keep this organization")

    person.reads("will not be deleted.")


def test_members_ticked_on_two_pages_of_the_list_are_acted_on_together(browser_window, small):
    person = Person(browser_window(), small)
    person.signs_in()
    organization = goes_to_own_organization(person)
    small.manage("shell", "--verbosity", "0", "--command", CROWD.format(organization=organization.rsplit("/", 1)[-1]))
    page = person.page
    page.goto(f"{organization}/members?q=temp")
    person.reads("To act on all members who match, on every page")
    assert not page.get_by_text("It is lost when you go to another page").is_visible()

    page.get_by_label("temp03@example.com").check()
    person.reads("Selected: 1")
    person.follows("Next")
    person.reads("Selected: 1, of them 1 not on this page.")
    page.get_by_label("temp30@example.com").check()
    page.get_by_label("Search for a user").fill("temp5")
    person.clicks("Search")
    page.get_by_label("Select all on this page").check()
    person.reads("Selected: 12, of them 2 not on this page.")
    person.clicks("Remove chosen members")
    person.reads("temp03@example.com, temp30@example.com, temp50@example.com")
    person.follows("Cancel")
    person.reads("Selected: 12, of them 2 not on this page.")
    person.clicks("Remove chosen members")
    person.clicks("Remove these members")
    person.reads("12 members are removed.")
    page.goto(f"{organization}/members?q=temp")
    person.reads("Select all on this page")
    expect(page.get_by_text("Clear the selection")).not_to_be_visible()

    page.get_by_label("Select all on this page").check()
    person.reads("Selected: 25")
    person.follows("Next")
    person.clicks("Clear the selection")
    person.follows("Previous")
    assert page.locator("input[name=user]:checked").count() == 0
