"""Every journey of the user guide in a real browser, on both stacks, with real mail and a real QR code."""

import re

import pytest
from playwright.sync_api import expect

from tests.people import Person
from tests.stack import PASSWORD, text_of

pytestmark = pytest.mark.browser
ACCEPTED = re.compile(r"sent \d\d:\d\d:\d\d \S+ · accepted by a mail server \d\d:\d\d:\d\d \S+")


def test_i_register_verify_and_sign_in(browser_window, portal):
    person = Person(browser_window(), portal, address=f"new.{portal.name}@example.com")
    page = person.page
    person.goes_to("/account/login")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email:").fill(person.address)
    page.get_by_label("Password:", exact=True).fill(PASSWORD)
    page.get_by_label("Confirm Password:").fill(PASSWORD)
    person.clicks("Register")
    page.get_by_label("Code from the email").fill(portal.wait_for_code(person.address))
    person.clicks("Verify")
    person.reads("Your email address is verified, and you are signed in.")
    person.reads(f"Welcome, {person.address}")
    person.clicks("Log Out")
    person.gives_credentials()
    person.reads(f"Welcome, {person.address}")


def test_i_activate_email_and_sign_in_with_it(person):
    person.activates_email()
    assert person.page.url.endswith("/account/login")

    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials(identifier=person.address.split("@")[0].upper())
    person.reads("Multi-factor authentication type: email")
    person.reads(re.compile(r"sent \d\d:\d\d:\d\d .*accepted"))  # the page asks for it while the user waits
    code = person.stack.wait_for_code(person.address, after=before)
    person.types_code(f" {code[:3]} {code[3:]} ")
    person.clicks("Submit")

    assert person.page.url == f"{person.stack.url}/account"
    notices = [mail for mail in person.stack.mails_to(person.address) if "enabled" in str(mail["Subject"])]
    assert re.search(r"127\.0\.0\.1|::1", text_of(notices[0]))  # what a browser takes localhost for


def test_i_add_my_app_switch_at_the_prompt_prefer_and_disable(person):
    person.activates_email()
    person.signs_in("/account/login?next=/account/view")
    page = person.page

    page.get_by_text("MFA: ENABLED").click()
    person.clicks("Enable", about="authenticator")
    person.reads("Enable the authenticator mode?")
    person.clicks("Enable")
    assert page.get_by_role("radio", name="authenticator").is_checked()
    person.gives_credentials("Activate")
    uri = person.scans_the_picture()
    assert uri.startswith(f"otpauth://totp/Datica:{person.address.replace('@', '%40')}?")
    assert person.phone
    assert person.phone.secret == page.locator("#secret").inner_text().replace(" ", "")
    person.types_code(person.reads_phone())
    assert page.get_by_label("Set as preferred:").is_checked()
    person.clicks("Complete MFA Activation")
    person.reads("Multi-factor Authentication successfully enabled!")
    assert re.search(r"authenticator\s+preferred", page.inner_text("#mfa"))
    person.clicks("Log Out")

    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials()
    person.reads("Multi-factor authentication type: authenticator")
    person.reads("Change Multi-factor authentication type to:")
    person.clicks("email")
    person.reads("Multi-factor authentication type: email")
    person.types_code(person.stack.wait_for_code(person.address, after=before))
    person.clicks("Submit")

    person.goes_to("/account/view?mfa=open")
    assert re.search(r"authenticator\s+preferred", page.inner_text("#mfa"))
    person.clicks("Make Preferred")
    person.reads("Your preferred mode is now email.")
    page.get_by_role("button", name="Disable").last.click()
    person.reads("You will then sign in with: authenticator.")
    person.clicks("Disable")
    person.reads("The email mode is disabled.")
    person.clicks("Disable")
    person.reads("This is your last mode")
    person.clicks("Disable")
    person.reads("MFA: DISABLED")


def test_i_sign_in_with_my_app_alone(person):
    person.goes_to("/account/mfa/activate?type=authenticator")
    person.gives_credentials("Activate")
    person.confirms_mailbox()
    person.scans_the_picture()
    person.types_code(person.reads_phone())
    person.clicks("Complete MFA Activation")
    person.reads("Multi-factor Authentication successfully enabled!")

    person.gives_credentials()
    person.types_code(person.last_code)
    person.clicks("Submit")
    person.reads("That code was already used.")
    person.types_code(person.reads_phone())
    person.clicks("Submit")

    person.reads("Welcome")


