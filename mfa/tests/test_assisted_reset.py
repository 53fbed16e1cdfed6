"""The last way back: a second person starts it, the mailbox confirms it, a day passes (SR-28)."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
import time_machine
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa import assisted_reset, recovery
from mfa.models import AssistedReset, Factor
from mfa.tests.factories import add_mode
from mfa.tests.test_activation import activate
from organizations.models import OrganizationEvent, Role
from organizations.tests.factories import MembershipFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

CONFIRM = "/account/mfa/reset"


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


@pytest.fixture
def clinic(dana_with_app, sam):
    """Sam owns it; Dana, who has lost her phone, is a member."""
    add_mode(sam, "authenticator")
    owner = MembershipFactory(user=sam, role=Role.OWNER)
    MembershipFactory(user=dana_with_app, organization=owner.organization)
    return owner.organization


def start_page(clinic, user) -> str:
    return f"{clinic.get_absolute_url()}/members/{user.pk}/reset"


def start(browser, clinic, user, reason="Lost phone, called me"):
    return browser.post(start_page(clinic, user), {"reason": reason})


def newest(pattern: str) -> str:
    for message in reversed(read_mail()):
        if found := re.search(pattern, message.body):
            return found[1]
    raise AssertionError("no such mail")


def code_to_confirm() -> str:
    return newest(r"(\S+) is your code to confirm the reset")


def confirm(client, code, identifier="dana"):
    return client.post(CONFIRM, {"identifier": identifier, "code": code})


@pytest.fixture
def started(clinic, sam, dana_with_app, another_browser, clock):
    owner = another_browser()
    sign_in(owner, sam)
    assert start(owner, clinic, dana_with_app).status_code == 302
    return dana_with_app


@pytest.fixture
def waited(started, client, clock):
    assert confirm(client, code_to_confirm()).url == "/account/login"
    clock.shift(timedelta(hours=24, minutes=1))
    assisted_reset.tell_ready()
    return started


def final_code() -> str:
    return newest(r"\A(\S+) is your code\.")


def test_i_come_back_without_my_phone(waited, client):
    """SR-28: from the owner's click to a new app."""
    give_credentials(client, "dana")

    page = client.post(f"{OTP}?recovery", {"otp": final_code()})

    assert page.url == "/account/mfa/activate"
    assert client.get("/account").url == "/account/mfa/activate"  # it opens nothing but a new enrolment
    for page in ("/account/view", "/account/sessions", "/account/email", "/account/mfa/authenticator/disable"):
        assert client.get(page).url == "/account/mfa/activate"
    old = Factor.objects.get(user=waited).secret
    activate(client, "authenticator")
    enrolment = client.get("/account/mfa/activate/complete").context["secret_plain"]
    import pyotp

    client.post(
        "/account/mfa/activate/complete", {"otp": pyotp.TOTP(enrolment).at(timezone.now()), "set_as_preferred": "on"}
    )
    assert client.get("/account").status_code == 200
    assert Factor.objects.get(user=waited).secret != old
    subjects = [message.subject for message in read_mail() if message.to == [waited.email]]
    assert "Datica: Assisted reset confirmed: the waiting time has started" in subjects
    assert "Datica: Signed in with the code of an assisted reset" in subjects


def test_who_and_why_is_told_and_logged(started, clinic, client):
    """SR-28."""
    (message,) = [message for message in read_mail() if "code to confirm" in message.body]

    assert message.to == [started.email]
    assert "sam@example.com (owner of" in message.body
    assert "Lost phone, called me" in message.body
    event = OrganizationEvent.objects.get(kind="assisted_reset_started")
    assert event.subject == "Dana@example.com: Lost phone, called me"


def test_it_waits_a_day(started, client, clock):
    """SR-28."""
    confirm(client, code_to_confirm())
    reset = AssistedReset.objects.get()
    early = reset.secret.decode()
    clock.shift(timedelta(hours=23))
    assert assisted_reset.tell_ready() == 0

    give_credentials(client, "dana")

    assert client.post(OTP, {"otp": early}).status_code == 400
    assert not is_signed_in(client)


def test_signing_in_with_a_factor_cancels_it(waited, client, another_browser):
    """SR-28: whoever still has the phone is not robbed by a reset."""
    code = final_code()
    owner_of_the_phone = another_browser()
    sign_in(owner_of_the_phone, waited)

    give_credentials(client, "dana")

    assert client.post(OTP, {"otp": code}).status_code == 400
    assert any("Assisted reset cancelled" in message.subject for message in read_mail())


def test_so_does_a_recovery_code(waited, client):
    codes = recovery.make(waited)
    recovery.confirm(waited, codes[0], Origin())
    give_credentials(client, "dana")
    client.post(OTP, {"otp": codes[0]})

    assert AssistedReset.objects.get().ended_at


