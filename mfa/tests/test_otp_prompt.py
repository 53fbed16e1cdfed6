"""At the OTP prompt: what a code opens, and what it does not."""

from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from accounts.models import SecurityEvent
from mfa.models import Challenge, Factor
from mfa.tests.factories import add_mode
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import LOGIN, OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

RESEND, SWITCH = f"{OTP}/resend", f"{OTP}/switch"


def a_wrong_code(right: str) -> str:
    return str((int(right) + 1) % 1_000_000).zfill(6)


def later(**span):
    return time_machine.travel(timezone.now() + timedelta(**span))


def test_i_sign_in_with_the_mailed_code(client, dana_with_email):
    assert give_credentials(client, "dana").url == OTP
    page = client.get(OTP)
    assert "Multi-factor authentication type: email" in text_of(page)
    assert "D•••@example.com" in text_of(page)

    assert client.post(OTP, {"otp": mailed_code()}).url == "/account"
    assert is_signed_in(client)


def test_i_sign_in_with_my_app(client, dana_with_app):
    give_credentials(client, "dana", next="/account/view")

    assert client.post(OTP, {"otp": app_code(dana_with_app)}).url == "/account/view"
    assert is_signed_in(client)


@pytest.mark.parametrize(
    "path", ["/account", "/account/view", "/organizations", "/account/profile", "/account/confirm"]
)
def test_the_password_alone_opens_nothing(client, dana_with_app, path):
    """SR-30: before the last step there is no session; the attempt authorises its own prompt only."""
    give_credentials(client, "dana")

    assert client.get(path).url.startswith(LOGIN)
    assert "_auth_user_id" not in client.session


def test_a_pending_sign_in_changes_nothing(client, dana_with_app):
    """SR-30."""
    give_credentials(client, "dana")

    for path in ("mfa/authenticator/disable", "mfa/authenticator/prefer", "password/change"):
        assert client.post(f"/account/{path}").url.startswith(LOGIN)
    assert Factor.objects.count() == 1


def test_the_session_key_changes_with_the_code(client, dana_with_app):
    """SR-8."""
    give_credentials(client, "dana")
    before = client.session.session_key

    client.post(OTP, {"otp": app_code(dana_with_app)})

    assert client.session.session_key != before


def test_a_code_of_the_app_works_once(client, another_browser, dana_with_app):
    """SR-11."""
    otp = app_code(dana_with_app)
    other = another_browser()
    give_credentials(client, "dana")
    give_credentials(other, "dana")

    client.post(OTP, {"otp": otp})
    page = other.post(OTP, {"otp": otp})

    assert "already used" in text_of(page)
    assert not is_signed_in(other)


def test_after_a_code_no_older_one_works(client, another_browser, dana_with_app):
    """SR-11: strictly rising, not merely another code."""
    other = another_browser()
    with time_machine.travel(timezone.now(), tick=False):
        give_credentials(client, "dana")
        client.post(OTP, {"otp": app_code(dana_with_app, step=1)})
        give_credentials(other, "dana")

        for step in (1, 0, -1):
            other.post(OTP, {"otp": app_code(dana_with_app, step=step)})

    assert not is_signed_in(other)


