"""Registering, verifying the mailbox, and getting a new password."""

from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from accounts import ssh_keys, tokens
from accounts.models import EmailVerification, Mail, PublicKey, Session, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD, UserFactory, new_key
from mfa.factors import enabled
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of, text_without_tag
from tests.signing_in import give_credentials, is_signed_in, open_sign_ins, sign_in

pytestmark = pytest.mark.django_db

REGISTER = "/account/register"
VERIFY = "/account/verify-email"
RESET = "/account/password/reset"
COMPLETE = "/account/password/reset/complete"
NEW = "an entirely different phrase"


def register(client, email="New.Person@example.com", password=NEW):
    return client.post(REGISTER, {"email": email, "password": password, "password_confirm": password})


def choose(client, code, password=NEW):
    return client.post(COMPLETE, {"code": code, "password": password, "password_confirm": password})


def test_i_register_and_verify_my_mailbox(client):
    """SR-3: the account comes with its code."""
    assert register(client).url == VERIFY
    assert not User.objects.exists()

    code = mailed_code()
    response = client.post(VERIFY, {"code": f" {code.lower().replace('-', ' ')} "})

    assert response.url == "/account"
    user = User.objects.get(email_key="new.person@example.com")
    assert user.email_verified_at
    assert user.email == "New.Person@example.com"
    assert is_signed_in(client)
    assert mail.outbox[0].body.startswith(code)
    assert "http" not in mail.outbox[0].body


def test_the_code_signs_in_the_browser_that_registered(client):
    """The password was typed there, and the code proves the mailbox. No mail about a new browser."""
    register(client)
    waiting = client.get(VERIFY).content.decode()
    assert waiting.index('name="code"') < waiting.index("No email?")

    page = client.post(VERIFY, {"code": mailed_code()}, follow=True)

    assert page.redirect_chain == [("/account", 302)]
    assert "Your email address is verified, and you are signed in." in text_of(page)
    assert len(read_mail()) == 1
    client.post("/account/logout")
    assert give_credentials(client, "New.Person@example.com", NEW).url == "/account"
    assert len(read_mail()) == 1


def test_an_address_with_an_account_is_not_filled_in(client, dana):
    """SR-3: whose mailbox was not proven here, no page tells of."""
    register(client, "DANA@example.com")
    client.post(VERIFY, {"code": "ABCD-1234"})

    assert "dana@" not in client.get("/account/login").content.decode().lower()


def test_an_old_registration_signs_in_and_proves_no_password(client):
    """SR-22: it was typed when the form was sent, not when the code was."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        register(client)
        clock.shift(timedelta(hours=1))
        client.post(VERIFY, {"code": mailed_code()})

        assert is_signed_in(client)
        assert client.get("/account/data").url.startswith("/account/confirm")


def test_only_the_browser_that_registered_is_signed_in(client, another_browser):
    """SR-3, SR-8: another one that asked for the same address gets no account by the first one's code."""
    another = another_browser()
    register(another)
    register(client)

    client.post(VERIFY, {"code": mailed_code()})

    assert is_signed_in(client)
    assert not is_signed_in(another)


def test_an_address_that_is_taken_gets_the_same_answer_and_its_owner_a_mail(client, another_browser, dana):
    """SR-3."""
    fresh, taken = register(client), register(another_browser(), "DANA@example.com")

    assert (fresh.status_code, fresh.url) == (taken.status_code, taken.url)
    assert "already have" in read_mail()[-1].body
    dana.refresh_from_db()
    assert dana.check_password(PASSWORD)


def test_sending_again_tells_nothing_of_an_address(client, another_browser, dana):
    """SR-3: as often for an address that is taken."""
    answers = []
    for browser, email in ((client, "free@example.com"), (another_browser(), "dana@example.com")):
        register(browser, email)
        with time_machine.travel(timezone.now(), tick=False) as clock:
            for _time in range(7):
                clock.shift(timedelta(seconds=31))
                page = browser.post(f"{VERIFY}/resend", follow=True)
                answers.append((email[-11:], text_without_tag(page).replace(f"{email[0]}•••@", "")))

    assert answers[:7] == answers[7:]


