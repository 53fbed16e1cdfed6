"""The modes, in the order in which pages offer them.

To add one: its module, its templates, one migration, this list.
"""

from itertools import combinations as subsets

from mfa.modes.authenticator import Authenticator
from mfa.modes.base import Enrolled, Mode
from mfa.modes.email import Email
from mfa.modes.passkey import Passkey

__all__ = ["ALL", "Enrolled", "Mode", "combinations", "demandable", "get"]

ALL: dict[str, Mode] = {mode.name: mode for mode in (Authenticator(), Email(), Passkey())}


def get(name: str) -> Mode:
    """Return the mode of this name. Raise ``KeyError`` for a name that is no mode's."""
    return ALL[name]


def demandable() -> list[Mode]:
    """Return the modes that an organization can demand of its members, each alone."""
    return [mode for mode in ALL.values() if mode.can_be_demanded]


def combinations() -> list[str]:
    """Return every set of modes that a user can have enabled, each as ``User.enabled_modes`` writes it."""
    names = sorted(ALL)
    return sorted(" ".join(some) for size in range(len(names) + 1) for some in subsets(names, size))
