"""What somebody was allowed yesterday: old tokens, open invitations, roles that were taken."""

from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import assisted_reset, invitations, membership, policy_changes, reminders
from organizations.models import Invitation, Membership, OrganizationEvent, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


def person(clinic, name, role, *, mode="authenticator"):
    user = UserFactory(email=f"{name}@example.com")
    if mode:
        add_mode(user, mode)
        user.refresh_from_db()
    return MembershipFactory(organization=clinic, user=user, role=role)


@pytest.fixture
def olaf(clinic):
    return person(clinic, "olaf", Role.OWNER)


@pytest.fixture
def eve(clinic):
    return person(clinic, "eve", Role.OWNER)


@pytest.fixture
def amy(clinic):
    return person(clinic, "amy", Role.ADMIN)


@pytest.fixture
def mo(clinic):
    return person(clinic, "mo", Role.MEMBER, mode=None)


def invite(sender, address, role):
    return invitations.send(sender, address, role=role, origin=Origin())


def code_of(invitation) -> str:
    return invitations.link_of(invitation).partition("code=")[2]


def accept(user, invitation):
    return invitations.accept(user, code_of(invitation), Origin())


class TestOldTokens:
    """SR-40: a token that leaks from a script takes no organization over."""

    @pytest.fixture
    def call(self, olaf, clinic):
        with time_machine.travel(timezone.now(), tick=False) as clock:
            headers = {"Authorization": f"Bearer {tokens.issue(olaf.user, Origin(), mode='authenticator')}"}

            def call(method, path, body="", *, hours=20):
                with time_machine.travel(timezone.now() + timedelta(hours=hours)):
                    address = f"/orgs/{clinic.pk}/{path}"
                    return Client().generic(method, address, body, "application/json", headers=headers).status_code

            clock.shift(0)
            yield call

    @pytest.mark.parametrize(("role", "old", "fresh"), [(1, 403, 201), (2, 403, 201), (5, 201, 201)])
    def test_inviting_somebody_to_manage_needs_a_fresh_one(self, call, role, old, fresh):
        body = f'{{"email": "new@example.com", "role": {role}}}'

        assert call("POST", "invites", body, hours=0) == fresh
        assert call("POST", "invites", body) == old

    def test_so_does_removing_somebody_who_manages(self, call, eve, amy, mo):
        assert call("DELETE", f"users/{eve.user_id}") == 403
        assert call("DELETE", f"users/{amy.user_id}") == 403
        assert call("DELETE", f"users/{mo.user_id}") == 204
        assert call("DELETE", f"users/{eve.user_id}", hours=0) == 204

    def test_so_does_giving_up_ones_own(self, call, eve, olaf):
        assert call("DELETE", f"users/{olaf.user_id}") == 403

    def test_a_key_that_an_old_one_added_is_no_fresh_sign_in(self, clinic):
        """SR-38: where MFA is off a key alone signs in, and any token adds one."""
        user = person(clinic, "without", Role.OWNER, mode=None).user
        token = tokens.issue(user, Origin(), mode="", by_key=True)

        answer = Client().post(
            f"/orgs/{clinic.pk}/invites",
            {"email": "evil@example.com", "role": 1},
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )

        assert answer.status_code == 403
        assert "not with a key alone" in answer.json()["description"]


