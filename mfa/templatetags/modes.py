"""What templates ask of a mode."""

from django import template

from mfa import modes

register = template.Library()


@register.filter
def mode_icon(name: str) -> str:
    """Return the name of a mode's icon."""
    return modes.get(name).icon


@register.filter
def mode_label(name: str) -> str:
    """Return the users' word for a mode or another proof, such as a recovery code."""
    return modes.label(name)


@register.filter
def mode_hint(name: str) -> str:
    """Return what a mode asks of its user, in some words."""
    return str(modes.get(name).hint)
