"""Enabling a mode, for the first time and beside another."""

import re
from datetime import timedelta
from urllib.parse import quote

import pyotp
import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from accounts.models import Session
from accounts.tests.factories import PASSWORD
from mfa.factors import enabled
from mfa.models import Challenge, Factor
from mfa.tests.factories import add_mode
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, open_sign_ins, sign_in

pytestmark = pytest.mark.django_db

ACTIVATE = "/account/mfa/activate"
COMPLETE = "/account/mfa/activate/complete"
CONFIRM = "/account/mfa/activate/confirm-email"
SETTINGS = "/account/view?mfa=open#mfa"


def activate(client, mode, identifier="dana", password=PASSWORD, **fields):
    """Begin to enable a mode, and confirm the mailbox where this browser has not proven it yet."""
    response = client.post(ACTIVATE, {"type": mode, "identifier": identifier, "password": password, **fields})
    if response.headers.get("Location") == CONFIRM:
        response = client.post(CONFIRM, {"code": mailed_code()})
    return response


def secret_on(page) -> str:
    return re.search(r"<code[^>]*>([A-Z2-7 ]+)</code>", page.content.decode())[1].replace(" ", "")


def complete_with_app(client, **fields):
    secret = secret_on(client.get(COMPLETE))
    otp = pyotp.TOTP(secret).at(timezone.now())
    return client.post(COMPLETE, {"otp": otp, "set_as_preferred": "on", **fields})


def modes_of(user) -> set:
    user.refresh_from_db()
    return {factor.mode for factor in enabled(user)}


def test_i_activate_email_signed_out_and_end_on_the_sign_in_page(client, dana):
    assert activate(client, "email").url == COMPLETE
    response = client.post(COMPLETE, {"otp": mailed_code(), "set_as_preferred": "on"}, follow=True)

    assert response.redirect_chain[-1][0] == "/account/login"
    assert "Multi-factor Authentication successfully enabled!" in text_of(response)
    assert modes_of(dana) == {"email"}
    assert dana.preferred_mode == "email"
    assert not is_signed_in(client)


def test_i_activate_the_app_signed_in_and_end_in_the_settings(client, dana):
    sign_in(client, dana)
    activate(client, "authenticator")

    response = complete_with_app(client)

    assert response.url == f"/account/mfa/recovery-codes?next={quote(SETTINGS, safe='')}"
    assert modes_of(dana) == {"authenticator"}
    assert is_signed_in(client)


def test_the_type_of_the_address_is_chosen_already(client):
    assert re.search(
        r'value="authenticator"[^>]*checked', client.get(f"{ACTIVATE}?type=authenticator").content.decode()
    )
    assert "checked" not in client.get(f"{ACTIVATE}?type=nonsense").content.decode()


@pytest.mark.parametrize("mode", ["sms", "", ["email", "sms"], "EMAIL"])
def test_a_forged_mode_is_refused(client, dana, mode):
    """SR-32."""
    page = activate(client, mode)

    assert page.status_code == 400
    assert not Challenge.objects.exists()


def test_the_first_line_of_the_mail_is_the_code(client, dana):
    activate(client, "email")
    code = mailed_code()

    message = mail.outbox[0]
    assert message.body.startswith(f"{code} is your one-time password.")
    assert code in message.alternatives[0][0]
    assert "http" not in message.body
    assert code not in message.subject


def test_the_code_that_activated_cannot_sign_in(client, dana):
    """SR-11."""
    activate(client, "authenticator")
    secret = secret_on(client.get(COMPLETE))
    otp = pyotp.TOTP(secret).at(timezone.now())
    client.post(COMPLETE, {"otp": otp})
    give_credentials(client, "dana")

    page = client.post(OTP, {"otp": otp})

    assert "already used" in text_of(page)
    assert not is_signed_in(client)


def test_nothing_is_enabled_before_a_right_code(client, dana):
    """SR-21."""
    activate(client, "authenticator")
    client.get(COMPLETE)
    page = client.post(COMPLETE, {"otp": "000000"})

    assert "That code is wrong. You have 4 tries left." in text_of(page)
    assert modes_of(dana) == set()
    assert give_credentials(client, "dana").url == "/account"


