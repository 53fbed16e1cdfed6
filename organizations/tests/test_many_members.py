"""Owners and admins remove or remind many members at once; a worker does what takes long."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import outbox
from accounts.models import User
from organizations import member_runs, reminders
from organizations.bulk_exemptions import EXEMPTIONS
from organizations.models import (
    ExemptionRun,
    Invitation,
    Membership,
    OrganizationEvent,
    Reminder,
    Removal,
    Role,
)
from organizations.removals import REMOVALS
from organizations.tests.factories import OrganizationFactory, person
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


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


def in_days(days):
    return f"{timezone.now() + timedelta(days=days):%Y-%m-%d}"


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

    def test_afterwards_the_list_shows_my_search_again(self, owner, clinic):
        mo = person(clinic, "mo")
        fields = {"users": str(mo.pk), "mfa": "off", "q": "mo"}

        cancel = owner.post(address(clinic, "remove"), fields).content.decode()
        done = confirmed(owner, clinic, **fields).redirect_chain[-1][0]

        assert done == f"/organizations/{clinic.pk}/members?mfa=off&q=mo"
        assert f'href="{done.replace("&", "&amp;")}"' in cancel

    def test_members_ticked_on_another_page_of_the_list_come_along(self, owner, clinic):
        """The script of the list sends them beside those of the page."""
        amy, mo = person(clinic, "amy"), person(clinic, "mo")

        page = owner.post(address(clinic, "remove"), {"user": [str(mo.pk)], "users": f"{amy.pk} {mo.pk}"})

        assert "Remove 2 members? amy@example.com, mo@example.com" in text_of(page)

    def test_without_script_the_list_says_that_a_selection_is_for_one_page(self, owner, clinic):
        said, more = "Your selection counts for this page of the list.", "To act on more members at once, search"
        assert said not in text_of(owner.get(f"/organizations/{clinic.pk}/members"))
        for number in range(30):
            person(clinic, f"temp{number:02}")

        assert f"{said} It is lost when you go to another page or search again. {more}" in text_of(
            owner.get(f"/organizations/{clinic.pk}/members")
        )
        page = text_of(owner.get(f"/organizations/{clinic.pk}/members?q=temp"))
        assert "To act on all members who match, on every page, use the buttons for all who match." in page

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
        monkeypatch.setattr(member_runs, "BATCH", 10)
        for number in range(25):
            person(clinic, f"temp{number:02}")
        person(clinic, "mo")
        asked = text_of(owner.post(address(clinic, "remove"), {"all": "yes", "q": "temp", "mfa": "all"}))
        assert "Remove 25 members? temp00@example.com" in asked

        page = self.begin(owner, clinic, q="temp", mfa="all")
        assert "Removed: 0 of 25. We are still working on it." in text_of(owner.get(page))
        assert member_runs.next_batch(REMOVALS, Removal.objects.get()) == 10
        assert "Removed: 10 of 25." in text_of(owner.get(f"{page}/progress"))
        member_runs.go_on(REMOVALS)

        assert "Removed: 25 of 25. This is done." in text_of(owner.get(page))
        assert names() == ["mo", "olaf"]
        assert OrganizationEvent.objects.filter(kind="member_removed").count() == 25

    def test_a_batch_costs_the_same_however_many(self, owner, clinic, django_assert_max_num_queries):
        for number in range(60):
            person(clinic, f"temp{number:02}")
        self.begin(owner, clinic, q="temp")

        with django_assert_max_num_queries(17):
            member_runs.next_batch(REMOVALS, Removal.objects.get())
        assert names() == ["olaf"]

    def test_who_joins_later_stays(self, owner, clinic):
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")
        person(clinic, "temp2")

        member_runs.go_on(REMOVALS)

        assert names() == ["olaf", "temp2"]

    def test_owners_and_i_myself_are_counted_as_staying(self, owner, clinic):
        person(clinic, "temp1")
        page = self.begin(owner, clinic)

        member_runs.go_on(REMOVALS)

        assert "Removed: 1 of 2. 1 member stays" in text_of(owner.get(page))

    def test_it_ends_when_its_actor_no_longer_manages(self, owner, clinic, olaf):
        """SR-50: the worker re-checks that it is still allowed."""
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")
        Membership.objects.filter(user=olaf).update(role=Role.MEMBER)

        member_runs.go_on(REMOVALS)

        assert names() == ["olaf", "temp1"]
        assert Removal.objects.get().done_at is not None

    def test_it_can_be_stopped(self, owner, clinic):
        person(clinic, "temp1")
        page = self.begin(owner, clinic, q="temp")

        owner.post(f"{page}/stop")
        member_runs.go_on(REMOVALS)

        assert names() == ["olaf", "temp1"]

    def test_a_second_worker_leaves_it_alone_until_the_first_is_taken_for_dead(self, owner, clinic):
        """Several would only wait for each other's locks, and with them sign-ins of the owner and `Require`."""
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")
        Removal.objects.update(taken_until=timezone.now() + member_runs.LEASE)

        assert member_runs.go_on(REMOVALS) == 0
        with time_machine.travel(timezone.now() + member_runs.LEASE):
            assert member_runs.go_on(REMOVALS) == 1

        assert Removal.objects.get().taken_until is None
        assert names() == ["olaf"]

    def test_a_turn_that_ends_gives_it_back_before_it_asks_for_the_next(self, owner, clinic, monkeypatch):
        monkeypatch.setattr(member_runs, "BATCH", 1)
        monkeypatch.setattr(outbox, "BULK_TURN_SECONDS", 0)
        person(clinic, "temp1")
        self.begin(owner, clinic, q="temp")
        free_when_asked = []
        monkeypatch.setattr(
            member_runs, "call", lambda _work: free_when_asked.append(Removal.objects.get().taken_until is None)
        )

        member_runs.go_on(REMOVALS)

        assert free_when_asked == [True]

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


