"""Which modes an organization accepts: any, or a level and those above it (SR-60; docs/decisions.md#51).

The one place that decides whether a member meets a policy. Pages and endpoints also ask what proved the session or
token. Lists, counts, previews and mails are about members without one, so they ask only what the account owns.
"""

from collections.abc import Collection
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import languages
from mfa import modes
from mfa.modes import Level

ANY = ""  # value of ``Organization.accepted_modes``; any other value is the name of a mode, the weakest one accepted


EXPLANATIONS = {
    Level.MAILED: gettext_lazy("a code by email is enough, so an account is as safe as its mailbox"),
    Level.OWN_DEVICE: gettext_lazy("the member's own device is needed, not only the mailbox"),
    Level.PHISHING_RESISTANT: gettext_lazy("members cannot be tricked into passing on a code"),
}


class Verdict(StrEnum):
    """Whether a member meets the accepted modes of an organization."""

    MET = "met"
    NOT_PROVED = "the account has an accepted mode, but this session or token was proved by another one"
    MISSING = "the account has no accepted mode"


def values() -> list[str]:
    """Return the values that ``Organization.accepted_modes`` can be set to, the least strict first."""
    return [ANY, *(mode.name for mode in modes.naming_levels())]


def choices() -> list[tuple[str, str]]:
    """Return the values that ``Organization.accepted_modes`` can be set to, with their labels."""
    return [(value, label_of(value)) for value in values()]


def explained_choices() -> list[tuple[str, str]]:
    """Return the values and their labels, each with a few words about its level."""
    words = _("%(mode)s: %(explanation)s")
    return [
        (value, words % {"mode": label, "explanation": EXPLANATIONS[modes.accepted(value)[0].level]})
        for value, label in choices()
    ]


def label_of(accepted: str) -> str:
    """Return the label of a value of ``Organization.accepted_modes``."""
    if not accepted:
        return _("any mode")
    is_alone = len(modes.accepted(accepted)) == 1
    return _("%(mode)s only") % {"mode": in_words(accepted)} if is_alone else in_words(accepted)


def translated(label: str) -> str:
    """Return a label that a log keeps, in the portal's language, in the reader's."""
    with languages.of(None):
        kept = {label_of(value): value for value in values()}
    return label_of(kept[label]) if label in kept else label


def in_words(accepted: str) -> str:
    """Return the accepted modes as a part of a sentence, such as "authenticator or passkey"."""
    labels = [str(mode.label) for mode in modes.accepted(accepted)] or [accepted]
    if len(labels) == 1:
        return labels[0]
    return _("%(modes)s or %(last)s") % {"modes": ", ".join(labels[:-1]), "last": labels[-1]}


def name_of(accepted: str) -> str:
    """Return the name of a level, which a value of an earlier release may name by another of its modes."""
    if accepted not in modes.ALL:
        return accepted
    level = modes.get(accepted).level
    return next((mode.name for mode in modes.naming_levels() if mode.level == level), ANY)


def is_stricter(accepted: str, *, than: str) -> bool:
    """Return whether fewer modes are accepted by one value than by another."""
    return len(modes.accepted(accepted)) < len(modes.accepted(than))


def strictest(values: Collection[str]) -> str:
    """Return the value that accepts the fewest modes: who meets it meets all; ``ANY`` if there is none."""
    return min(values, key=lambda value: len(modes.accepted(value)), default=ANY)


def owned(accepted: str, enabled: Collection[str]) -> list[str]:
    """Return the enabled modes that are accepted, the lowest level first."""
    return [mode.name for mode in modes.accepted(accepted) if mode.name in enabled]


def are_met_by(accepted: str, enabled: Collection[str]) -> bool:
    """Return whether a user with these modes has one that is accepted."""
    return bool(owned(accepted, enabled)) if accepted else bool(enabled)


def verdict(accepted: str, enabled: Collection[str], proved: Collection[str] | None) -> Verdict:
    """Return whether an account with the modes ``enabled`` meets the policy here.

    ``proved``: the modes that proved this session or token; None if there is none. A recovery code, an assisted reset
    and a remembered browser are no modes. They are enough where any mode is accepted.
    """
    if not are_met_by(accepted, enabled):
        return Verdict.MISSING
    if proved is None or not accepted or are_met_by(accepted, set(proved) & set(enabled)):
        return Verdict.MET
    return Verdict.NOT_PROVED


def all_are_met_by(enabled: Collection[str], proved: Collection[str] | None) -> bool:
    """Return whether the policy of every organization is met here, whatever it accepts; see ``verdict``."""
    return all(verdict(value, enabled, proved) is Verdict.MET for value in values())
