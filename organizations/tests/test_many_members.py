"""Owners and admins remove or remind many members at once; a worker does what takes long."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import removals
from organizations.models import Invitation, Membership, OrganizationEvent, Removal, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


def person(clinic, name, role=Role.MEMBER, *, mode=None):
    user = UserFactory(email=f"{name}@example.com")
    if mode:
        add_mode(user, mode)
    MembershipFactory(organization=clinic, user=user, role=role)
    return user


@pytest.fixture
def olaf(clinic):
    return person(clinic, "olaf", Role.OWNER, mode="authenticator")


@pytest.fixture
def owner(client, olaf):
    sign_in(client, olaf)
    return client


def address(clinic, verb):
    return f"/organizations/{clinic.pk}/members/{verb}"


def names():
    return sorted(row.user.email.split("@")[0] for row in Membership.objects.select_related("user"))


def confirmed(client, clinic, **fields):
    return client.post(address(clinic, "remove"), {**fields, "confirmed": "yes"}, follow=True)


class TestChosen:
    def test_i_read_whom_i_remove_and_then_they_are_gone(self, owner, clinic):
        amy, mo = person(clinic, "amy", Role.ADMIN), person(clinic, "mo")
        person(clinic, "stays")

        asked = owner.post(address(clinic, "remove"), {"user": [str(amy.pk), str(mo.pk)]})
        assert "Remove 2 members? amy@example.com, mo@example.com" in text_of(asked)
        assert names() == ["amy", "mo", "olaf", "stays"]
        page = text_of(confirmed(owner, clinic, users=f"{amy.pk} {mo.pk}"))

        assert names() == ["olaf", "stays"]
        assert "2 members are removed." in page
        assert set(OrganizationEvent.objects.values_list("kind", "subject")) == {
            ("member_removed", "amy@example.com"),
            ("member_removed", "mo@example.com"),
        }

    def test_i_myself_and_owners_stay(self, owner, clinic, olaf):
        """SR-40."""
        eve = person(clinic, "eve", Role.OWNER)

        page = text_of(confirmed(owner, clinic, users=f"{olaf.pk} {eve.pk}"))

        assert names() == ["eve", "olaf"]
        assert "0 members are removed. You yourself, owners" in page

    def test_an_admin_removes_no_owner(self, client, clinic, olaf):
        """SR-44."""
        amy, mo = person(clinic, "amy", Role.ADMIN), person(clinic, "mo")
        sign_in(client, amy)

        confirmed(client, clinic, users=f"{olaf.pk} {mo.pk}")

        assert names() == ["amy", "olaf"]

    def test_members_of_another_organization_stay(self, owner, clinic):
        """SR-39."""
        other = person(OrganizationFactory(), "other")

        confirmed(owner, clinic, users=str(other.pk))

        assert names() == ["olaf", "other"]

    def test_what_they_could_come_back_with_goes_too(self, owner, clinic):
        """SR-43."""
        amy = person(clinic, "amy", Role.ADMIN)
        owner.post(f"/organizations/{clinic.pk}/invitations", {"email": "x@example.com", "role": "admin"})
        Invitation.objects.update(sender=amy)

        confirmed(owner, clinic, users=str(amy.pk))

        assert Invitation.objects.get().revoked_at is not None

    @pytest.mark.parametrize("fields", [{}, {"user": "x"}, {"users": "x y", "confirmed": "yes"}])
    def test_a_choice_of_no_one_says_so(self, owner, clinic, fields):
        page = owner.post(address(clinic, "remove"), fields, follow=True)

        assert "Choose at least one member." in text_of(page)

    def test_it_needs_a_fresh_proof_and_keeps_the_choice_meanwhile(self, client, clinic, olaf):
        """SR-22."""
        mo = person(clinic, "mo")
        with time_machine.travel(timezone.now(), tick=False) as clock:
            sign_in(client, olaf)
            clock.shift(timedelta(minutes=11))
            answer = client.post(address(clinic, "remove"), {"users": str(mo.pk), "confirmed": "yes"})
            assert answer.url.startswith("/account/confirm")
            assert names() == ["mo", "olaf"]

            page = text_of(client.get(address(clinic, "remove")))

        assert "Remove 1 member? mo@example.com" in page

    @pytest.mark.parametrize("verb", ["remove", "remind"])
    def test_a_member_may_not(self, client, clinic, verb):
        """SR-39."""
        mo = person(clinic, "mo")
        sign_in(client, mo)

        assert client.post(address(clinic, verb), {"users": str(mo.pk), "confirmed": "yes"}).status_code == 403


class TestAllWhoMatch:
    def begin(self, owner, clinic, **fields):
        answer = confirmed(owner, clinic, all="yes", **fields)
        return answer.redirect_chain[-1][0]

    def test_a_worker_removes_them_and_the_page_follows(self, owner, clinic, monkeypatch):
        monkeypatch.setattr(removals, "BATCH", 10)
        for number in range(25):
            person(clinic, f"temp{number:02}")
        person(clinic, "mo")
        asked = text_of(owner.post(address(clinic, "remove"), {"all": "yes", "q": "temp", "mfa": "all"}))
        assert "Remove 25 members? temp00@example.com" in asked

        page = self.begin(owner, clinic, q="temp", mfa="all")
        assert "Removed: 0 of 25. We are still working on it." in text_of(owner.get(page))
        assert removals._next_batch(Removal.objects.get()) == 10
        assert "Removed: 10 of 25." in text_of(owner.get(f"{page}/progress"))
        removals.work()

        assert "Removed: 25 of 25. This is done." in text_of(owner.get(page))
        assert names() == ["mo", "olaf"]
        assert OrganizationEvent.objects.filter(kind="member_removed").count() == 25

    def test_a_batch_costs_the_same_however_many(self, owner, clinic, django_assert_max_num_queries):
        for number in range(60):
            person(clinic, f"temp{number:02}")
        self.begin(owner, clinic, q="temp")

        with django_assert_max_num_queries(16):
            removals._next_batch(Removal.objects.get())
        assert names() == ["olaf"]

    def test_who_joins_later_stays(self, owner, clinic):
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")
        person(clinic, "temp2")

        removals.work()

        assert names() == ["olaf", "temp2"]

    def test_owners_and_i_myself_are_counted_as_staying(self, owner, clinic):
        person(clinic, "temp1")
        page = self.begin(owner, clinic)

        removals.work()

        assert "Removed: 1 of 2. 1 member stays" in text_of(owner.get(page))

    def test_it_ends_when_its_actor_no_longer_manages(self, owner, clinic, olaf):
        """SR-50: the worker re-checks that it is still allowed."""
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")
        Membership.objects.filter(user=olaf).update(role=Role.MEMBER)

        removals.work()

        assert names() == ["olaf", "temp1"]
        assert Removal.objects.get().done_at is not None

    def test_it_can_be_stopped(self, owner, clinic):
        person(clinic, "temp1")
        page = self.begin(owner, clinic, q="temp")

        owner.post(f"{page}/stop")
        removals.work()

        assert names() == ["olaf", "temp1"]

    def test_one_at_a_time(self, owner, clinic):
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")

        assert "being removed already" in text_of(confirmed(owner, clinic, all="yes"))

    def test_its_page_is_for_managers_of_this_organization(self, client, owner, clinic, sam):
        """SR-39."""
        person(clinic, "temp1")
        page = self.begin(owner, clinic, q="temp")
        mo = person(clinic, "mo")

        sign_in(client, mo)
        assert client.get(page).status_code == 403
        assert client.post(f"{page}/stop").status_code == 403
        sign_in(client, sam)
        assert client.get(page).status_code == 404


class TestReminding:
    def remind(self, client, clinic, *users):
        return text_of(client.post(address(clinic, "remind"), {"user": [str(user.pk) for user in users]}, follow=True))

    def reminded(self):
        return sorted(message.to[0] for message in read_mail() if "asks you" in message.subject)

    def test_those_chosen_who_lack_mfa_are_mailed_once_a_day(self, owner, clinic):
        clinic.mfa_required_at = timezone.now()
        clinic.save()
        mo, ann, ready = person(clinic, "mo"), person(clinic, "ann"), person(clinic, "ready", mode="email")

        assert "We are reminding 1 member." in self.remind(owner, clinic, mo, ready)
        assert "We are reminding 1 member." in self.remind(owner, clinic, mo, ann)
        assert "No reminder was sent." in self.remind(owner, clinic, mo)

        assert self.reminded() == ["ann@example.com", "mo@example.com"]

    def test_it_does_not_use_up_the_reminder_to_all(self, owner, clinic):
        self.remind(owner, clinic, person(clinic, "mo"))

        page = owner.post(f"/organizations/{clinic.pk}/remind", follow=True)

        assert "We are sending the reminders." in text_of(page)

    def test_an_admin_may_not(self, client, clinic, olaf):
        """SR-40: mails about the policy are the owners'."""
        amy = person(clinic, "amy", Role.ADMIN)
        sign_in(client, amy)

        assert client.post(address(clinic, "remind"), {"user": str(amy.pk)}).status_code == 403
        assert "Remind chosen members" not in text_of(client.get(address(clinic, "")[:-1]))