@pytest.mark.parametrize(("step", "opens"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_either_side_of_now_is_near_enough(client, dana_with_app, step, opens):
    """SR-13."""
    with time_machine.travel(timezone.now(), tick=False):
        give_credentials(client, "dana")
        client.post(OTP, {"otp": app_code(dana_with_app, step=step)})

    assert is_signed_in(client) is opens


def test_an_expired_code_of_the_app_reads_so(client, dana_with_app):
    with time_machine.travel(timezone.now(), tick=False):
        give_credentials(client, "dana")
        page = client.post(OTP, {"otp": app_code(dana_with_app, step=-5)})

    assert "That code has expired" in text_of(page)


def test_a_mailed_code_works_once_and_for_its_own_sign_in(client, another_browser, dana_with_email):
    """SR-14."""
    other = another_browser()
    give_credentials(client, "dana")
    code = mailed_code()
    give_credentials(other, "dana")

    page = other.post(OTP, {"otp": code})
    client.post(OTP, {"otp": code})

    assert "That code is wrong. You have 4 tries left." in text_of(page)
    assert is_signed_in(client)
    assert not is_signed_in(other)


def test_every_mail_of_a_sign_in_works(client, dana_with_email):
    give_credentials(client, "dana")
    first = mailed_code()
    with later(seconds=31):
        client.post(RESEND)
        assert mailed_code() == first
        assert "We sent 2 emails" in text_of(client.get(OTP))

        client.post(OTP, {"otp": first})

    assert is_signed_in(client)


def test_the_code_of_one_account_does_not_open_another(client, another_browser, dana_with_email, sam):
    add_mode(sam, "email")
    other = another_browser()
    give_credentials(other, "sam")
    give_credentials(client, "dana")
    sams = next(m.body[:6] for m in read_mail() if m.to == ["sam@example.com"])

    client.post(OTP, {"otp": sams})

    assert not is_signed_in(client)


def test_a_second_account_replaces_the_first_and_never_mixes_with_it(client, dana_with_app, sam):
    """SR-31."""
    add_mode(sam, "authenticator")
    give_credentials(client, "dana")
    give_credentials(client, "sam")

    danas = client.post(OTP, {"otp": app_code(dana_with_app)})
    assert danas.status_code == 400

    client.post(OTP, {"otp": app_code(sam)})
    assert client.get("/account/view").context["user"] == sam


def test_giving_credentials_signs_out_who_was_here_before(client, dana, sam):
    """SR-31."""
    add_mode(sam, "email")
    sign_in(client, dana)

    give_credentials(client, "sam")

    assert not is_signed_in(client)


def test_five_wrong_codes_end_the_sign_in(client, dana_with_email):
    """SR-15."""
    give_credentials(client, "dana")
    code = mailed_code()
    for _guess in range(4):
        assert client.post(OTP, {"otp": a_wrong_code(code)}).status_code == 400
    last = client.post(OTP, {"otp": a_wrong_code(code)}, follow=True)

    assert last.redirect_chain[-1][0] == LOGIN
    assert "That was the fifth wrong code" in text_of(last)
    assert "You are signed out, so nothing was changed." not in text_of(last)
    client.post(OTP, {"otp": code})
    assert not is_signed_in(client)
    assert Challenge.objects.get().ended_at


def test_a_resend_never_refills_the_guesses(client, dana_with_email):
    """SR-15."""
    give_credentials(client, "dana")
    code = mailed_code()
    for _guess in range(4):
        client.post(OTP, {"otp": a_wrong_code(code)})
    with later(seconds=31):
        client.post(RESEND)

        assert client.post(OTP, {"otp": a_wrong_code(code)}).url == LOGIN


def test_ten_wrong_codes_over_several_sign_ins_stop_the_account_for_a_while(client, dana_with_both):
    """SR-15: across attempts and modes; a new attempt does not refill the count."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _attempt in range(2):
            give_credentials(client, "dana")
            for _guess in range(5):
                client.post(OTP, {"otp": "000000"})
        give_credentials(client, "dana")
        refused = client.post(OTP, {"otp": app_code(dana_with_both)})
        assert refused.status_code == 429
        assert "Try again in 15 minutes" in text_of(refused)

        clock.shift(timedelta(minutes=15, seconds=1))
        give_credentials(client, "dana")
        client.post(OTP, {"otp": app_code(dana_with_both)})

    assert is_signed_in(client)


def test_a_refused_code_while_stopped_is_not_looked_at(client, dana_with_app):
    """SR-15: else each refusal would tell whether the code was right."""
    for _attempt in range(2):
        give_credentials(client, "dana")
        for _guess in range(5):
            client.post(OTP, {"otp": "000000"})
    give_credentials(client, "dana")
    last_step = Factor.objects.get().last_step

    client.post(OTP, {"otp": app_code(dana_with_app)})

    assert Factor.objects.get().last_step == last_step


def test_only_the_given_number_of_mails_is_sent(client, dana_with_email):
    """SR-17."""
    give_credentials(client, "dana")
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _mail in range(7):
            clock.shift(timedelta(seconds=31))
            client.post(RESEND)
        page = client.get(OTP)
        read_mail()

    assert len(mail.outbox) == 5
    assert "We cannot send more codes" in text_of(page)


def test_only_so_many_mails_an_hour_go_to_an_account(client, dana_with_email):
    """SR-17: in a browser that is known, all of them."""
    sign_in(client, dana_with_email)
    client.post("/account/logout")
    for _sign_in in range(22):
        give_credentials(client, "dana")
        read_mail()

    assert len([message for message in read_mail() if "one-time password" in message.subject]) == 20
    page = client.get(OTP)
    assert "We cannot send more codes" in text_of(page)
    assert page.status_code == 200


def test_the_prompt_expires_in_words(client, dana_with_email):
    """SR-31."""
    give_credentials(client, "dana")
    code = mailed_code()

    with later(minutes=11):
        page = client.post(OTP, {"otp": code}, follow=True)

    assert page.redirect_chain[-1][0] == LOGIN
    assert "This sign-in has expired or was ended" in text_of(page)


def test_a_mail_for_an_expired_sign_in_is_not_sent(client, dana_with_email):
    """SR-50."""
    give_credentials(client, "dana")

    with later(minutes=11):
        assert read_mail() == []


def test_i_switch_the_mode_for_this_sign_in_alone(client, dana_with_both):
    give_credentials(client, "dana")
    page = text_of(client.get(OTP))
    assert "Multi-factor authentication type: authenticator" in page
    assert "Change Multi-factor authentication type to: email" in page

    assert client.post(SWITCH, {"mode": "email"}).url == OTP
    client.post(OTP, {"otp": mailed_code()})

    assert is_signed_in(client)
    dana_with_both.refresh_from_db()
    assert dana_with_both.preferred_mode == "authenticator"


def test_switching_there_and_back_keeps_the_mailed_code_and_the_count(client, dana_with_both):
    give_credentials(client, "dana")
    client.post(SWITCH, {"mode": "email"})
    code = mailed_code()
    client.post(OTP, {"otp": a_wrong_code(code)})
    client.post(SWITCH, {"mode": "authenticator"})
    client.post(SWITCH, {"mode": "email"})

    assert Challenge.objects.get().failures == 1
    assert len([m for m in read_mail() if "one-time" in m.subject]) == 1
    client.post(OTP, {"otp": code})
    assert is_signed_in(client)


def test_the_mailed_code_does_not_count_as_the_apps(client, dana_with_both):
    give_credentials(client, "dana")
    client.post(SWITCH, {"mode": "email"})
    code = mailed_code()
    client.post(SWITCH, {"mode": "authenticator"})

    client.post(OTP, {"otp": code})

    assert not is_signed_in(client)


@pytest.mark.parametrize("mode", ["email", "sms", "", "authenticator' OR 1=1"])
def test_i_cannot_switch_to_a_mode_that_is_not_mine(client, dana_with_app, mode):
    give_credentials(client, "dana")

    page = client.post(SWITCH, {"mode": mode}, follow=True)

    assert "not enabled" in text_of(page)
    assert Challenge.objects.get().mode == "authenticator"


def test_nobody_can_guess_a_mailed_code_before_the_first_mail(client, dana_with_both):
    from mfa import codes

    give_credentials(client, "dana")
    challenge = Challenge.objects.get()
    Challenge.objects.update(mode="email")

    client.post(OTP, {"otp": codes.mailed_code(challenge.secret)})

    assert not is_signed_in(client)


def test_cancelling_ends_the_sign_in(client, dana_with_app):
    give_credentials(client, "dana")

    page = client.post(f"{OTP}/cancel", follow=True)
    client.post(OTP, {"otp": app_code(dana_with_app)})

    assert "The sign-in was cancelled." in text_of(page)

    assert not is_signed_in(client)


def test_a_session_from_before_mfa_meets_the_prompt_first(client, dana):
    """SR-33."""
    sign_in(client, dana)
    add_mode(dana, "authenticator")

    page = client.get("/account/view")

    assert page.url == OTP
    client.post(OTP, {"otp": app_code(dana)})
    assert is_signed_in(client)


def test_such_a_session_can_post_nothing_either(client, dana):
    """SR-33."""
    sign_in(client, dana)
    add_mode(dana, "authenticator")

    assert client.post("/account/profile", {"name": "x", "username": ""}).url == OTP
    dana.refresh_from_db()
    assert dana.name == "Dana Reyes"


def test_a_session_whose_factor_support_removed_meets_the_prompt(client, dana_with_both):
    """I8: evaluated on each request."""
    sign_in(client, dana_with_both)

    Factor.objects.filter(mode="authenticator").delete()

    assert client.get("/account/view").url == OTP


def test_wrong_codes_are_written_down_but_never_the_code(client, dana_with_app, caplog):
    """SR-19, SR-53."""
    give_credentials(client, "dana")
    client.post(OTP, {"otp": "135790"})

    event = SecurityEvent.objects.latest("id")
    assert (event.kind, event.mode) == ("code_refused", "authenticator")
    assert "135790" not in caplog.text


def test_the_prompt_is_kept_by_no_cache_and_echoes_no_code(client, dana_with_app):
    """SR-19."""
    give_credentials(client, "dana")
    page = client.post(OTP, {"otp": "135790"})

    assert "no-store" in page.headers["Cache-Control"]
    assert "135790" not in page.content.decode()


@pytest.mark.parametrize("otp", ["", "12345", "1234567", "abcdef", "１２３４５６", "12345\u0661", "-----", "12 34 5"])
def test_what_is_no_code_is_said_so_and_not_counted(client, dana_with_app, otp):
    """SR-16, SR-32."""
    give_credentials(client, "dana")

    page = client.post(OTP, {"otp": otp})

    assert page.status_code == 400
    assert Challenge.objects.get().failures == 0


@pytest.mark.parametrize("mode", ["email", "authenticator"])
def test_the_prompt_asks_the_database_three_times_at_most(client, dana_with_both, django_assert_max_num_queries, mode):
    give_credentials(client, "dana")
    client.post(SWITCH, {"mode": mode})

    with django_assert_max_num_queries(3):
        assert client.get(OTP).status_code == 200
