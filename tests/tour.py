"""A walk past every page, for those who look at each: the accessibility rules and the photographer."""

from collections.abc import Iterator
from datetime import date, timedelta

from tests.cli import Cli
from tests.people import Person
from tests.stack import PASSWORD
from tests.virtual_authenticators import Authenticators, VirtualAuthenticator

A_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl dana@laptop"

ENABLES_THE_APP = """
from accounts.models import User
from mfa.tests.factories import add_mode
add_mode(User.objects.get(pk="{member}"), "authenticator")
"""
DISABLES_THE_APP = """
from accounts.models import User
from mfa import factors
factors.remove_all(User.objects.get(pk="{member}"))
"""


def walk(person: Person) -> Iterator[str]:
    """Go from page to page; gives the name of each when it is shown. Ends with MFA on, in three modes."""
    authenticators = Authenticators(person.page)
    phone = authenticators.phone()
    yield from _as_a_stranger(person, phone)
    yield from _activating_email(person)
    yield from _in_the_settings(person)
    yield from _activating_the_app(person)
    yield from _adding_passkeys(person, phone, authenticators)
    yield from _at_the_prompt(person)
    yield from _recovery_codes(person)
    yield from _stepping_up(person)
    yield from _in_an_organization(person)


def walk_administration(person: Person) -> Iterator[str]:
    """Go from page to page of the administration; gives the name of each when it is shown."""
    person.activates_email()
    person.stack.manage("create_administrator", person.address, "--no-input", "--promote")
    person.signs_in()
    for path, name in (
        ("", "admin"),
        ("mail", "admin_mail"),
        ("accounts/user/", "admin_accounts"),
        ("organizations/organization/", "admin_organizations"),
        ("organizations/pod/", "admin_pods"),
        ("mfa/assistedreset/", "admin_resets"),
        ("organizations/environment/", "admin_environments"),
    ):
        person.goes_to(f"/admin/{path}")
        yield name
    person.follows("Add environment")
    yield "admin_add_environment"
    yield from _helping_a_user(person)
    yield from _looking_at_an_organization(person)


def _helping_a_user(person: Person) -> Iterator[str]:
    other = person.stack.somebody()
    person.goes_to("/admin/accounts/user/?q=person")
    yield "admin_accounts_found"
    person.goes_to(f"/admin/accounts/user/?q={other}")
    person.follows(other)
    yield "admin_person"
    person.follows("Make support staff")
    yield "admin_act"
    person.clicks("Make support staff")
    yield "admin_act_refused"
    person.page.get_by_label("Reason").fill("Joins the support team")
    person.clicks("Make support staff")
    person.reads("The account is support staff.")
    yield "admin_person_changed"
    person.follows("Disable the account")
    yield "admin_dangerous_act"
    person.follows("Cancel")
    person.follows("History")
    yield "admin_history"


def _looking_at_an_organization(person: Person) -> Iterator[str]:
    person.goes_to("/admin/organizations/organization/?q=clinic 1")
    person.page.get_by_role("link", name="Clinic 1", exact=True).click()
    yield "admin_organization"
    person.follows("Rename")
    yield "admin_rename"
    person.follows("Cancel")
    person.clicks("Find members")
    yield "admin_members"
    person.goes_to("/admin/organizations/environment/?q=clinic-1")
    person.page.get_by_role("link", name="clinic-1", exact=True).click()
    yield "admin_environment"
    person.follows("Remove")
    yield "admin_remove_environment"


def _as_a_stranger(person: Person, phone: VirtualAuthenticator) -> Iterator[str]:
    for path, name in (
        ("/account/login", "login"),
        ("/account/register", "register"),
        ("/account/password/reset", "password_reset"),
        ("/help/mfa", "help"),
        ("/help/mfa-troubleshooting", "help_troubleshooting"),
        ("/help/owners", "help_owners"),
        ("/help/search?q=lost+phone", "help_search"),
        ("/nowhere", "not_found"),
    ):
        person.goes_to(path)
        yield name
    person.goes_to("/account/login")
    person.page.get_by_label("Username or Email").fill("nobody")
    person.page.get_by_label("Password").fill("wrong")
    person.clicks("Submit")
    yield "login_refused"
    with phone.touched():
        person.clicks("Sign in with a passkey")
        person.reads("No passkey was used")
    yield "login_passkey_refused"
    person.goes_to("/account/password/reset")
    person.page.get_by_label("Username or Email").fill("nobody")
    person.clicks("Send code")
    yield "password_reset_complete"
    person.goes_to("/account/register")
    person.page.get_by_label("Email:").fill(f"new.{person.address}")
    person.page.get_by_label("Password:", exact=True).fill(PASSWORD)
    person.page.get_by_label("Confirm Password:").fill(PASSWORD)
    person.clicks("Register")
    person.reads("Enter the code from the email that we sent to the address you entered.")
    yield "verify_email"
    person.goes_to("/account/mfa/activate?type=authenticator")
    person.gives_credentials("Activate")
    person.reads("Confirm your email")
    yield "confirm_mailbox"
    person.stack.wait_for_code(person.address)  # else it is taken for the next one


