"""From a date on, which modes count, exemptions, rehearsal: what an owner can choose, and what it does."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import tokens
from accounts.models import Channel, User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from accounts.web.access import Mark, marks_of
from mfa import challenges
from mfa.models import Factor
from mfa.tests.factories import add_mode
from organizations import accepted_modes, compliance, invitations, membership, policy_changes
from organizations.models import Membership, OrganizationEvent, RehearsalHit, Role
from organizations.policy_changes import PolicySettings
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of, views_of_pages
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

REQUIRED = "/account/mfa/required"
LABEL = accepted_modes.label_of("authenticator")


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
    add_mode(olaf, "authenticator")
    browser = another_browser()
    sign_in(browser, olaf)
    return browser


@pytest.fixture
def member(clinic, dana):
    return MembershipFactory(organization=clinic, user=dana)


def options(owner, clinic, **fields):
    """Fill in and send the page of the policy."""
    page = owner.get(f"{clinic.get_absolute_url()}/policy")
    seen = page.context["form"]["seen"].value() if page.context else ""
    return owner.post(f"{clinic.get_absolute_url()}/policy", {"seen": seen, **fields})


def set_policy(owner, clinic, **fields):
    page = options(owner, clinic, confirmed="yes", **fields)
    assert page.status_code == 302, text_of(page)
    return page


def clinic_owner(clinic):
    return Membership.objects.select_related("organization", "user").get(organization=clinic, role=Role.OWNER)


def text_of_signed_in(owner, clinic) -> str:
    sign_in(owner, clinic_owner(clinic).user)  # days have passed
    return text_of(owner.get(f"{clinic.get_absolute_url()}/rehearsal"))


def is_open(client, clinic) -> bool:
    return client.get(clinic.get_absolute_url()).status_code == 200


def cli(client, user, clinic) -> int:
    token = tokens.issue(user, Origin(), mode=user.preferred_mode)
    return client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"}).status_code


class TestBeforeTheClick:
    def test_the_box_tells_whom_it_would_stop(self, owner, clinic, member, client, dana):
        sign_in(client, dana)

        page = text_of(owner.get(clinic.get_absolute_url()))

        assert (
            "1 of 2 members has MFA (50 %). Requiring MFA blocks 1 member until they set it up: Dana@example.com."
            in page
        )
        assert "Signed in right now: Dana@example.com (in a browser: 1)." in page

    def test_the_confirmation_repeats_it(self, owner, clinic, member):
        page = text_of(owner.get(f"{clinic.get_absolute_url()}/require"))

        assert "1 of 2 members does not meet this policy yet" in page
        assert "Members who do not meet this policy: Dana@example.com." in page

    def test_it_says_what_each_of_them_will_meet(self, owner, clinic, member):
        add_mode(UserFactory(email="mail.only@example.com"), "email")
        MembershipFactory(organization=clinic, user=User.objects.get(email="mail.only@example.com"))
        MembershipFactory(organization=clinic, user=UserFactory(email="new@example.com", email_verified_at=None))
        set_policy(owner, clinic, counting="authenticator")
        invitations.send(clinic_owner(clinic), "guest@example.com", role=Role.MEMBER, origin=Origin())

        page = text_of(owner.get(f"{clinic.get_absolute_url()}/require"))

        assert "3 of 4 members do not meet this policy yet" in page
        assert "2 members have no mode yet" in page
        assert "1 member has only a mode that is not accepted and must add an accepted one: " in page
        assert "At least 1 member has not verified their email" in page
        assert "1 pending invitation can be accepted only with multi-factor authentication." in page
        for line in ("No one is signed out", "Every other command is refused"):
            assert line in page
        assert "What would happen to these members" in text_of(owner.get(clinic.get_absolute_url()))

    def test_it_tells_browsers_command_lines_and_keys_apart(self, owner, clinic, member, client, dana):
        sign_in(client, dana)
        tokens.issue(dana, Origin(), mode="")
        tokens.issue(dana, Origin(), mode="", by_key=True)

        page = text_of(owner.get(clinic.get_absolute_url()))

        assert "(in a browser: 1, at the command line: 1, at the command line with a key: 1)" in page

    def test_the_list_of_who_does_not_meet_it_knows_which_modes_count(self, owner, clinic, member, dana):
        add_mode(dana, "email")
        assert "No member matches your search." in text_of(
            owner.get(f"{clinic.get_absolute_url()}/members?mfa=missing")
        )

        set_policy(owner, clinic, counting="authenticator")

        page = text_of(owner.get(f"{clinic.get_absolute_url()}/members?mfa=missing"))
        assert "would be blocked (1)" in page
        assert "Dana@example.com" in page
        assert "olaf@example.com owner" not in page

    def test_the_answer_to_the_click_repeats_it(self, owner, clinic, member):
        page = text_of(owner.post(f"{clinic.get_absolute_url()}/require", follow=True))

        assert "now required of every member. 1 of 2 members does not meet this policy yet" in page

    def test_an_owner_without_mfa_is_told_before_the_click(self, clinic, client, dana):
        """SR-40."""
        MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
        sign_in(client, dana)

        assert "To require MFA, first enable it for your own account." in text_of(client.get(clinic.get_absolute_url()))

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
        assert "Clinic requires multi-factor authentication from 1 December 2026: 7 days left." in page
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

    def test_the_banner_names_the_accepted_modes_and_counts_days_as_people_do(
        self, owner, clinic, member, client, dana, clock
    ):
        set_policy(owner, clinic, required_from="2026-12-01", counting="authenticator")

        for now, left in (("11-27T00:00:00", "4 days"), ("11-27T07:00:00", "4 days"), ("11-30T00:00:00", "1 day")):
            clock.move_to(f"2026-{now}Z")
            sign_in(client, dana)
            page = text_of(client.get(clinic.get_absolute_url()))
            assert f"from 1 December 2026: {left} left. Accepted modes: {LABEL}." in page

    def test_it_can_be_taken_back_before(self, owner, clinic, member, client, dana, clock):
        set_policy(owner, clinic, required_from="2026-12-01")
        owner.post(f"{clinic.get_absolute_url()}/stop-requiring")
        clock.move_to("2026-12-02T00:00:00Z")
        sign_in(client, dana)

        assert is_open(client, clinic)

    def test_a_day_that_is_over_is_refused(self, owner, clinic):
        page = options(owner, clinic, required_from="2020-01-01")

        assert page.status_code == 400
        assert "This day is in the past." in text_of(page)

    def test_today_is_at_once_after_a_look_at_whom_it_stops(self, owner, clinic, member):
        page = options(owner, clinic, required_from="2026-11-24", counting="authenticator")

        assert f"Require this from now on? Accepted modes: {LABEL}." in text_of(page)
        assert "1 of 2 members does not meet this policy yet" in text_of(page)
        clinic.refresh_from_db()
        assert clinic.mfa_required_at is None
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        clinic.refresh_from_db()
        assert (clinic.mfa_required_at, clinic.accepted_modes) == (timezone.now(), "authenticator")

    def test_an_hour_that_a_script_named_is_kept_when_the_form_is_saved(self, owner, clinic):
        """The form knows days: today would be at once."""
        at = timezone.now() + timedelta(hours=8)
        policy_changes.set_policy(clinic_owner(clinic), PolicySettings(required=True, required_from=at), Origin())

        set_policy(owner, clinic, required_from="2026-11-24", remembering_forbidden="on")

        clinic.refresh_from_db()
        assert (clinic.mfa_required_at, clinic.remembering_forbidden) == (at, True)

    @pytest.mark.parametrize("offset", [-12, -8, 0, 5, 14])
    def test_a_script_may_name_it_in_any_zone(self, owner, clinic, offset):
        """The log and the auditor's sheet say the same moment, in whole minutes of UTC."""
        zone = timezone.get_fixed_timezone(offset * 60)
        at = timezone.datetime(2026, 12, 1, 2, 0, 59, tzinfo=zone)
        policy_changes.set_policy(clinic_owner(clinic), PolicySettings(required=True, required_from=at), Origin())

        clinic.refresh_from_db()
        whole = at + timedelta(seconds=1)
        assert clinic.mfa_required_at == whole
        with time_machine.travel(whole + timedelta(days=1)):
            assert compliance.periods(clinic) == [compliance.Period(whole, None)]

    @pytest.mark.parametrize("year", [2029, 9999])
    def test_a_date_that_nobody_can_mean_is_refused(self, owner, clinic, year):
        """One in the year 10000 could not even be read again."""
        at = timezone.datetime(year, 12, 31, 23, 59, 59, tzinfo=timezone.get_fixed_timezone(-600))

        with pytest.raises(policy_changes.TooFarAhead):
            policy_changes.set_policy(clinic_owner(clinic), PolicySettings(required=True, required_from=at), Origin())
        assert "too far ahead" in text_of(options(owner, clinic, required_from=f"{year}-12-31"))

    def test_a_page_that_another_owner_has_made_old_changes_nothing(self, owner, clinic):
        old = owner.get(f"{clinic.get_absolute_url()}/policy").context["form"]["seen"].value()
        policy_changes.set_policy(
            clinic_owner(clinic),
            PolicySettings(required=True, required_from=timezone.now() + timedelta(days=9)),
            Origin(),
        )

        page = owner.post(f"{clinic.get_absolute_url()}/policy", {"seen": old, "remembering_forbidden": "on"})

        assert "Another owner has changed the policy in the meantime." in text_of(page)
        clinic.refresh_from_db()
        assert clinic.mfa_announced
        assert not clinic.remembering_forbidden

    def test_nor_one_that_forbade_remembering_since(self, owner, clinic):
        old = owner.get(f"{clinic.get_absolute_url()}/policy").context["form"]["seen"].value()
        policy_changes.set_policy(
            clinic_owner(clinic), PolicySettings(required=False, remembering_forbidden=True), Origin()
        )

        page = owner.post(f"{clinic.get_absolute_url()}/policy", {"seen": old, "required_from": "2026-12-01"})

        assert page.status_code == 400
        clinic.refresh_from_db()
        assert clinic.remembering_forbidden

    def test_nor_one_that_was_kept_through_a_proof(self, owner, clinic, clock):
        old = owner.get(f"{clinic.get_absolute_url()}/policy").context["form"]["seen"].value()
        clock.shift(timedelta(minutes=11))
        page = f"{clinic.get_absolute_url()}/policy"
        owner.post(page, {"seen": old, "remembering_forbidden": "on"})
        policy_changes.set_policy(
            clinic_owner(clinic), PolicySettings(required=False, accepted_modes="authenticator"), Origin()
        )
        owner.post("/account/confirm", {"otp": app_code(clinic_owner(clinic).user), "next": page})
        assert "Nothing has been done yet: check the page and confirm once more." in text_of(owner.get("/account"))

        assert owner.get(page).context["form"]["seen"].value() == old

    def test_what_was_announced_can_hold_now(self, owner, clinic):
        set_policy(owner, clinic, required_from="2026-12-01")
        assert "Require now" in text_of(owner.get(clinic.get_absolute_url()))

        owner.post(f"{clinic.get_absolute_url()}/require")

        clinic.refresh_from_db()
        assert clinic.mfa_required_at == timezone.now()

    def test_the_banner_is_on_the_pages_of_the_account_too(self, owner, clinic, member, client, dana):
        set_policy(owner, clinic, required_from="2026-12-01")
        sign_in(client, dana)

        for path in ("/account/view", "/account/security-log", "/organizations", "/account"):
            assert "7 days left." in text_of(client.get(path))

    def test_an_exemption_that_ends_before_the_date_spares_nobody_on_it(self, owner, clinic, member, client, dana):
        owner.post(f"{clinic.get_absolute_url()}/members/{dana.pk}/exempt", {"reason": "x", "until": "2026-11-28"})
        set_policy(owner, clinic, required_from="2026-12-01")
        sign_in(client, dana)

        assert "7 days left." in text_of(client.get(clinic.get_absolute_url()))

    def test_saving_again_interrupts_nothing(self, owner, clinic, clock):
        """An auditor reads since when it held."""
        owner.post(f"{clinic.get_absolute_url()}/require")
        since = timezone.now()
        clock.shift(timedelta(minutes=5))
        set_policy(owner, clinic, counting="authenticator")

        clinic.refresh_from_db()
        assert clinic.mfa_required_at == since
        assert clinic.mfa_required

    def test_an_owner_without_mfa_cannot_announce_it(self, owner, clinic):
        """SR-40."""
        Factor.objects.all().delete()

        assert not clinic.mfa_required_at
        options(owner, clinic, required_from="2026-12-01")
        clinic.refresh_from_db()
        assert clinic.mfa_required_at is None


