"""axe finds no violation on any page, in light and dark, and no page is wider than a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.people import Person
from tests.tour import walk, walk_administration

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# All that the dark colours can change.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 320, "height": 700}


def violations(page, rules):
    found = Axe().run(page, options=rules).response["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]


def looked_at(page):
    """Return what is wrong with the page that is shown: in light, in dark, and on a phone."""
    wrong = violations(page, RULES)
    page.emulate_media(color_scheme="dark")
    wrong += violations(page, COLOURS)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(WIDE)
    return wrong + ([f"{width} pixels wide"] if width > PHONE["width"] else [])


@pytest.mark.parametrize(("pages", "at_least"), [(walk, 30), (walk_administration, 18)])
def test_every_page_can_be_used_by_everybody(browser_window, small, pages, at_least):
    # The rules are a script of the test's own, which the page's policy would refuse.
    page = browser_window(color_scheme="light", reduced_motion="reduce", bypass_csp=True)
    wrong, seen = {}, 0

    for name in pages(Person(page, small)):
        seen += 1
        page.wait_for_load_state()
        if found := looked_at(page):
            wrong[name] = found

    assert wrong == {}
    assert seen > at_least
