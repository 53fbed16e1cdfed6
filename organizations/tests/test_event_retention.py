"""How long an organization's security log is kept, and what its evidence sheet still says after years."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import compliance, event_retention, membership, policy_changes
from organizations.models import EventKind, OrganizationEvent, Role
from organizations.policy_changes import PolicySettings
from organizations.tasks import forget_old_events
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
ORIGIN = Origin(ip_address="192.0.2.7", agent="Firefox")


@pytest.fixture
def clock():
    with time_machine.travel("2026-11-01T00:00:00Z", tick=False) as clock:
        yield clock


@pytest.fixture
def olaf(clock):
    user = UserFactory(email="olaf@example.com")
    add_mode(user, "authenticator")
    return MembershipFactory(organization=OrganizationFactory(name="Clinic"), user=user, role=Role.OWNER)


def kinds(owner) -> set[str]:
    return set(membership.events(owner.organization).values_list("kind", flat=True))


def test_an_event_is_deleted_after_four_hundred_days(olaf, clock):
    """SR-53."""
    membership.record(olaf.organization, olaf.user, EventKind.RENAMED, ORIGIN)
    clock.shift(settings.SECURITY_LOG_RETENTION)
    assert forget_old_events() == 0
    clock.shift(timedelta(seconds=1))

    assert forget_old_events() == 1

    assert kinds(olaf) == set()


def test_the_evidence_sheet_says_after_years_since_when_mfa_is_required_and_who_was_exempt(olaf, clock, client):
    robot = MembershipFactory(organization=olaf.organization, user=UserFactory(email="robot@example.com"))
    policy_changes.require(olaf, ORIGIN)
    until = timezone.now() + timedelta(days=30)
    policy_changes.exempt(olaf, robot.user_id, reason="backup", until=until, origin=ORIGIN)
    membership.record(olaf.organization, olaf.user, EventKind.INVITED, ORIGIN, subject="sam@example.com")
    before = (compliance.periods(olaf.organization), compliance.exemptions(olaf.organization))

    clock.shift(timedelta(days=3 * 365))
    assert event_retention.forget_old() == 3  # one deleted, two stripped
    assert event_retention.forget_old() == 0

    assert (compliance.periods(olaf.organization), compliance.exemptions(olaf.organization)) == before
    sign_in(client, olaf.user)
    page = text_of(client.get(f"{olaf.organization.get_absolute_url()}/evidence"))
    assert "Required without a break from 1 November 2026, 00:00 UTC to" in page
    assert "robot@example.com" in page


def test_an_old_event_that_stays_loses_where_it_came_from(olaf, clock):
    policy_changes.require(olaf, ORIGIN)
    clock.shift(settings.SECURITY_LOG_RETENTION + timedelta(seconds=1))

    event_retention.forget_old()

    event = OrganizationEvent.objects.get()
    assert (event.actor_email, event.ip_address, event.agent) == ("olaf@example.com", None, "")


def test_each_kind_of_event_that_the_sheet_quotes_stays(olaf, clock):
    for kind in EventKind:
        membership.record(olaf.organization, olaf.user, kind, ORIGIN)
    quoted = set(compliance.changes(olaf.organization).values_list("kind", flat=True))
    clock.shift(settings.SECURITY_LOG_RETENTION + timedelta(seconds=1))

    event_retention.forget_old()

    assert kinds(olaf) == quoted == set(compliance.EVIDENCE)
    assert EventKind.LEFT not in quoted


def test_a_policy_that_was_changed_often_is_still_told(olaf, clock):
    policy_changes.set_policy(olaf, PolicySettings(required=True, accepted_modes="authenticator"), ORIGIN)
    policy_changes.stop_requiring(olaf, ORIGIN)
    before = list(compliance.changes(olaf.organization).values_list("kind", "subject", "at"))
    clock.shift(timedelta(days=1000))

    event_retention.forget_old()

    assert list(compliance.changes(olaf.organization).values_list("kind", "subject", "at")) == before
