"""``make screens``: a picture of every page, 1280 and 390 pixels wide, light and dark, in ``screens/``.

Beside the light ones: the same addresses in the other languages, and in longer words from right to left.
"""

from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page

from tests.people import Person
from tests.tour import walk, walk_administration

FOLDER = Path(__file__).resolve().parent.parent / "screens"
TRANSLATED = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
COOKIE = "language"  # the stack speaks HTTP
PSEUDO_LANGUAGE = """() => {
  document.documentElement.dir = "rtl";
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    if (text) texts.currentNode.data = `[${text}${"·~".repeat(Math.ceil(text.length / 4))}]`;
  }
}"""


def photograph(page: Page, file: Path) -> None:
    """Take a picture of the whole page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(150)
    page.screenshot(path=file, full_page=True)


def photograph_in_other_languages(page: Page, folder: Path, name: str) -> None:
    """Open the page's address in a second tab, once for each language."""
    other = page.context.new_page()
    for language in TRANSLATED:
        page.context.add_cookies([{"name": COOKIE, "value": language, "url": page.evaluate("location.origin")}])
        other.goto(page.url.partition("#")[0])  # only another part of a page would not load it again
        photograph(other, folder / language / name)
    page.context.clear_cookies(name=COOKIE)
    other.goto(page.url)
    other.evaluate(PSEUDO_LANGUAGE)
    photograph(other, folder / "pseudo" / name)
    other.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("pages", [walk, walk_administration])
def test_photograph(browser_window, small, width, scheme, pages):
    page = browser_window(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    folder = FOLDER / f"{width}-{scheme}"

    for number, name in enumerate(pages(Person(page, small)), start=1):
        photograph(page, folder / f"{number:02}-{name}.png")
        if scheme == "light" and pages is walk:
            photograph_in_other_languages(page, folder, f"{number:02}-{name}.png")

    assert len(list(folder.glob("*.png"))) > 15
