"""Which modes an organization accepts: any, or one mode by name."""

from collections.abc import Collection

from django.utils.translation import gettext as _

from mfa import modes

ANY = ""  # value of ``Organization.accepted_modes``; any other value is the name of a mode


def choices() -> list[tuple[str, str]]:
    """Return the values of ``Organization.accepted_modes`` with their labels."""
    return [(ANY, _("any mode")), *((mode.name, _only(mode)) for mode in modes.demandable())]


def label_of(accepted: str) -> str:
    """Return the label of a value of ``Organization.accepted_modes``."""
    return _only(modes.get(accepted)) if accepted else _("any mode")


def are_met_by(accepted: str, enabled: Collection[str]) -> bool:
    """Return whether a user with these modes has one that is accepted."""
    return accepted in enabled if accepted else bool(enabled)


def all_are_met_by(enabled: Collection[str]) -> bool:
    """Return whether a user with these modes meets any policy that an organization can have."""
    return bool(enabled) and all(mode.name in enabled for mode in modes.demandable())


def _only(mode: modes.Mode) -> str:
    return _("%(mode)s only") % {"mode": mode.label}
