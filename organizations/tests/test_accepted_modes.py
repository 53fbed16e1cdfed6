"""The levels of modes: which modes an organization accepts, and whether a member meets it here (SR-60)."""

from itertools import combinations, pairwise

import pytest

from mfa import modes
from organizations import accepted_modes
from organizations.accepted_modes import Verdict
from tests.beacon import Beacon

RANKS = {"email": 0, "authenticator": 1, "beacon": 2}
NEEDED = {"": 0, "authenticator": 1, "beacon": 2}
# Tuples: their names are the same in each process.
SETS = [some for size in range(4) for some in combinations(RANKS, size)]


@pytest.fixture(autouse=True)
def beacon(monkeypatch):
    """Register a mode of the third level, the only one there."""
    for mode in list(modes.ALL.values()):
        if mode.level == modes.Level.PHISHING_RESISTANT:
            monkeypatch.delitem(modes.ALL, mode.name)
    monkeypatch.setitem(modes.ALL, "beacon", Beacon())


@pytest.mark.parametrize("accepted", NEEDED)
@pytest.mark.parametrize("enabled", SETS, ids=" ".join)
def test_a_member_without_a_session_needs_a_mode_of_the_level(accepted, enabled):
    """SR-60: lists, counts, previews and mails ask only what the account owns."""
    expected = any(RANKS[name] >= NEEDED[accepted] for name in enabled)

    assert accepted_modes.are_met_by(accepted, enabled) is expected
    assert accepted_modes.verdict(accepted, enabled, None) is (Verdict.MET if expected else Verdict.MISSING)


@pytest.mark.parametrize("accepted", NEEDED)
@pytest.mark.parametrize("enabled", SETS, ids=" ".join)
@pytest.mark.parametrize("proved", SETS, ids=" ".join)
def test_a_session_needs_a_proof_by_a_mode_of_the_level(accepted, enabled, proved):
    """SR-60: a mode that the account has lost counts no longer; "any" asks for no mode beyond the sign-in."""
    verdict = accepted_modes.verdict(accepted, enabled, proved)

    if not any(RANKS[name] >= NEEDED[accepted] for name in enabled):
        assert verdict is Verdict.MISSING
    elif not accepted or any(RANKS[name] >= NEEDED[accepted] for name in set(proved) & set(enabled)):
        assert verdict is Verdict.MET
    else:
        assert verdict is Verdict.NOT_PROVED


@pytest.mark.parametrize("enabled", SETS, ids=" ".join)
@pytest.mark.parametrize("proved", SETS, ids=" ".join)
def test_nothing_needs_to_be_read_for_who_meets_every_policy(enabled, proved):
    """SR-60: and for no one else."""
    every = all(accepted_modes.verdict(value, enabled, proved) is Verdict.MET for value in NEEDED)

    assert accepted_modes.all_are_met_by(enabled, proved) is every


def test_levels_are_named_by_their_weakest_mode():
    assert accepted_modes.choices() == [
        ("", "any mode"),
        ("authenticator", "authenticator or beacon"),
        ("beacon", "beacon only"),
    ]


def test_the_label_of_today_stays_where_one_mode_reaches_the_level(monkeypatch):
    monkeypatch.delitem(modes.ALL, "beacon")

    assert accepted_modes.choices() == [("", "any mode"), ("authenticator", "authenticator only")]
    assert not accepted_modes.are_met_by("beacon", {"authenticator"})  # an unknown value stays closed
    assert accepted_modes.label_of("beacon") == "beacon"


def test_two_modes_of_a_level_share_its_first_name(monkeypatch):
    class Torch(Beacon):
        name, label = "torch", "torch"

    monkeypatch.setitem(modes.ALL, "torch", Torch())

    assert accepted_modes.choices()[-1] == ("beacon", "beacon or torch")
    assert accepted_modes.label_of("authenticator") == "authenticator, beacon or torch"
    assert accepted_modes.are_met_by("beacon", {"torch"})
    assert accepted_modes.are_met_by("torch", {"beacon"})  # also if a value of an earlier release names the other one
    assert accepted_modes.name_of("torch") == "beacon"


def test_the_values_are_in_order():
    values = accepted_modes.values()

    assert all(accepted_modes.is_stricter(second, than=first) for first, second in pairwise(values))
    assert accepted_modes.strictest(values) == "beacon"
    assert accepted_modes.strictest([]) == ""
