"""Policy asks what proved this session or token, not only what the account owns (SR-60)."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.utils import timezone

from accounts import tokens
from accounts.models import Channel, User
from accounts.security_log import Origin
from accounts.session_store import PROVED
from accounts.tests.factories import UserFactory
from mfa import modes, recovery
from mfa.models import Challenge
from mfa.tests.factories import add_mode, add_passkey
from mfa.tests.test_activation import activate, complete_with_app
from mfa.tests.test_cli_code import begin, shown, type_code
from mfa.tests.test_passkeys import signed, uses_passkey
from organizations import (
    accepted_modes,
    invitations,
    member_counts,
    membership,
    policy,
    policy_changes,
    policy_impact,
    reminders,
)
from organizations.models import Environment, Membership, Pod, RehearsalHit, Role
from organizations.policy_changes import PolicySettings
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.beacon import Beacon, add_beacon, next_answer
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, sign_in

pytestmark = pytest.mark.django_db

STEP_UP = "/account/confirm"


@pytest.fixture
def beacon(monkeypatch):
    """Register a mode of the third level, the only one there."""
    for mode in list(modes.ALL.values()):
        if mode.level == modes.Level.PHISHING_RESISTANT:
            monkeypatch.delitem(modes.ALL, mode.name)
    monkeypatch.setitem(modes.ALL, "beacon", Beacon())


@pytest.fixture
def dana(dana_with_both):
    """Prefer mail, so that a sign-in proves the mailbox alone."""
    dana_with_both.preferred_mode = "email"
    dana_with_both.save()
    return dana_with_both


def organization(name: str = "Clinic", *, accepted: str = "authenticator", days: int = -1):
    """Make an organization whose policy is in force."""
    required_at = timezone.now() + timedelta(days=days)
    return OrganizationFactory(name=name, mfa_required_at=required_at, accepted_modes=accepted)


@pytest.fixture
def clinic(dana):
    found = organization()
    MembershipFactory(organization=found, user=dana)
    return found


def shown_messages(response) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def is_asked(response) -> bool:
    return response.status_code == 302 and response.url.startswith(f"{STEP_UP}?")


class TestAMemberWhoSignedInByMail:
    def test_meets_a_step_up_not_a_wall(self, client, dana, clinic):
        """SR-60: with app and mail, at an organization that accepts the app only."""
        sign_in(client, dana)

        asked = client.get(clinic.get_absolute_url())

        assert is_asked(asked)
        assert "Clinic requires authenticator" in shown_messages(asked)
        page = text_of(client.get(asked.url))
        assert "Accepted here: authenticator" in page
        assert "Multi-factor authentication type: authenticator" in page
        opened = client.post(asked.url, {"otp": app_code(dana), "next": clinic.get_absolute_url()})
        assert opened.url == clinic.get_absolute_url()
        assert client.get(opened.url).status_code == 200

    def test_is_offered_no_mode_that_is_not_accepted(self, client, dana, clinic):
        """SR-60: a step-up by mail would lead back to the same question."""
        sign_in(client, dana)
        page = client.get(client.get(clinic.get_absolute_url()).url)

        assert page.context["other_modes"] == []
        assert "Use a recovery code" not in text_of(page)

    def test_a_step_up_that_was_begun_by_mail_is_begun_again(self, client, dana, clinic):
        """SR-60."""
        sign_in(client, dana)
        client.get(STEP_UP)
        assert Challenge.objects.get(purpose="step_up").mode == "email"

        client.get(client.get(clinic.get_absolute_url()).url)

        assert Challenge.objects.filter(purpose="step_up").latest("created_at").mode == "authenticator"

    def test_an_altered_address_opens_nothing(self, client, dana, clinic):
        """SR-60."""
        sign_in(client, dana)
        client.get(clinic.get_absolute_url())
        client.get(STEP_UP)
        client.post(f"{STEP_UP}/send")
        client.post(STEP_UP, {"otp": mailed_code(), "next": clinic.get_absolute_url()})

        assert is_asked(client.get(clinic.get_absolute_url()))

    def test_can_use_everything_else(self, client, dana, clinic):
        """SR-60: only the organization's own pages ask."""
        other = organization("Other", accepted="")
        MembershipFactory(organization=other, user=dana)
        sign_in(client, dana)

        for path in ("/account/view", "/account", "/organizations", "/account/mfa/organizations"):
            assert client.get(path, follow=True).status_code == 200
            assert not is_asked(client.get(path))
        assert client.get(other.get_absolute_url()).status_code == 200
        assert client.get("/account/mfa/required").url == "/account"
        rules = text_of(client.get("/account/mfa/organizations"))
        assert "meets the rule We ask you for authenticator" in rules
        assert "with authenticator" in rules
        assert client.get(f"{clinic.get_absolute_url()}/leave").status_code == 200

    def test_comes_back_to_the_page_of_a_refused_post(self, client, dana, clinic):
        """SR-60: a POST cannot be repeated by a redirect."""
        sign_in(client, dana)

        asked = client.post(clinic.get_absolute_url(), {"name": "Another"})

        assert is_asked(asked)
        clinic.refresh_from_db()
        assert clinic.name == "Clinic"

    def test_a_later_step_up_by_mail_does_not_weaken_the_session(self, client, dana, clinic):
        """SR-60."""
        dana.preferred_mode = "authenticator"
        dana.save()
        sign_in(client, dana)
        assert client.get(clinic.get_absolute_url()).status_code == 200

        client.get(STEP_UP)
        client.post(f"{STEP_UP}/switch", {"mode": "email"})
        assert client.post(STEP_UP, {"otp": mailed_code()}).status_code == 302

        assert client.session[PROVED] == ["authenticator", "email"]
        assert client.get(clinic.get_absolute_url()).status_code == 200

    def test_activation_proves_the_new_mode(self, client, clinic, sam):
        """SR-60."""
        add_mode(sam, "email")
        MembershipFactory(organization=clinic, user=sam)
        sign_in(client, sam)
        assert client.get(clinic.get_absolute_url()).url == "/account/mfa/required"

        activate(client, "authenticator", "sam")
        complete_with_app(client)

        assert client.get(clinic.get_absolute_url()).status_code == 200

    def test_disabling_mail_does_not_prove_the_app(self, client, dana, clinic):
        """SR-60: a thief with the mailbox and the password must not get in by disabling the mailbox's mode."""
        sign_in(client, dana)

        assert client.post("/account/mfa/email/disable").status_code == 302

        dana.refresh_from_db()
        assert dana.enabled_modes == "authenticator"
        assert client.get("/account/view").status_code == 200
        assert is_asked(client.get(clinic.get_absolute_url()))

    def test_a_mode_that_was_disabled_counts_no_longer(self, client, dana, clinic, beacon):
        """SR-60."""
        add_beacon(dana)
        sign_in(client, dana)
        asked = client.get(clinic.get_absolute_url()).url
        client.post(asked, {"otp": app_code(dana), "next": "/account/view"})
        assert client.get(clinic.get_absolute_url()).status_code == 200

        client.post("/account/mfa/authenticator/disable")

        assert is_asked(client.get(clinic.get_absolute_url()))

    def test_a_new_sign_in_in_the_same_session_begins_without_proofs(self, client, dana, clinic):
        """SR-60."""
        dana.preferred_mode = "authenticator"
        dana.save()
        give_credentials(client, "dana")
        client.post(OTP, {"otp": app_code(dana)})
        assert client.get(clinic.get_absolute_url()).status_code == 200
        cache.clear()

        give_credentials(client, "dana")
        client.post("/account/login/otp/switch", {"mode": "email"})
        client.post(OTP, {"otp": mailed_code()})

        assert client.session[PROVED] == ["email"]
        assert is_asked(client.get(clinic.get_absolute_url()))

    def test_an_exempt_member_is_not_asked(self, client, dana, clinic):
        """SR-60."""
        Membership.objects.filter(user=dana).update(exempt_until=timezone.now() + timedelta(days=1))
        sign_in(client, dana)

        assert client.get(clinic.get_absolute_url()).status_code == 200

    def test_a_policy_that_is_not_in_force_asks_for_nothing(self, client, dana):
        """SR-60: neither an announced nor a rehearsed one; the member would not be blocked."""
        for name, found in (("announced", organization(days=3)), ("rehearsed", OrganizationFactory())):
            found.accepted_modes, found.rehearsal_until = "authenticator", timezone.now() + timedelta(days=1)
            found.name = name
            found.save()
            MembershipFactory(organization=found, user=dana)
        sign_in(client, dana)

        for row in Membership.objects.filter(user=dana).select_related("organization"):
            assert client.get(row.organization.get_absolute_url()).status_code == 200
        assert not RehearsalHit.objects.exists()

    def test_can_join_and_then_the_organization_asks(self, client, dana, clinic, sam):
        """SR-60: the acceptance of an invitation shows nothing of the organization."""
        Membership.objects.filter(user=dana).delete()
        owner = MembershipFactory(organization=clinic, user=sam, role=Role.OWNER)
        invitation = invitations.send(owner, dana.email, role=Role.MEMBER, origin=Origin())
        code = invitations.link_of(invitation).partition("code=")[2]
        sign_in(client, dana)

        invitations.accept(User.objects.get(pk=dana.pk), code, Origin())

        assert is_asked(client.get(f"{clinic.get_absolute_url()}/environments"))

    def test_an_organization_of_others_stays_unknown(self, client, dana):
        """SR-39."""
        sign_in(client, dana)

        assert client.get(organization("Secret").get_absolute_url()).status_code == 404
        assert client.get(f"/organizations/{uuid4()}").status_code == 404