def test_i_ask_for_the_code_again_and_both_mails_work(person):
    person.activates_email()
    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials()
    first = person.stack.wait_for_code(person.address, after=before)

    again = person.page.get_by_role("button", name="Send the code again")
    assert again.is_disabled()
    person.reads(re.compile(r"Send the code again \(\d+ s\)"))
    expect(again).to_be_enabled()
    again.click()
    second = person.stack.wait_for_code(person.address, after=before + 1)

    person.reads("We sent 2 emails")
    assert first == second
    person.types_code(first)
    person.clicks("Submit")
    person.reads("Welcome")


def test_i_get_a_new_password_and_the_code_is_still_asked(person):
    person.activates_email()
    person.goes_to("/account/login")
    person.page.get_by_role("link", name="Reset your password").click()
    before = person.stack.codes_sent_to(person.address)
    person.page.get_by_label("Username or Email").fill(person.address)
    person.clicks("Send code")
    person.page.get_by_label("Code from the email").fill(person.stack.wait_for_code(person.address, after=before))
    person.page.get_by_label("New password", exact=True).fill("another quiet harbour")
    person.page.get_by_label("Confirm new password").fill("another quiet harbour")
    person.clicks("Change password")
    person.reads("Your password is changed. Sign in with the new password.")

    person.page.get_by_label("Username or Email").fill(person.address)
    person.page.get_by_label("Password").fill("another quiet harbour")
    person.clicks("Submit")

    assert person.page.url.endswith("/account/login/otp")


def test_an_owner_requires_mfa_and_a_member_is_led_to_it(person, portal, browser_window):
    number = int(re.findall(r"\d+", person.address)[0])
    member = Person(browser_window(), portal, address=f"person{number + 1}@example.com")
    member.signs_in()

    person.signs_in()
    person.page.get_by_role("button", name="Organizations").hover()
    person.follows(f"Clinic {number}")
    person.reads("NOT REQUIRED")
    person.clicks("Require")
    person.reads("Enable multi-factor authentication for your own account")
    person.activates_email()
    person.goes_to("/account")
    person.page.get_by_role("button", name="Organizations").hover()
    person.follows(f"Clinic {number}")
    person.clicks("Require")
    person.reads("Stop requiring")

    member.goes_to("/account")
    member.reads(f"Clinic {number}")
    member.reads("Multi-factor authentication is required")
    member.follows("Activate")
    member.activates_email()
    member.goes_to("/account/view?mfa=open")
    member.clicks("Disable")
    member.clicks("Disable")
    member.reads(f"It is required by: Clinic {number}.")


def test_it_all_works_without_javascript(portal, browser_window):
    person = Person(browser_window(java_script_enabled=False), portal)
    person.activates_email()
    person.signs_in()
    person.goes_to("/account/view")
    person.page.get_by_text("MFA: ENABLED").click()
    person.clicks("Disable")
    person.clicks("Disable")
    person.reads("MFA: DISABLED")


def test_the_line_at_the_prompt_follows_the_mail(person):
    person.activates_email()
    person.gives_credentials()
    page = person.page
    page.evaluate("document.body.dataset.shown = 'once'")

    expect(page.get_by_role("status").filter(has_text="sent")).to_have_text(ACCEPTED, timeout=30_000)

    assert page.evaluate("document.body.dataset.shown") == "once"  # it was not loaded again
    expect(page.get_by_role("link", name="Look again")).to_be_hidden()


def test_without_javascript_a_link_asks_where_the_mail_is(portal, browser_window):
    person = Person(browser_window(java_script_enabled=False), portal)
    person.activates_email()
    before = portal.codes_sent_to(person.address)
    person.gives_credentials()
    portal.wait_for_code(person.address, after=before)

    for _look in range(20):  # the mail server has it a moment before the portal knows
        person.follows("Look again")
        if ACCEPTED.search(person.page.get_by_role("status").filter(has_text="sent").inner_text()):
            break
        person.page.wait_for_timeout(500)

    expect(person.page.get_by_role("status").filter(has_text="sent")).to_have_text(ACCEPTED)
    assert person.page.url.endswith("/account/login/otp")


def test_it_all_works_by_keyboard(person):
    page = person.page
    person.goes_to("/account/login")
    page.get_by_label("Username or Email").focus()
    page.keyboard.type(person.address)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    person.reads("Welcome")

    page.get_by_role("button", name="Organizations").focus()
    page.get_by_role("link", name="Clinic").first.wait_for()
    page.keyboard.press("Escape")
    page.locator(".menu-panel").wait_for(state="hidden")

    person.goes_to("/account/view")
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Enable").first.is_visible()


