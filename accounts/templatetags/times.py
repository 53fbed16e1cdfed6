"""Moments as people of a language read them, in the time zone of the page or mail, which is named beside them.

Where the zone of a page is not the user's choice, the script turns its times into the browser's.
"""

from datetime import UTC, date, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from accounts import time_zones

register = template.Library()

ISO = "%Y-%m-%dT%H:%M:%SZ"
RELATIVE_FOR = timedelta(days=1)


def _text(at: datetime, form: str) -> str:
    local = timezone.localtime(at)
    return f"{date_format(local, form)} {time_zones.label_of(local)}"


def _time(at: datetime | None, form: str, precision: str = "") -> SafeString | str:
    """Return a ``time`` element. The script shows it in the browser's time zone if ``precision`` is given."""
    if not at:
        return ""
    local = format_html(' data-local="{}"', precision) if precision else ""
    return format_html('<time datetime="{}"{}>{}</time>', f"{at.astimezone(UTC):{ISO}}", local, _text(at, form))


def _ago(at: datetime) -> str:
    """Return how long ago a moment was, in words; blank if it is to come or was more than a day ago."""
    passed = timezone.now() - at
    if not timedelta(minutes=-1) < passed < RELATIVE_FOR:
        return ""
    minutes = int(passed / timedelta(minutes=1))
    if minutes < 1:
        return gettext("just now")
    if minutes < 60:
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", minutes) % {"n": minutes}
    return ngettext("%(n)d hour ago", "%(n)d hours ago", minutes // 60) % {"n": minutes // 60}


@register.filter
def in_words(at: datetime | None) -> str:
    """Return day and minute of a moment without an element: for mails and messages."""
    # Translators: letters are Django's, "j F Y" is "4 March 2027"; a backslash keeps a letter as it is.
    return _text(at, gettext("j F Y, H:i")) if at else ""


@register.filter
def clock_in_words(at: datetime | None) -> str:
    """Return hour and minute of a moment without an element: for mails that are read at once."""
    return _text(at, "H:i") if at else ""


@register.filter
def zone_in_words(name: str) -> str:
    """Return the name of a time zone as people write it."""
    return time_zones.choice_in_words(name)


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Show day and minute, as in a sentence."""
    return _time(at, gettext("j F Y, H:i"), "minute")


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """Show day and minute of a moment and, for a day, how long ago it was."""
    words = _ago(at) if at else ""
    return format_html("{} ({})", moment(at), words) if words else moment(at)


@register.filter
def clock(at: datetime | None) -> SafeString | str:
    """Show hour and minute of a moment of today."""
    return _time(at, "H:i", "clock")


@register.filter
def exact_clock(at: datetime | None) -> SafeString | str:
    """Show hour, minute and second of a moment of today."""
    return _time(at, "H:i:s", "exact")


@register.filter
def short_moment(at: datetime | None) -> SafeString | str:
    """Show day and minute, as in the cell of a table."""
    return _time(at, gettext("Y-m-d H:i"), "cell")


@register.filter
def second(at: datetime | None) -> SafeString | str:
    """Show day and second, as in a log."""
    return _time(at, gettext("Y-m-d H:i:s"), "second")


@register.filter
def logged(at: datetime) -> SafeString | str:
    """Show day and second of a row of a log and, for a day, how long ago it was."""
    words = _ago(at)
    return format_html('{}<br><span class="muted">{}</span>', second(at), words) if words else second(at)


@register.filter
def utc_moment(at: datetime | None) -> SafeString | str:
    """Show day and minute in UTC. A printed document must read the same in every time zone."""
    with timezone.override(UTC):
        return _time(at, gettext("j F Y, H:i"))


@register.filter
def utc_second(at: datetime | None) -> SafeString | str:
    """Show day and second in UTC, as in a log that is printed."""
    with timezone.override(UTC):
        return _time(at, gettext("Y-m-d H:i:s"))


@register.filter
def day(at: date | None, form: str = "") -> SafeString | str:
    """Show a day that was agreed on in UTC: it has the same name for every reader."""
    if not at:
        return ""
    if isinstance(at, datetime):
        at = at.astimezone(UTC)
    form = form or gettext("j F Y")
    return format_html('<time datetime="{}">{}</time>', f"{at:%Y-%m-%d}", date_format(at, form))
