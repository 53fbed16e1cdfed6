"""Sparing a browser the one-time password, for a while (SR-37)."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import known_browsers
from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa.models import RememberedBrowser
from mfa.tests.factories import add_mode
from organizations.models import Role
from organizations.tests.factories import MembershipFactory
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

PROMPT = OTP


def sign_in_and_remember(client, user):
    give_credentials(client, user.email)
    otp = app_code(user) if user.preferred_mode == "authenticator" else mailed_code()
    assert client.post(OTP, {"otp": otp, "remember": "on"}).status_code == 302


def leave(client):
    client.post("/account/logout")


def is_asked_for_a_code(client, user) -> bool:
    return give_credentials(client, user.email).url == PROMPT


@pytest.fixture
def remembered(client, dana_with_app):
    sign_in_and_remember(client, dana_with_app)
    leave(client)
    return dana_with_app


def test_the_browser_is_not_asked_again(client, remembered, another_browser):
    """SR-37."""
    assert not is_asked_for_a_code(client, remembered)
    assert is_signed_in(client)
    assert is_asked_for_a_code(another_browser(), remembered)
    assert any("Browser remembered" in message.subject for message in read_mail())


def test_only_if_i_ask_for_it(client, dana_with_app):
    assert "Remember this browser for 30 days" in text_of(give_credentials(client, "dana") and client.get(PROMPT))
    client.post(OTP, {"otp": app_code(dana_with_app)})
    leave(client)

    assert is_asked_for_a_code(client, dana_with_app)


def test_the_password_is_still_asked_for(client, remembered):
    assert give_credentials(client, remembered.email, "wrong").status_code == 400


def test_it_lasts_thirty_days(client, dana_with_app):
    """SR-37."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in_and_remember(client, dana_with_app)
        leave(client)
        clock.shift(timedelta(days=30, seconds=1))

        assert is_asked_for_a_code(client, dana_with_app)


def test_it_proves_no_factor_for_a_step_up(client, remembered):
    """SR-22: a password alone never changes factors."""
    give_credentials(client, remembered.email)

    assert client.post("/account/mfa/authenticator/disable").url.startswith("/account/confirm")
    page = client.post("/account/mfa/activate", {"type": "email", "identifier": "dana", "password": PASSWORD})
    assert "email" not in User.objects.get(pk=remembered.pk).preferred_mode
    assert page.url.startswith("/account/confirm")


def test_it_opens_no_administration(client, remembered):
    """SR-52."""
    User.objects.filter(pk=remembered.pk).update(is_staff=True, is_superuser=True)
    give_credentials(client, remembered.email)

    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/login/?next=/admin/").url.startswith("/account/confirm")


@pytest.mark.parametrize("change", ["password", "another mode", "the app anew", "address"])
def test_a_change_of_password_factors_or_address_ends_it(client, remembered, change):
    """SR-37."""
    user = User.objects.get(pk=remembered.pk)
    if change == "password":
        user.set_password(PASSWORD)
        user.save()
    elif change == "another mode":
        add_mode(user, "email")
    elif change == "the app anew":
        user_factor = add_mode.__globals__["Factor"].objects.get(user=user)
        user_factor.created_at = timezone.now()
        user_factor.save()
    else:
        user.email = "else@example.com"
        user.save()

    assert is_asked_for_a_code(client, user)


def test_i_see_them_and_forget_one(client, remembered, another_browser):
    """SR-37: listed and revocable."""
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        elsewhere = another_browser()
        sign_in(elsewhere, remembered)
        assert "Remembered browsers" in text_of(elsewhere.get("/account/sessions"))
        row = RememberedBrowser.objects.get()

        elsewhere.post(f"/account/mfa/remembered/{row.pk}/forget")

        assert is_asked_for_a_code(client, remembered)


def test_nobody_forgets_the_browser_of_somebody_else(client, remembered, sam, another_browser):
    elsewhere = another_browser()
    sign_in(elsewhere, sam)

    elsewhere.post(f"/account/mfa/remembered/{RememberedBrowser.objects.get().pk}/forget")

    assert RememberedBrowser.objects.count() == 1


