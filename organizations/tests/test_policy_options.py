"""From a date on, which modes count, exemptions, rehearsal: what an owner can choose, and what it does."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import tokens
from accounts.models import Mode
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from conftest import read_mail, sign_in, text_of
from mfa.models import Factor
from mfa.tests.factories import add_mode
from organizations.models import Membership, OrganizationEvent, RehearsalHit, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory

pytestmark = pytest.mark.django_db

REQUIRED = "/account/mfa/required"


@pytest.fixture
def clock():
    with time_machine.travel("2026-11-24T10:00:00Z", tick=False) as moved:
        yield moved


@pytest.fixture
def clinic(clock):
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def owner(clinic, another_browser):
    olaf = UserFactory(email="olaf@example.com")
    MembershipFactory(organization=clinic, user=olaf, role=Role.OWNER)
    add_mode(olaf, Mode.AUTHENTICATOR)
    browser = another_browser()
    sign_in(browser, olaf)
    return browser


@pytest.fixture
def member(clinic, dana):
    return MembershipFactory(organization=clinic, user=dana)


def set_policy(owner, clinic, **fields):
    page = owner.post(f"{clinic.get_absolute_url()}/policy", fields)
    assert page.status_code == 302, text_of(page)
    return page


def is_open(client, clinic) -> bool:
    return client.get(clinic.get_absolute_url()).status_code == 200


def cli(client, user, clinic) -> int:
    token = tokens.issue(user, Origin(), mode=user.preferred_mode)
    return client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"}).status_code


class TestBeforeTheClick:
    def test_the_box_tells_whom_it_would_stop(self, owner, clinic, member, client, dana):
        sign_in(client, dana)

        page = text_of(owner.get(clinic.get_absolute_url()))

        assert "1 of 2 members meet it (50 %). 1 would be stopped until they enable it: Dana@example.com." in page
        assert "1 of them is signed in right now." in page

    def test_the_confirmation_repeats_it(self, owner, clinic, member):
        page = text_of(owner.get(f"{clinic.get_absolute_url()}/require"))

        assert "1 of 2 members do not meet this yet" in page
        assert "They are: Dana@example.com." in page

    def test_owners_are_told_of_what_changed(self, owner, clinic):
        """SR-54."""
        owner.post(f"{clinic.get_absolute_url()}/require")

        assert [(message.to, message.subject) for message in read_mail() if "Clinic" in message.subject] == [
            (["olaf@example.com"], "Clinic: Multi-factor authentication required")
        ]


class TestFromADateOn:
    def test_members_see_the_days_left_and_then_it_holds_by_itself(self, owner, clinic, member, client, dana, clock):
        """SR-41: nobody clicks on the day."""
        set_policy(owner, clinic, required_from="2026-12-01")
        sign_in(client, dana)

        page = text_of(client.get(clinic.get_absolute_url()))
        assert "Clinic requires multi-factor authentication from 1 December 2026 on: 6 days, 14 hours left." in page
        assert cli(client, dana, clinic) == 200

        clock.move_to("2026-12-01T00:00:01Z")
        sign_in(client, dana)
        assert client.get(clinic.get_absolute_url()).url == REQUIRED
        assert cli(client, dana, clinic) == 403

    def test_the_page_says_so(self, owner, clinic):
        set_policy(owner, clinic, required_from="2026-12-01")

        assert "REQUIRED from 1 December 2026, 00:00 UTC Stop requiring" in text_of(
            owner.get(clinic.get_absolute_url())
        )

    def test_it_can_be_taken_back_before(self, owner, clinic, member, client, dana, clock):
        set_policy(owner, clinic, required_from="2026-12-01")
        owner.post(f"{clinic.get_absolute_url()}/stop-requiring")
        clock.move_to("2026-12-02T00:00:00Z")
        sign_in(client, dana)

        assert is_open(client, clinic)

    def test_a_date_that_is_over_means_now_and_never_a_longer_past(self, owner, clinic):
        set_policy(owner, clinic, required_from="2020-01-01")

        clinic.refresh_from_db()
        assert clinic.mfa_required_at == timezone.now()

    def test_saving_again_interrupts_nothing(self, owner, clinic, clock):
        """An auditor reads since when it held."""
        owner.post(f"{clinic.get_absolute_url()}/require")
        since = timezone.now()
        clock.shift(timedelta(minutes=5))
        set_policy(owner, clinic, required_from="2026-11-30", counting="authenticator")

        clinic.refresh_from_db()
        assert clinic.mfa_required_at == since
        assert clinic.mfa_required

    def test_an_owner_without_mfa_cannot_announce_it(self, owner, clinic):
        """SR-40."""
        Factor.objects.all().delete()

        assert not clinic.mfa_required_at
        owner.post(f"{clinic.get_absolute_url()}/policy", {"required_from": "2026-12-01"})
        clinic.refresh_from_db()
        assert clinic.mfa_required_at is None


class TestWhichModesCount:
    def test_members_with_email_only_must_add_the_app(self, owner, clinic, member, client, dana):
        add_mode(dana, Mode.EMAIL)
        owner.post(f"{clinic.get_absolute_url()}/require")
        sign_in(client, dana)
        assert is_open(client, clinic)

        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")

        assert client.get(clinic.get_absolute_url()).url == REQUIRED
        assert "Only this mode counts there: authenticator" in text_of(client.get(REQUIRED))
        assert cli(client, dana, clinic) == 403
        add_mode(dana, Mode.AUTHENTICATOR)
        assert is_open(client, clinic)

    def test_nobody_disables_the_mode_that_counts(self, owner, clinic, member, client, dana):
        """SR-42."""
        add_mode(dana, Mode.EMAIL)
        add_mode(dana, Mode.AUTHENTICATOR)
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        sign_in(client, dana)

        page = text_of(client.post("/account/mfa/authenticator/disable", follow=True))
        client.post("/account/mfa/email/disable")

        assert "It is required by: Clinic." in page
        assert list(Factor.objects.filter(user=dana).values_list("mode", flat=True)) == ["authenticator"]

    def test_an_owner_cannot_demand_a_mode_that_they_lack(self, owner, clinic):
        """SR-40: nobody locks out themselves."""
        user = Membership.objects.get(role="owner").user
        add_mode(user, Mode.EMAIL)
        Factor.objects.filter(user=user, mode=Mode.AUTHENTICATOR)._raw_delete("default")

        page = owner.post(
            f"{clinic.get_absolute_url()}/policy", {"required_from": "2026-11-24", "counting": "authenticator"}
        )

        clinic.refresh_from_db()
        assert page.status_code in {302, 400}
        assert not clinic.mfa_required

    def test_the_strictest_of_several_organizations_counts_where_it_is_asked(self, owner, clinic, member, client, dana):
        lab = MembershipFactory(user=dana).organization
        lab.mfa_required_at = timezone.now()
        lab.save()
        add_mode(dana, Mode.EMAIL)
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        sign_in(client, dana)

        assert is_open(client, lab)
        assert not is_open(client, clinic)


class TestExemptions:
    def exempt(self, owner, clinic, user, **fields):
        return owner.post(f"{clinic.get_absolute_url()}/members/{user.pk}/exempt", fields)

    def test_a_service_account_is_spared_until_a_day(self, owner, clinic, member, client, dana, clock):
        owner.post(f"{clinic.get_absolute_url()}/require")
        assert cli(client, dana, clinic) == 403

        self.exempt(owner, clinic, dana, reason="nightly backup", until="2026-12-01")

        assert cli(client, dana, clinic) == 200
        assert "exempt" in text_of(owner.get(f"{clinic.get_absolute_url()}/members"))
        event = OrganizationEvent.objects.get(kind="exempted")
        assert event.subject == "Dana@example.com: nightly backup (2026-12-01)"
        clock.move_to("2026-12-01T00:00:00Z")
        assert cli(client, dana, clinic) == 403

    def test_it_can_be_ended(self, owner, clinic, member, client, dana):
        owner.post(f"{clinic.get_absolute_url()}/require")
        self.exempt(owner, clinic, dana, reason="x", until="2026-12-01")
        self.exempt(owner, clinic, dana, end="yes")

        assert cli(client, dana, clinic) == 403

    @pytest.mark.parametrize("until", ["", "2026-11-24", "2020-01-01", "2030-01-01", "nonsense"])
    def test_it_needs_a_day_within_a_year(self, owner, clinic, member, dana, until):
        self.exempt(owner, clinic, dana, reason="x", until=until)

        assert Membership.objects.get(user=dana).exempt_until is None

    def test_it_does_not_spare_anywhere_else(self, owner, clinic, member, client, dana):
        lab = MembershipFactory(user=dana).organization
        lab.mfa_required_at = timezone.now()
        lab.save()
        owner.post(f"{clinic.get_absolute_url()}/require")
        self.exempt(owner, clinic, dana, reason="x", until="2026-12-01")

        assert (cli(client, dana, clinic), cli(client, dana, lab)) == (200, 403)


class TestRehearsal:
    def rehearse(self, owner, clinic, days=7):
        return owner.post(f"{clinic.get_absolute_url()}/rehearsal", {"days": days})

    def test_nobody_is_stopped_and_the_owner_sees_who_would_be(self, owner, clinic, member, client, dana):
        self.rehearse(owner, clinic)
        sign_in(client, dana)

        assert is_open(client, clinic)
        assert cli(client, dana, clinic) == 200

        page = text_of(owner.get(f"{clinic.get_absolute_url()}/policy"))
        assert "Dana@example.com browser 1" in page
        assert "Dana@example.com command line 1" in page

    def test_a_key_sign_in_is_told_apart(self, owner, clinic, member, client, dana):
        self.rehearse(owner, clinic)
        token = tokens.issue(dana, Origin(), mode="", by_key=True)
        client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"})

        page = text_of(owner.get(f"{clinic.get_absolute_url()}/policy"))
        assert "Dana@example.com command line, with a key 1" in page

    def test_whoever_meets_it_is_not_noted(self, owner, clinic, member, client, dana):
        add_mode(dana, Mode.AUTHENTICATOR)
        self.rehearse(owner, clinic)
        sign_in(client, dana)
        is_open(client, clinic)

        assert not RehearsalHit.objects.exists()

    def test_a_person_at_work_is_one_hit_for_a_while(self, owner, clinic, member, client, dana, clock):
        self.rehearse(owner, clinic)
        sign_in(client, dana)
        for _click in range(3):
            is_open(client, clinic)
        assert RehearsalHit.objects.get(channel="browser").count == 1
        clock.shift(timedelta(minutes=11))
        is_open(client, clinic)

        assert RehearsalHit.objects.get(channel="browser").count == 2

    def test_it_ends_by_itself_and_by_requiring(self, owner, clinic, member, client, dana, clock):
        self.rehearse(owner, clinic, days=3)
        clock.shift(timedelta(days=3))
        sign_in(client, dana)
        is_open(client, clinic)
        assert not RehearsalHit.objects.exists()
        clinic.refresh_from_db()
        assert not clinic.is_rehearsing

    def test_then_one_click_requires(self, owner, clinic, member):
        self.rehearse(owner, clinic)
        owner.post(f"{clinic.get_absolute_url()}/require")
        clinic.refresh_from_db()

        assert clinic.mfa_required
        assert clinic.rehearsal_until is None
        assert "nothing left to rehearse" in text_of(
            owner.post(f"{clinic.get_absolute_url()}/rehearsal", {"days": 3}, follow=True)
        )


def test_a_factor_removed_by_a_command_closes_the_organization_at_the_next_request(owner, clinic, member, client, dana):
    """SR-42."""
    add_mode(dana, Mode.AUTHENTICATOR)
    owner.post(f"{clinic.get_absolute_url()}/require")
    token = tokens.issue(dana, Origin(), mode=dana.preferred_mode)
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"/orgs/{clinic.pk}/users", headers=headers).status_code == 200

    Factor.objects.filter(user=dana)._raw_delete("default")

    assert client.get(f"/orgs/{clinic.pk}/users", headers=headers).status_code == 403


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
@pytest.mark.parametrize("path", ["policy", "rehearsal", "require", "stop-requiring"])
def test_policy_is_the_owners_alone(clinic, client, dana, role, path):
    """SR-39, SR-40."""
    MembershipFactory(organization=clinic, user=dana, role=role)
    sign_in(client, dana)

    assert client.post(f"{clinic.get_absolute_url()}/{path}").status_code == 403