def _activating_email(person: Person) -> Iterator[str]:
    person.goes_to("/account/mfa/activate")
    person.page.get_by_text("email", exact=True).click()
    yield "activate_email"
    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials("Activate")
    yield "complete_email"
    code = person.stack.wait_for_code(person.address, after=before)
    person.types_code("12")
    person.clicks("Complete MFA Activation")
    yield "complete_email_refused"
    person.types_code(code)
    person.clicks("Complete MFA Activation")
    yield "mfa_success"


def _in_the_settings(person: Person) -> Iterator[str]:
    person.signs_in()
    yield "offer_passkey"
    person.clicks("Not now")
    yield "dashboard"
    for path, name in (
        ("/account/view", "settings"),
        ("/account/view?mfa=open", "settings_mfa"),
        ("/account/profile", "profile_edit"),
        ("/account/password/change", "password_change"),
        ("/account/sessions", "sessions"),
        ("/account/security-log", "security_log"),
        ("/account/email", "change_email"),
        ("/account/mfa/reset", "confirm_reset"),
        ("/account/email/undo/forged", "undo_email_over"),
        ("/account/sessions/end-others", "end_other_sessions"),
        ("/account/time-zone", "time_zone"),
        ("/account/notices", "notices"),
        ("/account/data", "data"),
        ("/account/delete", "delete_account"),
        ("/account/delete/undo/forged", "keep_account_over"),
        ("/account/accept-invite", "invitation_over"),
        ("/account/mfa/email/disable", "disable"),
        ("/account/cli-code", "cli_code"),
        ("/organizations", "organizations"),
        ("/organizations/new", "create_organization"),
    ):
        person.goes_to(path)
        yield name
    person.page.get_by_role("button", name="Organizations").focus()
    person.page.locator(".menu-panel").wait_for(state="visible")
    yield "organizations_menu"


def _activating_the_app(person: Person) -> Iterator[str]:
    person.goes_to("/account/view?mfa=open")
    person.clicks("Enable", about="authenticator")
    yield "enable"
    person.clicks("Enable")
    yield "activate_authenticator"
    person.gives_credentials("Activate")
    person.scans_the_picture()
    yield "complete_authenticator"
    person.types_code(person.reads_phone())
    person.clicks("Complete MFA Activation")
    yield "settings_both_modes"


def _adding_passkeys(person: Person, phone: VirtualAuthenticator, authenticators: Authenticators) -> Iterator[str]:
    person.goes_to("/account/mfa/passkeys")
    yield "passkeys_none"
    person.clicks("Add a passkey")
    yield "add_passkey"
    person.clicks("Add a passkey")
    yield "complete_passkey"
    with phone.touched():
        _keeps_preferred(person)
        person.reads("These passkeys sign you in")
    person.clicks("Add a passkey")
    person.clicks("Add a passkey")
    with phone.touched():
        _keeps_preferred(person)
        person.reads("This device or security key already holds")
    yield "complete_passkey_refused"
    with authenticators.security_key().touched():
        _keeps_preferred(person)
        person.reads("this device only")
    yield "passkeys"
    person.page.get_by_role("link", name="Rename").first.click()
    yield "rename_passkey"
    person.follows("Cancel")
    person.page.get_by_role("link", name="Remove").first.click()
    yield "remove_passkey"
    person.goes_to("/account/view?mfa=open")
    yield "settings_all_modes"


def _keeps_preferred(person: Person) -> None:
    """Complete the activation of a passkey. The preferred mode stays."""
    person.page.get_by_label("Set as preferred:").uncheck()
    person.clicks("Complete MFA Activation")


def _at_the_prompt(person: Person) -> Iterator[str]:
    person.clicks("Log Out")
    person.gives_credentials()
    yield "prompt_authenticator"
    person.follows("Use a recovery code")
    yield "prompt_recovery"
    person.follows("Use a one-time password")
    person.clicks("passkey")
    yield "prompt_passkey"
    before = person.stack.codes_sent_to(person.address)
    person.clicks("email")
    yield "prompt_email"
    person.types_code(person.stack.wait_for_code(person.address, after=before))
    person.page.get_by_label("Remember this browser").check()
    person.clicks("Submit")
    person.reads("Welcome")
    person.goes_to("/account/sessions")
    yield "sessions_remembered"
    person.goes_to("/account/email")
    person.page.get_by_label("New email address").fill(f"new.{person.address}")
    person.clicks("Send code")
    yield "confirm_email"


def _recovery_codes(person: Person) -> Iterator[str]:
    person.goes_to("/account/mfa/recovery-codes")
    yield "recovery_codes"
    person.clicks("Make recovery codes")
    yield "recovery_codes_made"
    code = person.page.locator(".codes code").first.inner_text()
    person.page.get_by_label("Type one of them back").fill("wrong")
    person.clicks("I have saved the codes")
    yield "recovery_codes_refused"
    person.page.get_by_label("Type one of them back").fill(code)
    person.clicks("I have saved the codes")
    yield "settings_recovery"


