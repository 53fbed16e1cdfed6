"""The pictures of the help: files below ``static/help/`` that ``make help-pictures`` makes from the real pages."""

import json
from collections.abc import Mapping
from functools import cache

from django import template
from django.conf import settings

from accounts import languages

register = template.Library()

FOLDER = settings.BASE_DIR / "static" / "help"
SIZES = "sizes.json"  # of each picture, by language: width and height as shown, in CSS pixels


@cache
def sizes() -> dict[str, dict[str, tuple[int, int]]]:
    """Return the size of each picture by language and name."""
    found: dict[str, dict[str, tuple[int, int]]] = json.loads((FOLDER / SIZES).read_text())
    return found


@register.inclusion_tag("help/_picture.html")
def help_picture(name: str, alt: str) -> Mapping[str, object]:
    """Show a picture in the reader's language, else in English, and in the reader's colour scheme.

    Its size is known before it is there, so that nothing moves.
    """
    active = languages.active()
    language = active if name in sizes().get(active, {}) else settings.LANGUAGE_CODE
    width, height = sizes()[language][name]
    return {
        "light": f"help/{language}/{name}-light.webp",
        "dark": f"help/{language}/{name}-dark.webp",
        "alt": alt,
        "width": width,
        "height": height,
    }
