"""An organization begins with its owner's click, and ends after a time in which every owner can undo it."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from django.utils import timezone

from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import deletion, invitations, reminders
from organizations.models import (
    Environment,
    Invitation,
    MemberCount,
    Membership,
    Organization,
    OrganizationEvent,
    Pod,
    Role,
)
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
NEW = "/organizations/new"


class TestCreating:
    @pytest.mark.parametrize(
        ("allowed", "is_staff", "status"),
        [("everybody", False, 302), ("everybody", True, 302), ("staff", False, 403), ("staff", True, 302),
         ("nobody", False, 403), ("nobody", True, 403)],
    )  # fmt: skip
    def test_the_operator_decides_who_may(self, client, dana, settings, allowed, is_staff, status):
        settings.ORGANIZATION_CREATION = allowed
        dana.is_staff, dana.email_verified_at = is_staff, timezone.now()
        dana.save()
        sign_in(client, dana)

        answer = client.post(NEW, {"name": "Clinic"})

        assert answer.status_code == status
        assert Organization.objects.count() == (status == 302)
        assert ("Create an organization" in text_of(client.get("/organizations"))) == (status == 302)

    @pytest.fixture
    def creator(self, client, dana, settings):
        settings.ORGANIZATION_CREATION = "everybody"
        dana.email_verified_at = timezone.now()
        dana.save()
        sign_in(client, dana)
        return client

    def test_i_am_its_owner_and_it_is_written_down(self, creator, dana):
        page = creator.post(NEW, {"name": "Clinic"}, follow=True)

        membership = Membership.objects.get()
        assert (membership.user, membership.role, membership.organization.name) == (dana, "owner", "Clinic")
        assert "Clinic is created. You are its owner." in text_of(page)
        assert OrganizationEvent.objects.get().kind == "created"

    @pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\nb"])
    def test_a_name_that_is_none_is_refused(self, creator, name):
        """SR-48."""
        assert creator.post(NEW, {"name": name}).status_code == 400
        assert not Organization.objects.exists()

    def test_an_unverified_email_comes_first(self, creator, dana):
        """Invitations go out in the organization's name."""
        dana.email_verified_at = None
        dana.save()

        page = creator.post(NEW, {"name": "Clinic"})

        assert page.status_code == 400
        assert "Verify your email address first." in text_of(page)

    def test_ten_a_day_are_enough(self, creator):
        for number in range(10):
            assert creator.post(NEW, {"name": f"Clinic {number}"}).status_code == 302

        assert creator.post(NEW, {"name": "One more"}).status_code == 429
        assert Organization.objects.count() == 10


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


def person(clinic, name, role):
    user = UserFactory(email=f"{name}@example.com")
    add_mode(user, "authenticator")
    MembershipFactory(organization=clinic, user=user, role=role)
    return user


@pytest.fixture
def olaf(clinic):
    return person(clinic, "olaf", Role.OWNER)


@pytest.fixture
def eve(clinic):
    return person(clinic, "eve", Role.OWNER)


@pytest.fixture
def owner(client, olaf):
    sign_in(client, olaf)
    return client


def planned(clinic, olaf):
    deletion.request(Membership.objects.get(organization=clinic, user=olaf), Origin())


def subjects():
    return sorted((message.to[0], message.subject) for message in read_mail())


