"""What a screen reader is told of the main pages: names and roles, compared with what they were.

``UPDATE_NAMES=1`` writes them anew, for a change that is meant; the difference then shows it.
"""

import os
import re
from pathlib import Path

import pytest

from tests.people import Person
from tests.stack import SET_ASIDE

pytestmark = pytest.mark.browser

FOLDER = Path(__file__).resolve().parent / "names_and_roles"
# What differs from run to run.
CHANGING = [
    (re.compile(r"[\w.]*person\d+@example\.com|p•••@example\.com"), "ADDRESS"),
    (re.compile(r"\bperson\d+\b"), "PERSON"),
    (re.compile(r"\d{1,2} \w+ \d{4}, \d\d:\d\d(:\d\d)? UTC|\d\d:\d\d(:\d\d)? UTC"), "TIME"),
    (re.compile(r"just now|\d+ (minute|hour)s? ago"), "AGO"),
    (re.compile(r"Clinic \d+"), "Clinic N"),
    (re.compile(r"/organizations/[0-9a-f-]{36}"), "/organizations/ID"),
    (re.compile(r"tag [A-Z]\d"), "tag TAG"),
    (re.compile(r"(?<=strong: )[A-Z]\d\b"), "TAG"),
    (re.compile(r' \(\d+ s\)" \[disabled\]'), '"'),
    (re.compile(r"\d+\W(minutes|seconds)"), "WHILE"),
    (re.compile(r"127\.0\.0\.1|::1"), "IP"),
    (re.compile(r"next=[^\s\"]+"), "next=PATH"),
]


def compare(page, name: str) -> None:
    """Compare names and roles of the page that is shown with those of the file."""
    seen = page.locator("body").aria_snapshot() + "\n"
    for pattern, word in CHANGING:
        seen = pattern.sub(word, seen)
    file = FOLDER / f"{name}.yml"
    if os.environ.get("UPDATE_NAMES"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(seen)
    assert seen == file.read_text(), f"{name} sounds different. Is that meant? UPDATE_NAMES=1 writes it anew."


def test_public_pages_sound_as_they_did(browser_window, small):
    person = Person(browser_window(locale="en-GB", timezone_id="UTC"), small)
    for path, name in (
        ("/account/login", "sign_in"),
        ("/account/register", "register"),
        ("/account/mfa/activate", "activate"),
        ("/help/mfa-troubleshooting", "troubleshooting"),
    ):
        person.goes_to(path)
        compare(person.page, name)


def test_pages_of_an_account_sound_as_they_did(browser_window, small):
    person = Person(browser_window(locale="en-GB", timezone_id="UTC"), small, address=SET_ASIDE)
    person.activates_email()
    before = person.stack.codes_sent_to(person.address)
    person.gives_credentials()
    person.reads(re.compile("accepted"))
    compare(person.page, "prompt")
    person.types_code(person.stack.wait_for_code(person.address, after=before))
    person.clicks("Submit")
    for path, name in (
        ("/account", "dashboard"),
        ("/account/view?mfa=open", "settings"),
        ("/account/mfa/passkeys", "passkeys"),
        ("/organizations", "organizations"),
    ):
        person.goes_to(path)
        compare(person.page, name)
    number = person.address.removeprefix("person").split("@")[0]
    person.page.locator("main").get_by_role("link", name=f"Clinic {number}", exact=True).click()
    person.page.wait_for_load_state()
    compare(person.page, "organization")