def test_the_pages_after_registering_read_the_same_for_a_taken_address(client, another_browser, dana):
    """SR-3."""
    other = another_browser()
    register(client)
    register(other, "dana@example.com")

    pages = [browser.post(VERIFY, {"code": "WRONG-CODE"}) for browser in (client, other)]

    texts = [text_without_tag(page) for page in pages]
    assert texts[0].replace("for N•••@", "for d•••@") == texts[1]
    assert pages[0].status_code == pages[1].status_code == 400


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("short", "at least 12 characters"),
        ("1qaz2wsx3edc", "too common"),
        ("new.person@example.com", "too similar to the email"),
    ],
)
def test_a_weak_password_is_refused(client, password, complaint):
    """SR-2."""
    page = register(client, password=password)

    assert page.status_code == 400
    assert complaint in text_of(page)
    assert not User.objects.exists()


def test_a_long_password_of_any_script_is_kept_whole(client):
    """SR-2: nothing is cut."""
    password = "ключ 鍵 🔑 " * 100
    register(client, password=password)
    client.post(VERIFY, {"code": mailed_code()})

    assert give_credentials(client, "new.person@example.com", password[:-1]).status_code == 400
    assert give_credentials(client, "new.person@example.com", password).status_code == 302


def test_the_code_is_guessed_at_five_times_at_most(client):
    register(client)
    code = mailed_code()
    for _guess in range(5):
        client.post(VERIFY, {"code": "222-222-222"})

    client.post(VERIFY, {"code": code})

    assert not User.objects.exists()


def test_a_code_is_sent_again_after_a_pause_and_stays_the_same(client):
    """SR-17."""
    register(client)
    first = mailed_code()
    assert "Try again in 30 seconds" in text_of(client.post(f"{VERIFY}/resend", follow=True))

    with time_machine.travel(timezone.now() + timedelta(seconds=31), tick=False):
        client.post(f"{VERIFY}/resend")

    assert mailed_code() == first
    assert len([message for message in mail.outbox if "is your code" in message.body]) == 2


def test_an_expired_code_is_refused_in_words(client):
    register(client)
    code = mailed_code()

    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        page = client.post(VERIFY, {"code": code}, follow=True)

    assert "has expired or was already used" in text_of(page)
    assert not User.objects.exists()


def test_i_get_a_new_password_by_mail_and_then_sign_in_as_always(client, dana_with_app):
    """SR-27: a reset never signs in, and never asks for or changes a factor."""
    client.post(RESET, {"identifier": "dana"})
    page = choose(client, mailed_code())

    assert page.url == "/account/login"
    assert not is_signed_in(client)
    assert give_credentials(client, "dana", NEW).url == "/account/login/otp"
    assert [factor.mode for factor in enabled(dana_with_app)] == ["authenticator"]


def test_a_reset_ends_every_session_and_pending_sign_in_and_tells_me(client, another_browser, dana_with_email):
    """SR-27."""
    thief, half_in = another_browser(), another_browser()
    sign_in(thief, dana_with_email)
    give_credentials(half_in, "dana")

    client.post(RESET, {"identifier": "dana@example.com"})
    choose(client, mailed_code())

    assert not Session.objects.filter(user=dana_with_email).exists()
    assert open_sign_ins(dana_with_email) == []
    assert half_in.post("/account/login/otp", {"otp": "123456"}).url == "/account/login"
    assert any("Password reset" in message.subject for message in read_mail())


def test_a_reset_leaves_no_token_and_no_key_to_whoever_had_them(client, dana):
    """SR-27: somebody may have registered with an address that is not theirs."""
    ssh_keys.add(dana, "laptop", new_key(), Origin())
    token = tokens.issue(dana, Origin(), mode="")

    client.post(RESET, {"identifier": "dana@example.com"})
    choose(client, mailed_code())

    assert tokens.find(token) is None
    assert not PublicKey.objects.exists()


def test_an_unknown_account_gets_the_same_answers_but_no_mail(client, another_browser, dana):
    """SR-3."""
    other = another_browser()
    answers = [browser.post(RESET, {"identifier": name}) for browser, name in ((client, "dana"), (other, "nobody"))]
    sent = len(read_mail())
    wrong = [choose(browser, "222222222") for browser in (client, other)]

    assert {(answer.status_code, answer.url) for answer in answers} == {(302, COMPLETE)}
    assert text_without_tag(wrong[0]) == text_without_tag(wrong[1])
    assert sent == 1
    assert Mail.objects.filter(state="dropped").count() == 1


def test_a_reset_code_belongs_to_the_browser_that_asked(client, another_browser, dana):
    client.post(RESET, {"identifier": "dana"})

    page = choose(another_browser(), mailed_code())

    assert page.url == RESET
    dana.refresh_from_db()
    assert dana.check_password(PASSWORD)


