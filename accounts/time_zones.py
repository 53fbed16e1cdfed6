"""The time zones of pages and mails: which there are, and which one a user has chosen."""

import re
import unicodedata
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from babel.dates import get_timezone_location, get_timezone_name
from django.utils import timezone
from django.utils.translation import gettext_lazy

from accounts import languages
from accounts.models import User
from accounts.refusals import Refused

UTC = "UTC"
# The regions of the IANA database that name places. The rest are aliases, offsets and relics.
REGIONS = {
    "Africa": gettext_lazy("Africa"),
    "America": gettext_lazy("America"),
    "Antarctica": gettext_lazy("Antarctica"),
    "Arctic": gettext_lazy("Arctic"),
    "Asia": gettext_lazy("Asia"),
    "Atlantic": gettext_lazy("Atlantic Ocean"),
    "Australia": gettext_lazy("Australia"),
    "Europe": gettext_lazy("Europe"),
    "Indian": gettext_lazy("Indian Ocean"),
    "Pacific": gettext_lazy("Pacific Ocean"),
}
Choice = tuple[str, str]  # the name of a time zone, and its label


class NoSuchTimeZone(Refused):
    """The portal does not know such a time zone."""

    message = gettext_lazy("This time zone is not available.")


@cache
def names() -> tuple[str, ...]:
    """Return the names of all time zones that a user can choose: UTC, then those of places, in their order."""
    return (UTC, *sorted(name for name in available_timezones() if name.partition("/")[0] in REGIONS))


def choices(query: str = "") -> list[tuple[object, object]]:
    """Return the choices of a form field: UTC, then for each region its places, the city first, with today's offset.

    With a query, only those in whose place, country or region each of its words begins a word, in English or in the
    language of the page.
    """
    words = _words(query)
    utc = [] if words else [(UTC, UTC)]
    return utc + [
        (REGIONS[region], found)
        for region, places in _places(_quarter_of(timezone.now()), languages.active())
        if (found := [place for place in places if not words or _begins(words, region, place)])
    ]


def choice_of(name: str) -> Choice:
    """Return the choice of one time zone."""
    return name, _label(name, timezone.now().astimezone(ZoneInfo(name)), languages.active())


def _searched(place: Choice) -> str:
    """Return what a search of a place looks at: its country, and its names in English and the page's language."""
    name, label = place
    return f"{name.replace('/', ' ')} {label} {get_timezone_location(name, locale=languages.active())}"


def _begins(words: list[str], region: str, place: Choice) -> bool:
    parts = _words(f"{REGIONS[region]} {_searched(place)}")
    return all(any(part.startswith(word) for part in parts) for word in words)


def _words(text: str) -> list[str]:
    """Return the words of a text in lower case without accents: the names of the database have none."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.findall(r"[a-z0-9+]+", plain.replace(".", ""))


def _quarter_of(at: datetime) -> datetime:
    """Return the beginning of a quarter of an hour: clocks change at one."""
    return at - timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)


@lru_cache(maxsize=8)
def _places(at: datetime, language: str) -> list[tuple[str, list[Choice]]]:
    """Return the choices of each region, by their labels. Reading all time zones takes a tenth of a second."""
    regions: dict[str, list[Choice]] = {}
    for name in names():
        region, _slash, place = name.partition("/")
        if place:
            regions.setdefault(region, []).append((name, _label(name, at.astimezone(ZoneInfo(name)), language)))
    return [(region, sorted(places, key=lambda choice: _words(choice[1]))) for region, places in regions.items()]


@cache
def _city(name: str, language: str) -> str:
    """Return ``Knox, Indiana`` for ``America/Indiana/Knox``, and ``Kopenhagen`` for ``Europe/Copenhagen`` in German.

    A name that CLDR takes for another city's, such as ``Europe/Belfast``, stays as the database has it.
    """
    city = in_words(", ".join(reversed((name.partition("/")[2] or name).split("/"))))
    in_english = get_timezone_location(name, locale="en", return_city=True)
    if _words(in_english) != _words(city):
        return city
    return get_timezone_location(name, locale=language, return_city=True)


def _label(name: str, at: datetime, language: str) -> str:
    """Return ``Knox, Indiana (UTC−5)`` for ``America/Indiana/Knox``: typing a city leads to it."""
    minutes = int((at.utcoffset() or timedelta()) / timedelta(minutes=1))
    hours, rest = divmod(abs(minutes), 60)
    sign = "\N{MINUS SIGN}" if minutes < 0 else "+"
    return f"{_city(name, language)} ({UTC}{sign}{hours}{f':{rest:02}' if rest else ''})"


def in_words(name: str) -> str:
    """Return the name of a time zone as people write it."""
    return name.replace("_", " ")


def choice_in_words(name: str) -> str:
    """Return the name of a time zone as the list of choices has it, with its region."""
    region = name.partition("/")[0]
    return f"{_city(name, languages.active())} ({REGIONS[region]})" if region in REGIONS else in_words(name)


@cache
def _all() -> frozenset[str]:
    return frozenset(names())


def known(name: str) -> str:
    """Return the name if it is one of the portal's time zones, else an empty string."""
    return name if name in _all() else ""


def shown_in(name: str) -> timezone.override:
    """Return a context in which times are shown in the time zone of this name; in UTC if there is none."""
    return timezone.override(ZoneInfo(known(name) or UTC))


def label_of(at: datetime) -> str:
    """Return the abbreviation of an aware moment's zone: ``CET``, in German ``MEZ``; ``UTC+03`` if it has none."""
    name = at.tzname() or UTC
    if not name[0].isalpha():
        return f"{UTC}{name}"
    own = _abbreviation(str(at.tzinfo), languages.active(), is_summer=bool(at.dst())) if name != UTC else UTC
    return own if own.isalpha() else name


@cache
def _abbreviation(zone: str, language: str, *, is_summer: bool) -> str:
    """Return the abbreviation of a zone in a language; where the language has none, something longer."""
    variant: Literal["daylight", "standard"] = "daylight" if is_summer else "standard"
    return get_timezone_name(ZoneInfo(zone), width="short", locale=language, zone_variant=variant)


def of_mail(user: User | None, *, is_awaited: bool) -> str:
    """Return the time zone of a mail to ``user``; blank for UTC.

    Without a choice, a mail that the reader of this page waits for is in the page's: a reader who compares the two
    finds the same time. All others are in the recipient's, which another person who causes a mail does not change.
    """
    if is_awaited and not (user and user.time_zone):
        return known(timezone.get_current_timezone_name())
    return of_user(user) if user else ""


def of_user(user: User) -> str:
    """Return the chosen time zone of a user, else that of the browser of the last sign-in; blank if none."""
    return user.time_zone or user.last_time_zone


def choose(user: User, name: str) -> None:
    """Store the time zone in which a user wants pages and mails; blank: none. Raises ``NoSuchTimeZone``."""
    if name and not known(name):
        raise NoSuchTimeZone
    User.objects.filter(pk=user.pk).update(time_zone=name)
    user.time_zone = name
