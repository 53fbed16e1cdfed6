"""``make screens``: a picture of every page, 1280 and 390 pixels wide, light and dark, in ``screens/``."""

from pathlib import Path

import pytest

from tests.people import Person
from tests.tour import walk, walk_administration

FOLDER = Path(__file__).resolve().parent.parent / "screens"


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("pages", [walk, walk_administration])
def test_photograph(browser_window, small, width, scheme, pages):
    page = browser_window(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    folder = FOLDER / f"{width}-{scheme}"
    folder.mkdir(parents=True, exist_ok=True)

    for number, name in enumerate(pages(Person(page, small)), start=1):
        page.wait_for_timeout(150)
        page.screenshot(path=folder / f"{number:02}-{name}.png", full_page=True)

    assert len(list(folder.glob("*.png"))) > 15