class TestWhatProvesNoMode:
    """SR-60: a recovery code and a remembered browser are enough where any mode is accepted."""

    @pytest.fixture
    def other(self, dana):
        found = organization("Other", accepted="")
        MembershipFactory(organization=found, user=dana)
        return found

    def test_a_recovery_code(self, client, dana, clinic, other):
        first, second, third = recovery.make(dana)[:3]
        recovery.confirm(dana, third, Origin())
        give_credentials(client, "dana")
        client.post(OTP, {"otp": first})

        assert client.session[PROVED] == []
        assert client.get(other.get_absolute_url()).status_code == 200
        asked = client.get(clinic.get_absolute_url())
        assert is_asked(asked)
        refused = client.post(f"{asked.url}&recovery", {"otp": second, "next": clinic.get_absolute_url()})
        assert refused.status_code == 400
        assert "A recovery code is not enough." in text_of(refused)
        assert recovery.left(dana) == 9  # it was not used up in vain

    def test_a_remembered_browser(self, client, dana, clinic, other):
        give_credentials(client, "dana")
        client.post(OTP, {"otp": mailed_code(), "remember": "on"})
        client.post("/account/logout")
        give_credentials(client, "dana")

        assert client.session[PROVED] == []
        assert client.get(other.get_absolute_url()).status_code == 200
        assert is_asked(client.get(clinic.get_absolute_url()))

    def test_a_session_of_an_older_release_has_proved_its_last_mode(self, client, dana, clinic):
        dana.preferred_mode = "authenticator"
        dana.save()
        sign_in(client, dana)
        session = client.session
        del session[PROVED]
        session.save()

        assert client.get(clinic.get_absolute_url()).status_code == 200

        session["signed_in"] = {**session["signed_in"], "mode": recovery.MODE}
        session.save()
        assert is_asked(client.get(clinic.get_absolute_url()))


