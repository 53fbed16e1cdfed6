"""The guide's section on the command line, on both stacks, with real mail and a browser beside the terminal."""

import re

import pytest

from tests.cli import Cli, FatalError
from tests.people import Person
from tests.stack import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
def cli(person):
    return Cli(person.stack.url, person.address, PASSWORD)


def test_the_code_of_the_mail_signs_in_at_the_command_line(person, cli):
    person.activates_email()
    before = person.stack.codes_sent_to(person.address)
    cli.otp = lambda: person.stack.wait_for_code(person.address, after=before)

    cli.environments_list()

    assert cli.mfa_type == "email"
    assert [line for line in cli.printed if re.fullmatch(r"clinic-\d+: [0-9a-f-]{36}", line)]


def test_sessions_of_both_doors_are_seen_and_ended_on_one_page(person, cli):
    cli.whoami()
    person.signs_in()
    page = person.page
    person.goes_to("/account/view")
    page.get_by_role("link", name="Show sessions and keys", exact=True).click()
    person.reads("datica command line 4.4.1 on Linux")
    person.reads("this session")

    page.get_by_role("button", name="Sign out", exact=True).click()
    person.reads("That session is signed out.")

    assert not cli.is_signed_in()
    cli.whoami()
    person.goes_to("/account/sessions")
    person.clicks("Sign out all other sessions")
    person.reads("All other sessions are signed out.")
    assert not cli.is_signed_in()


def test_an_invitation_from_the_command_line_is_accepted_in_the_browser(browser_window, person, cli):
    invited = Person(browser_window(), person.stack)
    cli.signs_in()
    own = next(row for row in cli.must("GET", "/environments").json if row["name"] == f"clinic-{_number(person)}")
    cli.invites_send(own["organizationId"], invited.address)
    link = person.stack.wait_for_link(invited.address)

    invited.page.goto(link)
    assert "code=" not in invited.page.url
    invited.follows("Sign in to accept")
    invited.gives_credentials()
    invited.clicks("Accept invitation")
    invited.reads("You are now a member of Clinic")

    cli.users_list(own["organizationId"])
    assert f"{invited.address} members" in cli.printed


def _number(person) -> str:
    return re.sub(r"\D", "", person.address)


def test_a_requirement_stops_the_command_line_until_mfa_is_on(person, cli):
    """SR-41: also a token made before."""
    person.activates_email()
    person.signs_in()
    page = person.page
    page.get_by_role("button", name="Organizations").hover()
    page.get_by_role("link", name=f"Clinic {_number(person)}", exact=True).click()
    organization = page.url.rsplit("/", 1)[1]
    member = f"person{int(_number(person)) + 1}@example.com"
    members = Cli(person.stack.url, member, PASSWORD)
    members.users_list(organization)

    person.clicks("Require")
    person.reads("REQUIRED")

    where = f"{person.stack.url}/account/mfa/activate"
    with pytest.raises(FatalError, match=rf"^\[fatal\] \(4031\) .* Activate it at {where} and sign in again\.$"):
        members.users_list(organization)
    person.clicks("Stop requiring")
    members.users_list(organization)


def test_the_document_of_the_api_is_shown_without_outside_assets(browser_window, small):
    asked = []
    page = browser_window()
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{small.url}/api/docs")
    page.get_by_text("/auth/signin/mfa/{mfa_id}").wait_for()

    assert [url for url in asked if not url.startswith((small.url, "data:"))] == []