def test_starting_again_gives_a_new_secret_and_the_old_one_is_worthless(client, dana):
    """SR-20."""
    activate(client, "authenticator")
    first = secret_on(client.get(COMPLETE))
    activate(client, "authenticator")
    second = secret_on(client.get(COMPLETE))

    page = client.post(COMPLETE, {"otp": pyotp.TOTP(first).at(timezone.now())})

    assert first != second
    assert page.status_code == 400


def test_a_secret_is_shown_to_the_browser_that_began_and_to_no_cache(client, another_browser, dana):
    """SR-19, SR-20."""
    activate(client, "authenticator")

    page, stranger = client.get(COMPLETE), another_browser().get(COMPLETE)

    assert "no-store" in page.headers["Cache-Control"]
    assert "<svg" in page.content.decode()
    assert stranger.status_code == 302


def test_the_secret_has_160_bits_and_is_sealed_at_rest(client, dana):
    """SR-10, SR-18."""
    activate(client, "authenticator")
    secret = secret_on(client.get(COMPLETE))
    complete_with_app(client)

    factor = Factor.objects.get()
    assert len(factor.secret) == 20
    assert secret not in factor.sealed_secret
    assert pyotp.TOTP(secret).byte_secret() == factor.secret


def test_an_enrolment_that_took_too_long_leads_back_in_words(client, dana):
    """SR-20."""
    activate(client, "authenticator")

    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        page = client.get(COMPLETE, follow=True)

    assert page.redirect_chain[-1][0] == ACTIVATE
    assert "expired or was completed" in text_of(page)


def test_the_page_can_not_be_sent_twice(client, dana):
    activate(client, "email")
    code = mailed_code()
    client.post(COMPLETE, {"otp": code})

    again = client.post(COMPLETE, {"otp": code})

    assert again.url == ACTIVATE
    assert Factor.objects.count() == 1


def test_five_wrong_codes_end_an_enrolment(client, dana):
    """SR-15."""
    activate(client, "email")
    code = mailed_code()
    wrong = "000000" if code != "000000" else "000001"
    for _guess in range(5):
        client.post(COMPLETE, {"otp": wrong})

    page = client.post(COMPLETE, {"otp": code})

    assert page.url == ACTIVATE
    assert modes_of(dana) == set()


def test_a_code_is_accepted_with_blanks_and_dashes_but_not_in_other_digits(client, dana):
    """SR-16."""
    activate(client, "email")
    code = mailed_code()
    arabic = code.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))

    foreign = client.post(COMPLETE, {"otp": arabic})
    spaced = client.post(COMPLETE, {"otp": f" {code[:3]}-{code[3:]} \n"})

    assert "Enter the six digits" in text_of(foreign)
    assert spaced.status_code == 302


def test_the_owner_is_told_where_and_when(client, dana):
    """SR-25."""
    activate(client, "email")
    client.post(
        COMPLETE,
        {"otp": mailed_code()},
        headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
    )

    notice = read_mail()[-1]

    assert notice.subject == "Datica: Multi-factor authentication mode enabled"
    assert "127.0.0.1, Firefox on Linux" in notice.body
    assert f"{timezone.now():%Y}" in notice.body


def test_a_second_mode_may_stay_beside_the_preferred_one(client, dana_with_email):
    sign_in(client, dana_with_email)
    activate(client, "authenticator")

    complete_with_app(client, set_as_preferred="")

    assert modes_of(dana_with_email) == {"email", "authenticator"}
    assert dana_with_email.preferred_mode == "email"


def test_the_first_mode_is_preferred_even_if_i_untick_the_box(client, dana):
    """SR-24."""
    activate(client, "email")

    client.post(COMPLETE, {"otp": mailed_code()})

    dana.refresh_from_db()
    assert dana.preferred_mode == "email"


def test_my_other_sessions_and_pending_sign_ins_end(client, another_browser, dana):
    """SR-25."""
    other = another_browser()
    sign_in(other, dana)
    sign_in(client, dana)

    activate(client, "authenticator")
    complete_with_app(client)

    assert not is_signed_in(other)
    assert is_signed_in(client)
    assert Session.objects.filter(user=dana).count() == 1
    assert open_sign_ins(dana) == []


