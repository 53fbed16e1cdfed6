"""Support: the state of an account in words, and what staff do in the administration."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import administrators, security_log, tokens
from accounts.models import SecurityEvent, User
from accounts.security_log import Intervention, Kind, Origin
from accounts.tests.factories import UserFactory
from mfa import assisted_reset, interventions, recovery
from mfa.tests.factories import add_mode, add_passkey
from organizations.models import Environment, OrganizationEvent, Pod, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.codes import app_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

BY = Intervention("operator", "First of all")
REASON = {"reason": "She called from her known number"}


@pytest.fixture
def administrator(db):
    user = UserFactory(email="root@example.com")
    add_mode(user, "authenticator")
    return administrators.make_administrator(user, Origin(), by=BY)


@pytest.fixture
def supporter(db):
    user = UserFactory(email="support@example.com")
    add_mode(user, "authenticator")
    return administrators.make_support(user, Origin(), by=BY)


@pytest.fixture
def support(supporter, another_browser):
    """The browser of support staff."""
    browser = another_browser()
    sign_in(browser, supporter)
    return browser


@pytest.fixture
def root(administrator, another_browser):
    """The browser of an administrator."""
    browser = another_browser()
    sign_in(browser, administrator)
    return browser


def page_of(user):
    return f"/admin/accounts/user/{user.pk}/change/"


def act_on(user, act):
    return f"/admin/accounts/user/{user.pk}/act/{act}/"


def last_event(user):
    return SecurityEvent.objects.filter(user=user).order_by("-pk").first()


class TestTheCommand:
    @pytest.fixture
    def told(self, capsys):
        def run(account):
            call_command("user", account)
            return capsys.readouterr().out

        return run

    def test_an_account_that_has_only_just_begun(self, dana, told):
        text = told("dana")

        for line in (
            "Dana@example.com: the account exists since",
            "and is active.",
            "Name: Dana Reyes. Username: dana.",
            "Email: verified",
            "Mail: none has come back.",
            "Last sign-in: never.",
            "Multi-factor authentication: off.",
            "Signed in: 0 browser sessions, 0 command-line tokens.",
            "Throttled: no, nothing is counted.",
            "Assisted reset: none is pending.",
            "Organizations: none.",
            "Last events:\n  none",
        ):
            assert line in text

    def test_an_account_with_everything(self, client, dana, sam, phone, told):
        add_mode(dana, "authenticator")
        dana.refresh_from_db()
        codes = recovery.make(dana)
        recovery.confirm(dana, codes[0], Origin())
        add_passkey(dana, phone, name="Dana's phone")
        sign_in(client, dana)
        value = tokens.issue(User.objects.get(pk=dana.pk), Origin(), mode="authenticator")
        give_credentials(client, "dana", "wrong")
        membership = MembershipFactory(user=dana, role=Role.OWNER)
        membership.organization.name, membership.organization.mfa_required_at = "Clinic", timezone.now()
        membership.organization.save()
        later = OrganizationFactory(name="Ward", mfa_required_at=timezone.now() + timedelta(days=3))
        MembershipFactory(user=dana, organization=later)
        assisted_reset.start(dana, by=sam, authority="staff", reason="Passport shown", origin=Origin())
        User.objects.filter(pk=dana.pk).update(
            mailbox_failed_at=timezone.now(), mailbox_failure="full", is_active=False, is_staff=True, is_superuser=True
        )

        text = told("Dana@Example.com")

        for line in (
            "and is disabled, an administrator of the portal.",
            "the mailbox is full.",
            "Multi-factor authentication: on, preferred mode authenticator.",
            "  authenticator: last proved 20",
            "  passkey “Dana's phone”: last used never",
            "  Recovery codes left: 10",
            "Signed in: 1 browser sessions, 1 command-line tokens.",
            "Throttled: wrong passwords: 1 counted, not blocked.",
            "Assisted reset: started by sam@example.com, not confirmed yet. Reason: Passport shown",
            "  Clinic: owner, meets the policy",
            "  Ward: member, MFA required from",
            "Assisted reset started, –, an unknown browser, by sam@example.com: Passport shown",
        ):
            assert line in text
        assert value not in text
        assert dana.password not in text

    def test_a_member_whom_a_policy_blocks(self, dana, told):
        organization = OrganizationFactory(name="Clinic", mfa_required_at=timezone.now())
        MembershipFactory(user=dana, organization=organization)

        assert "  Clinic: member, blocked until MFA meets the policy" in told("dana")

    @pytest.mark.parametrize("many", [1, 60])
    def test_it_asks_the_database_as_often_for_many_things(self, dana, told, django_assert_max_num_queries, many):
        for _number in range(many):
            MembershipFactory(user=dana)
            security_log.record(dana, Kind.SIGNED_IN, Origin(f"203.0.113.{_number}"))

        with django_assert_max_num_queries(13):
            text = told("dana")

        assert ("… and more" in text) == (many == 60)
        assert text.count("Signed in,") <= 10

    def test_an_unknown_account_is_named(self):
        with pytest.raises(CommandError, match="There is no account nobody"):
            call_command("user", "nobody")


class TestFinding:
    def test_accounts_are_found_by_the_beginning_of_email_and_username_and_by_domain(self, support, dana, sam):
        UserFactory(email="nurse@clinic.example.org", username="dan")

        def found(query):
            page = support.get("/admin/accounts/user/", {"q": query})
            return {user.email for user in page.context["cl"].result_list}

        assert found("DANA@") == {"Dana@example.com"}
        assert found("dan") == {"Dana@example.com", "nurse@clinic.example.org"}
        assert found("@clinic.example.org") == {"nurse@clinic.example.org"}
        assert found("ana@example") == set()
        assert {"Dana@example.com", "sam@example.com"} < found("")

    def test_a_search_that_finds_too_many_says_so(self, support, monkeypatch, dana, sam):
        monkeypatch.setattr("accounts.admin.MAX_FOUND", 2)
        UserFactory(email="sara@example.com")
        UserFactory(email="saul@example.com")

        page = support.get("/admin/accounts/user/", {"q": "sa"})

        assert "There are many, and perhaps not all are shown." in text_of(page)
        assert len(page.context["cl"].result_list) == 2

    def test_a_list_counts_only_so_far(self, support, monkeypatch, dana, sam):
        monkeypatch.setattr("accounts.admin.MAX_LISTED", 2)

        assert support.get("/admin/accounts/user/").context["cl"].result_count == 2

    def test_organizations_are_found_by_the_beginning_of_their_name(self, support):
        OrganizationFactory(name="Clinic North")
        OrganizationFactory(name="North Clinic")

        page = support.get("/admin/organizations/organization/", {"q": "clinic"})

        assert [one.name for one in page.context["cl"].result_list] == ["Clinic North"]

    def test_members_of_an_organization(self, support, dana, sam):
        organization = MembershipFactory(user=dana, role=Role.OWNER).organization
        MembershipFactory(user=sam, organization=organization)
        url = f"/admin/organizations/organization/{organization.pk}/members/"

        page = support.get(url, {"q": "SAM"})

        assert "sam@example.com" in text_of(page)
        assert "Dana@example.com" not in text_of(page)
        assert page_of(sam) in page.content.decode()


class TestThePageOfAPerson:
    def test_support_reads_the_state_in_words(self, support, dana_with_app, sam):
        """SR-52: and no secret."""
        MembershipFactory(user=dana_with_app, organization=OrganizationFactory(name="Clinic"))
        give_credentials(support, "dana", "wrong")
        factor = dana_with_app.preferred_mode

        page = support.get(page_of(dana_with_app))

        for words in ("active", "none has come back", "wrong passwords", "Clinic", "MFA not required", factor):
            assert words in text_of(page)
        assert dana_with_app.password not in page.content.decode()
        assert "argon2" not in page.content.decode()

    def test_an_unknown_account_is_not_found(self, support):
        assert support.get("/admin/accounts/user/00000000-0000-0000-0000-000000000000/change/").status_code == 404
        assert support.get("/admin/accounts/user/x/change/").status_code == 404

    def test_the_page_changes_nothing(self, root, dana):
        assert root.post(page_of(dana), {"email": "thief@example.com", "is_active": ""}).status_code == 405

    def test_support_unlocks_with_a_reason(self, client, support, supporter, dana):
        for _try in range(6):
            give_credentials(client, "dana", "wrong")
        assert act_on(dana, "unlock") in support.get(page_of(dana)).content.decode()
        assert support.post(act_on(dana, "unlock"), {"reason": ""}).status_code == 400
        assert support.get(act_on(dana, "unlock")).status_code == 200

        page = support.post(act_on(dana, "unlock"), REASON, follow=True)

        assert "The account is unlocked. Cleared: wrong passwords." in text_of(page)
        assert give_credentials(client, "dana").status_code == 302
        event = SecurityEvent.objects.get(user=dana, kind="unlocked")
        assert (event.actor, event.reason) == (supporter.email, REASON["reason"])
        entry = LogEntry.objects.get()
        assert (entry.user, entry.change_message) == (supporter, f"Unlock: {REASON['reason']}")

    def test_where_nothing_is_held_nothing_is_unlocked_or_logged(self, support, dana):
        page = support.post(act_on(dana, "unlock"), REASON)

        assert "Nothing is counted against this account" in text_of(page)
        assert not LogEntry.objects.exists()

    def test_all_sessions_are_ended(self, client, root, dana):
        sign_in(client, dana)
        value = tokens.issue(User.objects.get(pk=dana.pk), Origin(), mode="")

        page = root.post(act_on(dana, "sign-out"), REASON, follow=True)

        assert "All sessions of this account are signed out." in text_of(page)
        assert not is_signed_in(client)
        assert tokens.find(value) is None
        assert last_event(dana).kind == "signed_out_by_staff"
        assert "All sessions signed out by staff" in read_mail()[-1].subject

    def test_an_account_is_disabled_and_enabled(self, client, root, dana):
        """SR-25: it begins without sessions."""
        sign_in(client, dana)

        root.post(act_on(dana, "disable"), REASON)
        told = read_mail()[-1].body
        assert "No one can sign in to your account until it is enabled again." in told
        assert "/account/password/reset" not in told, "a new password would not help"
        assert give_credentials(client, "dana").status_code != 302
        again = root.post(act_on(dana, "disable"), REASON)
        root.post(act_on(dana, "enable"), REASON)

        assert "already done this" in text_of(again)
        assert not is_signed_in(client)
        assert list(SecurityEvent.objects.filter(kind__in=["disabled", "enabled"]).values_list("kind", "reason")) == [
            ("disabled", REASON["reason"]),
            ("enabled", REASON["reason"]),
        ]
        assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
            f"Disable the account: {REASON['reason']}",
            f"Enable the account: {REASON['reason']}",
        ]

    def test_an_assisted_reset_by_staff_waits_like_that_of_an_owner(self, root, administrator, dana_with_app, settings):
        """SR-28: the mailbox confirms it, then the waiting time begins."""
        root.post(act_on(dana_with_app, "start-reset"), REASON)

        mail = read_mail()[-1]
        assert mail.to == ["Dana@example.com"]
        assert administrator.email in mail.body
        reset = assisted_reset.open_of(dana_with_app)
        due = assisted_reset.confirm(dana_with_app, reset.secret.decode(), Origin())
        assert due - timezone.now() > settings.ASSISTED_RESET_WAIT - timedelta(minutes=1)
        assert "The user has confirmed it." in text_of(root.get(page_of(dana_with_app)))

    def test_an_act_needs_a_proof_of_moments_ago(self, administrator, another_browser, dana):
        """SR-52: the reason that was typed is not lost on the way to the proof."""
        browser = another_browser()
        with time_machine.travel(timezone.now(), tick=False) as clock:
            sign_in(browser, administrator)
            clock.shift(timedelta(hours=3))

            for ask in (browser.get, browser.post):
                assert ask(act_on(dana, "disable"), REASON).url.startswith("/account/confirm?next=")
            dana.refresh_from_db()
            assert dana.is_active
            browser.get("/account/confirm")
            browser.post("/account/confirm", {"otp": app_code(administrator), "next": act_on(dana, "disable")})
            assert REASON["reason"] in browser.get(act_on(dana, "disable")).content.decode()

    def test_a_forged_form_does_nothing(self, root, dana):
        """SR-45."""
        root.handler.enforce_csrf_checks = True

        assert root.post(act_on(dana, "disable"), REASON).status_code == 403
        assert User.objects.get(pk=dana.pk).is_active

    def test_the_history_shows_each_reason(self, root, dana):
        root.post(act_on(dana, "disable"), REASON)

        page = text_of(root.get(f"/admin/accounts/user/{dana.pk}/history/"))

        assert f"Disable the account: {REASON['reason']}" in page


class TestRights:
    ACTS = ("unlock", "sign-out", "start-reset", "withdraw-reset", "disable", "enable",
            "make-support", "make-administrator", "remove-rights")  # fmt: skip

    @pytest.mark.parametrize("act", ACTS)
    def test_support_looks_and_unlocks_and_does_nothing_else(self, support, dana_with_app, act):
        """SR-52: deny by default."""
        expected = 200 if act == "unlock" else 403

        assert support.get(act_on(dana_with_app, act)).status_code == expected
        assert (support.post(act_on(dana_with_app, act), REASON).status_code == 403) == (act != "unlock")

    @pytest.mark.parametrize("act", ACTS)
    def test_administrators_do_everything(self, root, dana_with_app, act):
        assert root.get(act_on(dana_with_app, act)).status_code == 200

    @pytest.mark.parametrize("act", ACTS)
    def test_only_administrators_act_on_staff_and_no_one_on_themselves(
        self, support, supporter, root, administrator, act
    ):
        """SR-44."""
        assert support.get(act_on(administrator, act)).status_code == 403
        assert support.get(act_on(supporter, act)).status_code == 403
        assert root.get(act_on(administrator, act)).status_code == 403
        assert root.get(act_on(supporter, act)).status_code == 200

    @pytest.mark.parametrize(
        "path",
        ["accounts/user/", "organizations/organization/", "mfa/assistedreset/", "organizations/environment/",
         "organizations/pod/"],
    )  # fmt: skip
    def test_staff_without_a_right_see_no_list(self, dana_with_app, client, path):
        User.objects.filter(pk=dana_with_app.pk).update(is_staff=True)
        sign_in(client, dana_with_app)

        assert client.get(f"/admin/{path}").status_code == 403
        assert client.get(page_of(dana_with_app)).status_code == 403
        assert client.get(act_on(dana_with_app, "unlock")).status_code == 403

    @pytest.mark.parametrize("path", ["mfa/assistedreset/", "organizations/environment/", "organizations/pod/"])
    def test_support_sees_only_accounts_and_organizations(self, support, path):
        assert support.get(f"/admin/{path}").status_code == 403

    def test_an_administrator_makes_and_unmakes_staff(self, root, administrator, dana, another_browser):
        """SR-54: every administrator and the account are told."""
        other = UserFactory(email="other@example.com")
        administrators.make_administrator(other, Origin(), by=BY)

        root.post(act_on(dana, "make-support"), REASON)
        dana.refresh_from_db()
        assert dana.is_staff
        assert dana.has_perm("accounts.unlock_user")
        assert not dana.has_perm("accounts.disable_user")
        root.post(act_on(dana, "make-administrator"), REASON)
        root.post(act_on(dana, "remove-rights"), REASON)

        dana = User.objects.get(pk=dana.pk)
        assert not dana.is_staff
        assert not dana.is_superuser
        assert not dana.has_perm("accounts.unlock_user")
        told = [mail.subject for mail in read_mail() if mail.to == ["other@example.com"]]
        assert [subject.split(": ")[1] for subject in told[-3:]] == [
            "Made support staff of the portal",
            "Made an administrator of the portal",
            "Staff rights removed",
        ]

    def test_the_last_administrator_is_not_disabled(self, administrator):
        with pytest.raises(administrators.LastAdministrator):
            interventions.set_active(administrator, Origin(), is_active=False, by=BY)

        assert administrators.administrators().count() == 1

    def test_an_unverified_account_gets_no_rights(self, root):
        user = UserFactory(email="late@example.com", email_verified_at=None)

        page = root.post(act_on(user, "make-support"), REASON)

        assert "not verified yet" in text_of(page)
        assert not User.objects.get(pk=user.pk).is_staff


class TestThePageOfAnOrganization:
    @pytest.fixture
    def clinic(self, dana):
        organization = OrganizationFactory(name="Clinic", mfa_required_at=timezone.now())
        MembershipFactory(user=dana, organization=organization, role=Role.OWNER)
        return organization

    def test_support_reads_its_state(self, support, clinic):
        Environment.objects.create(organization=clinic, pod=Pod.objects.create(name="pod01"), name="clinic-live")

        page = support.get(f"/admin/organizations/organization/{clinic.pk}/change/")

        for words in ("Members: 1. They meet the MFA policy: 0. They do not: 1. Exempt: 0.",
                      "Dana@example.com", "since 20", "clinic-live"):  # fmt: skip
            assert words in text_of(page)

    def test_an_administrator_renames_it_and_the_owners_are_told(self, root, administrator, clinic):
        url = f"/admin/organizations/organization/{clinic.pk}/act/rename/"
        assert root.post(url, {"name": "New", "reason": ""}).status_code == 400

        clinic_was = clinic.name
        root.post(url, {"name": "New", "reason": "They merged"})

        clinic.refresh_from_db()
        assert clinic.name == "New"
        event = OrganizationEvent.objects.get()
        assert (event.actor, event.subject) == (administrator, f"{clinic_was} → New: They merged")
        assert read_mail()[-1].to == ["Dana@example.com"]
        assert LogEntry.objects.get().change_message == "Rename: They merged"

    def test_support_does_not(self, support, clinic):
        url = f"/admin/organizations/organization/{clinic.pk}/act/rename/"

        assert support.post(url, {"name": "New", "reason": "They merged"}).status_code == 403

    def test_staff_neither_delete_it_nor_set_its_policy(self, root, clinic):
        page = f"/admin/organizations/organization/{clinic.pk}"

        assert root.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
        assert root.post(f"{page}/change/", {"mfa_required_at_0": "2026-01-01"}).status_code == 405
