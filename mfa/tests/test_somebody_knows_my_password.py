"""A right password without a right code: the owner is told, and makes the password worthless (SR-54)."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts import signin, tokens
from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa import unfinished_sign_ins
from mfa.factors import enabled
from mfa.tests.test_activation import activate, complete_with_app
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, open_sign_ins, sign_in

pytestmark = pytest.mark.django_db

NEW = "a brand new phrase"
REFUSED = "Choose another password: this one was withdrawn because someone else knows it."
SUBJECT = "Someone entered your password. Was it you?"


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


@pytest.fixture
def thief(dana_with_app):
    """Somebody who has got as far as the prompt."""
    browser = Client(REMOTE_ADDR="192.0.2.66")
    give_credentials(browser, "dana")
    return browser


def told() -> list:
    return [message for message in read_mail() if SUBJECT in message.subject]


def link() -> str:
    return re.search(r"http://testserver(/account/not-me/\S+)", told()[-1].body)[1]


def test_a_sign_in_that_nobody_finished_is_told_when_it_expires(dana_with_app, thief, clock):
    assert unfinished_sign_ins.report() == 0
    clock.shift(timedelta(minutes=11))

    assert unfinished_sign_ins.report() == 1

    (message,) = told()
    assert "192.0.2.66" in message.body
    assert "Someone knows your password" in message.body
    assert unfinished_sign_ins.report() == 0


def test_five_wrong_codes_are_told_at_once(dana_with_app, thief):
    for _try in range(5):
        thief.post(OTP, {"otp": "000000"})

    assert len(told()) == 1


def test_cancelling_hides_nothing(dana_with_app, thief):
    thief.post(f"{OTP}/cancel")

    assert len(told()) == 1


def test_i_am_told_once_a_day(dana_with_app, thief, clock):
    for _try in range(4):
        thief.post(f"{OTP}/cancel")
        give_credentials(thief, "dana")

    assert len(told()) == 1
    clock.shift(timedelta(hours=25))
    unfinished_sign_ins.report()
    assert len(told()) == 2


def test_i_am_told_of_another_browser_on_the_same_day_and_of_three_at_most(dana_with_app, thief):
    """SR-54: what a first mail was about must not hide an attack that comes from elsewhere."""
    thief.post(f"{OTP}/cancel")
    for network in range(1, 5):
        other = Client(REMOTE_ADDR=f"198.51.100.{network}")
        give_credentials(other, "dana")
        other.post(f"{OTP}/cancel")

    assert len(told()) == 3


def test_not_of_the_browser_in_which_i_have_set_up_the_mode(client, dana):
    """SR-57: the code of the activation has proved it."""
    activate(client, "authenticator")
    complete_with_app(client)
    client.post("/account/logout")
    give_credentials(client, "dana")
    client.post(f"{OTP}/cancel")

    assert told() == []


def test_not_of_my_own_browser(client, dana_with_app, clock):
    sign_in(client, dana_with_app)
    client.post("/account/logout")
    give_credentials(client, "dana")
    clock.shift(timedelta(minutes=11))

    unfinished_sign_ins.report()

    assert told() == []


def test_not_of_a_sign_in_that_was_begun_again_and_went_well(client, another_browser, dana_with_app, clock):
    give_credentials(client, "dana")
    sign_in(another_browser(), dana_with_app)
    clock.shift(timedelta(minutes=11))

    unfinished_sign_ins.report()

    assert told() == []


def test_not_of_the_command_line_where_i_have_used_it_before(client, dana_with_email, clock):
    for _time in range(2):
        body = {"identifier": "dana", "password": PASSWORD}
        begun = client.post("/auth/signin", body, "application/json").json()
        if not _time:
            client.post(f"/auth/signin/mfa/{begun['mfaID']}", {"otp": mailed_code()}, "application/json")
        clock.shift(timedelta(minutes=11))

    unfinished_sign_ins.report()

    assert told() == []


def test_the_mail_gives_one_advice_and_a_link_of_its_own(dana_with_app, thief):
    thief.post(f"{OTP}/cancel")

    [mail] = told()

    assert f"\nhttp://testserver{link()}\n" in mail.body
    assert f'href="http://testserver{link()}" style=' in str(mail.alternatives[0].content)
    assert "If this was you, there is nothing to do." in mail.body
    assert "choose a new password at" not in mail.body


def test_the_link_withdraws_the_password_and_signs_nobody_in(client, dana_with_app, thief, another_browser):
    mine = another_browser()
    sign_in(mine, dana_with_app)
    thief.post(f"{OTP}/cancel")
    give_credentials(thief, "dana")
    where = link()

    page = client.get(where)
    assert "Was that you?" in text_of(page)
    assert give_credentials(another_browser(), "dana").status_code == 302  # looking changed nothing (SR-47)
    done = client.post(where, follow=True)

    assert "The password is withdrawn" in text_of(done)
    assert done.redirect_chain[-1][0] == "/account/password/reset"
    assert not is_signed_in(client)
    assert not is_signed_in(mine)
    assert open_sign_ins(dana_with_app) == []
    assert give_credentials(another_browser(), "dana").status_code == 400
    assert [factor.mode for factor in enabled(dana_with_app)] == ["authenticator"]
    assert client.get(where).status_code == 404


def test_it_ends_tokens_too(client, dana_with_app, thief):
    token = tokens.issue(dana_with_app, Origin(), mode="authenticator")
    thief.post(f"{OTP}/cancel")

    client.post(link())

    assert tokens.find(token) is None


def test_after_a_new_password_the_link_is_worthless(client, dana_with_app, thief, clock):
    thief.post(f"{OTP}/cancel")
    where = link()
    client.post("/account/password/reset", {"identifier": "dana"})
    new = {"code": mailed_code(), "password": "a brand new phrase", "password_confirm": "a brand new phrase"}
    client.post("/account/password/reset/complete", new)

    assert client.post(where).status_code == 404

    give_credentials(client, "dana", "a brand new phrase")
    assert client.post(OTP, {"otp": app_code(dana_with_app)}).status_code == 302


def test_the_link_lives_a_week(client, dana_with_app, thief, clock):
    thief.post(f"{OTP}/cancel")
    where = link()

    clock.shift(timedelta(days=7, minutes=1))

    assert client.get(where).status_code == 404


def reset_to(client, password):
    client.post("/account/password/reset", {"identifier": "dana"})
    new = {"code": mailed_code(), "password": password, "password_confirm": password}
    return client.post("/account/password/reset/complete", new)


def test_the_withdrawn_password_cannot_be_chosen_again(client, dana_with_app, thief):
    """SR-54: nor is its hash kept longer than until there is another password."""
    thief.post(f"{OTP}/cancel")
    client.post(link())

    refused = reset_to(client, PASSWORD)

    assert REFUSED in text_of(refused)
    assert not User.objects.get(pk=dana_with_app.pk).has_usable_password()
    new = {"code": mailed_code(), "password": NEW, "password_confirm": NEW}
    assert client.post("/account/password/reset/complete", new).url == "/account/login"  # the code was not spent
    assert User.objects.get(pk=dana_with_app.pk).withdrawn_password == ""
    assert give_credentials(client, "dana", NEW).status_code == 302


def test_the_mail_about_a_withdrawal_says_what_is_next(client, dana_with_app, thief):
    thief.post(f"{OTP}/cancel")
    client.post(link())

    message = read_mail()[-1]

    assert message.subject == "Datica: Password withdrawn: choose a new one"
    for body in (message.body, message.alternatives[0][0]):
        assert "Your password no longer works, and all sessions of your account have ended." in body
        assert "http://testserver/account/password/reset" in body
        assert "someone else can read your emails" in body
        assert "there is nothing to do" not in body


def test_a_wrong_code_does_not_tell_that_it_is_the_withdrawn_password(client, dana_with_app, thief):
    """SR-3: the password is compared only for who reads the mailbox."""
    thief.post(f"{OTP}/cancel")
    client.post(link())
    client.post("/account/password/reset", {"identifier": "dana"})

    page = client.post(
        "/account/password/reset/complete", {"code": "ABCDEF", "password": PASSWORD, "password_confirm": PASSWORD}
    )

    assert REFUSED not in text_of(page)


def test_a_password_that_was_withdrawn_twice_is_still_refused(client, dana_with_app, thief):
    thief.post(f"{OTP}/cancel")
    where = link()
    client.post(where)
    first = User.objects.get(pk=dana_with_app.pk).withdrawn_password

    page = client.post(where)

    assert page.status_code == 404
    assert User.objects.get(pk=dana_with_app.pk).withdrawn_password == first


def test_a_series_with_the_new_password_is_told_on_the_same_day(client, dana_with_app, thief, clock):
    """SR-54: else I would not learn that the new one is known, too."""
    thief.post(f"{OTP}/cancel")
    reset_to(client, NEW)

    for _try in range(2):
        give_credentials(thief, "dana", NEW)
        thief.post(f"{OTP}/cancel")

    assert len(told()) == 2


def test_the_page_says_which_try_its_email_is_about(client, dana_with_app, thief):
    thief.post(f"{OTP}/cancel")

    assert "Our email is about a try on " in text_of(client.get(link()))


def test_a_used_link_says_what_is_true(client, dana_with_app, thief, clock):
    thief.post(f"{OTP}/cancel")
    where = link()
    client.post(where)

    assert "The password is already withdrawn" in text_of(client.get(where))
    reset_to(client, NEW)
    assert "The password is no longer in use" in text_of(client.get(where))
    clock.shift(timedelta(days=8))
    page = text_of(client.get(where))
    assert "This link no longer works" in page
    assert "Choose a new password" in page


def test_a_password_that_replaced_the_withdrawn_one_meanwhile_stays(client, dana_with_app, thief):
    """SR-25: it is looked at again under the lock."""
    thief.post(f"{OTP}/cancel")
    event = signin.find_withdrawal(link().rpartition("/")[2])
    reset_to(client, NEW)

    with pytest.raises(signin.PasswordReplaced):
        signin.withdraw_password(event, Origin())

    assert give_credentials(client, "dana", NEW).status_code == 302


@pytest.mark.parametrize("forged", ["x", "a:b", "a:b:c", "WzEsIngiXQ:1:x", "%00"])
def test_a_forged_link(client, forged):
    assert client.post(f"/account/not-me/{forged}").status_code in {400, 404}