def _stepping_up(person: Person) -> Iterator[str]:
    person.goes_to("/account/confirm?next=/account/view")
    yield "step_up_authenticator"
    person.clicks("passkey")
    yield "step_up_passkey"
    person.clicks("email")
    yield "step_up_email"


def _in_an_organization(person: Person) -> Iterator[str]:
    number = int(person.address.removeprefix("person").split("@")[0])
    person.goes_to("/account")
    person.page.get_by_role("button", name="Organizations").hover()
    person.page.locator(".menu-panel").get_by_role("link", name=f"Clinic {number}", exact=True).click()
    yield "organization"
    yield from _members_and_policy(person, person.page.url)
    person.follows("Environments")
    yield "environments"
    person.follows("Rename")
    yield "rename_environment"
    person.follows("Cancel")
    person.follows("Remove")
    yield "remove_environment"
    person.follows("Cancel")
    person.follows("Back to the organization")
    person.clicks("Require")
    yield "organization_required"
    person.follows("Accepted modes and start date")
    yield "policy_required"
    person.follows("Cancel")
    person.follows("Security log")
    yield "organization_log"
    yield from _deleting_it(person)
    person.follows("Overview")
    person.follows("Leave this organization")
    yield "leave"
    member = Person(person.page, person.stack, address=f"person{number + 1}@example.com")
    person.goes_to("/account")
    person.clicks("Log Out")
    yield from _invited(member)
    member.goes_to("/account/login")
    member.gives_credentials()
    yield "mfa_required"
    member.follows("Your organizations' rules")
    yield "asked_of_me"
    member.goes_to("/account/mfa/activate")
    yield "activate_when_required"
    if person.stack.mail_folder:
        member.goes_to("/development/inbox")
        yield "inbox"
        member.page.locator(".rows a").first.click()
        yield "inbox_mail"


def _deleting_it(person: Person) -> Iterator[str]:
    person.follows("Settings")
    yield "organization_settings"
    person.follows("Delete this organization")
    yield "delete_organization"
    person.clicks("Delete this organization")
    yield "organization_settings_deletion"
    person.clicks("Keep this organization")


def _members_and_policy(person: Person, organization: str) -> Iterator[str]:
    person.page.get_by_text("What would happen to these members").click()
    yield "organization_consequences"
    person.follows("Members and invitations")
    yield "members"
    person.page.get_by_label("Email:").fill(", ".join(f"{n}.{person.address}" for n in "abcdefgh") + ", broken@")
    person.clicks("Send")
    yield "invitations_refused"
    person.follows("Members")
    yield "members_invited"
    person.page.get_by_role("checkbox").first.check()
    person.clicks("Remove chosen members")
    yield "remove_members"
    person.follows("Cancel")
    person.page.goto(f"{organization}/members?q=nobody&mfa=all")
    yield "members_none"
    person.page.goto(f"{organization}/members?mfa=owner")
    person.clicks("Remove all members who match")
    person.clicks("Remove these members")
    yield "removal"
    person.page.goto(f"{organization}/members")
    person.follows("All pending invites")
    yield "invitations"
    person.page.go_back()
    person.page.get_by_role("link", name="Edit").last.click()
    yield "member"
    person.page.get_by_label("Reason").fill("nightly backup")
    person.page.get_by_label("Until (UTC)").fill(f"{date.today() + timedelta(days=30):%Y-%m-%d}")
    person.clicks("Exempt")
    yield "member_exempt"
    person.page.goto(f"{organization}/exemptions")
    yield "exemptions"
    person.follows("Edit")
    person.clicks("End the exemption")
    yield from _helping_a_member(person)
    person.page.goto(organization)
    person.follows("Accepted modes and start date")
    yield "policy"
    person.follows("Rehearsal")
    person.clicks("Set rehearsal")
    yield "rehearsal"
    person.page.goto(f"{organization}/require")
    yield "require"
    person.page.goto(organization)
    person.follows("MFA progress, reminders and evidence")
    yield "compliance"
    person.follows("Evidence for auditors")
    yield "evidence"
    person.page.goto(organization)


def _helping_a_member(person: Person) -> Iterator[str]:
    """Only who has a mode can have lost it; without it, the member signs in again below."""
    member = person.page.url.split("/members/")[1].split("?")[0].strip("/")
    person.stack.manage("shell", "--verbosity", "0", "--command", ENABLES_THE_APP.format(member=member))
    person.page.reload()
    person.follows("Reset lost multi-factor authentication")
    yield "assisted_reset"
    person.stack.manage("shell", "--verbosity", "0", "--command", DISABLES_THE_APP.format(member=member))


def _invited(owner: Person) -> Iterator[str]:
    cli = Cli(owner.stack.url, owner.address, PASSWORD)
    cli.signs_in()
    cli.keys_add("laptop", A_KEY)
    own = owner.address.split("@")[0].replace("person", "clinic-")
    (organization,) = [row["organizationId"] for row in cli.must("GET", "/environments").json if row["name"] == own]
    cli.invites_send(organization, f"invited.by.{owner.address}")
    owner.page.goto(owner.stack.wait_for_link(f"invited.by.{owner.address}"))
    yield "invitation"
