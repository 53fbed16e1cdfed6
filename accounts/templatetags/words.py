"""Lists of things in a sentence."""

from collections.abc import Sequence

from django import template
from django.utils.functional import Promise
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def all_of(words: Sequence[str | Promise]) -> str:
    """Return ``a, b and c``."""
    return _joined(words, _("%(first)s and %(last)s"))


@register.filter
def one_of(words: Sequence[str | Promise]) -> str:
    """Return ``a, b or c``."""
    return _joined(words, _("%(first)s or %(last)s"))


def _joined(words: Sequence[str | Promise], pattern: str) -> str:
    *first, last = map(str, words)
    return pattern % {"first": ", ".join(first), "last": last} if first else last