def test_the_cookie_of_another_account_is_of_no_use(client, remembered, sam):
    add_mode(sam, "authenticator")

    assert is_asked_for_a_code(client, sam)


def test_two_people_are_remembered_in_one_browser(client, remembered, sam):
    add_mode(sam, "authenticator")
    sign_in_and_remember(client, sam)
    leave(client)

    for user in (remembered, sam):
        assert not is_asked_for_a_code(client, user)
        leave(client)


def test_an_earlier_user_of_the_browser_has_no_copy_of_my_token(client, dana_with_app, sam, another_browser):
    """SR-37: an attacker ticks the box on a shared machine and keeps the cookie; I tick it there later."""
    add_mode(sam, "authenticator")
    sign_in_and_remember(client, sam)
    leave(client)
    elsewhere = another_browser()
    for name in ("remembered", "browser"):
        elsewhere.cookies[name] = client.cookies[name].value
    sign_in_and_remember(client, dana_with_app)
    leave(client)

    assert is_asked_for_a_code(elsewhere, dana_with_app)
    assert not is_asked_for_a_code(client, dana_with_app)
    assert not known_browsers.find(dana_with_app, Origin(browser_tokens=("x",)))
    assert any("new browser" in message.subject for message in read_mail()) is False


def test_my_own_token_is_new_each_time_i_tick_the_box(client, remembered):
    """SR-37: what I ticked before is worth nothing any more."""
    old = client.cookies["remembered"].value
    RememberedBrowser.objects.update(expires_at=timezone.now())
    give_credentials(client, remembered.email)
    client.post(OTP, {"otp": app_code(remembered, step=1), "remember": "on"})
    leave(client)
    client.cookies["remembered"] = old

    assert is_asked_for_a_code(client, remembered)
    assert RememberedBrowser.objects.count() == 1


def test_a_cookie_that_i_made_up_is_of_no_use(client, remembered):
    """SR-37: signed."""
    value = client.cookies["remembered"].value
    client.cookies["remembered"] = value[:-2] + "xx"

    assert is_asked_for_a_code(client, remembered)


def test_a_recovery_code_makes_no_browser_remembered(client, dana_with_app):
    from accounts.security_log import Origin
    from mfa import recovery

    codes = recovery.make(dana_with_app)
    recovery.confirm(dana_with_app, codes[0], Origin())
    give_credentials(client, "dana")

    client.post(OTP, {"otp": codes[0], "remember": "on"})

    assert is_signed_in(client)
    assert not RememberedBrowser.objects.exists()


class TestAnOrganizationForbidsIt:
    @pytest.fixture
    def membership(self, remembered):
        return MembershipFactory(user=remembered, role=Role.MEMBER)

    def forbid(self, membership):
        membership.organization.remembering_forbidden = True
        membership.organization.save()

    def test_a_remembered_browser_is_asked_again(self, client, remembered, membership):
        """SR-37."""
        self.forbid(membership)

        assert is_asked_for_a_code(client, remembered)
        assert "Remember this browser" not in text_of(client.get(PROMPT))
        client.post(OTP, {"otp": app_code(remembered, step=1), "remember": "on"})
        assert RememberedBrowser.objects.count() == 1

    def test_a_session_that_was_spared_the_code_is_asked_at_the_next_click(self, client, remembered, membership):
        """SR-41: computed on each request."""
        give_credentials(client, remembered.email)
        assert client.get(membership.organization.get_absolute_url()).status_code == 200

        self.forbid(membership)

        page = client.get(membership.organization.get_absolute_url())
        assert page.url.startswith("/account/confirm")
        client.get(page.url)
        client.post(page.url, {"otp": app_code(remembered, step=1), "next": membership.organization.get_absolute_url()})
        assert client.get(membership.organization.get_absolute_url()).status_code == 200

    def test_other_organizations_do_not_mind(self, client, remembered, membership):
        other = MembershipFactory(user=remembered)
        give_credentials(client, remembered.email)
        self.forbid(membership)

        assert client.get(other.organization.get_absolute_url()).status_code == 200
