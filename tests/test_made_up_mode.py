"""A mode is one module: a made-up one, registered here, works everywhere without another file being touched."""

from datetime import datetime, timedelta

import pyotp
import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa import codes, modes
from mfa.code_refusals import WrongCode
from mfa.models import Challenge, Factor
from organizations import accepted_modes, member_counts, policy_impact, reminders
from organizations.models import Membership, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.cli import Cli
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db


class Lantern(modes.Mode):
    """A lamp that shows a new code each time it is switched on (HOTP, RFC 4226)."""

    name = "lantern"
    label = "lantern"
    hint = "a lantern"
    icon = "key"
    way_in_words = "a lantern"
    loss_in_words = "your lantern"

    def activation_context(self, enrolment: Challenge) -> dict[str, object]:
        return {"number": codes.base32(enrolment.secret)}

    def enrol(self, enrolment: Challenge, proof: str, *, now: datetime) -> modes.Enrolled:
        if not codes.same(shown(enrolment.secret, 1), proof):
            raise WrongCode
        return modes.Enrolled(secret=enrolment.secret, last_step=1)

    def spend(self, factor: Factor, challenge: Challenge, proof: str, *, origin: Origin, now: datetime) -> str:
        if not codes.same(shown(factor.secret, factor.last_step + 1), proof):
            raise WrongCode
        factor.last_step += 1
        return ""


def shown(secret: bytes, count: int) -> str:
    """Return what the lantern shows when it is switched on for the ``count``-th time."""
    return pyotp.HOTP(codes.base32(secret)).at(count)