class TestWhoMayChangeIt:
    """SR-40."""

    @pytest.mark.parametrize("path", ["stop-requiring", "policy"])
    def test_not_even_looser_without_mfa_of_ones_own(self, clinic, client, dana, path):
        """A password alone opens nobody's organization."""
        clinic.mfa_required_at = timezone.now() + timedelta(days=3)
        clinic.save()
        MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
        sign_in(client, dana)

        client.post(f"{clinic.get_absolute_url()}/{path}", {"remembering_forbidden": "on"})

        clinic.refresh_from_db()
        assert clinic.mfa_announced
        assert not clinic.remembering_forbidden

    def test_what_is_refused_changes_nothing_at_all(self, owner, clinic):
        user = clinic_owner(clinic).user
        add_mode(user, "email")
        Factor.objects.filter(user=user, mode="authenticator")._raw_delete("default")
        terms = PolicySettings(required=True, accepted_modes="authenticator", remembering_forbidden=True)

        with pytest.raises(policy_changes.OwnMfaIsOff):
            policy_changes.set_policy(clinic_owner(clinic), terms, Origin())

        clinic.refresh_from_db()
        assert (clinic.mfa_required_at, clinic.accepted_modes, clinic.remembering_forbidden) == (None, "", False)
        assert not OrganizationEvent.objects.exists()

    def test_whoever_was_demoted_this_moment_changes_nothing(self, owner, clinic):
        stale = clinic_owner(clinic)
        Membership.objects.filter(pk=stale.pk).update(role=Role.MEMBER)

        with pytest.raises(membership.RoleMissing):
            policy_changes.require(stale, Origin())


