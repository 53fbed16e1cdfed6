"""Parts that every page is made of: icons, cards, tables, and buttons that post."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from django import template
from django.template.context import Context
from django.template.loader import render_to_string
from django.template.loader_tags import BLOCK_CONTEXT_KEY
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from accounts.security_log import agent_in_words

register = template.Library()
DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")


@register.simple_tag(takes_context=True)
def page_title(context: Context) -> SafeString:
    """Return the text of the page's ``title`` block, so that its heading and its browser tab say the same."""
    block = context.render_context[BLOCK_CONTEXT_KEY].get_block("title")
    text: str = block.render(context)
    return mark_safe(text.strip())  # noqa: S308  # a rendered block: variables in it are escaped


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """Draw an icon; the names are those of the partial."""
    return render_to_string("partials/_icon.html", {"name": name})


@register.simple_block_tag(takes_context=True)
def card(context: Context, content: str, icon: str, title: str, kind: str = "") -> SafeString:
    """Put what stands between ``card`` and ``endcard`` into a card below the page's own; ``inner``: inside it."""
    parts: dict[str, object] = {"content": content, "icon": icon, "title": title, "kind": kind}
    return _rendered(context, "partials/_card.html", parts)


@register.simple_block_tag(takes_context=True)
def table(context: Context, content: str, label: str, *columns: str) -> SafeString:
    """Put the rows that stand between ``table`` and ``endtable`` under their headings. Phones show rows as cards."""
    parts: dict[str, object] = {"content": _with_labels(content, columns), "label": label, "columns": columns}
    return _rendered(context, "partials/_table.html", parts)


def _with_labels(rows: str, columns: Sequence[str]) -> SafeString:
    """Label each cell with the heading of its column, which a card shows, and restore the roles that a card loses."""
    left = iter(columns)

    def opened(tag: re.Match[str]) -> str:
        nonlocal left
        if tag[1] == "tr":
            left = iter(columns)
            return '<tr role="row"'
        return f'<td role="cell" data-label="{conditional_escape(next(left, ""))}"'

    return SafeString(re.sub(r"<(tr|td)\b", opened, rows))


@register.inclusion_tag("partials/_button_form.html")
def button_form(
    action: str, *args: object, label: str, kind: str = "plain", about: str = "", name: str = "", value: str = "",
    query: str = "",
) -> Mapping[str, object]:  # fmt: skip
    """Draw a form that is one button: it posts ``name`` and ``value`` to the view ``action``.

    ``about`` holds the ids of the elements that tell a screen reader what the button acts on. ``query`` comes after the
    URL, with its question mark.
    """
    return {
        "url": reverse(action, args=args) + query,
        "label": label,
        "kind": kind,
        "about": about,
        "name": name,
        "value": value,
    }


@register.inclusion_tag("partials/_resend.html")
def resend_form(action: str, *, label: str, resend_in: int = 0, back: str = "") -> Mapping[str, object]:
    """Draw the button that mails a code again; a script lets it wait for ``resend_in`` seconds."""
    return {"url": reverse(action), "label": label, "resend_in": resend_in, "next": back}


@register.filter
def without_colon(label: object) -> str:
    """Return the label of a field without the colon at its end, before which French has a space."""
    return str(label).rstrip(":\N{NO-BREAK SPACE}")


@register.filter
def browser(agent: str) -> str:
    """Name the browser or program of a ``User-Agent``."""
    return agent_in_words(agent)


@register.filter
def grouped(number: int) -> str:
    """Show a whole number with its thousands grouped, as in 3,000."""
    return str(number_format(number, force_grouping=True))


@register.filter
def breakable(text: str) -> SafeString:
    """Let a line break after the @ and the dots of an address, and never within a date."""
    shown = re.sub(r"(?<=\w)([@.])(?=\w)", r"\1<wbr>", conditional_escape(text))
    return SafeString(DATE.sub(r'<span class="whole">\g<0></span>', shown))


@register.filter
def prefixed(key: object, prefix: str) -> str:
    """Make the id of an element out of a row's key."""
    return f"{prefix}{key}"


def _rendered(context: Context, name: str, parts: dict[str, object]) -> SafeString:
    found = context.template.engine.get_template(name)  # type: ignore[union-attr]
    return found.render(context.new(parts))
