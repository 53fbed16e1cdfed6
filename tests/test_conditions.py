"""The portal on paper, in forced colours, without motion, enlarged, with long names, without cookies or script.

And in a browser that goes back, has two tabs, or shows a page that has expired.

One stack, and one person with long names whose sign-in serves all checks of how pages look.
"""

import base64
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.people import Person
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.browser

SECRET = b"a secret of 20 bytes"
LONG = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft"
RIGHT_TO_LEFT = "مستشفى" * 9 + "👩‍⚕️" * 3 + "🏥"
LONG_EMAIL = f"{LONG.lower()[:60]}@{'subdomain' * 6}.example.com"
ENVIRONMENT = f"{LONG.lower()[:50]}-clinic"
ORGANIZATION = f"{LONG[:60]}{RIGHT_TO_LEFT}"[:128]
PEOPLE = 12
PAPER = (718, 1000)  # A4 without its margins
PLAIN = {"media": "screen", "color_scheme": "light", "forced_colors": "none", "reduced_motion": "no-preference"}
ORGANIZATION_PAGES = ("/members", "/invitations", "/policy", "/rehearsal", "/exemptions", "/compliance", "/evidence",
                      "/environments", "/log", "/settings")  # fmt: skip
AGE_PROOF = """
from accounts.session_store import SessionStore
session = SessionStore({key!r})
session["proven_at"] -= 3600
session.save()
"""
SEED = f"""
import hashlib, uuid
from django.utils import timezone
from accounts.models import User
from mfa.models import Factor, Passkey
from organizations.models import Environment, Membership, Organization, OrganizationEvent, Pod
hashed = User.objects.get(email="person0@example.com").password
def add(email, **fields):
    return User.objects.create(email=email, password=hashed, email_verified_at=timezone.now(), **fields)
def let_sign_in(person, *modes):
    for mode in modes:
        factor = Factor(user=person, mode=mode, name=mode)
        if mode == "authenticator":
            factor.secret = {SECRET!r}
        factor.save()
    person.preferred_mode = modes[0]
    person.save(update_fields=["preferred_mode"])
    return factor
for number in range({PEOPLE}):
    person = add(f"condition{{number}}@example.com")
    organization = Organization.objects.create(name=f"Ward {{number}}")
    Membership.objects.create(organization=organization, user=person, role="owner")
    if number % 2:
        let_sign_in(person, "authenticator", "email")
person = add({LONG_EMAIL!r}, username={LONG[:64]!r}, name={RIGHT_TO_LEFT!r})
passkey = let_sign_in(person, "authenticator", "email", "passkey")
Passkey.objects.create(factor=passkey, name={LONG[:64]!r}, credential_id=b"made up",
    digest=hashlib.sha256(b"made up").hexdigest(), public_key=b"made up",
    aaguid=uuid.UUID(int=0), can_sync=True, is_synced=False, verifies_user=True)
organization = Organization.objects.create(name={ORGANIZATION!r}, mfa_required_at=timezone.now())
Environment.objects.create(organization=organization, pod=Pod.objects.get(name="pod01"), name={ENVIRONMENT!r})
Membership.objects.create(organization=organization, user=person, role="owner")
other = add("x" + {LONG_EMAIL!r}, username="x" + {LONG[:60]!r}, name={LONG!r})
Membership.objects.create(organization=organization, user=other, role="member")
for kind, subject in [("mfa_required", "")] + 3 * [("renamed", {ORGANIZATION!r})]:
    OrganizationEvent.objects.create(
        organization=organization, actor=person, actor_email=person.email, kind=kind, subject=subject)
"""