class TestExempting:
    def exempt(self, client, clinic, **fields):
        data = {"reason": "nightly backup", "until": in_days(30), "confirmed": "yes", **fields}
        return client.post(address(clinic, "exempt"), data, follow=True)

    def exempt_names(self):
        rows = Membership.objects.filter(exempt_until__gt=timezone.now()).select_related("user")
        return sorted(row.user.email.split("@")[0] for row in rows)

    def test_five_chosen_members_get_one_reason_and_one_end(self, owner, clinic):
        bots = [person(clinic, f"bot{number}") for number in range(5)]
        person(clinic, "mo")

        asked = text_of(owner.post(address(clinic, "exempt"), {"user": [str(bot.pk) for bot in bots]}))
        assert "Exempt 5 members from the policy" in asked
        assert "bot0@example.com, bot1@example.com" in asked
        page = text_of(self.exempt(owner, clinic, users=" ".join(str(bot.pk) for bot in bots)))

        assert "5 members are now exempt." in page
        assert self.exempt_names() == ["bot0", "bot1", "bot2", "bot3", "bot4"]
        events = OrganizationEvent.objects
        assert events.filter(kind="exempted", member=bots[0].pk).get().subject == (
            f"bot0@example.com: nightly backup (until {in_days(30)})"
        )
        assert events.filter(kind="exempted").count() == 5
        assert events.get(kind="many_exempted").subject == f"5 members: nightly backup (until {in_days(30)})"

    def test_the_owners_get_one_mail_about_all(self, owner, clinic):
        """SR-54."""
        bots = [person(clinic, f"bot{number}") for number in range(5)]

        self.exempt(owner, clinic, users=" ".join(str(bot.pk) for bot in bots))

        assert [message.to for message in read_mail() if "Clinic" in message.subject] == [["olaf@example.com"]]

    def test_owners_and_admins_are_never_exempt(self, owner, clinic, olaf):
        """SR-40: they are people, who can set up MFA."""
        amy, bot = person(clinic, "amy", Role.ADMIN), person(clinic, "bot")

        page = text_of(self.exempt(owner, clinic, users=f"{amy.pk} {olaf.pk} {bot.pk}"))

        assert "1 member is now exempt. Owners, admins, and members with the same exemption are not changed." in page
        assert self.exempt_names() == ["bot"]

    @pytest.mark.parametrize("days", [-1, 0, 367])
    def test_an_end_beyond_the_rule_of_one_exemption_is_refused(self, owner, clinic, days):
        bot = person(clinic, "bot")

        answer = self.exempt(owner, clinic, users=str(bot.pk), until=in_days(days))

        assert "Choose a day within the next year." in text_of(answer)
        assert f'value="{bot.pk}"' in answer.content.decode()
        assert self.exempt_names() == []

    def test_an_owner_without_mfa_may_not(self, client, clinic):
        """SR-40."""
        bare, bot = person(clinic, "bare", Role.OWNER), person(clinic, "bot")
        sign_in(client, bare)

        page = text_of(self.exempt(client, clinic, users=str(bot.pk)))

        assert "Enable multi-factor authentication for your own account first." in page
        assert self.exempt_names() == []

    def test_an_admin_may_not(self, client, clinic, olaf):
        """SR-40."""
        amy, bot = person(clinic, "amy", Role.ADMIN, mode="email"), person(clinic, "bot")
        sign_in(client, amy)

        assert self.exempt(client, clinic, users=str(bot.pk)).status_code == 403
        assert "Exempt chosen members" not in text_of(client.get(address(clinic, "")[:-1]))

    def test_members_of_another_organization_are_not_touched(self, owner, clinic):
        """SR-39."""
        other = person(OrganizationFactory(), "other")

        self.exempt(owner, clinic, users=str(other.pk))

        assert self.exempt_names() == []

    def test_it_needs_a_fresh_proof_and_keeps_what_i_typed_meanwhile(self, client, clinic, olaf):
        """SR-22."""
        bot = person(clinic, "bot")
        with time_machine.travel(timezone.now(), tick=False) as clock:
            sign_in(client, olaf)
            clock.shift(timedelta(minutes=11))
            data = {"users": str(bot.pk), "confirmed": "yes", "reason": "nightly backup", "until": in_days(30)}
            assert client.post(address(clinic, "exempt"), data).url.startswith("/account/confirm")
            assert self.exempt_names() == []

            page = client.get(address(clinic, "exempt")).content.decode()

        assert "bot@example.com" in page
        assert "nightly backup" in page

    def test_a_worker_exempts_all_who_match_and_the_page_follows(self, owner, clinic, monkeypatch):
        monkeypatch.setattr(member_runs, "BATCH", 10)
        for number in range(25):
            person(clinic, f"bot{number:02}")
        person(clinic, "mo")

        page = self.exempt(owner, clinic, all="yes", q="bot", mfa="missing").redirect_chain[-1][0]
        assert "Exempted: 0 of 25. We are still working on it." in text_of(owner.get(page))
        assert member_runs.next_batch(EXEMPTIONS, ExemptionRun.objects.get()) == 10
        assert "Exempted: 10 of 25." in text_of(owner.get(f"{page}/progress"))
        member_runs.go_on(EXEMPTIONS)

        assert "Exempted: 25 of 25. This is done." in text_of(owner.get(page))
        assert len(self.exempt_names()) == 25
        assert OrganizationEvent.objects.filter(kind="exempted").count() == 25
        assert OrganizationEvent.objects.get(kind="many_exempted").subject.startswith("up to 25 members: nightly")
        assert ExemptionRun.objects.get().search == ""

    def test_a_batch_costs_the_same_however_many(self, owner, clinic, django_assert_max_num_queries):
        for number in range(60):
            person(clinic, f"bot{number:02}")
        self.exempt(owner, clinic, all="yes", q="bot")

        with django_assert_max_num_queries(17):
            member_runs.next_batch(EXEMPTIONS, ExemptionRun.objects.get())
        assert len(self.exempt_names()) == 60

    def test_twice_the_click_is_one_run_and_other_words_wait(self, owner, clinic):
        person(clinic, "bot")
        first = self.exempt(owner, clinic, all="yes", q="bot").redirect_chain
        second = self.exempt(owner, clinic, all="yes", q="bot").redirect_chain

        other = self.exempt(owner, clinic, all="yes", q="bot", reason="another")

        assert first == second
        assert "being exempted already" in text_of(other)
        assert OrganizationEvent.objects.filter(kind="many_exempted").count() == 1

    def test_it_ends_when_its_owner_is_one_no_more(self, owner, clinic, olaf):
        """SR-50: the worker re-checks that it is still allowed."""
        person(clinic, "bot")
        self.exempt(owner, clinic, all="yes", q="bot")
        Membership.objects.filter(user=olaf).update(role=Role.ADMIN)

        member_runs.go_on(EXEMPTIONS)

        assert self.exempt_names() == []
        assert ExemptionRun.objects.get().done_at is not None

    def test_it_can_be_stopped_and_only_owners_see_it(self, client, owner, clinic):
        """SR-39."""
        person(clinic, "bot")
        amy = person(clinic, "amy", Role.ADMIN, mode="email")
        page = self.exempt(owner, clinic, all="yes", q="bot").redirect_chain[-1][0]

        owner.post(f"{page}/stop")
        member_runs.go_on(EXEMPTIONS)

        assert self.exempt_names() == []
        sign_in(client, amy)
        assert client.get(page).status_code == 403

    def test_the_evidence_quotes_each_exemption(self, owner, clinic):
        bots = [person(clinic, f"bot{number}") for number in range(2)]
        self.exempt(owner, clinic, users=" ".join(str(bot.pk) for bot in bots))

        page = text_of(owner.get(f"/organizations/{clinic.pk}/evidence"))

        assert f"bot0@example.com: nightly backup (until {in_days(30)})" in page
        assert "Several members exempted from the policy" in page