class TestInvitations:
    """SR-43, SR-44: they give back nothing that was taken."""

    @pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
    def test_of_a_removed_owner_to_manage_are_withdrawn(self, olaf, eve, sam, role):
        invitation = invite(eve, sam.email, role)
        membership.remove(olaf, eve.user_id, Origin())

        with pytest.raises(invitations.InvitationOver):
            accept(sam, invitation)
        assert OrganizationEvent.objects.filter(kind="invitation_withdrawn", subject=sam.email).exists()

    def test_of_a_demoted_owner_above_the_new_role_are_withdrawn(self, olaf, eve, sam):
        high, low = invite(eve, sam.email, Role.OWNER), invite(eve, "low@example.com", Role.MEMBER)
        membership.set_role(olaf, eve.user_id, Role.ADMIN, Origin())

        with pytest.raises(invitations.InvitationOver):
            accept(sam, high)
        assert accept(UserFactory(email="low@example.com"), low)

    def test_nor_does_one_count_whose_sender_is_gone_in_another_way(self, eve, sam):
        invitation = invite(eve, sam.email, Role.OWNER)
        Membership.objects.filter(pk=eve.pk).delete()

        with pytest.raises(invitations.InvitationOver):
            accept(sam, invitation)

    def test_nor_one_whose_sender_is_disabled(self, eve, sam):
        """The usual answer to a stolen account."""
        invitation = invite(eve, sam.email, Role.OWNER)
        User.objects.filter(pk=eve.user_id).update(is_active=False)

        with pytest.raises(invitations.InvitationOver):
            accept(sam, invitation)
        assert not [message for message in read_mail() if message.to == [sam.email]]

    def test_whoever_answers_for_nothing_any_more_is_not_answered_for_by_sending_again(self, olaf, eve, sam):
        invitation = invite(eve, sam.email, Role.OWNER)
        Membership.objects.filter(pk=eve.pk).delete()

        with pytest.raises(invitations.SenderGone):
            invitations.resend(olaf, invitation.pk, Origin())

    def test_sending_one_to_manage_again_needs_a_fresh_proof(self, client, clinic, olaf):
        invitation = invite(olaf, "new@example.com", Role.OWNER)
        with time_machine.travel(timezone.now(), tick=False) as clock:
            sign_in(client, olaf.user)
            clock.shift(timedelta(minutes=11))
            page = client.post(f"{clinic.get_absolute_url()}/invitations/{invitation.pk}/resend")

        assert page.url.startswith("/account/confirm")

    def test_an_admin_overrides_none_of_an_owner(self, clinic, olaf, amy):
        invite(olaf, "new@example.com", Role.OWNER)

        with pytest.raises(membership.RoleMissing):
            invite(amy, "new@example.com", Role.MEMBER)
        sent = invitations.send_many(amy, ["new@example.com"], role=Role.MEMBER, origin=Origin())

        assert [reason for _email, reason in sent.refused] == ["This email is already invited with a role above yours."]
        assert sent.invited == 0
        assert invitations.pending(clinic).get().role == Role.OWNER

    def test_an_admin_withdraws_none_of_an_owner(self, clinic, olaf, amy, client):
        """SR-44: to invite the same person as a member afterwards."""
        invitation = invite(olaf, "new@example.com", Role.OWNER)
        sign_in(client, amy.user)

        page = client.post(f"{clinic.get_absolute_url()}/invitations/{invitation.pk}/withdraw", follow=True)

        assert "do not have the role" in text_of(page) or str(membership.RoleMissing.message) in text_of(page)
        assert invitations.pending(clinic).get().role == Role.OWNER

    def test_an_admin_withdraws_those_of_admins_and_members(self, clinic, olaf, amy):
        for number, role in enumerate((Role.ADMIN, Role.MEMBER)):
            invitation = invite(olaf, f"new{number}@example.com", role)
            invitations.withdraw(amy, invitation.pk, Origin())

        assert not invitations.pending(clinic).exists()

    def test_one_address_has_one_pause_whichever_way_it_is_invited(self, clinic, olaf):
        """SR-57: thirty mails to one stranger in twenty seconds."""
        for _time in range(10):
            with suppress(invitations.InvitedLately):
                invite(olaf, "new@example.com", Role.MEMBER)
            sent = invitations.send_many(olaf, ["NEW@example.com", "b@example.com"], role=Role.MEMBER, origin=Origin())
            with suppress(invitations.InvitedLately):
                invitations.resend(olaf, invitations.pending(clinic).get(email_key="new@example.com").pk, Origin())
            invitations.withdraw(olaf, invitations.pending(clinic).get(email_key="new@example.com").pk, Origin())
            with suppress(invitations.InvitedLately):
                invite(olaf, "new@example.com", Role.MEMBER)
            if not invitations.pending(clinic).filter(email_key="new@example.com").exists():
                break

        assert ("NEW@example.com", "We have just sent an invitation to this email. Try again in 1 minute.") in [
            (email, reason) for email, reason in sent.refused
        ]
        assert [message.to for message in read_mail()].count(["new@example.com"]) <= 1

    def test_one_that_is_replaced_is_logged(self, clinic, olaf):
        invite(olaf, "new@example.com", Role.MEMBER)
        with time_machine.travel(timezone.now() + timedelta(minutes=2)):
            invite(olaf, "new@example.com", Role.MEMBER)

        assert OrganizationEvent.objects.filter(kind="invitation_withdrawn", subject="new@example.com").count() == 1

    @pytest.mark.parametrize("act", ["resend", "withdraw", "remind"])
    def test_whoever_was_removed_this_moment_does_nothing_more(self, clinic, olaf, eve, act):
        invitation = invite(olaf, "new@example.com", Role.MEMBER)
        membership.remove(olaf, eve.user_id, Origin())
        acts = {
            "resend": lambda: invitations.resend(eve, invitation.pk, Origin()),
            "withdraw": lambda: invitations.withdraw(eve, invitation.pk, Origin()),
            "remind": lambda: reminders.start(eve, Origin()),
        }

        with pytest.raises(membership.RoleMissing):
            acts[act]()

    def test_owners_hear_of_one_who_came_by_invitation(self, olaf, sam):
        """SR-54."""
        accept(sam, invite(olaf, sam.email, Role.OWNER))

        told = [message.to[0] for message in read_mail() if message.subject == "Clinic: Joined"]
        assert sorted(told) == ["olaf@example.com", "sam@example.com"]

    def test_of_members_go_on_without_their_sender(self, olaf, eve, sam):
        invitation = invite(eve, sam.email, Role.MEMBER)
        membership.remove(olaf, eve.user_id, Origin())

        assert accept(sam, invitation)

    def test_to_a_member_are_used_up_and_withdrawn_with_the_member(self, clinic, olaf, sam):
        invitation = invite(olaf, "later@example.com", Role.ADMIN)
        User.objects.filter(pk=sam.pk).update(email="later@example.com", email_key="later@example.com")
        sam.refresh_from_db()
        MembershipFactory(organization=clinic, user=sam)
        with pytest.raises(invitations.AlreadyMember):
            accept(sam, invitation)
        Invitation.objects.update(revoked_at=None)
        membership.remove(olaf, sam.pk, Origin())

        assert not invitations.pending(clinic).exists()

    def test_an_admin_revives_none_above_their_own(self, clinic, olaf, amy):
        invitation = invite(olaf, "new@example.com", Role.OWNER)

        with pytest.raises(membership.RoleMissing):
            invitations.resend(amy, invitation.pk, Origin())

    def test_sending_one_again_is_logged(self, clinic, olaf):
        invitation = invite(olaf, "new@example.com", Role.MEMBER)
        with time_machine.travel(timezone.now() + timedelta(minutes=2)):
            invitations.resend(olaf, invitation.pk, Origin())

        assert OrganizationEvent.objects.filter(kind="invited", subject="new@example.com: member").count() == 2

    def test_an_address_is_as_long_as_its_column(self, olaf):
        """Two signs that are one when normalised fit the key and not the address."""
        address = "a@" + ".".join(["e\u0301" * 30] * 5) + ".com"
        assert len(address) > 254

        sent = invitations.send_many(olaf, [address, "fine@example.com"], role=Role.MEMBER, origin=Origin())

        assert sent.invited == 1
        assert not Invitation.objects.filter(email=address).exists()

    def test_whoever_was_demoted_this_moment_sends_none(self, clinic, olaf, eve):
        membership.set_role(olaf, eve.user_id, Role.MEMBER, Origin())

        with pytest.raises(membership.RoleMissing):
            invite(eve, "new@example.com", Role.MEMBER)

    def test_nor_starts_a_reset(self, clinic, olaf, eve, mo):
        """SR-28."""
        membership.set_role(olaf, eve.user_id, Role.ADMIN, Origin())

        with pytest.raises(membership.RoleMissing):
            assisted_reset.start(eve, mo.user_id, reason="x", origin=Origin())