# What spills out of its box or is cut off. What shortens itself must have its whole text at hand.
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((part) => {
  const style = getComputedStyle(part);
  if (!part.checkVisibility() || part.closest("svg, thead, .skip, pre, input, select, textarea")) return false;
  if (style.display.startsWith("inline") && style.display !== "inline-flex" || part.clientWidth < 2) return false;
  if (style.overflowX === "auto" && !matchMedia("print").matches) return false;
  if (style.overflowX === "hidden" && (part.title || part.querySelector("[title]"))) return false;
  return part.scrollWidth > part.clientWidth + 1;
}).filter((part, _at, all) => !all.some((other) => other !== part && part.contains(other)))
  .map((part) => part.outerHTML.slice(0, 160))"""
# What has the focus and cannot be seen: outside the window, or below something else (WCAG 2.4.11).
FOCUS_HIDDEN = """() => {
  const hidden = [];
  for (const part of document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")) {
    part.focus();
    if (document.activeElement !== part) continue;
    const box = part.getClientRects()[0];
    const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)];
    const [top, bottom] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)];
    const seen = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    if (left >= right || top >= bottom || !(part.contains(seen) || seen?.contains(part) && seen.closest("label, a")))
      hidden.push(part.outerHTML.slice(0, 160));
  }
  return hidden;
}"""
# Text that a printer would set in a light colour, or on a dark ground.
NOT_ON_WHITE = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
      .map((part) => part <= 0.04 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const isClear = (colour) => / 0\\)$/.test(colour);
  return [...document.querySelectorAll("body *")].filter((part) => {
    if (!part.checkVisibility() || part.closest("svg")) return false;
    if (![...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) return false;
    let ground = part;
    while (ground && isClear(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
    const white = ground ? light(getComputedStyle(ground).backgroundColor) : 1;
    const ink = light(getComputedStyle(part).color);
    return white < 0.75 || (white + 0.05) / (ink + 0.05) < 4.5;
  }).map((part) => part.outerHTML.slice(0, 160));
}"""
MOTION = """() => [
  ...document.getAnimations().map((one) => one.constructor.name),
  ...[...document.querySelectorAll("*")].flatMap((part) => ["", "::before", "::after"].flatMap((pseudo) => {
    const style = getComputedStyle(part, pseudo);
    const turns = /[1-9]/.test(style.transitionDuration) || style.animationName !== "none";
    return turns || style.scrollBehavior === "smooth" ? [part.tagName + pseudo] : [];
  })),
]"""
INVISIBLE_ICONS = """() => {
  const ground = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll("svg.icon")].filter((icon) => icon.checkVisibility())
    .filter((icon) => getComputedStyle(icon).fill === ground || !icon.getBoundingClientRect().width)
    .map((icon) => icon.outerHTML.slice(0, 80));
}"""
OUTLINE = """() => {
  const part = document.activeElement;
  if (part === document.body) return "end";
  const faces = [part, part.nextElementSibling].filter(Boolean).map((one) => getComputedStyle(one));
  return faces.some((face) => face.outlineStyle !== "none" && parseFloat(face.outlineWidth) >= 2) ? "" : part.outerHTML;
}"""


class App(Person):
    """A person with an authenticator app."""

    def __init__(self, page: Page, stack: Stack, address: str) -> None:
        super().__init__(page, stack, address)
        self.phone = pyotp.TOTP(base64.b32encode(SECRET).decode())

    def opens(self, path: str) -> None:
        """Open a page in this tab. It must exist."""
        answer = self.page.goto(self.stack.url + path)
        assert answer is not None
        assert answer.ok, path

    def reaches_the_prompt(self, path: str = "/account/login") -> None:
        self.goes_to(path)
        self.gives_credentials()
        self.reads("Multi-factor authentication type: authenticator")

    def other_tab(self) -> "App":
        return App(self.page.context.new_page(), self.stack, self.address)


@pytest.fixture(scope="module")
def crowd(small):
    """Return a way to take people whom no other file meets."""
    small.manage("shell", "--verbosity", "0", "--command", SEED)
    return {"plain": iter(range(0, PEOPLE, 2)), "app": iter(range(1, PEOPLE, 2))}