class TestWhichModesCount:
    def test_members_with_email_only_must_add_the_app(self, owner, clinic, member, client, dana):
        add_mode(dana, "email")
        owner.post(f"{clinic.get_absolute_url()}/require")
        sign_in(client, dana)
        assert is_open(client, clinic)

        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")

        assert client.get(clinic.get_absolute_url()).url == REQUIRED
        assert f"Accepted modes: {LABEL}" in text_of(client.get(REQUIRED))
        assert cli(client, dana, clinic) == 403
        add_mode(dana, "authenticator")
        assert client.get(clinic.get_absolute_url()).url.startswith("/account/confirm?")  # it proves the app (SR-60)

    def test_whoever_has_email_only_gets_the_code_that_adding_the_app_needs(
        self, owner, clinic, member, client, dana, clock
    ):
        """The way out is open: a proof by e-mail, which has to be sent."""
        add_mode(dana, "email")
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        sign_in(client, dana)
        clock.shift(timedelta(minutes=11))
        assert client.get("/account/mfa/activate?type=authenticator").url.startswith("/account/confirm")

        page = client.post("/account/confirm/send", {"next": "/account/mfa/activate"}, follow=True)

        assert "We have sent the code." in text_of(page)
        assert client.post("/account/mfa/email/prefer").status_code == 302
        assert client.post("/account/mfa/email/prefer").url != REQUIRED

    def test_nobody_disables_the_mode_that_counts(self, owner, clinic, member, client, dana):
        """SR-42."""
        add_mode(dana, "email")
        add_mode(dana, "authenticator")
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        sign_in(client, dana)

        page = text_of(client.post("/account/mfa/authenticator/disable", follow=True))
        client.post("/account/mfa/email/disable")

        assert "It is required by: Clinic." in page
        assert list(Factor.objects.filter(user=dana).values_list("mode", flat=True)) == ["authenticator"]

    def test_an_owner_cannot_demand_a_mode_that_they_lack(self, owner, clinic):
        """SR-40: nobody locks out themselves."""
        user = Membership.objects.get(role="owner").user
        add_mode(user, "email")
        Factor.objects.filter(user=user, mode="authenticator")._raw_delete("default")

        page = options(owner, clinic, confirmed="yes", required_from="2026-11-24", counting="authenticator")

        clinic.refresh_from_db()
        assert page.status_code in {302, 400}
        assert not clinic.mfa_required

    def test_the_strictest_of_several_organizations_counts_where_it_is_asked(self, owner, clinic, member, client, dana):
        lab = MembershipFactory(user=dana).organization
        lab.mfa_required_at = timezone.now()
        lab.save()
        add_mode(dana, "email")
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
        assert event.subject == "Dana@example.com: nightly backup (until 2026-12-01)"
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

    def test_it_is_not_counted_as_missing_nor_as_ready(self, owner, clinic, member, dana):
        MembershipFactory(organization=clinic, user=UserFactory())
        self.exempt(owner, clinic, dana, reason="nightly backup", until="2026-12-01")

        page = text_of(owner.get(clinic.get_absolute_url()))

        assert "1 of 2 members has MFA (50 %)." in page
        assert "1 more member does not meet the policy but is exempt." in page
        missing = text_of(owner.get(f"{clinic.get_absolute_url()}/members?mfa=missing"))
        assert "Dana@example.com" not in missing

    def test_they_are_listed_with_reason_and_end(self, owner, clinic, member, dana):
        self.exempt(owner, clinic, dana, reason="nightly backup", until="2026-12-01")

        assert "Dana@example.com nightly backup 2026-12-01" in text_of(
            owner.get(f"{clinic.get_absolute_url()}/exemptions")
        )

    @pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
    def test_whoever_manages_others_is_no_service_account(self, owner, clinic, member, dana, role):
        Membership.objects.filter(pk=member.pk).update(role=role)

        page = owner.post(
            f"{clinic.get_absolute_url()}/members/{dana.pk}/exempt", {"reason": "x", "until": "2026-12-01"}, follow=True
        )

        assert "Owners and admins cannot be exempt" in text_of(page)
        assert Membership.objects.get(user=dana).exempt_until is None

    def test_a_promotion_ends_it(self, owner, clinic, member, dana):
        self.exempt(owner, clinic, dana, reason="nightly backup", until="2026-12-01")
        owner.post(f"{clinic.get_absolute_url()}/members/{dana.pk}/role", {"role": "admin"})

        assert Membership.objects.get(user=dana).exempt_until is None
        assert OrganizationEvent.objects.filter(kind="exemption_ended").exists()

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

        page = text_of(owner.get(f"{clinic.get_absolute_url()}/rehearsal"))
        assert "Dana@example.com browser 1" in page
        assert "Dana@example.com command line 1" in page

    def test_a_key_sign_in_is_told_apart(self, owner, clinic, member, client, dana):
        self.rehearse(owner, clinic)
        token = tokens.issue(dana, Origin(), mode="", by_key=True)
        client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"})

        page = text_of(owner.get(f"{clinic.get_absolute_url()}/rehearsal"))
        assert "Dana@example.com command line, with a key 1" in page

    def test_a_key_sign_in_with_a_code_is_told_apart_too(self, owner, clinic, member, client, dana):
        add_mode(dana, "email")
        set_policy(owner, clinic, counting="authenticator")
        self.rehearse(owner, clinic)
        begun = challenges.begin_sign_in(dana, channel=Channel.CLI, origin=Origin(), by_key=True)
        answer = client.post(
            f"/auth/signin/mfa/{begun.pk}", {"otp": mailed_code()}, content_type="application/json"
        ).json()
        client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {answer['sessionToken']}"})

        assert RehearsalHit.objects.get().channel == "key"

    def test_the_list_goes_on_for_as_long_as_it_is(self, owner, clinic, django_assert_max_num_queries):
        people = UserFactory.create_batch(30)
        RehearsalHit.objects.bulk_create(
            [RehearsalHit(organization=clinic, user=person, channel="browser") for person in people]
        )
        with django_assert_max_num_queries(9):
            pages = [owner.get(f"{clinic.get_absolute_url()}/rehearsal?page={page}") for page in (1,)]

        pages.append(owner.get(f"{clinic.get_absolute_url()}/rehearsal?page=2"))
        shown = "".join(text_of(page) for page in pages)
        assert all(person.email in shown for person in people)

    def test_when_it_is_over_the_owners_are_told_what_came_of_it(self, owner, clinic, member, client, dana, clock):
        """SR-54."""
        self.rehearse(owner, clinic, days=3)
        sign_in(client, dana)
        is_open(client, clinic)
        cli(client, dana, clinic)
        assert policy_changes.end_rehearsals() == 0
        clock.shift(timedelta(days=3))

        assert policy_changes.end_rehearsals() == 1
        assert policy_changes.end_rehearsals() == 0

        told = next(message for message in read_mail() if "Rehearsal ended" in message.subject)
        assert told.to == ["olaf@example.com"]
        assert "1 member would have been blocked" in told.body
        assert "Dana@example.com browser" in text_of_signed_in(owner, clinic)

    def test_setting_it_again_lets_it_go_on(self, owner, clinic, member, client, dana):
        self.rehearse(owner, clinic, days=3)
        sign_in(client, dana)
        is_open(client, clinic)
        self.rehearse(owner, clinic, days=14)

        assert RehearsalHit.objects.count() == 1

    def test_a_new_one_first_says_what_came_of_the_one_before(self, owner, clinic, member, client, dana, clock):
        self.rehearse(owner, clinic, days=3)
        sign_in(client, dana)
        is_open(client, clinic)
        clock.shift(timedelta(days=3))
        sign_in(owner, clinic_owner(clinic).user)
        self.rehearse(owner, clinic, days=3)

        assert OrganizationEvent.objects.get(kind="rehearsal_ended").subject == "1 member would have been blocked"
        assert not RehearsalHit.objects.exists()

    def test_one_that_a_date_has_ended_does_not_revive(self, owner, clinic, clock):
        self.rehearse(owner, clinic, days=30)
        set_policy(owner, clinic, required_from="2026-11-25")
        clock.move_to("2026-11-25T00:00:01Z")
        sign_in(owner, clinic_owner(clinic).user)
        owner.post(f"{clinic.get_absolute_url()}/stop-requiring")

        clinic.refresh_from_db()
        assert not clinic.is_rehearsing

    def test_requiring_ends_it_and_says_what_came_of_it(self, owner, clinic, member, client, dana):
        self.rehearse(owner, clinic)
        sign_in(client, dana)
        is_open(client, clinic)
        owner.post(f"{clinic.get_absolute_url()}/require")

        event = OrganizationEvent.objects.get(kind="rehearsal_ended")
        assert event.subject == "1 member would have been blocked"

    def test_the_environments_of_the_command_line_are_noted(self, owner, clinic, member, client, dana):
        self.rehearse(owner, clinic)
        headers = {"Authorization": f"Bearer {tokens.issue(dana, Origin(), mode='')}"}

        assert client.get("/environments", headers=headers).status_code == 200

        assert RehearsalHit.objects.get().channel == "cli"

    @pytest.mark.parametrize(
        ("path", "fields"),
        [
            ("/rehearsal", {"days": "14"}),
            ("/members/{dana}/role", {"role": "admin"}),
            ("/members/{dana}/exempt", {"reason": "nightly backup", "until": "2026-12-01"}),
            ("/policy", {"counting": "authenticator", "remembering_forbidden": ""}),
        ],
    )
    def test_what_was_typed_is_there_again_after_a_proof(self, owner, clinic, member, clock, path, fields):
        """SR-22: no form ends at an address that takes no look."""
        path = f"{clinic.get_absolute_url()}{path.format(dana=member.user_id)}"
        clinic.remembering_forbidden = True
        clinic.save()
        clock.shift(timedelta(minutes=11))
        asked = owner.post(path, {name: value for name, value in fields.items() if value})
        assert asked.url.startswith("/account/confirm?next=")

        back = owner.post(asked.url.partition("?")[0], {"otp": app_code(clinic_owner(clinic).user), "next": path})
        page = owner.get(back.url, follow=True)

        html = page.content.decode()
        assert page.status_code == 200
        for value in fields.values():
            assert f'value="{value}"' in html
        if "remembering_forbidden" in fields:
            assert page.context["form"]["remembering_forbidden"].value() is False

    def test_whoever_meets_it_is_not_noted(self, owner, clinic, member, client, dana):
        add_mode(dana, "authenticator")
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
        assert "there is nothing to rehearse" in text_of(
            owner.post(f"{clinic.get_absolute_url()}/rehearsal", {"days": 3}, follow=True)
        )


