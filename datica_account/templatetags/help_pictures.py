"""The pictures of the help: files below ``static/help/`` that ``make help-pictures`` makes from the real pages."""

import json
from collections.abc import Mapping
from functools import cache

from django import template
from django.conf import settings

register = template.Library()

FOLDER = settings.BASE_DIR / "static" / "help"
SIZES = "sizes.json"  # of each picture: width and height as shown, in CSS pixels


@cache
def sizes() -> dict[str, tuple[int, int]]:
    """Return the size of each picture by its name."""
    return {name: (width, height) for name, (width, height) in json.loads((FOLDER / SIZES).read_text()).items()}


@register.inclusion_tag("help/_picture.html")
def help_picture(name: str, alt: str) -> Mapping[str, object]:
    """Show a picture in the reader's colour scheme. Its size is known before it is there, so that nothing moves."""
    width, height = sizes()[name]
    return {
        "light": f"help/{name}-light.webp",
        "dark": f"help/{name}-dark.webp",
        "alt": alt,
        "width": width,
        "height": height,
    }