class TestReminding:
    def remind(self, client, clinic, *users):
        data = {"users": " ".join(str(user.pk) for user in users), "confirmed": "yes"}
        return text_of(client.post(address(clinic, "remind"), data, follow=True))

    def reminded(self):
        return sorted(message.to[0] for message in read_mail() if "asks you" in message.subject)

    def test_those_chosen_who_lack_mfa_are_mailed_once_a_day(self, owner, clinic):
        clinic.mfa_required_at = timezone.now()
        clinic.save()
        mo, ann, ready = person(clinic, "mo"), person(clinic, "ann"), person(clinic, "ready", mode="email")

        assert "We are reminding 1 member." in self.remind(owner, clinic, mo, ready)
        assert "We are reminding 1 member." in self.remind(owner, clinic, mo, ann)
        again = "No reminder was sent. 1 member gets no email (chosen for a reminder within the last day: 1)."
        assert again in self.remind(owner, clinic, mo)

        assert self.reminded() == ["ann@example.com", "mo@example.com"]

    def test_it_does_not_use_up_the_reminder_to_all(self, owner, clinic):
        self.remind(owner, clinic, person(clinic, "mo"))

        page = owner.post(f"/organizations/{clinic.pk}/remind", follow=True)

        assert "We are sending the reminders." in text_of(page)

    def remind_all(self, client, clinic, **fields):
        data = {"all": "yes", "mfa": "all", "confirmed": "yes", **fields}
        page = text_of(client.post(address(clinic, "remind"), data, follow=True))
        reminders.fan_out()
        return page

    def test_all_who_match_a_search_and_lack_mfa_are_mailed(self, owner, clinic):
        for name in ("north1", "north2", "south"):
            person(clinic, name)
        person(clinic, "north3", mode="email")

        page = self.remind_all(owner, clinic, q="north")

        assert "We are reminding 2 members." in page
        assert self.reminded() == ["north1@example.com", "north2@example.com"]
        assert OrganizationEvent.objects.get(kind="reminded").subject == "up to 2 members"

    def test_first_i_read_how_many_get_a_mail_and_who_does_not_and_why(self, owner, clinic):
        """SR-50: the numbers before the click are those of the mails after it."""
        mo, _ann = person(clinic, "mo"), person(clinic, "ann")
        person(clinic, "ready", mode="email")
        for name, fields in (
            ("bot", {}), ("gone", {"is_active": False}), ("muted", {"muted_notices": "new_browser reminders"}),
            ("away", {"mailbox_failed_at": timezone.now()}),
        ):  # fmt: skip
            User.objects.filter(pk=person(clinic, name).pk).update(**fields)
        Membership.objects.filter(user__email="bot@example.com").update(exempt_until=timezone.now() + timedelta(days=9))
        self.remind(owner, clinic, mo)

        asked = owner.post(address(clinic, "remind"), {"all": "yes", "mfa": "member"})

        assert "Remind 1 member? 1 member has no accepted mode and gets an email" in text_of(asked)
        assert (
            "6 members get no email (meet the policy already: 1, exempt: 1, account disabled: 1, mail does not arrive: "
            "1, reminders turned off: 1, chosen for a reminder within the last day: 1). Last reminder: "
        ) in text_of(asked)
        assert self.reminded() == ["mo@example.com"]
        self.remind_all(owner, clinic, mfa="member")
        assert self.reminded() == ["ann@example.com", "mo@example.com"]

    def test_the_members_whom_i_tick_are_asked_about_too(self, owner, clinic):
        mo, ready = person(clinic, "mo"), person(clinic, "ready", mode="email")

        page = owner.post(address(clinic, "remind"), {"user": [str(mo.pk), str(ready.pk)], "q": "e"})

        assert "Remind 1 member?" in text_of(page)
        assert "No reminder was sent before." in text_of(page)
        assert f'value="{mo.pk} {ready.pk}"' in page.content.decode()
        assert f'href="/organizations/{clinic.pk}/members?q=e"' in page.content.decode()
        assert not Reminder.objects.exists()

    def test_the_reminder_to_all_asks_in_the_same_way(self, owner, clinic):
        mo, _ann = person(clinic, "mo"), person(clinic, "ann")
        person(clinic, "ready", mode="email")
        User.objects.filter(pk=mo.pk).update(muted_notices="reminders")
        page = f"/organizations/{clinic.pk}/remind"

        asked = text_of(owner.get(page))
        assert "Remind 1 member?" in asked
        assert (
            "1 member gets no email (reminders turned off: 1). No reminder was sent before. "
            "Members can turn reminders off. Send"
        ) in asked
        assert not Reminder.objects.exists()
        owner.post(page)
        reminders.fan_out()

        assert self.reminded() == ["ann@example.com"]
        again = owner.get(page, follow=True)
        assert again.redirect_chain[-1][0] == f"/organizations/{clinic.pk}/compliance"
        assert "You can remind members once a day." in text_of(again)

    def test_when_a_reminder_would_mail_no_one_i_read_why(self, owner, clinic):
        person(clinic, "ready", mode="email")

        for page in (
            owner.get(f"/organizations/{clinic.pk}/remind", follow=True),
            owner.post(address(clinic, "remind"), {"all": "yes", "q": "ready"}, follow=True),
        ):
            assert "No reminder was sent." in text_of(page)
            assert "Send the reminders" not in text_of(page)
        assert "1 member gets no email (meet the policy already: 1)." in text_of(page)

    def test_a_search_mails_no_one_twice_a_day(self, owner, clinic):
        """SR-50: the limit of each member, chosen or found."""
        north1, _north2 = person(clinic, "north1"), person(clinic, "north2")
        self.remind(owner, clinic, north1)

        self.remind_all(owner, clinic, q="north")
        self.remind_all(owner, clinic, q="example")

        assert self.reminded() == ["north1@example.com", "north2@example.com"]

    def test_twice_the_click_is_one_run_and_another_search_waits(self, owner, clinic):
        person(clinic, "north1")
        for _click in range(2):
            owner.post(address(clinic, "remind"), {"all": "yes", "q": "north", "confirmed": "yes"})

        page = owner.post(address(clinic, "remind"), {"all": "yes", "q": "o", "confirmed": "yes"}, follow=True)

        assert "We are still sending your last reminder." in text_of(page)
        assert Reminder.objects.count() == OrganizationEvent.objects.filter(kind="reminded").count() == 1

    def test_who_turned_reminders_off_gets_none_by_a_search(self, owner, clinic):
        mo = person(clinic, "mo")
        mo.muted_notices = "reminders"
        mo.save()

        self.remind_all(owner, clinic, q="mo")

        assert self.reminded() == []

    def test_the_search_is_forgotten_when_the_mails_are_written(self, owner, clinic):
        """SR-63: it may quote the address of an account that is deleted later."""
        person(clinic, "mo")

        self.remind_all(owner, clinic, q="mo@example.com")

        assert Reminder.objects.get().search == ""

    def test_many_choices_in_a_day_do_not_open_the_reminder_to_all_again(self, owner, clinic):
        """The once-a-day limit counts, however many reminders to chosen members came after."""
        people = [person(clinic, f"mo{number:02}") for number in range(22)]
        owner.post(f"/organizations/{clinic.pk}/remind")
        for one in people:
            self.remind(owner, clinic, one)

        page = owner.post(f"/organizations/{clinic.pk}/remind", follow=True)

        assert "You can remind members once a day." in text_of(page)

    def test_an_admin_may_not(self, client, clinic, olaf):
        """SR-40: mails about the policy are the owners'."""
        amy = person(clinic, "amy", Role.ADMIN)
        sign_in(client, amy)

        assert client.post(address(clinic, "remind"), {"user": str(amy.pk)}).status_code == 403
        assert "Remind chosen members" not in text_of(client.get(address(clinic, "")[:-1]))
