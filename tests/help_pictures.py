"""``make help-pictures``: the pictures of the help, light and dark, from the pages of a portal that was just started.

The people are made up, and so are times, QR code and secret.
"""

import io
import json

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page

from datica_account.templatetags.help_pictures import FOLDER, SIZES
from mfa import qr
from tests.people import Person
from tests.stack import PASSWORD

WIDTH, SCALE, COLOURS = 520, 1.5, 32
PAUSE = 200  # milliseconds, for fonts and colours
CLINIC = "Riverside Clinic"
PEOPLE = f"""
from datetime import timedelta
from django.utils import timezone
from accounts.models import Channel, User
from accounts.security_log import Origin
from mfa.tests.factories import add_mode
from organizations import rehearsal
from organizations.models import ComplianceDay, Membership, Organization
now = timezone.now()
clinic = Organization.objects.create(name="{CLINIC}", rehearsal_until=now + timedelta(days=5))
for number, name in enumerate(["Dana Reyes", "Olaf Berg", "Sam Okafor", "Mei Tanaka", "Rosa Diaz", "Ivo Novak"]):
    first = name.split()[0].lower()
    person = User(email=first + "@example.com", username=first, name=name, email_verified_at=now)
    person.set_password({PASSWORD!r})
    person.save()
    Membership.objects.create(organization=clinic, user=person, role="member" if number else "owner")
    if first in ("mei", "rosa", "ivo"):
        add_mode(person, "authenticator")
    if first in ("olaf", "sam"):
        channel = Channel.CLI if first == "sam" else Channel.BROWSER
        rehearsal.note(clinic, person, channel, Origin("203.0.113.7"))
for day, ready in ((20, 1), (16, 2), (12, 2), (7, 3), (2, 4)):
    ComplianceDay.objects.create(organization=clinic, day=(now - timedelta(days=day)).date(), members=6, ready=ready)
"""
# What differs from run to run, and what no picture may show.
MADE_UP = """(example) => {
  for (const time of document.querySelectorAll("time"))
    time.textContent = {exact: "10:15:08", clock: "10:15", cell: "2027-03-05 10:15"}[time.dataset.local]
      ?? "5 March 2027, 10:15";
  for (const code of document.querySelectorAll("main code")) code.textContent = "ABCD EFGH IJKL MNOP";
  for (const picture of document.querySelectorAll(".qr")) picture.innerHTML = example;
  const texts = [...document.querySelectorAll(".chart text")];
  const days = texts.filter((text) => /^[0-9-]{10}$/.test(text.textContent));
  if (days.length > 1) { days[0].textContent = "2027-02-13"; days.at(-1).textContent = "2027-03-05"; }
  for (const tag of document.querySelectorAll("main strong"))
    if (/^[A-Z][2-9]$/.test(tag.textContent)) tag.textContent = "K7";
  document.activeElement?.blur();
}"""


class Photographer:
    """Takes the pictures of one page after the other."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sizes: dict[str, tuple[int, int]] = {}

    def takes(self, name: str, part: Locator, *, height: int | None = None) -> None:
        """Take a part of the page in both schemes, or only its top."""
        self.page.evaluate(MADE_UP, qr.svg("This QR code is an example."))
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.page.wait_for_timeout(PAUSE)
            part.scroll_into_view_if_needed()
            box = part.bounding_box()
            assert box
            size = round(box["width"]), min(round(box["height"]), height or 10_000)
            picture = Image.open(io.BytesIO(part.screenshot(animations="disabled")))
            picture = picture.crop((0, 0, picture.width, min(picture.height, round(size[1] * SCALE))))
            few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB")
            few.save(FOLDER / f"{name}-{scheme}.webp", lossless=True, method=4, quality=50)
            self.sizes[name] = size


@pytest.mark.browser
def test_take_the_pictures(browser_window, small):
    small.manage("shell", "--verbosity", "0", "--command", PEOPLE)
    FOLDER.mkdir(exist_ok=True)
    page = browser_window(viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE, timezone_id="UTC")
    dana = Person(page, small, address="dana@example.com")
    photographer = Photographer(page)

    _activating(dana, photographer)
    _signing_in(dana, photographer)
    _owning(dana, photographer)

    sizes = dict(sorted(photographer.sizes.items()))
    (FOLDER / SIZES).write_text(json.dumps(sizes, indent=1) + "\n")


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
    photographer.takes("authenticator", card, height=475)
    dana.types_code(dana.reads_phone())
    dana.clicks("Complete MFA Activation")


def _signing_in(dana: Person, photographer: Photographer) -> None:
    dana.goes_to("/account/view?mfa=open")
    photographer.takes("modes", dana.page.locator("#mfa"), height=692)
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
    dana.page.get_by_label("Required from (UTC)").fill("2027-04-01")
    photographer.takes("policy", card)
    dana.follows("Rehearsal")
    photographer.takes("rehearsal", card, height=541)
    dana.follows("Progress")
    photographer.takes("progress", card)
