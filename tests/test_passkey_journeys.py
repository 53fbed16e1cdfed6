"""Passkeys in a real browser, with authenticators that Chromium makes up, under the portal's own policies."""

import pytest
from playwright.sync_api import expect

from tests.cli import Cli
from tests.people import Person
from tests.stack import PASSWORD
from tests.virtual_authenticators import Authenticators, VirtualAuthenticator

pytestmark = pytest.mark.browser

ENABLED = "Multi-factor Authentication successfully enabled!"
BY_PASSKEY = "Sign in with a passkey"
PROMPT = "Multi-factor authentication type:"
NOT_USED = "No passkey was used: it was cancelled, took too long, or this device has none for this account."
NEEDS_SCRIPTS = "Passkeys need a browser that knows them, with scripts switched on."
OWN = "/account/mfa/passkeys"


def uses(person: Person, authenticator: VirtualAuthenticator, button: str) -> None:
    """Click a button, touch the authenticator, and wait for the page after it."""
    with authenticator.touched(), person.page.expect_navigation():
        person.page.get_by_role("button", name=button, exact=True).click()


def fails(person: Person, authenticator: VirtualAuthenticator, button: str, sentence: str) -> None:
    """Click a button, touch the authenticator, and read on the same page why it did not work."""
    with authenticator.touched():
        person.page.get_by_role("button", name=button, exact=True).click()
        person.reads(sentence)
    expect(person.page.locator("[data-passkey-failure]:visible")).to_have_count(1)
    expect(person.page.get_by_role("button", name=button, exact=True)).to_be_enabled()


def activates_passkey(person: Person, authenticator: VirtualAuthenticator) -> None:
    person.goes_to("/account/mfa/activate?type=passkey")
    person.gives_credentials("Activate")
    person.confirms_mailbox()
    uses(person, authenticator, "Complete MFA Activation")
    person.reads(ENABLED)


def adds_passkey(person: Person, authenticator: VirtualAuthenticator) -> None:
    person.goes_to(f"{OWN}/add")
    person.clicks("Add a passkey")
    uses(person, authenticator, "Complete MFA Activation")
    person.reads(ENABLED)


def signs_out(person: Person) -> None:
    person.clicks("Log Out")
    person.reads("You have been signed out.")


def scripts_of_passkeys(person: Person) -> int:
    return person.page.locator("script[src*=passkeys]").count()


def stays_open(person: Person) -> None:
    """Leave the sign-in page open until it has asked the server for another ceremony. The clock is the page's."""
    form = person.page.locator("form[data-autofill]")
    before = form.get_attribute("data-options") or ""
    person.page.clock.fast_forward("04:30")
    expect(form).not_to_have_attribute("data-options", before)


@pytest.fixture
def authenticators(person):
    return Authenticators(person.page)


@pytest.fixture
def phone(authenticators, person):
    """The phone with the passkey that is the person's only mode."""
    made = authenticators.phone()
    activates_passkey(person, made)
    return made


def test_i_sign_in_with_password_and_passkey_and_confirm_with_it(person, phone):
    assert person.page.url.endswith("/account/login")
    person.gives_credentials()
    person.reads(f"{PROMPT} passkey")
    person.follows("Use a recovery code")
    assert not scripts_of_passkeys(person)
    person.follows("Use a passkey")

    uses(person, phone, "Use a passkey")

    person.reads("Welcome")
    assert not scripts_of_passkeys(person)
    person.goes_to("/account/confirm?next=/account/sessions")
    person.reads("Confirm that it is you to continue.")
    uses(person, phone, "Use a passkey")
    assert person.page.url == f"{person.stack.url}/account/sessions"
    person.reads("passkey")
    for path in ("/account/security-log", "/account/mfa/activate", "/help/mfa"):
        person.goes_to(path)
        assert not scripts_of_passkeys(person), path


def test_i_sign_in_with_the_passkey_alone(person, phone):
    person.goes_to("/account/login?next=/account/view")
    uses(person, phone, BY_PASSKEY)
    assert person.page.url == f"{person.stack.url}/account/view"
    signs_out(person)

    person.goes_to("/account/login")
    uses(person, phone, BY_PASSKEY)
    assert person.page.url == f"{person.stack.url}/account"
    signs_out(person)

    with phone.chosen_from_autofill():
        person.goes_to("/account/login?next=/account/sessions")
        person.reads("Log Out")
    assert person.page.url == f"{person.stack.url}/account/sessions"


def test_i_switch_to_my_passkey_and_away_from_it(person, authenticators, portal, browser_window):
    person.activates_email()
    person.signs_in()
    phone = authenticators.phone()
    adds_passkey(person, phone)
    signs_out(person)
    person.gives_credentials()
    person.reads(f"{PROMPT} passkey")
    person.clicks("email")
    person.reads(f"{PROMPT} email")
    person.clicks("passkey")
    person.reads(f"{PROMPT} passkey")
    uses(person, phone, "Use a passkey")
    person.reads("Welcome")

    elsewhere = Person(browser_window(java_script_enabled=False), portal, address=person.address)
    elsewhere.goes_to("/account/login")
    assert not elsewhere.page.get_by_role("button", name=BY_PASSKEY).is_visible()
    before = portal.codes_sent_to(person.address)
    elsewhere.gives_credentials()
    elsewhere.reads(f"{NEEDS_SCRIPTS} This one cannot use a passkey here: choose another way.")
    assert not elsewhere.page.get_by_role("button", name="Use a passkey").is_visible()
    elsewhere.clicks("email")
    elsewhere.types_code(portal.wait_for_code(person.address, after=before))
    elsewhere.clicks("Submit")
    elsewhere.reads("Welcome")
    elsewhere.goes_to(OWN)
    elsewhere.reads("synced")