def test_a_password_alone_adds_no_factor_to_a_protected_account(client, dana_with_app):
    """SR-22: signed out, the page asks for the factor first."""
    response = activate(client, "email")

    assert response.url == OTP
    assert client.get(COMPLETE).url == ACTIVATE
    assert not Challenge.objects.filter(purpose="enrolment").exists()


def test_after_that_code_the_enrolment_goes_on_by_itself(client, dana_with_app):
    activate(client, "email")

    response = client.post(OTP, {"otp": app_code(dana_with_app)})
    client.post(COMPLETE, {"otp": mailed_code()})

    assert response.url == COMPLETE
    assert modes_of(dana_with_app) == {"email", "authenticator"}


def test_an_old_session_must_prove_a_factor_again_before_it_adds_one(client, dana_with_app):
    """SR-22."""
    sign_in(client, dana_with_app)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        page = activate(client, "email")
        assert page.url.startswith("/account/confirm?next=")
        assert not Challenge.objects.filter(purpose="enrolment").exists()

        back = client.post("/account/confirm", {"otp": app_code(dana_with_app), "next": f"{ACTIVATE}?type=email"})
        assert back.url == f"{ACTIVATE}?type=email"
        assert activate(client, "email").url == COMPLETE


def test_an_enrolment_begun_before_protection_does_not_outlive_it(client, another_browser, dana):
    """SR-22, SR-25: a thief with the password begins, the owner protects the account, the thief completes."""
    thief = another_browser()
    activate(thief, "authenticator")
    stolen = secret_on(thief.get(COMPLETE))

    activate(client, "email")
    client.post(COMPLETE, {"otp": mailed_code()})
    page = thief.post(COMPLETE, {"otp": pyotp.TOTP(stolen).at(timezone.now())})

    assert page.url == ACTIVATE
    assert modes_of(dana) == {"email"}


def test_a_signed_in_person_cannot_activate_for_somebody_else(client, dana, sam):
    sign_in(client, dana)

    page = activate(client, "email", identifier="sam")

    assert "Incorrect username, email or password" in text_of(page)
    assert not Challenge.objects.exists()


def test_an_enrolment_of_one_account_is_not_completed_as_another(client, dana, sam):
    """SR-31."""
    activate(client, "email", identifier="sam")
    code = mailed_code()
    sign_in(client, dana)

    assert client.post(COMPLETE, {"otp": code}).url == ACTIVATE
    assert modes_of(sam) == modes_of(dana) == set()


def test_replacing_the_app_makes_the_old_secret_worthless(client, dana_with_app):
    sign_in(client, dana_with_app)
    old = Factor.objects.get().secret

    activate(client, "authenticator")
    complete_with_app(client)

    assert Factor.objects.get().secret != old


def test_enabling_email_twice_says_that_it_is_enabled(client, dana_with_email):
    sign_in(client, dana_with_email)

    page = client.get(activate(client, "email").url)

    assert "already enabled" in text_of(page)


def test_a_resend_waits_and_repeats_the_code(client, dana):
    """SR-17."""
    activate(client, "email")
    first = mailed_code()
    refused = client.post(f"{ACTIVATE}/resend", follow=True)

    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        client.post(f"{ACTIVATE}/resend")

    assert "Wait a little" in text_of(refused)
    assert mailed_code() == first
    assert len(mail.outbox) == 2


def test_wrong_credentials_read_the_same_for_every_account(client, dana, sam):
    """SR-3."""
    add_mode(sam, "email")

    pages = [activate(client, "email", name, "wrong password") for name in ("dana", "sam", "nobody")]

    assert len({text_of(page) for page in pages}) == 1
    assert {page.status_code for page in pages} == {400}


def test_setting_the_app_up_again_says_that_the_old_one_no_longer_works(client, dana_with_app):
    sign_in(client, dana_with_app)
    asked = text_of(client.get(f"{ACTIVATE}?type=authenticator"))
    activate(client, "authenticator")

    page = text_of(client.get(complete_with_app(client).url))

    assert "The app that you used until now works until you have entered a code of the new one." in asked
    assert "The app that you used until now no longer works." in page


def test_a_further_mode_says_what_it_means_for_the_next_sign_in(client, dana_with_app):
    sign_in(client, dana_with_app)
    activate(client, "email")

    page = text_of(client.post(COMPLETE, {"otp": mailed_code()}, follow=True))

    assert "You can also sign in with email now." in page