def test_on_a_phone_the_menu_opens_by_touch_and_nothing_is_cut_off(portal, browser_window):
    page = browser_window(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    person = Person(page, portal)
    person.signs_in()

    page.get_by_role("button", name="Organizations").tap()

    assert page.locator(".menu-panel").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_double_click_on_submit_signs_in_once(person):
    person.activates_email()
    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials()
    person.types_code(person.stack.wait_for_code(person.address, after=before))

    person.page.get_by_role("button", name="Submit").dblclick()

    person.reads("Welcome")


def test_the_back_button_after_signing_in_leads_on_not_into_a_wall(person):
    person.activates_email()
    person.signs_in()

    person.page.go_back()
    person.page.reload()

    assert person.page.url == f"{person.stack.url}/account"


def test_two_tabs_at_the_prompt_end_signed_in(person):
    person.activates_email()
    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials()
    other = person.page.context.new_page()
    other.goto(f"{person.stack.url}/account/login/otp")
    person.types_code(person.stack.wait_for_code(person.address, after=before))
    person.clicks("Submit")
    person.reads("Welcome")

    other.get_by_label("One Time Password").fill("123456")
    other.get_by_role("button", name="Submit").click()

    assert "Please open the page again" in other.inner_text("main") or other.url == f"{person.stack.url}/account"


def test_no_code_and_no_password_is_in_the_logs(portal, browser_window):
    """SR-19."""
    person = Person(browser_window(), portal)
    person.activates_email()
    before = portal.codes_sent_to(person.address)
    person.gives_credentials()
    code = portal.wait_for_code(person.address, after=before)
    person.types_code(code)
    person.clicks("Submit")
    person.reads("Welcome")

    log = portal.log.read_text()
    if portal.name == "large":  # the small one prints its mails, by design
        assert code not in log
    assert PASSWORD not in log


def test_an_owner_invites_a_stranger_who_registers_and_joins(person, portal, browser_window):
    person.activates_email()
    person.signs_in()
    person.goes_to("/organizations")
    number = person.address.removeprefix("person").split("@")[0]
    person.page.locator("main").get_by_role("link", name=f"Clinic {number}", exact=True).click()
    person.follows("Members and invitations")
    guest = Person(browser_window(), portal, address=f"guest.of.{person.address}")
    person.page.get_by_label("Email:").fill(guest.address)
    person.clicks("Send")
    person.reads("1 invitation is on its way.")

    guest.page.goto(portal.wait_for_link(guest.address))
    guest.follows("Register")
    assert guest.page.get_by_label("Email:").input_value() == guest.address
    for label in ("Password:", "Confirm Password:"):
        guest.page.get_by_label(label, exact=True).fill(PASSWORD)
    guest.page.locator("main button").click()
    guest.reads("Your account is ready.")
    guest.clicks("Accept invitation")
    guest.reads(f"You are now a member of Clinic {number}.")

    person.goes_to("/organizations")
    person.page.locator("main").get_by_role("link", name=f"Clinic {number}", exact=True).click()
    person.reads("until they set it up:")
    person.follows("Members and invitations")
    person.page.get_by_label("Search for a user").fill("guest")
    person.clicks("Search")
    person.reads(guest.address)


def test_i_am_remembered_change_my_address_and_am_asked_again(person, portal):
    """SR-29, SR-37."""
    person.activates_email()
    before = portal.codes_sent_to(person.address)
    person.gives_credentials()
    person.types_code(portal.wait_for_code(person.address, after=before))
    person.page.get_by_label("Remember this browser for 30 days").check()
    person.clicks("Submit")
    person.clicks("Log Out")
    person.gives_credentials()
    person.reads("Welcome")

    before = portal.codes_sent_to(person.address)
    person.goes_to("/account/email")
    person.clicks("Send code")
    person.types_code(portal.wait_for_code(person.address, after=before))
    person.clicks("Submit")
    new = f"new.{person.address}"
    person.page.get_by_label("New email address").fill(new)
    person.clicks("Send code")
    person.page.get_by_label("Code from the email").fill(portal.wait_for_code(new))
    person.clicks("Change email address")
    person.reads("Your email address is changed.")
    person.clicks("Log Out")
    person.gives_credentials(identifier=new)

    person.reads("Multi-factor authentication type:")
