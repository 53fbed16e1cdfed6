"""Progress over time, and the sheet for the auditor."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import compliance, member_counts, membership, policy_changes
from organizations.models import ComplianceDay, Role
from organizations.policy_changes import PolicySettings
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from organizations.web.views import compliance as views
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf(clinic):
    user = UserFactory(email="olaf@example.com")
    add_mode(user, "authenticator")
    return MembershipFactory(organization=clinic, user=user, role=Role.OWNER)


def test_each_day_is_noted_once(clinic, olaf):
    OrganizationFactory()
    with time_machine.travel("2026-11-01T00:05:00Z", tick=False) as clock:
        assert compliance.note_day() == 2
        compliance.note_day()
        MembershipFactory(organization=clinic, user=UserFactory())
        clock.shift(timedelta(days=1))
        compliance.note_day()

        rows = ComplianceDay.objects.filter(organization=clinic).order_by("day").values_list("day", "members", "ready")
        assert list(rows) == [(date(2026, 11, 1), 1, 1), (date(2026, 11, 2), 2, 1)]
        assert [day.share for day in compliance.days(clinic, member_counts.of(clinic))] == [1.0, 0.5]


def test_many_organizations_cost_few_queries(django_assert_max_num_queries):
    OrganizationFactory.create_batch(60)

    with django_assert_max_num_queries(8):
        compliance.note_day()


def test_the_chart_runs_from_the_first_day_to_now(clinic):
    shown = [
        compliance.ComplianceDay(organization=clinic, day=date(2026, 11, day), members=4, ready=ready)
        for day, ready in ((1, 0), (3, 2), (5, 4))
    ]

    chart = compliance.chart(shown)

    assert chart.line == "M0.0 160.0 L300.0 80.0 L600.0 0.0"
    assert chart.percent == 100


def test_one_day_alone_is_a_level_line(clinic):
    shown = [compliance.ComplianceDay(organization=clinic, day=date(2026, 11, 1), members=4, ready=1)]

    assert compliance.chart(shown).line == "M0.0 120.0 L600.0 120.0"


def test_the_page_shows_progress_and_who_is_left(client, clinic, olaf):
    MembershipFactory(organization=clinic, user=UserFactory(email="mo@example.com"))
    sign_in(client, olaf.user)

    page = client.get(f"{clinic.get_absolute_url()}/compliance")

    assert "1 of 2 members has MFA (50 %)" in text_of(page)
    assert "mo@example.com" in text_of(page)
    assert "Remind these members" in text_of(page)
    assert '<path class="line" d="M0.0 80.0 L600.0 80.0"/>' in page.content.decode()


def test_each_day_of_the_chart_says_its_numbers_and_one_is_a_stop_of_the_tab_key(client, clinic, olaf):
    """On hover by the title, on focus by the label; the table holds the same."""
    today = timezone.now().date()
    for days in range(1, 4):
        ComplianceDay.objects.create(organization=clinic, day=today - timedelta(days=days), members=4, ready=days)
    sign_in(client, olaf.user)

    page = client.get(f"{clinic.get_absolute_url()}/compliance")

    html = page.content.decode()
    assert html.count('<g class="day" role="img"') == html.count("<title>") - 1 == 4
    assert html.count('tabindex="0" aria-label') == 1
    assert "2 of 4 (50 %)</title>" in html
    assert "4 2 (50 %)" in text_of(page)


class TestEvidence:
    def test_a_list_of_exemptions_ends_and_leads_to_the_log(self, client, clinic, olaf, monkeypatch):
        monkeypatch.setattr(views, "MAX_EXEMPTIONS_SHOWN", 2)
        until = timezone.now() + timedelta(days=9)
        for number in range(3):
            bot = MembershipFactory(organization=clinic, user=UserFactory(email=f"bot{number}@example.com"))
            policy_changes.exempt(olaf, bot.user_id, reason="backup", until=until, origin=Origin())
        sign_in(client, olaf.user)

        page = client.get(f"{clinic.get_absolute_url()}/evidence")

        assert "1 more exemption in the security log" in text_of(page)
        assert 'log?kind=exempted"' in page.content.decode()

    def at(self, day: int) -> datetime:
        return datetime(2026, 11, day, 12, tzinfo=UTC)

    def test_it_names_every_period(self, clinic, olaf):
        with time_machine.travel(self.at(1), tick=False) as clock:
            policy_changes.require(olaf, Origin())
            clock.move_to(self.at(3))
            policy_changes.stop_requiring(olaf, Origin())
            clock.move_to(self.at(5))
            policy_changes.set_policy(olaf, PolicySettings(required=True, required_from=self.at(10)), Origin())
            clock.move_to(self.at(8))
            assert compliance.periods(clinic) == [compliance.Period(self.at(1), self.at(3))]
            clock.move_to(self.at(12))
            tighter = PolicySettings(required=True, accepted_modes="authenticator")
            policy_changes.set_policy(olaf, tighter, Origin())  # no break

            assert compliance.periods(clinic) == [
                compliance.Period(self.at(1), self.at(3)),
                compliance.Period(self.at(10), None),
            ]

    def test_it_names_the_exemptions_of_each_period(self, clinic, olaf):
        robot, other, gone = (
            MembershipFactory(organization=clinic, user=UserFactory(email=f"{name}@example.com"))
            for name in ("robot", "other", "gone")
        )

        def exempt(member, until, reason="backup: nightly (all)"):
            policy_changes.exempt(olaf, member.user_id, reason=reason, until=until, origin=Origin())

        with time_machine.travel(self.at(1), tick=False) as clock:
            exempt(other, self.at(2))
            exempt(gone, self.at(20))
            clock.move_to(self.at(3))
            policy_changes.require(olaf, Origin())
            exempt(robot, self.at(20))
            clock.move_to(self.at(5))
            membership.remove(olaf, gone.user_id, Origin())
            clock.move_to(self.at(6))
            exempt(robot, self.at(25), reason="x" * 200)
            clock.move_to(self.at(8))
            exempt(robot, None)

            (period,) = compliance.periods(clinic)
            exemptions = compliance.exemptions(clinic)

        assert [(one.what.partition("@")[0], one.since, one.until) for one in period.within(exemptions)] == [
            ("gone", self.at(1), self.at(5)),
            ("robot", self.at(3), self.at(6)),
            ("robot", self.at(6), self.at(8)),
        ]
        assert [one.until for one in exemptions if one.what.startswith("other")] == [self.at(2)]

    def test_an_address_as_long_as_may_be_and_another_one_later(self, client, clinic, olaf):
        """The sheet can always be printed, and an exemption that ended has ended."""
        user = UserFactory(email=f"{'x' * 60}@{'y' * 60}.{'z' * 60}.{'w' * 60}.example.com"[:254])
        MembershipFactory(organization=clinic, user=user)
        until = timezone.now() + timedelta(days=9)
        policy_changes.require(olaf, Origin())
        policy_changes.exempt(olaf, user.pk, reason="r" * 200, until=until, origin=Origin())
        user.email = "short@example.com"
        user.save()
        policy_changes.exempt(olaf, user.pk, reason="", until=None, origin=Origin())
        sign_in(client, olaf.user)

        page = text_of(client.get(f"{clinic.get_absolute_url()}/evidence"))

        assert f"{'r' * 200}, from" in page
        assert "Exemptions now None." in page

    def test_what_was_announced_and_taken_back_was_never_required(self, clinic, olaf):
        policy_changes.set_policy(
            olaf, PolicySettings(required=True, required_from=timezone.now() + timedelta(days=3)), Origin()
        )
        policy_changes.stop_requiring(olaf, Origin())

        assert compliance.periods(clinic) == []

    def test_the_sheet_says_what_holds_today_and_how_short_a_time_was(self, client, clinic, olaf):
        url = f"{clinic.get_absolute_url()}/evidence"
        with time_machine.travel("2026-11-01T05:47:10Z", tick=False) as clock:
            sign_in(client, olaf.user)
            policy_changes.require(olaf, Origin())
            assert "Today: MFA is required, since 1 November 2026, 05:47 UTC." in text_of(client.get(url))
            clock.shift(timedelta(seconds=30))
            policy_changes.stop_requiring(olaf, Origin())

            page = text_of(client.get(url))

        assert "Today: MFA is not required." in page
        assert "Required for less than a minute, from 2026-11-01 05:47:10 UTC to 2026-11-01 05:47:40 UTC." in page

    def test_the_sheet_says_so_and_names_exemptions(self, client, clinic, olaf):
        robot = MembershipFactory(organization=clinic, user=UserFactory(email="robot@example.com"))
        policy_changes.require(olaf, Origin())
        policy_changes.exempt(
            olaf, robot.user_id, reason="backup", until=timezone.now() + timedelta(days=9), origin=Origin()
        )
        sign_in(client, olaf.user)

        page = text_of(client.get(f"{clinic.get_absolute_url()}/evidence"))

        assert "Required without a break from" in page
        assert "and still required. Exemptions: robot@example.com: backup, from" in page
        assert "Exemptions now robot@example.com: backup, until" in page
        assert "Member exempted from the policy robot@example.com: backup" in page


@pytest.mark.parametrize("path", ["compliance", "evidence"])
def test_members_do_not_see_it(client, clinic, dana, path):
    """SR-39."""
    MembershipFactory(organization=clinic, user=dana, role=Role.MEMBER)
    sign_in(client, dana)

    assert client.get(f"{clinic.get_absolute_url()}/{path}").status_code == 403