@pytest.fixture
def someone(browser_window, small, crowd):
    """Return a person with a window: ``plain`` has a password alone, ``app`` an authenticator too."""

    def meet(kind: str, **options) -> App:
        return App(browser_window(**options), small, f"condition{next(crowd[kind])}@example.com")

    return meet


@pytest.fixture(scope="module")
def at_home(chromium, small, crowd):
    """Return the cookies of the person with long names, signed in once, and the paths of this person's pages."""
    context = chromium.new_context()
    person = App(context.new_page(), small, LONG_EMAIL)
    person.signs_in()
    person.goes_to("/organizations")
    href = person.page.locator("main a[href*='/organizations/']:not([href$='/new'])").first.get_attribute("href")
    paths = [
        "/account",
        "/account/view?mfa=open",
        "/account/mfa/passkeys",
        "/account/mfa/recovery-codes",
        "/account/sessions",
        "/account/security-log",
        "/account/profile",
        "/organizations",
        *(f"{href}{part}" for part in ("", *ORGANIZATION_PAGES)),
    ]
    yield context.storage_state(), paths
    context.close()


@pytest.fixture
def visit(browser_window, small, at_home):
    """Open a window of the person with long names; return the person and the paths."""
    state, paths = at_home

    def open_window(**options) -> tuple[App, list[str]]:
        return App(browser_window(storage_state=state, **options), small, LONG_EMAIL), paths

    return open_window


@dataclass
class Condition:
    """How a page is shown, and what must then find nothing: a script, or a function of the page."""

    checks: tuple[str | Callable[[Page], list[str]], ...]
    size: tuple[int, int] = (1280, 900)
    media: dict[str, Any] = field(default_factory=dict)

    def look(self, page: Page) -> list[str]:
        """Show the page in this condition; return what is wrong."""
        page.set_viewport_size({"width": self.size[0], "height": self.size[1]})
        page.emulate_media(**{**PLAIN, **self.media})
        found = [page.evaluate(check) if isinstance(check, str) else check(page) for check in self.checks]
        return [one for some in found for one in some]


def too_wide(page: Page) -> list[str]:
    needs, has = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [f"{needs} pixels wide"] if needs > has else []


