"""What the pictures of the help show: the people on them, and a fingerprint of each part of a page that is pictured.

``make help-pictures`` stores the fingerprints, and a test compares them with the pages as they are now.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import time_machine
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts.models import Channel, Delivery, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa.models import Factor
from mfa.tests.factories import add_mode
from mfa.tests.test_mail_line import tell
from organizations import rehearsal
from organizations.models import ComplianceDay, Membership, Organization
from tests.signing_in import OTP, give_credentials, pending_sign_in_of, sign_in

ACTIVATE = "/account/mfa/activate"
AT = datetime(2027, 3, 5, 10, 15, 8, tzinfo=UTC)  # the time on all pictures
CLINIC = "Riverside Clinic"
FINGERPRINTS = Path(__file__).resolve().parent / "pictured_pages.json"
# Where on its page the part is that a picture shows: an attribute and its value.
CARD, MFA, COLUMN = ("class", "card"), ("id", "mfa"), ("class", "column")
VOID = {"input", "img", "br", "wbr", "link", "meta", "hr", "source"}
CHANGING = {"time", "code", "svg"}  # elements whose content differs from run to run
STYLE = settings.BASE_DIR / "static" / "css" / "portal.css"


def create_people(password: str) -> None:
    """Create the organization of the pictures and its members. Dana, its owner, has no mode yet."""
    now = timezone.now()
    clinic = Organization.objects.create(name=CLINIC, rehearsal_until=now + timedelta(days=5))
    for number, name in enumerate(["Dana Reyes", "Olaf Berg", "Sam Okafor", "Mei Tanaka", "Rosa Diaz", "Ivo Novak"]):
        first = name.split()[0].lower()
        person = User(email=f"{first}@example.com", username=first, name=name, email_verified_at=now)
        person.set_password(password)
        person.save()
        Membership.objects.create(organization=clinic, user=person, role="member" if number else "owner")
        if first in {"mei", "rosa", "ivo"}:
            add_mode(person, "authenticator")
        if first in {"olaf", "sam"}:
            channel = Channel.CLI if first == "sam" else Channel.BROWSER
            rehearsal.note(clinic, person, channel, Origin("203.0.113.7"))
    for ago, ready in ((20, 1), (16, 2), (12, 2), (7, 3), (2, 4)):
        day = (now - timedelta(days=ago)).date()
        ComplianceDay.objects.create(organization=clinic, day=day, members=6, ready=ready)


def fingerprints() -> dict[str, dict[str, str]]:
    """Return the fingerprint of each picture by language and name. Creates the people; the database must be empty."""
    found: dict[str, dict[str, str]] = {code: {} for code, _name in settings.LANGUAGES}
    client = Client()
    with time_machine.travel(AT, tick=False):
        create_people(PASSWORD)
        for name, path, part in _on_the_way(client):
            for code, prints in found.items():
                prints[name] = _fingerprint(client.get(path, headers={"Accept-Language": code}), part)
    return found


def _on_the_way(client: Client) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Bring a client to each page that is pictured: its name, its path, and the part that the picture shows."""
    dana = User.objects.get(username="dana")
    yield "activate", ACTIVATE, CARD
    add_mode(dana, "email")
    give_credentials(client, "dana")
    tell(pending_sign_in_of(client), Delivery.ACCEPTED)
    yield "mail", OTP, CARD
    sign_in(client, dana)
    client.post(ACTIVATE, {"type": "authenticator", "identifier": "dana", "password": PASSWORD})
    yield "authenticator", f"{ACTIVATE}/complete", CARD
    add_mode(dana, "authenticator", prefer=True)
    Factor.objects.filter(user=dana).update(last_used_at=timezone.now())
    yield "modes", "/account/view?mfa=open", MFA
    client.post("/account/logout")
    give_credentials(client, "dana")
    yield "prompt", OTP, COLUMN
    sign_in(client, dana)
    clinic = Organization.objects.get(name=CLINIC).get_absolute_url()
    for name, path in (("policy", "policy"), ("rehearsal", "rehearsal"), ("progress", "compliance")):
        yield name, f"{clinic}/{path}", CARD


def _fingerprint(page: HttpResponse, part: tuple[str, str]) -> str:
    """Return a hash of the words, elements and classes of a part of a page, and of the colours of the portal."""
    assert page.status_code == 200
    reader = _Reader(*part)
    reader.feed(page.content.decode())
    assert reader.words, part
    colours = STYLE.read_text().partition("@layer tokens {")[2].partition("@layer base {")[0]
    return hashlib.sha256("\n".join([*reader.words, colours]).encode()).hexdigest()[:12]


class _Reader(HTMLParser):
    """Reads the words, elements and classes of the first element that has a value in an attribute."""

    def __init__(self, attribute: str, value: str) -> None:
        super().__init__()
        self.attribute, self.value = attribute, value
        self.words: list[str] = []
        self.depth = self.changing = 0  # open elements of the part; those of them whose content is passed over

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element with its class and type."""
        given = dict(attrs)
        begins = not self.words and self.value in (given.get(self.attribute) or "").split()
        if not (self.depth or begins):
            return
        if not self.changing and given.get("type") != "hidden":
            self.words.append(f"<{tag} {given.get('class')} {given.get('type')}>")
        if tag not in VOID:
            self.depth += 1
            self.changing += bool(self.changing or tag in CHANGING)

    def handle_endtag(self, tag: str) -> None:
        """Count an element that ends."""
        if self.depth and tag not in VOID:
            self.depth -= 1
            self.changing -= bool(self.changing)

    def handle_data(self, data: str) -> None:
        """Note a text, without its numbers and the tag of a mail."""
        if self.depth and not self.changing and (text := " ".join(data.split())):
            self.words.append(re.sub(r"\d+", "0", re.sub(r"\b[A-Z]\d\b", "TAG", text)))