def test_a_reset_code_does_not_verify_and_a_verifying_code_does_not_reset(client, dana):
    """SR-14: bound to its purpose."""
    client.post(RESET, {"identifier": "dana"})

    assert client.post(VERIFY, {"code": mailed_code()}).url == REGISTER
    assert EmailVerification.objects.get().ended_at is None


def test_a_reset_code_works_once(client, dana):
    client.post(RESET, {"identifier": "dana"})
    code = mailed_code()
    choose(client, code)

    assert choose(client, code, "yet another phrase here").url == RESET


def test_a_too_weak_new_password_does_not_spend_the_code(client, dana):
    client.post(RESET, {"identifier": "dana"})
    code = mailed_code()

    assert "too similar" in text_of(choose(client, code, "dana@example.com"))
    assert choose(client, code).url == "/account/login"


def test_i_change_my_password_and_my_other_sessions_end(client, another_browser, dana):
    other = another_browser()
    sign_in(other, dana)
    sign_in(client, dana)
    fields = {"password": NEW, "password_confirm": NEW}

    wrong = client.post("/account/password/change", {"current_password": "wrong", **fields})
    client.post("/account/password/change", {"current_password": PASSWORD, **fields})

    assert "not your current password" in text_of(wrong)
    assert is_signed_in(client)
    assert not is_signed_in(other)
    assert any("Password changed" in message.subject for message in read_mail())


def test_i_choose_a_username_that_nobody_has(client, dana, sam):
    sign_in(client, sam)

    page = client.post("/account/profile", {"name": "Sam", "username": "DANA"})
    client.post("/account/profile", {"name": "Sam", "username": "sammy", "is_staff": "on", "preferred_mode": "email"})

    assert "That username is taken" in text_of(page)
    sam.refresh_from_db()
    assert (sam.username, sam.is_staff, sam.preferred_mode) == ("sammy", False, "")  # SR-44


def test_a_username_never_looks_like_an_address(client, sam):
    sign_in(client, sam)

    assert client.post("/account/profile", {"name": "", "username": "dana@example.com"}).status_code == 400


def test_a_registration_that_waits_takes_nothing_from_the_owner_of_the_mailbox(client, another_browser):
    """SR-3: a stranger registered the address first, with a password of their own."""
    squatter = another_browser()
    register(squatter, "victim@example.com", "only the squatter knows it")
    assert give_credentials(squatter, "victim@example.com", "only the squatter knows it").status_code == 400

    register(client, "victim@example.com")
    code = mailed_code()
    client.post(VERIFY, {"code": code})

    assert give_credentials(client, "victim@example.com", NEW).url == "/account"
    assert "has expired or was already used" in text_of(squatter.post(VERIFY, {"code": code}, follow=True))
    assert give_credentials(squatter, "victim@example.com", "only the squatter knows it").status_code == 400


def test_registering_and_signing_in_tells_nothing_of_an_address(client, another_browser, dana):
    """SR-3: with the password that was just registered, for an address with an account and for one without."""
    other = another_browser()
    register(client, "free@example.com")
    register(other, "dana@example.com")

    pages = [
        give_credentials(browser, email, NEW)
        for browser, email in ((client, "free@example.com"), (other, "dana@example.com"))
    ]

    assert [page.status_code for page in pages] == [400, 400]
    texts = [text_of(page).replace("free@", "dana@") for page in pages]
    assert texts[0] == texts[1]


def test_nobody_is_told_whether_a_disabled_account_exists(client):
    UserFactory(email="gone@example.com", is_active=False)

    client.post(RESET, {"identifier": "gone@example.com"})

    assert read_mail() == []


def test_nobody_can_flood_my_mailbox(another_browser, dana):
    """However many ask, under however many spellings; each of them gets the same answer."""
    for number in range(14):
        identifier = "dana" if number % 2 else "DANA@example.com"
        assert another_browser().post(RESET, {"identifier": identifier}).url == COMPLETE
        assert register(another_browser(), "dana@EXAMPLE.com").url == VERIFY

    assert len(read_mail()) == 10


@pytest.mark.parametrize("username", ["\ufdfa" * 60, "\ufdfa", "a b", "a@b", "\uff20", "a\u2028b"])
def test_a_username_that_grows_or_turns_into_something_else_is_refused(client, sam, username):
    """SR-4, SR-49: one sign can stand for eighteen once it is compared."""
    sign_in(client, sam)

    assert client.post("/account/profile", {"name": "", "username": username}).status_code == 400


def test_an_address_that_grows_is_refused(client):
    """SR-49."""
    assert register(client, "a@" + ".".join(["\ufdfa"] * 60) + ".com").status_code == 400