class TestAtTheCommandLine:
    @pytest.fixture
    def environment(self, clinic):
        return Environment.objects.create(
            organization=clinic, name="production", namespace="secret", pod=Pod.objects.create(name="pod01")
        )

    @pytest.fixture
    def call(self, client, dana):
        def call(path: str, mode: str = "email", **options):
            dana.refresh_from_db()
            token = tokens.issue(dana, Origin(), mode=mode)
            return client.get(path, headers={"Authorization": f"Bearer {token}"}, **options)

        return call

    def test_a_token_by_mail_is_refused_with_words(self, call, clinic):
        """SR-60."""
        refused = call(f"/orgs/{clinic.pk}/users")

        assert (refused.status_code, refused.json()["code"]) == (403, 4031)
        assert refused.json()["description"] == (
            f"Clinic requires {accepted_modes.in_words('authenticator')}, but you signed in with something else. "
            "Sign in again with it: make authenticator your preferred mode in the browser, or get a code at "
            "http://testserver/account/cli-code."
        )

    def test_a_token_by_the_app_is_not(self, call, clinic, environment):
        """SR-60."""
        assert call(f"/orgs/{clinic.pk}/users", "authenticator").status_code == 200
        assert call(f"/environments/{environment.pk}", "authenticator").json()["namespace"] == "secret"
        assert call("/environments", "authenticator").json()[0]["namespace"] == "secret"

    def test_a_token_by_a_recovery_code_is_refused(self, call, clinic):
        """SR-60: unless any mode is accepted."""
        assert call(f"/orgs/{clinic.pk}/users", recovery.MODE).json()["code"] == 4031
        clinic.accepted_modes = ""
        clinic.save()
        assert call(f"/orgs/{clinic.pk}/users", recovery.MODE).status_code == 200

    def test_closed_environments_are_listed_by_name_alone(self, call, clinic, environment):
        """SR-60, SR-41."""
        assert call("/environments").json() == [
            {"id": str(environment.pk), "name": "production", "organizationId": str(clinic.pk)}
        ]
        assert call(f"/environments/{environment.pk}").json()["code"] == 4031

    def test_a_mode_that_cannot_be_typed_gives_a_code_in_the_browser(self, call, clinic, dana, beacon):
        """SR-60."""
        add_beacon(dana)
        clinic.accepted_modes = "beacon"
        clinic.save()

        description = call(f"/orgs/{clinic.pk}/users").json()["description"]

        assert "Clinic requires beacon" in description
        assert "Sign in again with a code from http://testserver/account/cli-code." in description

    def test_a_token_of_an_account_without_mfa_is_as_before(self, client, sam, clinic):
        """SR-60."""
        MembershipFactory(organization=clinic, user=sam)
        token = tokens.issue(sam, Origin(), mode="")

        refused = client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"}).json()

        assert refused["code"] == 4031
        assert "Activate it at http://testserver/account/mfa/activate" in refused["description"]