class TestPlanning:
    def test_i_read_what_goes_before_i_confirm(self, owner, clinic):
        page = text_of(owner.get(f"/organizations/{clinic.pk}/delete"))

        assert "Delete Clinic?" in page
        assert "Members keep their accounts." in page
        clinic.refresh_from_db()
        assert clinic.deletion_at is None

    def test_it_waits_seven_days_and_all_owners_are_told(self, owner, clinic, olaf, eve):
        """SR-54."""
        page = text_of(owner.post(f"/organizations/{clinic.pk}/delete", follow=True))

        clinic.refresh_from_db()
        assert abs(clinic.deletion_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
        assert "The deletion of Clinic is planned. Every owner can undo it." in page
        told = "Clinic: Deletion of the organization requested"
        assert subjects() == [("eve@example.com", told), ("olaf@example.com", told)]
        assert OrganizationEvent.objects.get().effective_at == clinic.deletion_at

    def test_meanwhile_everything_works_and_says_so(self, client, clinic, olaf):
        member = person(clinic, "mo", Role.MEMBER)
        planned(clinic, olaf)
        sign_in(client, member)

        page = text_of(client.get(clinic.get_absolute_url()))

        assert "Clinic will be deleted on" in page
        assert "Undo the deletion" not in page
        assert deletion.delete_due() == 0

    def test_another_owner_undoes_it(self, client, clinic, olaf, eve):
        planned(clinic, olaf)
        sign_in(client, eve)
        assert "Undo the deletion" in text_of(client.get(clinic.get_absolute_url()))

        page = text_of(client.post(f"/organizations/{clinic.pk}/keep", follow=True))

        assert "Clinic will not be deleted." in page
        with time_machine.travel(timezone.now() + timedelta(days=8)):
            assert deletion.delete_due() == 0
        assert ("olaf@example.com", "Clinic: Deletion of the organization cancelled") in subjects()

    @pytest.mark.parametrize("role", ["admin", "member"])
    @pytest.mark.parametrize("verb", ["settings", "delete", "keep"])
    def test_others_than_owners_may_not(self, client, clinic, olaf, verb, role):
        """SR-39, SR-40."""
        sign_in(client, person(clinic, "amy", role))
        address = f"/organizations/{clinic.pk}/{verb}"

        answer = client.get(address) if verb == "settings" else client.post(address)

        assert answer.status_code == 403
        clinic.refresh_from_db()
        assert clinic.deletion_at is None

    def test_it_needs_a_fresh_proof(self, client, clinic, olaf):
        """SR-22."""
        with time_machine.travel(timezone.now(), tick=False) as clock:
            sign_in(client, olaf)
            clock.shift(timedelta(minutes=11))

            assert client.post(f"/organizations/{clinic.pk}/delete").url.startswith("/account/confirm")
        clinic.refresh_from_db()
        assert clinic.deletion_at is None

    def test_too_late_is_said(self, client, clinic, olaf):
        planned(clinic, olaf)
        with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
            sign_in(client, olaf)
            page = text_of(client.post(f"/organizations/{clinic.pk}/keep", follow=True))

        assert "can no longer be undone" in page


class TestDeleting:
    @pytest.fixture
    def over(self, clinic, olaf):
        """The clinic requires MFA, has an environment, an invitation and a reminder; its time is over."""
        owner = Membership.objects.get(organization=clinic, user=olaf)
        Environment.objects.create(organization=clinic, name="live", pod=Pod.objects.create(name="pod01"))
        invitations.send(owner, "new@example.com", role=Role.MEMBER, origin=Origin())
        clinic.mfa_required_at, clinic.remembering_forbidden = timezone.now(), True
        clinic.save()
        reminders.start(owner, Origin())
        planned(clinic, olaf)
        with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
            yield clinic

    def test_members_invitations_rules_and_environments_go(self, over):
        """SR-41: nothing is asked of its former members any more."""
        mo = UserFactory(email="mo@example.com")
        MembershipFactory(organization=over, user=mo)

        assert deletion.delete_due() == 1

        over.refresh_from_db()
        assert (over.mfa_required_at, over.remembering_forbidden, over.deletion_at) == (None, False, None)
        assert over.deleted_at is not None
        for model in (Membership, Invitation, Environment, MemberCount):
            assert not model.objects.exists(), model
        mo.refresh_from_db()
        assert mo.is_active

    def test_the_log_stays_and_owners_are_told(self, over):
        """SR-53."""
        deletion.delete_due()

        assert OrganizationEvent.objects.latest("pk").kind == "deleted"
        assert OrganizationEvent.objects.filter(kind="invited").exists()
        assert ("olaf@example.com", "Clinic: Organization deleted") in subjects()
        body = next(message.body for message in read_mail() if message.subject == "Clinic: Organization deleted")
        assert str(over.pk) not in body  # a link to its page would lead nowhere

    def test_its_log_goes_after_the_retention(self, over):
        """SR-53."""
        deletion.delete_due()
        assert deletion.forget_deleted() == 0

        with time_machine.travel(timezone.now() + timedelta(days=401)):
            assert deletion.forget_deleted() == 1

        assert not Organization.objects.exists()
        assert not OrganizationEvent.objects.exists()

    def test_its_pages_are_gone_as_soon_as_it_is_closed(self, client, over, olaf):
        """SR-39: even if the worker dies before the last member is removed."""
        deletion._close(over.pk)
        sign_in(client, olaf)

        assert Membership.objects.exists()
        for path in ("", "/members", "/environments", "/settings", "/log"):
            assert client.get(f"{over.get_absolute_url()}{path}").status_code == 404
        assert "Clinic" not in text_of(client.get("/organizations"))

    def test_a_run_that_died_is_continued_and_tells_once(self, over):
        deletion._close(over.pk)

        assert deletion.delete_due() == 1
        assert deletion.delete_due() == 0

        assert not Membership.objects.exists()
        assert OrganizationEvent.objects.filter(kind="deleted").count() == 1

    def test_an_undo_in_the_last_moment_wins(self, over):
        Organization.objects.filter(pk=over.pk).update(deletion_at=None)

        assert deletion._close(over.pk) is False
        assert Membership.objects.exists()

    def test_its_invitation_opens_nothing(self, client, over):
        """SR-43."""
        newcomer = UserFactory(email="new@example.com")
        Invitation.objects.update(expires_at=timezone.now() + timedelta(days=1))
        link = urlsplit(invitations.link_of(Invitation.objects.get()))
        address = f"{link.path}?{link.query}"
        assert client.get(address).status_code == 302
        deletion._close(over.pk)
        sign_in(client, newcomer)

        assert client.get(address).status_code == 404
        assert not Membership.objects.filter(user=newcomer).exists()