class TestWhatMembersSee:
    def test_i_see_what_owners_see_of_me(self, clinic, member, client, dana):
        add_mode(dana, "email")
        sign_in(client, dana)

        page = text_of(client.get(clinic.get_absolute_url()))

        assert "What owners and admins see about you: Name Dana Reyes Role member MFA email" in page
        assert "Last verified 2026-11-24 10:00 UTC" in page

    def test_one_page_says_which_organization_asks_for_what(self, owner, clinic, member, client, dana, clock):
        lab = MembershipFactory(user=dana, organization__name="Lab").organization
        MembershipFactory(user=dana, organization__name="Zoo")
        add_mode(dana, "email")
        lab.mfa_required_at = timezone.now() + timedelta(days=3)
        lab.remembering_forbidden = True
        lab.save()
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        sign_in(client, dana)

        page = text_of(client.get("/account/mfa/organizations"))

        assert "Together, your organizations require multi-factor authentication with authenticator or passkey." in page
        assert "You enter a one-time password at every sign-in" in page
        assert "Clinic does not meet the rule Activate required since 24 November 2026, 10:00 UTC, authenti" in page
        assert "Lab meets the rule required from 27 November 2026, 10:00 UTC, any mode forbidden" in page
        assert "Zoo – not required allowed" in page

    def test_a_command_line_is_told_which_organization_and_where_to_go(self, owner, clinic, member, client, dana):
        """SR-41."""
        set_policy(owner, clinic, required_from="2026-11-24", counting="authenticator")
        token = tokens.issue(dana, Origin(), mode="")

        answer = client.get(f"/orgs/{clinic.pk}/users", headers={"Authorization": f"Bearer {token}"})

        assert answer.status_code == 403
        assert answer.json()["description"] == (
            "Clinic requires multi-factor authentication, and your account does not meet this yet. "
            f"Accepted modes: {LABEL}. "
            "Activate it at http://testserver/account/mfa/activate and sign in again."
        )


def test_an_organization_closes_nothing_but_itself_and_the_dashboard():
    """SR-41: whoever is stopped can still do everything for the own account, deny by default for the rest."""
    closed = {name for name, view in views_of_pages().items() if Mark.WORKS_WHILE_BLOCKED not in marks_of(view)}

    assert {name for name in closed if not name.startswith("organizations:")} == {"accounts:dashboard", "home"}


def test_a_factor_removed_by_a_command_closes_the_organization_at_the_next_request(owner, clinic, member, client, dana):
    """SR-42."""
    add_mode(dana, "authenticator")
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