class TestAnOwner:
    """SR-60, SR-40: who demands a level has proved it here, or the change could close the organization to them."""

    @pytest.fixture
    def clinic(self, dana):
        found = OrganizationFactory(name="Clinic", accepted_modes="authenticator")
        MembershipFactory(organization=found, user=dana, role=Role.OWNER)
        return found

    def test_proves_it_before_requiring_it(self, client, dana, clinic):
        sign_in(client, dana)

        asked = client.post(f"{clinic.get_absolute_url()}/require")

        assert is_asked(asked)
        assert "prove first that you can sign in with it yourself" in shown_messages(asked)
        clinic.refresh_from_db()
        assert not clinic.mfa_required
        back = client.post(asked.url, {"otp": app_code(dana), "next": f"{clinic.get_absolute_url()}/require"})
        assert "Require multi-factor authentication?" in text_of(client.get(back.url))
        client.post(f"{clinic.get_absolute_url()}/require")
        clinic.refresh_from_db()
        assert clinic.mfa_required

    def test_proves_it_before_saving_the_options_which_are_kept(self, client, dana, clinic):
        clinic.accepted_modes = ""
        clinic.mfa_required_at = timezone.now()
        clinic.save()
        sign_in(client, dana)
        page = f"{clinic.get_absolute_url()}/policy"
        seen = client.get(page).context["form"]["seen"].value()

        asked = client.post(page, {"counting": "authenticator", "remembering_forbidden": "on", "seen": seen})

        assert is_asked(asked)
        client.post(asked.url, {"otp": app_code(dana), "next": page})
        form = client.get(page).context["form"]
        assert (form["counting"].value(), form["remembering_forbidden"].value()) == ("authenticator", True)
        client.post(page, {"counting": "authenticator", "seen": seen, "confirmed": "yes"})
        clinic.refresh_from_db()
        assert clinic.accepted_modes == "authenticator"

    def test_may_relax_a_policy_that_is_not_in_force(self, client, dana, clinic):
        clinic.mfa_required_at = timezone.now() + timedelta(days=3)
        clinic.save()
        sign_in(client, dana)

        client.post(f"{clinic.get_absolute_url()}/stop-requiring")

        clinic.refresh_from_db()
        assert clinic.mfa_required_at is None

    def test_with_a_script_is_refused(self, client, dana, clinic):
        dana.refresh_from_db()
        token = tokens.issue(dana, Origin(), mode="email")

        refused = client.put(
            f"/api/v1/organizations/{clinic.pk}/policy",
            '{"required": true, "modes": "authenticator"}',
            "application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

        assert (refused.status_code, refused.json()["code"]) == (403, 4031)
        assert "prove first that you can sign in with it yourself. Sign in again" in refused.json()["description"]
        clinic.refresh_from_db()
        assert not clinic.mfa_required

    def test_outside_of_a_session_only_owns_it(self, dana, clinic):
        owner = membership.find(dana, clinic.pk)

        policy_changes.require(owner, Origin())

        clinic.refresh_from_db()
        assert clinic.mfa_required


class TestThreeLevels:
    """SR-60: any, authenticator or beacon, beacon only."""

    pytestmark = pytest.mark.usefixtures("beacon")

    def test_the_old_value_also_accepts_the_stronger_mode(self, client, dana, clinic):
        add_beacon(dana)
        sign_in(client, dana)
        asked = client.get(clinic.get_absolute_url()).url
        page = client.get(asked)
        assert page.context["other_modes"] == ["beacon"]
        client.post(f"{STEP_UP}/switch", {"mode": "beacon", "next": "/account", "accepted": "authenticator"})

        client.post(asked, {"otp": next_answer(dana), "next": clinic.get_absolute_url()})

        assert client.get(clinic.get_absolute_url()).status_code == 200

    def test_the_highest_level_needs_its_own_mode(self, client, dana, sam, clinic):
        clinic.accepted_modes = "beacon"
        clinic.save()
        sign_in(client, dana)
        assert client.get(clinic.get_absolute_url()).url == "/account/mfa/required"
        assert "Accepted modes: beacon only" in text_of(client.get("/account/mfa/required"))

        add_beacon(dana)
        browser = client
        asked = browser.get(clinic.get_absolute_url())

        assert is_asked(asked)
        assert "requires beacon" in shown_messages(asked)

    def test_lists_counts_and_mails_ask_what_members_own(self, client, dana, sam, clinic):
        olaf = UserFactory(email="olaf@example.com")
        add_mode(olaf, "authenticator")
        add_beacon(olaf)
        owner = MembershipFactory(organization=clinic, user=olaf, role=Role.OWNER)
        MembershipFactory(organization=clinic, user=sam)
        assert member_counts.of(clinic).ready == 2
        clinic.accepted_modes = "beacon"
        clinic.save()

        counts = member_counts.of(clinic)

        assert (counts.ready, counts.lacking) == (1, {"": 1, "authenticator email": 1})
        assert policy_impact.missing(clinic).examples == [dana.email, sam.email]
        owner = membership.find(olaf, clinic.pk)
        reminders.start(owner, Origin())
        reminders.fan_out()
        mails = [mail for mail in read_mail() if "beacon" in mail.body]
        assert {mail.to[0] for mail in mails} == {dana.email, sam.email}
        assert all("Accepted modes: beacon only." in mail.body for mail in mails)

    def test_the_page_of_options_explains_each_level(self, client, dana, clinic):
        Membership.objects.filter(user=dana).update(role=Role.OWNER)
        dana.preferred_mode = "authenticator"
        dana.save()
        sign_in(client, dana)

        page = text_of(client.get(f"{clinic.get_absolute_url()}/policy"))

        assert "any mode: a code by email is enough" in page
        assert "authenticator or beacon: the member's own device is needed" in page
        assert "beacon only: members cannot be tricked" in page

    def test_only_fewer_modes_tighten_a_policy(self, clinic):
        settings = PolicySettings(required=True, accepted_modes="authenticator")
        assert not policy_changes.blocks_more(clinic, settings)
        clinic.accepted_modes = "beacon"
        assert not policy_changes.blocks_more(clinic, settings)
        clinic.accepted_modes = ""
        assert policy_changes.blocks_more(clinic, settings)

    def test_together_they_ask_for_the_strictest(self, dana, clinic):
        for accepted in ("", "beacon"):
            MembershipFactory(organization=organization(accepted=accepted), user=dana)

        assert policy.combined(dana).accepted_modes == "beacon"


class TestCosts:
    """SR-60 costs no query where every policy is met, and otherwise the one of the menu."""

    def test_who_meets_every_policy_costs_nothing(self, dana, clinic, django_assert_num_queries):
        strongest = accepted_modes.values()[-1]
        every = frozenset({strongest})
        dana.enabled_modes = strongest

        with django_assert_num_queries(0):
            assert policy.status_of(dana, proved=every, read=None) == policy.NOTHING

    def test_a_page_costs_the_same_whatever_proved_the_session(
        self, client, another_browser, dana, clinic, django_assert_num_queries
    ):
        sign_in(client, dana)
        by_app = another_browser()
        give_credentials(by_app, "dana")
        by_app.post("/account/login/otp/switch", {"mode": "authenticator"})
        by_app.post(OTP, {"otp": app_code(dana)})

        for browser in (client, by_app):
            browser.get("/account/view")
            with django_assert_num_queries(3):
                browser.get("/account/view")

    def test_the_question_is_cheap(self, client, dana, clinic, django_assert_max_num_queries):
        sign_in(client, dana)
        client.get("/account/view")

        with django_assert_max_num_queries(6):  # session, memberships, and the message that is written
            assert is_asked(client.get(clinic.get_absolute_url()))


def test_a_status_without_a_session_asks_only_what_is_owned(dana, clinic):
    """SR-60."""
    dana.refresh_from_db()

    assert policy.status_of(dana, proved=None).asking == []
    assert policy.status_of(dana, proved=frozenset({"email"})).asking == [clinic]
    with pytest.raises(policy.ModeNotProved):
        policy.authorize(dana, clinic.pk, proved=frozenset(), channel=Channel.CLI, origin=Origin())


class TestPasskeys:
    """SR-60: an organization that accepts passkeys only."""

    @pytest.fixture(autouse=True)
    def passkeys_only(self, dana, clinic, phone):
        clinic.accepted_modes = "passkey"
        clinic.save()
        add_passkey(dana, phone)

    def test_who_signed_in_with_the_passkey_is_in(self, client, clinic, phone):
        uses_passkey(client, phone)
        assert client.get(clinic.get_absolute_url()).status_code == 200

    def test_who_signed_in_with_the_app_confirms_with_the_passkey(self, client, dana, clinic, phone):
        sign_in(client, dana)
        asked = client.get(clinic.get_absolute_url()).url
        assert "accepted=passkey" in asked
        page = client.get(asked)
        assert page.context["other_modes"] == []
        posted = {"otp": signed(page, phone), "next": clinic.get_absolute_url(), "accepted": "passkey"}

        assert client.post("/account/confirm", posted).url == clinic.get_absolute_url()

        assert client.get(clinic.get_absolute_url()).status_code == 200

    def test_a_token_by_the_page_that_shows_a_code_is_as_good_as_what_proved_the_page(
        self, client, dana, clinic, phone, another_browser
    ):
        terminal, tokens_made = another_browser(), []
        for proves in (lambda: uses_passkey(client, phone), lambda: sign_in(client, dana)):
            proves()
            begun = begin(terminal)
            answer = type_code(terminal, begun, shown(client, begun))
            tokens_made.append(answer.json()["sessionToken"])
            client.post("/account/logout")
        statuses = [
            terminal.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"}).status_code
            for token in tokens_made
        ]
        assert statuses == [200, 403]