@pytest.fixture(autouse=True)
def lantern(monkeypatch, settings, tmp_path):
    folder = tmp_path / "mfa" / "modes" / "lantern"
    folder.mkdir(parents=True)
    (folder / "prompt.html").write_text("<p>Switch your lantern on.</p>")
    (folder / "activation.html").write_text("<p>Tell your lantern this number: {{ number }}</p>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], tmp_path]}]
    monkeypatch.setitem(modes.ALL, "lantern", Lantern())


def next_code(user: User) -> str:
    factor = Factor.objects.get(user=user, mode="lantern")
    return shown(factor.secret, factor.last_step + 1)


def activate(client, user: User) -> str:
    """Activate the lantern from the settings page and return what the activation page says."""
    client.post("/account/mfa/activate", {"type": "lantern", "identifier": user.email, "password": PASSWORD})
    page = client.get("/account/mfa/activate/complete")
    secret = Challenge.objects.filter(user=user, purpose="enrolment").latest("created_at").secret
    client.post("/account/mfa/activate/complete", {"otp": shown(secret, 1), "set_as_preferred": "on"})
    return text_of(page)


@pytest.fixture
def dana_with_lantern(client, dana_with_email):
    sign_in(client, dana_with_email)
    activate(client, dana_with_email)
    dana_with_email.refresh_from_db()
    return dana_with_email


def test_it_is_offered_activated_and_preferred(client, dana_with_email):
    sign_in(client, dana_with_email)

    assert "lantern" in text_of(client.get("/account/mfa/activate"))
    assert "Tell your lantern this number:" in activate(client, dana_with_email)

    dana_with_email.refresh_from_db()
    assert dana_with_email.preferred_mode == "lantern"
    assert dana_with_email.enabled_modes == "email lantern"
    assert "lantern" in text_of(client.get("/account/view?mfa=open"))


def test_a_wrong_first_code_enables_nothing(client, dana_with_email):
    sign_in(client, dana_with_email)
    client.post("/account/mfa/activate", {"type": "lantern", "identifier": "dana", "password": PASSWORD})

    page = client.post("/account/mfa/activate/complete", {"otp": "000000"})

    assert page.status_code == 400
    assert not Factor.objects.filter(mode="lantern").exists()


def test_the_prompt_asks_for_it_and_spends_its_code_once(another_browser, dana_with_lantern):
    browser = another_browser()
    give_credentials(browser, "dana")
    assert "Switch your lantern on." in text_of(browser.get(OTP))
    code = next_code(dana_with_lantern)

    browser.post(OTP, {"otp": code})

    assert is_signed_in(browser)
    again = another_browser()
    give_credentials(again, "dana")
    assert again.post(OTP, {"otp": code}).status_code == 400


def test_one_sign_in_switches_away_from_it_and_to_it(another_browser, dana_with_lantern):
    browser = another_browser()
    give_credentials(browser, "dana")

    browser.post("/account/login/otp/switch", {"mode": "email"})
    assert "Switch your lantern on." not in text_of(browser.get(OTP))
    browser.post("/account/login/otp/switch", {"mode": "lantern"})
    browser.post(OTP, {"otp": next_code(dana_with_lantern)})

    assert is_signed_in(browser)


def test_a_step_up_asks_for_it(client, dana_with_lantern):
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        page = client.get("/account/mfa/lantern/disable", follow=True)
        done = client.post("/account/confirm", {"otp": next_code(dana_with_lantern), "next": "/account/sessions"})

    assert "Switch your lantern on." in text_of(page)
    assert done.url == "/account/sessions"


def test_another_mode_becomes_preferred_and_it_is_disabled(client, dana_with_lantern):
    client.post("/account/mfa/email/prefer")
    client.post("/account/mfa/lantern/disable")

    dana_with_lantern.refresh_from_db()
    assert (dana_with_lantern.preferred_mode, dana_with_lantern.enabled_modes) == ("email", "email")


def demand_its_level(owner, clinic) -> None:
    """Accept only modes of its level or above, and require MFA. The first mode of a level names it."""
    page = reverse("organizations:policy", args=[clinic.pk])
    seen = owner.get(page).context["form"].current
    owner.post(page, {"counting": "authenticator", "required_from": "", "seen": seen})
    owner.post(f"{clinic.get_absolute_url()}/require")


def test_a_policy_can_demand_it_and_lists_and_counts_know_it(client, dana_with_lantern, another_browser, sam):
    clinic = OrganizationFactory()
    MembershipFactory(organization=clinic, user=dana_with_lantern, role=Role.OWNER)
    MembershipFactory(organization=clinic, user=sam)
    level = accepted_modes.label_of("authenticator")
    assert "authenticator" in level
    assert "lantern" in level
    assert level in text_of(client.get(reverse("organizations:policy", args=[clinic.pk])))

    demand_its_level(client, clinic)

    clinic.refresh_from_db()
    assert clinic.mfa_required
    assert clinic.accepted_modes == "authenticator"
    assert member_counts.of(clinic).by_state == {"email lantern": 1, "": 1}
    assert policy_impact.missing(clinic).examples == [sam.email]
    assert "email + lantern" in text_of(client.get(f"{clinic.get_absolute_url()}/members?mfa=email+lantern"))
    browser = another_browser()
    sign_in(browser, sam)
    assert browser.get(clinic.get_absolute_url()).url == "/account/mfa/required"
    assert f"Accepted modes: {level}" in text_of(browser.get("/account/mfa/required"))
    assert Membership.objects.get(user=dana_with_lantern).modes == "email lantern"


def test_a_reminder_asks_for_it(client, dana_with_lantern, sam):
    clinic = OrganizationFactory()
    MembershipFactory(organization=clinic, user=dana_with_lantern, role=Role.OWNER)
    MembershipFactory(organization=clinic, user=sam)
    demand_its_level(client, clinic)

    client.post(f"{clinic.get_absolute_url()}/remind")
    reminders.fan_out()

    assert "lantern" in next(mail.body for mail in read_mail() if mail.to == [sam.email])


def test_the_command_line_asks_for_it(dana_with_lantern, live_server):
    cli = Cli(live_server.url, dana_with_lantern.email, PASSWORD)
    cli.otp = lambda: next_code(dana_with_lantern)

    cli.whoami()

    assert cli.mfa_type == "lantern"
