"""Whatever owners do, in whatever order: the sheet says what was enforced, and the last mail says what holds."""

from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import compliance, policy_changes, reminders
from organizations.models import Organization, Role
from organizations.policy_changes import PolicySettings
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.emails import read_mail
from tests.shortcuts import examples

pytestmark = pytest.mark.django_db

WHEN = st.one_of(st.none(), st.integers(-100, 3000))
ACTS = st.one_of(
    st.tuples(st.just("require")),
    st.tuples(st.just("stop")),
    st.tuples(st.just("set"), st.booleans(), WHEN, st.sampled_from(["", "authenticator"]), st.booleans()),
    st.tuples(st.just("rehearse"), st.sampled_from([0, 3])),
    st.tuples(st.just("exempt"), st.booleans()),
)
STEPS = st.lists(st.tuples(st.one_of(st.none(), ACTS), st.integers(1, 900)), min_size=1, max_size=25)
A_HISTORY = settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))


class World:
    """A clinic with an owner, a member without MFA, one with e-mail, and a service account."""

    def __init__(self) -> None:
        User.objects.all().delete()
        Organization.objects.all().delete()
        mail.outbox.clear()
        self.clinic = OrganizationFactory(name="Clinic")
        self.owner = self.join("owner", Role.OWNER, "authenticator")
        self.people = {"none": self.join("none"), "mail": self.join("mail", mode="email")}
        self.robot = self.join("robot")

    def join(self, name, role=Role.MEMBER, mode=None):
        user = UserFactory(email=f"{name}@example.com")
        if mode:
            add_mode(user, mode)
            user.refresh_from_db()
        return MembershipFactory(organization=self.clinic, user=user, role=role)

    def act(self, kind, *about) -> None:
        now = timezone.now()
        if kind == "require":
            policy_changes.require(self.owner, Origin())
        elif kind == "stop":
            policy_changes.stop_requiring(self.owner, Origin())
        elif kind == "set":
            required, seconds, counting, forbidden = about
            at = None if seconds is None else now + timedelta(seconds=seconds)
            policy_changes.set_policy(self.owner, PolicySettings(required, at, counting, forbidden), Origin())
        elif kind == "rehearse":
            policy_changes.rehearse(self.owner, Origin(), days=about[0])
        else:
            until = now + timedelta(minutes=30) if about[0] else None
            policy_changes.exempt(self.owner, self.robot.user_id, reason="a (b): c", until=until, origin=Origin())

    def go(self, step) -> None:
        act, _seconds = step
        try:
            if act:
                self.act(*act)
        except Refused:
            pass  # changes nothing; what it says is told elsewhere
        policy_changes.end_rehearsals()
        self.clinic.refresh_from_db()
        self.robot.refresh_from_db()


@A_HISTORY
@given(STEPS)
def test_the_sheet_says_when_it_held_and_whom_it_spared(steps):
    enforced, spared = [], []
    with time_machine.travel("2026-11-01T00:00:00Z", tick=False) as clock:
        world = World()
        for step in steps:
            world.go(step)
            for _look in range(3):
                world.clinic.refresh_from_db()
                enforced.append((timezone.now(), world.clinic.mfa_required))
                spared.append((timezone.now(), world.robot.is_exempt))
                clock.shift(timedelta(seconds=step[1] / 3))
        periods, exemptions = compliance.periods(world.clinic), compliance.exemptions(world.clinic)

    for at, was in enforced:
        assert any(one.since <= at and (one.until is None or at < one.until) for one in periods) is was, at
    for at, was in spared:
        assert any(one.since <= at < one.until for one in exemptions) is was, at


@A_HISTORY
@given(STEPS)
def test_the_last_mail_says_what_holds(steps):
    with time_machine.travel("2026-11-01T00:00:00Z", tick=False) as clock:
        world = World()
        for step in steps:
            world.go(step)
            clock.shift(timedelta(seconds=step[1]))
            reminders.begin_due()
            reminders.fan_out()
            read_mail()
        for _minute in range(6):
            clock.shift(timedelta(minutes=1))
            reminders.begin_due()
            reminders.fan_out()
            read_mail()
        world.clinic.refresh_from_db()
        subjects = {
            name: [m.subject for m in read_mail() if m.to == [person.user.email] and m.subject.startswith("Clinic")]
            for name, person in world.people.items()
        }

    for name, person in world.people.items():
        heard = subjects[name]
        if world.clinic.mfa_required_at and not world.clinic.is_met_by(person.user.modes):
            assert "asks you" in heard[-1], heard
        elif not world.clinic.mfa_required_at and heard and name == "none":
            # Whoever has a mode may have met the policy again before it was lifted.
            assert "no longer" in heard[-1], heard
        lifted = ["no longer" in subject for subject in heard]
        assert [True, True] not in [lifted[place : place + 2] for place in range(len(lifted))], heard
        assert not lifted or not lifted[0], heard
