"""What whoever runs the portal sees: counters, and what it is made of."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.codes import app_code
from tests.signing_in import OTP, give_credentials

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent


def counted(step: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("portal_outcomes_total", {"step": step, "outcome": outcome}) or 0


def test_every_outcome_of_a_sign_in_is_counted(client, dana_with_app):
    """SR-55."""
    steps = [
        ("accounts.signin", "WrongCredentials"),
        ("mfa.code_refusals", "WrongCode"),
        ("code_refused", "authenticator"),
        ("signed_in", "authenticator"),
    ]
    before = [counted(*step) for step in steps]

    give_credentials(client, "dana", "wrong")
    give_credentials(client, "dana")
    client.post(OTP, {"otp": "000000"})
    client.post(OTP, {"otp": app_code(dana_with_app)})

    assert [counted(*step) - number for step, number in zip(steps, before, strict=True)] == [1, 1, 1, 1]


def test_every_refusal_is_counted_by_its_name():
    """SR-55: none can be forgotten."""
    from accounts.refusals import Refused

    class Nothing(Refused):
        pass

    before = counted(__name__, "Nothing")
    Nothing()

    assert counted(__name__, "Nothing") == before + 1


def test_the_counters_are_for_whoever_knows_the_token(client, settings, dana):
    """SR-55: and they name nobody."""
    give_credentials(client, "dana", "wrong")
    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "a token of the operators"
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404

    page = client.get("/metrics", headers={"Authorization": "Bearer a token of the operators"})

    assert 'outcome="WrongCredentials"' in page.content.decode()
    assert "dana" not in page.content.decode().lower()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_dependency_is_pinned_with_hashes(name):
    """SR-56."""
    packages = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    pinned = [package for package in packages if not package.startswith("#")]

    assert len(pinned) > 20
    assert [package for package in pinned if not re.match(r"[\w.\[\],-]+==\S+", package)] == []
    assert [package for package in pinned if "--hash=sha256:" not in package] == []


def test_the_static_checker_asks_every_question():
    """SR-56: bandit's rules are among ruff's; outside of tests none of them is switched off."""
    import tomllib

    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]

    assert lint["select"] == ["ALL"]
    assert not [rule for rule in lint["ignore"] if re.match(r"S\d", rule)]