class TestOwners:
    def told(self, subject):
        return sorted(message.to[0] for message in read_mail() if message.subject == f"Clinic: {subject}")

    def test_a_removed_owner_is_told(self, olaf, eve):
        """SR-54: nobody takes an organization over unheard."""
        membership.remove(olaf, eve.user_id, Origin())

        assert self.told("Member removed") == ["eve@example.com", "olaf@example.com"]

    def test_a_demoted_owner_is_told(self, olaf, eve):
        """SR-54."""
        membership.set_role(olaf, eve.user_id, Role.MEMBER, Origin())

        assert self.told("Role changed") == ["eve@example.com", "olaf@example.com"]

    def test_one_who_cannot_sign_in_is_no_last_owner(self, olaf, eve):
        """SR-40."""
        User.objects.filter(pk=eve.user_id).update(is_active=False)

        with pytest.raises(membership.LastOwner):
            membership.leave(olaf, Origin())

    def test_one_whom_the_policy_stops_is_no_last_owner(self, clinic, olaf):
        """SR-40."""
        person(clinic, "without", Role.OWNER, mode=None)
        policy_changes.require(olaf, Origin())

        with pytest.raises(membership.LastOwner):
            membership.leave(olaf, Origin())
        with pytest.raises(membership.LastOwner):
            membership.set_role(olaf, olaf.user_id, Role.MEMBER, Origin())

    def test_nothing_is_handed_over_to_whom_the_policy_stops(self, olaf, mo):
        """SR-40."""
        policy_changes.require(olaf, Origin())

        with pytest.raises(membership.NewOwnerWithoutMfa):
            membership.hand_over(olaf, mo.user_id, Origin())

    def test_nobody_who_cannot_sign_in_gets_a_role(self, olaf, mo):
        User.objects.filter(pk=mo.user_id).update(is_active=False)

        with pytest.raises(membership.AccountDisabled):
            membership.set_role(olaf, mo.user_id, Role.ADMIN, Origin())
        with pytest.raises(membership.AccountDisabled):
            membership.hand_over(olaf, mo.user_id, Origin())

    @pytest.mark.parametrize(("role", "asked"), [(Role.OWNER, True), (Role.ADMIN, True), (Role.MEMBER, False)])
    def test_whoever_manages_leaves_with_a_fresh_proof(self, client, clinic, olaf, role, asked):
        with time_machine.travel(timezone.now(), tick=False) as clock:
            user = person(clinic, "leaver", role).user
            sign_in(client, user)
            clock.shift(timedelta(minutes=11))

            page = client.post(f"{clinic.get_absolute_url()}/leave")

        assert page.url.startswith("/account/confirm") is asked
        assert Membership.objects.filter(user=user).exists() is asked

    def test_the_log_names_who_did_it_also_when_the_account_is_gone(self, client, clinic, olaf, eve):
        """SR-53."""
        policy_changes.require(eve, Origin())
        User.objects.filter(pk=eve.user_id).delete()
        sign_in(client, olaf.user)

        page = text_of(client.get(f"{clinic.get_absolute_url()}/log"))

        assert "Multi-factor authentication required – eve@example.com" in page
