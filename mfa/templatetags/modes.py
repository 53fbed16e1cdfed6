"""What templates ask of a mode."""

from django import template

from mfa import modes

register = template.Library()


@register.filter
def mode_icon(name: str) -> str:
    """Return the name of a mode's icon."""
    return modes.get(name).icon