def small_targets(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": ["target-size"]}).response["violations"]
    return [node["html"][:160] for rule in found for node in rule["nodes"]]


def printed_controls(page: Page) -> list[str]:
    parts = page.locator("header.top, footer.bottom, nav, main button, .skip")
    return parts.evaluate_all("(parts) => parts.filter((part) => part.checkVisibility()).map((part) => part.outerHTML)")


def sheets(page: Page) -> int:
    return len(re.findall(rb"/Type /Page\b", page.pdf(tagged=False)))


CONDITIONS = {
    "wide": Condition((CUT_OFF, too_wide)),
    "200 %": Condition((CUT_OFF, too_wide, FOCUS_HIDDEN), size=(640, 450)),
    "320 px": Condition((CUT_OFF, too_wide, FOCUS_HIDDEN, small_targets), size=(320, 640)),
    "on paper": Condition((CUT_OFF, NOT_ON_WHITE, printed_controls), PAPER, {"media": "print", "color_scheme": "dark"}),
    "forced colours": Condition((INVISIBLE_ICONS,), media={"forced_colors": "active", "color_scheme": "dark"}),
    "reduced motion": Condition((MOTION,), media={"reduced_motion": "reduce"}),
}


def test_every_page_with_long_names_is_whole_and_usable_in_every_condition(visit):
    person, paths = visit(bypass_csp=True)
    wrong = {}
    for path in paths:
        person.opens(path)
        for name, condition in CONDITIONS.items():
            if found := condition.look(person.page):
                wrong[f"{path}, {name}"] = found

    assert json.dumps(wrong, indent=1, ensure_ascii=False) == "{}"
    # Nor moves what a later style adds.
    person.page.add_style_tag(
        content="@keyframes turn { to { rotate: 1turn } } html { scroll-behavior: smooth }"
        "a, button, main::before { content: ''; transition: color 5s; animation: turn 5s infinite }"
    )
    assert person.page.evaluate(MOTION) == []


def test_the_menu_with_long_names_fits_and_has_the_whole_name_at_hand(visit):
    person, _paths = visit(viewport={"width": 320, "height": 640})
    person.opens("/account")

    person.page.get_by_role("button", name="Organizations").focus()

    panel = person.page.locator(".menu-panel").bounding_box()
    assert panel["x"] >= 0
    assert panel["x"] + panel["width"] <= 320
    expect(person.page.locator(".menu-panel").get_by_title(ORGANIZATION)).to_be_visible()
    expect(person.page.locator("header").get_by_title(LONG_EMAIL)).to_be_visible()


def test_the_evidence_prints_whole_also_from_the_dark_scheme(visit):
    person, paths = visit(color_scheme="dark")
    person.opens(next(path for path in paths if path.endswith("/evidence")))
    person.page.emulate_media(media="print")
    text = person.page.locator("main").inner_text()
    assert "append-only security log" in text
    assert "Required without a break" in text
    assert sheets(person.page) <= 2


def test_recovery_codes_print_as_a_sheet_to_keep(visit):
    person, _paths = visit(color_scheme="dark")
    person.opens("/account/mfa/recovery-codes")
    person.clicks("Make recovery codes")
    codes = person.page.locator(".codes code").all_inner_texts()
    person.page.emulate_media(media="print", color_scheme="dark")

    printed = person.page.locator("body").inner_text()

    assert len(codes) >= 8
    assert all(code in printed for code in codes)
    assert "Each of these codes signs you in once" in printed
    assert LONG_EMAIL in printed  # whose codes they are, and where they work
    assert person.stack.url in printed
    assert "Type one of them back" not in printed
    assert CONDITIONS["on paper"].look(person.page) == []
    assert sheets(person.page) == 1


def test_in_forced_colours_nothing_is_told_by_a_background_alone(visit):
    person, paths = visit(forced_colors="active", color_scheme="dark")
    page = person.page
    person.opens(next(path for path in paths if path.endswith("/compliance")))
    line_below = "(part) => parseFloat(getComputedStyle(part).borderBottomWidth)"
    current = page.locator(".sections [aria-current]").first
    other = page.locator(".sections a:not([aria-current])").first
    assert current.evaluate(line_below) > other.evaluate(line_below)
    expect(page.get_by_role("progressbar")).to_be_visible()
    line, ground = page.evaluate(
        "[getComputedStyle(document.querySelector('.chart .line')).stroke, getComputedStyle(document.body).color]"
    )
    assert line == ground

    person.opens("/account/mfa/activate?type=authenticator")
    chosen = page.get_by_role("radio", name="authenticator")
    expect(chosen).to_be_checked()
    assert chosen.evaluate("(part) => getComputedStyle(part).opacity") == "1"
    assert chosen.evaluate("(part) => part.getBoundingClientRect().width") >= 12
    person.clicks("Activate")
    assert page.locator(".qr").evaluate("(part) => getComputedStyle(part).backgroundColor") == "rgb(255, 255, 255)"
    person.scans_the_picture()


def test_in_forced_colours_the_focus_and_errors_are_seen(browser_window, small):
    page = browser_window(forced_colors="active", color_scheme="dark")
    for path in ("/account/login", "/account/mfa/activate"):
        page.goto(small.url + path)
        page.locator("h1").click()
        for _part in range(30):
            page.keyboard.press("Tab")
            if (outline := page.evaluate(OUTLINE)) == "end":
                break
            assert outline == ""
    page.goto(small.url + "/account/login")
    page.get_by_label("Username or Email").fill("a name")
    page.get_by_role("button", name="Submit").click()
    thickness = "(part) => parseFloat(getComputedStyle(part).borderTopWidth)"
    wrong, right = page.get_by_label("Password"), page.get_by_label("Username or Email")
    assert wrong.evaluate(thickness) > right.evaluate(thickness)
    expect(page.locator(".errorlist")).to_be_visible()


def test_without_cookies_a_form_says_that_they_are_needed(browser_window, small):
    person = Person(browser_window(), small, address="condition0@example.com")
    for path, button in (("/account/login", "Submit"), ("/account/mfa/activate?type=email", "Activate")):
        person.goes_to(path)
        person.page.context.clear_cookies()  # a browser that takes none sends none
        person.gives_credentials(button)
        expect(person.page.get_by_role("heading", name="Cookies are needed to sign in")).to_be_visible()
        person.reads("Your browser sent no cookie with this form.")
        person.follows("Open the page again")
        person.page.wait_for_url("**" + path)
        person.page.get_by_label("Password").wait_for()


def test_without_script_a_person_activates_signs_in_switches_and_signs_out(someone):
    person = someone("plain", java_script_enabled=False)
    person.activates_email()
    other = someone("app", java_script_enabled=False)
    other.reaches_the_prompt()
    before = other.stack.codes_sent_to(other.address)
    other.clicks("email")
    other.reads("Multi-factor authentication type: email")
    other.types_code(other.stack.wait_for_code(other.address, after=before))
    other.clicks("Submit")
    other.reads("Welcome")
    other.clicks("Log Out")
    other.reads("You have been signed out.")


def test_the_back_button_leads_to_no_error_and_shows_no_account_after_signing_out(someone):
    person = someone("app")
    person.reaches_the_prompt()
    person.types_code("12")
    person.clicks("Submit")
    person.reads("Enter the six digits of the code.")
    person.page.go_back()
    person.reads("One Time Password")
    person.types_code("000000")
    person.clicks("Submit")
    person.reads("You have 4 tries left.")
    person.goes_to("/help")
    person.page.go_back()
    person.reads("One Time Password")
    person.page.reload()
    person.reads("One Time Password")
    person.types_code("000001")
    person.clicks("Submit")
    person.reads("You have 3 tries left.")  # going back and reloading sent nothing again
    person.types_code(person.reads_phone())
    person.clicks("Submit")
    person.reads("Welcome")
    person.page.go_back()
    person.reads("Welcome")
    assert person.page.url == f"{person.stack.url}/account"

    person.opens("/account/view")
    person.reads(person.address)
    person.clicks("Log Out")
    person.reads("You have been signed out.")
    for _time in range(2):
        person.page.go_back()
        person.page.wait_for_load_state()
        expect(person.page.get_by_label("Username or Email")).to_be_visible()
        assert person.address not in person.page.content()


def test_signing_in_in_one_tab_leads_the_waiting_tabs_on(someone):
    person = someone("app")
    at_sign_in = person.other_tab()
    at_sign_in.goes_to("/account/login?next=/account/sessions")
    person.reaches_the_prompt()
    at_prompt = person.other_tab()
    at_prompt.goes_to("/account/login/otp")
    person.types_code(person.reads_phone())
    person.clicks("Submit")
    person.reads("Welcome")

    at_prompt.types_code("123456")
    at_prompt.clicks("Submit")
    at_prompt.reads("You signed in or out in another tab")
    at_prompt.follows("Open the page again")
    at_prompt.reads("Welcome")

    at_sign_in.gives_credentials()
    at_sign_in.reads("You signed in or out in another tab")
    at_sign_in.follows("Open the page again")
    at_sign_in.page.wait_for_url("**/account/sessions")


def test_activating_in_two_tabs_ends_with_one_mode_and_a_sentence(someone):
    person = someone("plain")
    person.goes_to("/account/mfa/activate?type=email")
    person.gives_credentials("Activate")
    other = person.other_tab()
    other.goes_to("/account/mfa/activate/complete")
    code = person.stack.wait_for_code(person.address)
    person.types_code(code)
    person.clicks("Complete MFA Activation")
    person.reads("Multi-factor Authentication successfully enabled!")

    other.types_code(code)
    other.clicks("Complete MFA Activation")
    other.reads("This activation has expired or was completed.")
    person.page.go_back()
    person.reads("Activate multi-factor authentication for your account")


def test_signing_out_in_one_tab_leads_the_form_of_another_back_to_its_page(someone):
    person = someone("plain")
    person.signs_in()
    other = person.other_tab()
    other.goes_to("/account/profile")
    person.clicks("Log Out")
    person.reads("You have been signed out.")

    other.page.get_by_label("Name", exact=True).fill("Dana")
    other.page.locator("main button").click()
    other.reads("You are signed out, so nothing was changed.")
    other.gives_credentials()
    other.page.wait_for_url("**/account/profile")


def test_a_session_that_another_browser_ended_says_so_and_leads_back(someone, browser_window):
    person = someone("plain")
    person.signs_in()
    person.goes_to("/account/profile")
    elsewhere = App(browser_window(), person.stack, person.address)
    elsewhere.signs_in()
    elsewhere.goes_to("/account/sessions/end-others")
    elsewhere.page.locator("main form button").first.click()
    elsewhere.page.wait_for_load_state()

    person.page.locator("main button").click()
    person.reads("You were signed out because your session was not used for too long or was ended elsewhere.")
    person.gives_credentials()
    person.page.wait_for_url("**/account/profile")


def test_a_sign_in_that_expired_at_the_prompt_begins_again_and_leads_back(someone):
    person = someone("app")
    person.reaches_the_prompt("/account/sessions")
    expire(person, "mfa_challenge", "expires_at")
    person.page.context.clear_cookies(name="sign-in")  # it has the same lifetime

    person.types_code("123456")
    person.clicks("Submit")
    person.reads("This sign-in has expired or was ended. Sign in again.")
    person.gives_credentials()
    person.types_code(person.reads_phone())
    person.clicks("Submit")
    person.page.wait_for_url("**/account/sessions")


def test_a_proof_that_expired_in_the_middle_of_a_form_keeps_what_was_typed(someone):
    person = someone("plain")
    person.signs_in()
    person.goes_to("/account/email")
    person.page.get_by_label("New email address").fill("typed.before@example.com")
    (key,) = (cookie["value"] for cookie in person.page.context.cookies() if cookie["name"] == "session")
    person.stack.manage("shell", "--verbosity", "0", "--command", AGE_PROOF.format(key=key))

    person.clicks("Send code")
    person.reads("Confirm this change with your password.")
    person.page.get_by_label("Password").fill(PASSWORD)
    person.page.locator("main form button.primary").click()
    person.page.wait_for_url("**/account/email")
    expect(person.page.get_by_label("New email address")).to_have_value("typed.before@example.com")


def test_links_of_old_mails_say_what_happened_and_what_to_do(browser_window, small):
    page = browser_window()
    for path in (
        "/account/accept-invite?code=old",
        "/account/email/undo/old",
        "/account/delete/undo/old",
        "/account/not-me/old",
    ):
        page.goto(small.url + path)
        assert len(page.locator("main p").first.inner_text()) > 20, path
        assert page.locator("main a, main button").count(), path


def expire(person: App, table: str, column: str) -> None:
    """Let the rows of a person expire in the portal's database."""
    with closing(sqlite3.connect(Path(person.stack.environment["DATA_DIR"]) / "portal.sqlite3")) as database, database:
        chosen = "user_id = (SELECT id FROM accounts_user WHERE email = ?)"
        changed = database.execute(
            f"UPDATE {table} SET {column} = '2020-01-01 00:00:00' WHERE {chosen}", [person.address]
        )
        assert changed.rowcount
