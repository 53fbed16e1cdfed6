"""Moments as people of a language read them: UTC in the page, which the script turns into the reader's time zone."""

from datetime import UTC, date, datetime

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

register = template.Library()

ISO = "%Y-%m-%dT%H:%M:%SZ"


def _time(at: datetime | None, form: str, precision: str = "") -> SafeString | str:
    """Return a ``time`` element. The script shows it in the reader's time zone if ``precision`` is given."""
    if not at:
        return ""
    at = at.astimezone(UTC)
    local = format_html(' data-local="{}"', precision) if precision else ""
    return format_html('<time datetime="{}"{}>{} UTC</time>', f"{at:{ISO}}", local, date_format(at, form))


def in_words(at: datetime) -> str:
    """Return day and minute of a moment in UTC, without an element: for messages."""
    # Translators: letters are Django's, "j F Y" is "4 March 2027"; a backslash keeps a letter as it is.
    return date_format(at.astimezone(UTC), gettext("j F Y, H:i"))


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """Show day and minute, as in a sentence."""
    return _time(at, gettext("j F Y, H:i"), "minute")


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
def utc_moment(at: datetime | None) -> SafeString | str:
    """Show day and minute in UTC. A printed document must read the same in every time zone."""
    return _time(at, gettext("j F Y, H:i"))


@register.filter
def day(at: date | None, form: str = "") -> SafeString | str:
    """Show a day that was agreed on in UTC: it has the same name for every reader."""
    if not at:
        return ""
    if isinstance(at, datetime):
        at = at.astimezone(UTC)
    form = form or gettext("j F Y")
    return format_html('<time datetime="{}">{}</time>', f"{at:%Y-%m-%d}", date_format(at, form))
