"""axe finds no violation on any page, in light and dark, and no page is wider than a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.people import Person
from tests.tour import walk

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_used_by_everybody(browser_window, small, scheme):
    # The rules are a script of the test's own, which the page's policy would refuse.
    page = browser_window(color_scheme=scheme, bypass_csp=True)
    violations, seen = {}, 0

    for name in walk(Person(page, small)):
        seen += 1
        page.wait_for_load_state()
        found = Axe().run(page, options=RULES).response["violations"]
        if found:
            violations[name] = [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]

    assert violations == {}
    assert seen > 30


def test_no_page_is_wider_than_a_phone(browser_window, small):
    page = browser_window(viewport={"width": 320, "height": 700})
    too_wide = {}

    for name in walk(Person(page, small)):
        page.wait_for_load_state()
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            too_wide[name] = width

    assert too_wide == {}
