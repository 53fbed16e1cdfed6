"""``make help-pictures``: the pictures of the help in each language, light and dark, from a portal just started.

The people are made up, and so are times, QR code and secret.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext
from PIL import Image
from playwright.sync_api import Locator, Page

from datica_account.templatetags.help_pictures import FOLDER, SIZES
from mfa import qr
from tests import pictured_pages
from tests.people import Person
from tests.pictured_pages import AT, CLINIC
from tests.stack import PASSWORD

# English last: the way from page to page is an English one.
LANGUAGES = sorted((code for code, _name in settings.LANGUAGES), key=lambda code: code == settings.LANGUAGE_CODE)
WIDTH, SCALE = 520, 1.5
COLOURS = 256  # with fewer the green of a single word is lost
MARGIN = 12  # CSS pixels below what a picture ends with
PAUSE = 200  # milliseconds, for fonts and colours
PEOPLE = f"from tests.pictured_pages import create_people; create_people({PASSWORD!r})"
# What differs from run to run, and what no picture may show.
MADE_UP = """([example, times]) => {
  // The script of the page goes on with the line that it has, and no longer with the one that is shown.
  for (const line of document.querySelectorAll("[data-follow]")) line.replaceWith(line.cloneNode(true));
  for (const time of document.querySelectorAll("time"))
    time.textContent = times[time.dataset.local] ?? times.minute;
  for (const code of document.querySelectorAll("main code")) code.textContent = "ABCD EFGH IJKL MNOP";
  for (const picture of document.querySelectorAll(".qr")) picture.innerHTML = example;
  const texts = [...document.querySelectorAll(".chart text")];
  const days = texts.filter((text) => /^[0-9-]{10}$/.test(text.textContent));
  if (days.length > 1) { days[0].textContent = "2027-02-13"; days.at(-1).textContent = "2027-03-05"; }
  for (const tag of document.querySelectorAll("main strong"))
    if (/^[A-Z][2-9]$/.test(tag.textContent)) tag.textContent = "K7";
  document.activeElement?.blur();
}"""


def times_of(language: str) -> dict[str, str]:
    """Return the made-up time of all pictures, by the precision in which a page shows it."""
    with translation.override(language):
        forms = {"exact": "H:i:s", "clock": "H:i", "cell": gettext("Y-m-d H:i"), "minute": gettext("j F Y, H:i")}
        return {precision: date_format(AT, form) for precision, form in forms.items()}


class Photographer:
    """Takes the pictures of one page after the other."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sizes: dict[str, dict[str, tuple[int, int]]] = {language: {} for language in sorted(LANGUAGES)}

    def takes(
        self, name: str, part: Locator, *, until: Locator | None = None, prepare: Callable[[], object] = lambda: None
    ) -> None:
        """Take a part of the page in each language and scheme, or its top ``until``. ``prepare`` fills in a form."""
        for language in LANGUAGES:
            self.page.context.set_extra_http_headers({"Accept-Language": language})
            self.page.reload()
            prepare()
            self.page.evaluate(MADE_UP, [qr.svg("This QR code is an example."), times_of(language)])
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                self.page.wait_for_timeout(PAUSE)
                self.sizes[language][name] = self._save(FOLDER / language / f"{name}-{scheme}.webp", part, until)

    def _save(self, file: Path, part: Locator, until: Locator | None) -> tuple[int, int]:
        """Save a picture of a part of the page. Return its width and height in CSS pixels."""
        part.scroll_into_view_if_needed()
        box, last = part.bounding_box(), until.bounding_box() if until else None
        assert box
        height = last["y"] + last["height"] + MARGIN - box["y"] if last else box["height"]
        size = round(box["width"]), round(min(height, box["height"]))
        picture = Image.open(io.BytesIO(part.screenshot(animations="disabled")))
        picture = picture.crop((0, 0, picture.width, min(picture.height, round(size[1] * SCALE))))
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB")
        file.parent.mkdir(parents=True, exist_ok=True)
        few.save(file, lossless=True, method=4, quality=50)
        return size


@pytest.mark.browser
@pytest.mark.django_db
def test_take_the_pictures(browser_window, small):
    small.manage("shell", "--verbosity", "0", "--command", PEOPLE)
    page = browser_window(viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE, timezone_id="UTC")
    dana = Person(page, small, address="dana@example.com")
    photographer = Photographer(page)

    _activating(dana, photographer)
    _signing_in(dana, photographer)
    _owning(dana, photographer)

    (FOLDER / SIZES).write_text(json.dumps(photographer.sizes, sort_keys=True, indent=1) + "\n")
    fingerprints = json.dumps(pictured_pages.fingerprints(), sort_keys=True, indent=1)
    pictured_pages.FINGERPRINTS.write_text(fingerprints + "\n")


def _activating(dana: Person, photographer: Photographer) -> None:
    card = dana.page.locator(".card").first
    dana.goes_to("/account/mfa/activate")
    photographer.takes("activate", card)
    dana.activates_email()
    before = dana.stack.codes_sent_to(dana.address)
    dana.goes_to("/account/login")
    dana.gives_credentials()
    dana.reads("accepted")
    photographer.takes("mail", card)
    dana.types_code(dana.stack.wait_for_code(dana.address, after=before))
    dana.clicks("Submit")
    dana.goes_to("/account/view?mfa=open")
    dana.clicks("Enable", about="authenticator")
    dana.clicks("Enable")
    dana.gives_credentials("Activate")
    dana.scans_the_picture()
    photographer.takes("authenticator", card, until=dana.page.locator("main code").first)
    dana.types_code(dana.reads_phone())
    dana.clicks("Complete MFA Activation")


def _signing_in(dana: Person, photographer: Photographer) -> None:
    dana.goes_to("/account/view?mfa=open")
    mfa = dana.page.locator("#mfa")
    photographer.takes("modes", mfa, until=mfa.locator("a[href*=recovery]").first)
    dana.clicks("Log Out")
    dana.goes_to("/account/login")
    dana.gives_credentials()
    photographer.takes("prompt", dana.page.locator("main .column"))
    dana.types_code(dana.reads_phone())
    dana.clicks("Submit")


def _owning(dana: Person, photographer: Photographer) -> None:
    card = dana.page.locator(".card").first
    dana.goes_to("/organizations")
    dana.page.locator("main").get_by_role("link", name=CLINIC, exact=True).click()
    dana.follows("Rules")
    # A field shows a day as the browser's own language has it; this day reads the same in all.
    day = dana.page.locator("[name=required_from]")
    photographer.takes("policy", card, prepare=lambda: day.fill("2027-05-05"))
    dana.follows("Rehearsal")
    photographer.takes("rehearsal", card, until=card.locator("tbody tr").first)
    dana.follows("Progress")
    photographer.takes("progress", card)
