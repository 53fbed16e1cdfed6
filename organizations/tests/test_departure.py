"""A deleted account leaves its organizations, whose logs keep its acts without its address (SR-63)."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import account_deletion
from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from organizations import invitations, membership
from organizations.models import Invitation, MemberCount, Membership, OrganizationEvent, Removal, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = Origin("192.0.2.7", "Mozilla/5.0 Firefox/128.0")


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def owner(clinic):
    return MembershipFactory(organization=clinic, role=Role.OWNER, user=UserFactory(email="owner@example.com"))


def delete(user) -> int:
    account_deletion.ask(User.objects.get(pk=user.pk), ORIGIN)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        return account_deletion.delete_due()


def test_the_log_keeps_the_acts_without_address_ip_address_and_browser(client, dana, clinic, owner):
    """SR-63: both what I did and what was done to me."""
    invitations.send(owner, "dana@EXAMPLE.com", role=Role.ADMIN, origin=Origin("192.0.2.1", "owner's"))
    invitations.accept(dana, invitations.unseal(Invitation.objects.get().sealed_code).decode(), ORIGIN)
    mine = Membership.objects.get(user=dana)
    invitations.send(mine, "new@example.com", role=Role.MEMBER, origin=ORIGIN)
    membership.set_role(owner, dana.pk, Role.MEMBER, Origin())

    assert delete(dana) == 1

    events = OrganizationEvent.objects.filter(organization=clinic).order_by("pk")
    assert [(event.kind, event.who, event.subject_in_words) for event in events] == [
        ("invited", "owner@example.com", "a deleted account: admin"),
        ("joined", "a deleted account", "a deleted account: admin"),
        ("invited", "a deleted account", "new@example.com: member"),
        ("role_changed", "owner@example.com", "a deleted account: member"),
        ("account_deleted", "a deleted account", "a deleted account"),
    ]
    assert set(events.filter(actor=None).values_list("ip_address", "agent")) == {(None, "")}
    assert events[0].ip_address == "192.0.2.1"
    sign_in(client, owner.user)
    page = text_of(client.get(f"/organizations/{clinic.pk}/log"))
    assert "Left: account deleted" in page
    assert "dana@example.com" not in page.lower()


def test_a_removal_of_many_members_forgets_from_where_it_was_begun(dana, clinic, owner):
    """SR-63."""
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    Removal.objects.create(
        organization=clinic, actor=dana, last=1, total=1, done_at=timezone.now(), ip_address="192.0.2.7", agent="x"
    )

    delete(dana)

    removal = Removal.objects.get()
    assert (removal.actor, removal.ip_address, removal.agent) == (None, None, "")


def test_the_counts_of_members_stay_right(dana_with_app, clinic, owner):
    """The triggers count, also where everything goes in one transaction."""
    MembershipFactory(organization=clinic, user=dana_with_app)

    delete(dana_with_app)

    assert {row.modes: row.count for row in MemberCount.objects.filter(count__gt=0)} == {"": 1}


def test_invitations_to_me_and_those_to_managers_by_me_go(dana, clinic, owner):
    """SR-43: an invitation to be a member stands when its sender has left."""
    mine = MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    other = MembershipFactory(user=UserFactory(), role=Role.OWNER)
    invitations.send(other, dana.email, role=Role.MEMBER, origin=ORIGIN)
    for email, role in (("a@example.com", Role.OWNER), ("b@example.com", Role.MEMBER)):
        invitations.send(mine, email, role=role, origin=ORIGIN)

    delete(dana)

    found = dict(Invitation.objects.values_list("email", "revoked_at"))
    assert set(found) == {"a@example.com", "b@example.com"}
    assert found["a@example.com"] is not None
    assert found["b@example.com"] is None


def test_the_other_owners_are_told_of_an_owner_who_goes(dana, clinic, owner):
    """SR-54."""
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)

    delete(dana)

    told = [sent for sent in read_mail() if sent.to == ["owner@example.com"]]
    assert "Left: account deleted" in told[-1].body
    assert "dana" not in told[-1].body.lower()


def test_an_owner_who_is_about_to_go_is_not_another_owner(dana, clinic, owner):
    """SR-40: else both could go."""
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    account_deletion.ask(User.objects.get(pk=dana.pk), ORIGIN)

    with pytest.raises(membership.LastOwner):
        membership.leave(owner, ORIGIN)
    with pytest.raises(membership.LastOwner):
        account_deletion.ask(User.objects.get(pk=owner.user_id), ORIGIN)


def test_an_account_that_is_about_to_go_gets_no_role(dana, clinic, owner):
    """SR-40: neither as an owner nor by a hand-over."""
    MembershipFactory(organization=clinic, user=dana)
    account_deletion.ask(User.objects.get(pk=dana.pk), ORIGIN)

    with pytest.raises(membership.AccountLeaves):
        membership.set_role(owner, dana.pk, Role.ADMIN, ORIGIN)
    with pytest.raises(membership.AccountLeaves):
        membership.hand_over(owner, dana.pk, ORIGIN)


def test_who_has_become_the_last_owner_meanwhile_is_not_deleted_and_is_told(dana, clinic, owner):
    """SR-63: checked again at the end."""
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    account_deletion.ask(User.objects.get(pk=dana.pk), ORIGIN)
    User.objects.filter(pk=owner.user_id).update(is_active=False)

    with time_machine.travel(timezone.now() + timedelta(days=8)):
        assert account_deletion.delete_due() == 0

    dana.refresh_from_db()
    assert dana.deletion_due_at is None
    told = read_mail()[-1]
    assert told.subject == "Datica: Account not deleted: hand over your organizations first"
    assert "/account/delete" in told.body
    assert "browser" not in told.body, "no one asked for it just now"


def test_another_owner_who_does_not_meet_the_policy_is_not_enough(dana, clinic, owner):
    """SR-40."""
    clinic.mfa_required_at = timezone.now()
    clinic.save()
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)

    with pytest.raises(membership.LastOwner):
        account_deletion.ask(User.objects.get(pk=dana.pk), ORIGIN)