def test_its_code_works_once(waited, client, another_browser):
    code = final_code()
    give_credentials(client, "dana")
    client.post(OTP, {"otp": code})
    second = another_browser()
    give_credentials(second, "dana")

    assert second.post(OTP, {"otp": code}).status_code == 400


def test_its_code_is_of_no_use_without_the_password(waited, client):
    give_credentials(client, "dana", "wrong")

    assert client.post(OTP, {"otp": final_code()}).url == "/account/login"
    assert not is_signed_in(client)


def test_its_code_expires(waited, client, clock):
    code = final_code()
    clock.shift(timedelta(days=3))
    give_credentials(client, "dana")

    assert client.post(OTP, {"otp": code}).status_code == 400


def test_without_the_mailbox_nothing_happens(started, client, clock):
    """SR-28."""
    clock.shift(timedelta(days=2))

    assert assisted_reset.tell_ready() == 0


def test_guesses_of_one_network_are_limited_and_end_nobodys_reset(started, client, another_browser, clock):
    """SR-28: a stranger's wrong codes never end it."""
    code = code_to_confirm()
    stranger = another_browser(REMOTE_ADDR="198.51.100.7")
    for _try in range(50):
        assert confirm(stranger, "AAA-BBB-CCC").status_code == 400

    assert confirm(stranger, code).status_code == 429
    assert confirm(client, code).url == "/account/login"


def test_a_few_guesses_of_a_stranger_do_not_end_it(started, client, another_browser):
    for _try in range(10):
        confirm(another_browser(), "AAA-BBB-CCC")

    assert confirm(client, code_to_confirm()).url == "/account/login"


def test_nobody_is_flooded_with_resets(clinic, sam, dana_with_app):
    """SR-17 in spirit: mail that others cause is limited."""
    for _try in range(assisted_reset.STARTS.count):
        assisted_reset.start(dana_with_app, by=sam, authority="x", reason="x", origin=Origin())
        assisted_reset.cancel(dana_with_app, Origin())

    with pytest.raises(assisted_reset.TooManyStarts):
        assisted_reset.start(dana_with_app, by=sam, authority="x", reason="x", origin=Origin())


def test_an_unknown_account_gets_the_same_answer(started, client):
    """SR-3."""
    known, unknown = confirm(client, "AAA-BBB-CCC"), confirm(client, "AAA-BBB-CCC", "nobody")

    assert (known.status_code, text_of(known)) == (unknown.status_code, text_of(unknown))


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER, None])
def test_only_an_owner_of_the_organization_starts_it(clinic, dana_with_app, role, another_browser, django_user_model):
    """SR-28, SR-39."""
    other = django_user_model.objects.create_user("other@example.com", "a quiet harbour at dawn")
    other.email_verified_at = timezone.now()
    other.save()
    add_mode(other, "authenticator")
    if role:
        MembershipFactory(user=other, organization=clinic, role=role)
    browser = another_browser()
    sign_in(browser, other)

    assert start(browser, clinic, dana_with_app).status_code == (403 if role else 404)
    assert not AssistedReset.objects.exists()


def test_an_owner_without_mfa_cannot(clinic, dana_with_app, sam, client):
    """SR-28: an OTP-verified owner."""
    Factor.objects.filter(user=sam).delete()
    User.objects.filter(pk=sam.pk).update(preferred_mode="")
    sam.refresh_from_db()
    sign_in(client, sam)

    led = start(client, clinic, dana_with_app)

    page = start_page(clinic, dana_with_app)
    assert led.url == f"/account/mfa/activate?next={quote(page, safe='')}"
    asked = text_of(client.get(led.url))
    assert "To reset the multi-factor authentication of a member, set it up for yourself first." in asked
    assert "require it of others" not in asked
    assert not AssistedReset.objects.exists()


def test_nobody_starts_their_own(clinic, sam, client):
    sign_in(client, sam)

    page = start(client, clinic, sam)

    assert "You cannot start an assisted reset of your own" in text_of(page)


def test_staff_are_no_owners_members_to_reset(clinic, sam, dana_with_app, client):
    User.objects.filter(pk=dana_with_app.pk).update(is_staff=True)
    sign_in(client, sam)

    assert "Only other staff can start their reset" in text_of(start(client, clinic, dana_with_app))


def test_it_is_not_started_for_who_can_get_codes_by_mail(clinic, sam, dana_with_app, client):
    add_mode(dana_with_app, "email")
    sign_in(client, sam)

    assert "needs no assisted reset" in text_of(start(client, clinic, dana_with_app))