def test_i_add_a_second_device_and_remove_the_first(person, phone, authenticators):
    uses(person, phone, BY_PASSKEY)
    adds = f"{OWN}/add"
    person.goes_to(adds)
    person.clicks("Add a passkey")
    fails(person, phone, "Complete MFA Activation", "This device or security key already holds a passkey")
    key = authenticators.security_key()
    uses(person, key, "Complete MFA Activation")
    person.reads(ENABLED)
    rows = person.page.locator(".rows li")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("synced")
    expect(rows.nth(1)).to_contain_text("Security key")
    expect(rows.nth(1)).to_contain_text("this device only")

    rows.nth(1).get_by_role("link", name="Rename").click()
    person.page.get_by_label("Name of the passkey").fill("Key in the drawer")
    person.clicks("Save")
    person.reads("The passkey is now called Key in the drawer.")
    assert len(phone.credentials()) == 1
    rows.nth(0).get_by_role("link", name="Remove").click()
    person.clicks("Remove")
    person.reads("is removed.")
    expect(rows).to_have_count(1)

    phone.waits_until_it_holds(0)  # the page has told it
    assert len(key.credentials()) == 1
    signs_out(person)
    fails(person, key, BY_PASSKEY, NOT_USED)  # it has no PIN, and knows no accounts
    person.gives_credentials()
    uses(person, key, "Use a passkey")
    person.reads("Welcome")


def test_i_remove_my_last_passkey_and_my_phone_knows(person, phone):
    uses(person, phone, BY_PASSKEY)
    person.goes_to(OWN)
    person.follows("Remove")
    person.reads("This is your last mode")
    person.clicks("Disable")
    person.reads("Multi-factor authentication is now off.")
    phone.waits_until_it_holds(0)


def test_i_am_offered_a_passkey_after_a_code(person, authenticators):
    person.activates_email()
    phone = authenticators.phone()
    person.signs_in("/account/login?next=/account/sessions")
    person.reads("Sign in faster and safer with a passkey")
    person.clicks("Not now")
    assert person.page.url == f"{person.stack.url}/account/sessions"
    signs_out(person)
    person.signs_in()
    person.reads("Welcome")

    person.goes_to(f"{OWN}/offer")
    person.clicks("Add a passkey")
    uses(person, phone, "Complete MFA Activation")
    person.reads(ENABLED)


def test_what_does_not_work_is_said_and_can_be_tried_again(person, phone):
    """SR-58: no passkey without its user, none that was removed."""
    person.page.clock.install()
    person.page.reload()
    phone.verifies(right=False)
    fails(person, phone, BY_PASSKEY, NOT_USED)
    assert person.page.locator(":focus").inner_text() == BY_PASSKEY
    fails(person, phone, BY_PASSKEY, NOT_USED)
    phone.verifies(right=True)
    person.page.context.set_offline(True)
    person.page.clock.fast_forward("04:30")
    person.clicks(BY_PASSKEY)
    person.reads("The portal could not be reached. Check your connection and try again.")
    person.page.context.set_offline(False)
    uses(person, phone, BY_PASSKEY)
    person.reads("Welcome")

    other_tab = Person(person.page.context.new_page(), person.stack, address=person.address)
    other_tab.goes_to("/account/mfa/passkey/disable")
    other_tab.clicks("Disable")
    other_tab.reads("Multi-factor authentication is now off.")
    signs_out(person)
    assert len(phone.credentials()) == 1  # it belongs to this tab
    uses(person, phone, BY_PASSKEY)
    person.reads("This passkey no longer works here")
    phone.waits_until_it_holds(0)
    stays_open(person)
    person.reads("This passkey no longer works here")
    fails(person, phone, BY_PASSKEY, NOT_USED)
    person.gives_credentials()
    person.reads("Welcome")


def test_my_browser_shows_a_code_for_the_command_line(person, phone):
    def code_of_the_page() -> str:
        person.goes_to("/account/cli-code")
        uses(person, phone, BY_PASSKEY)
        person.clicks("Show the code")
        return person.page.locator(".secret code").inner_text()

    cli = Cli(person.stack.url, person.address, PASSWORD)
    cli.otp = code_of_the_page
    cli.whoami()
    assert cli.is_signed_in()


def test_a_page_left_open_works(person, phone):
    page = person.page
    page.clock.install()
    person.goes_to("/account/login?next=/account/view")
    page.get_by_label("Password").fill("half a passw")
    stays_open(person)
    assert page.get_by_label("Password").input_value() == "half a passw"
    with phone.chosen_from_autofill():
        page.clock.fast_forward("04:30")
        person.reads("Log Out")
    assert page.url == f"{person.stack.url}/account/view"
    signs_out(person)

    person.gives_credentials()
    person.reads(f"{PROMPT} passkey")
    page.clock.fast_forward("04:30")
    with page.expect_response(lambda answer: answer.request.method == "GET" and answer.url.endswith("/login/otp")):
        uses(person, phone, "Use a passkey")
    person.reads("Welcome")
    signs_out(person)

    person.gives_credentials()
    other_tab = Person(page.context.new_page(), person.stack, address=person.address)
    other_tab.goes_to("/account/login/otp")
    other_tab.clicks("Cancel")
    page.clock.fast_forward("04:30")
    person.clicks("Use a passkey")
    person.reads("This sign-in has expired")
    assert page.url.endswith("/account/login")
