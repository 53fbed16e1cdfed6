"""In the settings: disabling a mode, preferring one, proving it is me."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import Session
from mfa.factors import enabled
from mfa.models import Challenge, Factor
from mfa.tests.factories import add_mode
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import is_signed_in, sign_in

pytestmark = pytest.mark.django_db

CONFIRM = "/account/confirm"
SETTINGS = "/account/view?mfa=open#mfa"


def path(mode, action) -> str:
    return f"/account/mfa/{mode}/{action}"


def modes_of(user) -> tuple:
    user.refresh_from_db()
    return user.preferred_mode, {factor.mode for factor in enabled(user)}


def test_the_settings_offer_what_can_be_done_with_each_mode(client, dana_with_both):
    sign_in(client, dana_with_both)

    page = text_of(client.get(SETTINGS))

    assert "MFA: ENABLED" in page
    assert re.search(
        r"authenticator preferred last worked \d+ .* \(just now\) Disable Try it now Set it up again email D•••", page
    )
    assert "not used since it was set up Disable Make Preferred Try it now" in page


def test_without_mfa_the_settings_offer_to_enable(client, dana):
    sign_in(client, dana)

    page = text_of(client.get(SETTINGS))

    assert "MFA: DISABLED" in page
    assert "authenticator Enable email Enable" in page


def test_enabling_is_confirmed_first(client, dana):
    sign_in(client, dana)

    page = client.get(path("authenticator", "enable"))

    assert "Enable the authenticator mode?" in text_of(page)
    assert 'action="/account/mfa/activate"' in page.content.decode()


def test_disabling_is_confirmed_first_and_a_look_changes_nothing(client, dana_with_both):
    sign_in(client, dana_with_both)

    page = client.get(path("email", "disable"))

    assert "You will then sign in with: authenticator" in text_of(page)
    assert Factor.objects.count() == 2


def test_another_mode_becomes_preferred_in_place_of_the_disabled_one(client, dana_with_both):
    """SR-24."""
    sign_in(client, dana_with_both)

    client.post(path("authenticator", "disable"))

    assert modes_of(dana_with_both) == ("email", {"email"})
    assert is_signed_in(client)


def test_disabling_the_last_mode_says_what_it_means_and_turns_mfa_off(client, dana_with_app):
    sign_in(client, dana_with_app)
    assert "Anyone who knows your password will then be able to sign in" in text_of(
        client.get(path("authenticator", "disable"))
    )

    page = client.post(path("authenticator", "disable"), follow=True)

    assert "Multi-factor authentication is now off" in text_of(page)
    assert modes_of(dana_with_app) == ("", set())
    assert is_signed_in(client)


def test_disabling_ends_the_other_sessions_and_tells_the_owner(client, another_browser, dana_with_both):
    """SR-25."""
    other = another_browser()
    with time_machine.travel(timezone.now() - timedelta(minutes=2)):
        sign_in(other, dana_with_both)
    sign_in(client, dana_with_both)

    client.post(path("email", "disable"))

    assert not is_signed_in(other)
    assert Session.objects.filter(user=dana_with_both).count() == 1
    assert "mode disabled (email)" in read_mail()[-1].body


def test_disabling_twice_is_told_not_failed(client, dana_with_both):
    sign_in(client, dana_with_both)
    client.post(path("email", "disable"))

    page = client.post(path("email", "disable"), follow=True)

    assert "This mode is not enabled" in text_of(page)


def test_i_prefer_another_mode_with_one_click(client, dana_with_both):
    sign_in(client, dana_with_both)

    page = client.post(path("email", "prefer"), follow=True)

    assert "Your preferred mode is now email" in text_of(page)
    assert modes_of(dana_with_both)[0] == "email"


def test_a_mode_that_is_not_enabled_is_never_preferred(client, dana_with_app):
    """SR-24."""
    sign_in(client, dana_with_app)

    page = client.post(path("email", "prefer"), follow=True)

    assert "not enabled" in text_of(page)
    assert modes_of(dana_with_app)[0] == "authenticator"


@pytest.mark.parametrize("mode", ["sms", "EMAIL", "", "email%00"])
@pytest.mark.parametrize("action", ["enable", "disable", "prefer"])
def test_a_forged_mode_in_the_address_is_no_page(client, dana, mode, action):
    """SR-32."""
    sign_in(client, dana)

    assert client.post(path(mode, action)).status_code in {400, 404}


@pytest.mark.parametrize(("mode", "action"), [("email", "disable"), ("email", "prefer"), ("email", "enable")])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_proof_of_some_while_ago_is_not_enough(client, dana_with_both, mode, action, method):
    """SR-22."""
    sign_in(client, dana_with_both)
    before = modes_of(dana_with_both)

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        page = getattr(client, method)(path(mode, action))

    assert page.url == f"{CONFIRM}?next=%2Faccount%2Fmfa%2F{mode}%2F{action}"
    assert modes_of(dana_with_both) == before


def test_i_prove_it_by_my_app_and_go_on_where_i_was(client, dana_with_both):
    sign_in(client, dana_with_both)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        client.post(path("email", "disable"))

        back = client.post(CONFIRM, {"otp": app_code(dana_with_both), "next": path("email", "disable")})
        assert back.url == path("email", "disable")
        client.post(back.url)

    assert modes_of(dana_with_both) == ("authenticator", {"authenticator"})


def test_i_prove_it_by_mail_which_is_sent_only_when_i_ask(client, dana_with_email):
    sign_in(client, dana_with_email)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        page = client.get(f"{CONFIRM}?next=/account/mfa/email/disable")
        assert "Send code" in text_of(page)
        sent = len(read_mail())

        client.post(f"{CONFIRM}/send", {"next": "/account/mfa/email/disable"})
        assert len(read_mail()) == sent + 1
        back = client.post(CONFIRM, {"otp": mailed_code(), "next": "/account/mfa/email/disable"})

    assert back.url == "/account/mfa/email/disable"


def test_i_may_prove_it_by_another_mode(client, dana_with_both):
    sign_in(client, dana_with_both)

    client.post(f"{CONFIRM}/switch", {"mode": "email", "next": "/account/view"})
    back = client.post(CONFIRM, {"otp": mailed_code(), "next": "/account/view"})

    assert back.url == "/account/view"
    assert modes_of(dana_with_both)[0] == "authenticator"


def test_a_spent_code_proves_nothing_again(client, dana_with_app):
    """SR-11: across sign-in and step-up."""
    with time_machine.travel(timezone.now(), tick=False):
        otp = app_code(dana_with_app)
        sign_in(client, dana_with_app)

        page = client.post(CONFIRM, {"otp": otp, "next": "/account/view"})

    assert "already used" in text_of(page)


def test_a_code_mailed_for_a_step_up_does_not_sign_in(client, another_browser, dana_with_email):
    """SR-14: bound to its purpose."""
    from tests.signing_in import OTP, give_credentials

    sign_in(client, dana_with_email)
    client.post(f"{CONFIRM}/send", {"next": "/account/view"})
    code = mailed_code()
    other = another_browser()
    give_credentials(other, "dana")

    other.post(OTP, {"otp": code})

    assert not is_signed_in(other)


def test_five_wrong_codes_begin_a_new_step_up(client, dana_with_email):
    """SR-15."""
    sign_in(client, dana_with_email)
    client.post(f"{CONFIRM}/send", {"next": "/account/view"})
    code = mailed_code()
    for _guess in range(5):
        client.post(CONFIRM, {"otp": "000000" if code != "000000" else "000001", "next": ""})

    page = client.post(CONFIRM, {"otp": code, "next": "/account/view"})

    assert page.status_code == 400
    assert Challenge.objects.filter(purpose="step_up").count() == 2


def test_the_step_up_leads_nowhere_else(client, dana_with_app):
    """SR-9."""
    sign_in(client, dana_with_app)

    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        back = client.post(CONFIRM, {"otp": app_code(dana_with_app), "next": "//evil.example"})

    assert back.url == SETTINGS


def test_the_settings_ask_the_database_six_times_at_most(client, dana_with_both, django_assert_max_num_queries):
    from organizations.tests.factories import MembershipFactory

    for _number in range(15):
        MembershipFactory(user=dana_with_both)
    sign_in(client, dana_with_both)

    with django_assert_max_num_queries(6):
        assert client.get("/account/view").status_code == 200


def test_a_factor_of_somebody_else_is_out_of_reach(client, dana_with_app, sam):
    add_mode(sam, "email")
    sign_in(client, dana_with_app)

    client.post(path("email", "disable"))

    assert modes_of(sam) == ("email", {"email"})
