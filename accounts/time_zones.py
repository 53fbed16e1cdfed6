"""The time zones of pages and mails: which there are, and which one a user has chosen."""

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.utils import timezone
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.refusals import Refused

UTC = "UTC"
# The regions of the IANA database that name places. The rest are aliases, offsets and relics.
REGIONS = (
    "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
)  # fmt: skip


class NoSuchTimeZone(Refused):
    """The portal does not know such a time zone."""

    message = gettext_lazy("This time zone is not available.")


@cache
def names() -> tuple[str, ...]:
    """Return the names of all time zones that a user can choose: UTC, then those of places, in their order."""
    return (UTC, *sorted(name for name in available_timezones() if name.partition("/")[0] in REGIONS))


@cache
def choices() -> list[tuple[str, object]]:
    """Return the choices of a form field, grouped by region, with the names as people write them."""
    regions: dict[str, list[tuple[str, str]]] = {}
    for name in names():
        region, _slash, place = name.partition("/")
        if place:
            regions.setdefault(region, []).append((name, in_words(place)))
    return [(UTC, UTC), *regions.items()]


def in_words(name: str) -> str:
    """Return the name of a time zone as people write it."""
    return name.replace("_", " ")


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
    """Return the abbreviation of the zone of an aware moment: ``CET``; ``UTC+03`` where the zone has none."""
    name = at.tzname() or UTC
    return name if name[0].isalpha() else f"{UTC}{name}"


def of_mail(user: User | None, *, is_awaited: bool) -> str:
    """Return the time zone of a mail to ``user``: the chosen one; blank for UTC.

    A mail that the reader of this page waits for, or that goes to an address without an account, is in the page's: who
    compares the two finds the same time.
    """
    if user is not None and user.time_zone:
        return user.time_zone
    return known(timezone.get_current_timezone_name()) if user is None or is_awaited else ""


def choose(user: User, name: str) -> None:
    """Store the time zone in which a user wants pages and mails; blank: none. Raises ``NoSuchTimeZone``."""
    if name and not known(name):
        raise NoSuchTimeZone
    User.objects.filter(pk=user.pk).update(time_zone=name)
    user.time_zone = name