def test_one_at_a_time(started, clinic, sam, another_browser, clock):
    browser = another_browser()
    clock.shift(timedelta(seconds=31))
    sign_in(browser, sam)

    assert "already under way" in text_of(start(browser, clinic, started))
    clock.shift(timedelta(days=4))
    sign_in(browser, sam)
    assert start(browser, clinic, started).status_code == 302


def test_its_code_opens_no_command_line(waited, client):
    """In a browser it leads to a new factor and to nothing else; a token would open everything."""
    code = final_code()
    due = client.post(
        "/auth/signin", {"identifier": "dana", "password": PASSWORD}, content_type="application/json"
    ).json()

    answer = client.post(f"/auth/signin/mfa/{due['mfaID']}", {"otp": code}, content_type="application/json")

    assert answer.status_code == 401
    give_credentials(client, "dana")
    assert client.post(OTP, {"otp": code}).url == "/account/mfa/activate"


def test_its_code_is_no_step_up(waited, client, another_browser, clock):
    """It opens an enrolment, not a change that a session asks for."""
    code = final_code()
    reset = AssistedReset.objects.get()
    browser = another_browser()
    sign_in(browser, waited)  # cancels
    AssistedReset.objects.filter(pk=reset.pk).update(ended_at=None)
    clock.shift(timedelta(minutes=11))
    browser.get("/account/confirm")

    assert browser.post("/account/confirm", {"otp": code, "next": "/account/view"}).status_code == 400


class TestStaff:
    @pytest.fixture
    def staff(self, sam, client):
        add_mode(sam, "authenticator")
        User.objects.filter(pk=sam.pk).update(is_staff=True, is_superuser=True)
        sign_in(client, sam)
        return client

    def test_staff_start_it_in_the_administration(self, staff, dana_with_app):
        """SR-28, SR-52."""
        from django.contrib.admin.models import LogEntry

        page = f"/admin/accounts/user/{dana_with_app.pk}/"
        response = staff.post(f"{page}act/start-reset/", {"reason": "Passport shown"})

        assert response.url == f"{page}change/"
        assert "staff of the portal" in AssistedReset.objects.get().authority
        assert LogEntry.objects.get().change_message == "Start an assisted reset: Passport shown"
        code = code_to_confirm()
        for shown in (staff.get("/admin/mfa/assistedreset/"), staff.get(response.url)):
            assert "Passport shown" in text_of(shown)
            assert code not in shown.content.decode()

    def test_a_refusal_is_shown(self, staff, dana):
        page = staff.post(f"/admin/accounts/user/{dana.pk}/act/start-reset/", {"reason": "x"})

        assert "needs no assisted reset" in text_of(page)
        assert not AssistedReset.objects.exists()

    def test_staff_withdraw_it(self, staff, dana_with_app):
        acts = f"/admin/accounts/user/{dana_with_app.pk}/act/"
        staff.post(f"{acts}start-reset/", {"reason": "Passport shown"})

        staff.post(f"{acts}withdraw-reset/", {"reason": "It was not Dana"})
        again = staff.post(f"{acts}withdraw-reset/", {"reason": "Twice"})

        assert AssistedReset.objects.get().ended_at
        assert "There is no pending assisted reset." in text_of(again)
        told = SecurityEvent.objects.get(user=dana_with_app, kind="assisted_reset_cancelled")
        assert (told.actor, told.reason) == ("sam@example.com", "It was not Dana")

    def test_accounts_show_no_secret_and_cannot_be_written(self, staff, dana_with_app):
        """SR-52."""
        address = f"/admin/accounts/user/{dana_with_app.pk}/change/"
        page = staff.get(address).content.decode()
        staff.post(address, {"email": "thief@example.com", "is_staff": "on", "is_active": "on"})

        user = User.objects.get(pk=dana_with_app.pk)
        assert "argon2" not in page
        assert (user.email, user.is_staff) == ("Dana@example.com", False)


def test_an_enrolment_begun_with_an_old_password_dies_with_it(client, dana, another_browser):
    """SR-27: whoever knew the old password does not finish a factor of their own after its reset."""
    import pyotp

    thief = another_browser()
    activate(thief, "authenticator")
    secret = thief.get("/account/mfa/activate/complete").context["secret_plain"]
    user = User.objects.get(pk=dana.pk)
    user.set_password("a new quiet harbour")
    user.save()

    thief.post("/account/mfa/activate/complete", {"otp": pyotp.TOTP(secret).at(timezone.now())})

    assert not Factor.objects.exists()


def test_an_account_that_goes_meanwhile_gets_no_reset(dana_with_app, sam):
    """SR-63: a clear answer, where the worker that deletes the account comes first."""
    User.objects.filter(pk=dana_with_app.pk).delete()

    with pytest.raises(assisted_reset.AccountDeleted):
        assisted_reset.start(dana_with_app, by=sam, authority="owner", reason="Lost phone", origin=Origin())
