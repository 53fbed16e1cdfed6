"""The modes, in the order in which pages offer them.

To add one: its module, its templates, one migration, this list.
"""

from collections.abc import Iterable
from itertools import combinations as subsets

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from mfa.modes.authenticator import Authenticator
from mfa.modes.base import Enrolled, Level, Mode
from mfa.modes.email import Email
from mfa.modes.passkey import Passkey

__all__ = [
    "ALL",
    "Enrolled",
    "Level",
    "Mode",
    "accepted",
    "any_mailed",
    "combinations",
    "get",
    "label",
    "naming_levels",
]

ALL: dict[str, Mode] = {mode.name: mode for mode in (Authenticator(), Email(), Passkey())}

# What else is written down as the proof of a session or event, in the words of ``recovery`` and the others.
OTHER_PROOFS: dict[str, str | Promise] = {
    "recovery code": pgettext_lazy("proof", "recovery code"),
    "assisted reset": pgettext_lazy("proof", "assisted reset"),
    "remembered": pgettext_lazy("proof", "remembered"),
}


def get(name: str) -> Mode:
    """Return the mode of this name. Raise ``KeyError`` for a name that is no mode's."""
    return ALL[name]


def label(name: str) -> str:
    """Return the users' word for a mode or another proof, such as a recovery code."""
    return str(ALL[name].label if name in ALL else OTHER_PROOFS.get(name, name))


def any_mailed(names: Iterable[str]) -> bool:
    """Return whether one of these modes sends its codes by mail."""
    return any(get(name).is_mailed for name in names)


def naming_levels() -> list[Mode]:
    """Return the modes that name the levels which an organization can demand, the lowest level first.

    A level is named by its first mode in ``ALL``. The level of mailed codes cannot be demanded: every mode reaches it.
    """
    first: dict[Level, Mode] = {}
    for mode in ALL.values():
        first.setdefault(mode.level, mode)
    return [mode for level, mode in sorted(first.items()) if level > Level.MAILED]


def accepted(weakest: str) -> list[Mode]:
    """Return the modes of at least the level of the mode ``weakest``, the lowest level first; all if it is blank.

    A name that is no mode's, such as one of a later release, accepts no mode: the policy stays closed.
    """
    if weakest and weakest not in ALL:
        return []
    lowest = ALL[weakest].level if weakest else Level.MAILED
    return sorted((mode for mode in ALL.values() if mode.level >= lowest), key=lambda mode: mode.level)


def combinations() -> list[str]:
    """Return every set of modes that a user can have enabled, each as ``User.enabled_modes`` writes it."""
    names = sorted(ALL)
    return sorted(" ".join(some) for size in range(len(names) + 1) for some in subsets(names, size))
