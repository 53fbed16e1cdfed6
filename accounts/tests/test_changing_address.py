"""Another e-mail address: proven at the new one, told to the old one, undone from there (SR-29)."""

from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from accounts import ssh_keys, tokens
from accounts.models import KnownBrowser, PublicKey, Token, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD, UserFactory, new_key
from mfa.tests.factories import add_mode
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of, text_without_tag
from tests.signing_in import give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

ASK, CONFIRM = "/account/email", "/account/email/confirm"
NEW = "dana@new.example.com"


def ask(client, email=NEW):
    return client.post(ASK, {"email": email})


def change(client, email=NEW):
    assert ask(client, email).url == CONFIRM
    return client.post(CONFIRM, {"code": mailed_code()})


def undo_link() -> str:
    (link,) = [
        line.partition("testserver")[2]
        for text in (sent.body for sent in read_mail())
        for line in text.splitlines()
        if "/email/undo/" in line
    ]
    return link


def test_i_change_my_address(client, dana):
    """SR-29: confirmed at the new address, told to the old one."""
    sign_in(client, dana)

    page = change(client)

    dana.refresh_from_db()
    assert page.url == "/account/view"
    assert (dana.email, dana.email_key) == (NEW, NEW)
    told = {(message.to[0], message.subject) for message in read_mail()}
    assert ("Dana@example.com", "Datica: the email address of your account was changed") in told
    assert (NEW, "Datica: Email address changed") in told
    assert not any("your code" in message.body and message.to == ["Dana@example.com"] for message in mail.outbox)
    assert is_signed_in(client)
    client.post("/account/logout")
    assert give_credentials(client, NEW).status_code == 302
    client.post("/account/logout")
    assert give_credentials(client, "dana@example.com").status_code == 400


def test_it_needs_a_fresh_proof_and_keeps_what_i_typed(client, dana):
    """SR-29."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in(client, dana)
        clock.shift(timedelta(minutes=11))

        page = ask(client)

        assert page.url.startswith("/account/confirm")
        back = client.post("/account/confirm", {"password": PASSWORD, "next": ASK})
        assert f'value="{NEW}"' in client.get(back.url).content.decode()
        assert NEW not in client.get(back.url).content.decode()


def test_nothing_changes_before_the_code(client, dana):
    sign_in(client, dana)
    ask(client)

    page = client.post(CONFIRM, {"code": "WRONG2345"})

    dana.refresh_from_db()
    assert page.status_code == 400
    assert dana.email == "Dana@example.com"


def test_my_other_sessions_and_tokens_end(client, dana, another_browser):
    """SR-25: the mailbox may be a factor."""
    elsewhere = another_browser()
    sign_in(elsewhere, dana)
    sign_in(client, dana)
    tokens.issue(dana, Origin(), mode="")

    change(client)

    assert not is_signed_in(elsewhere)
    assert not Token.objects.filter(user=dana).exists()
    assert is_signed_in(client)


def test_the_address_of_somebody_else_gets_the_same_page_and_its_owner_is_told(client, dana, sam):
    """SR-3."""
    sign_in(client, dana)
    ask(client)
    fresh = text_without_tag(client.get(CONFIRM))

    assert ask(client, sam.email).url == CONFIRM
    assert text_without_tag(client.get(CONFIRM)).replace("s•••@example.com", "") == fresh.replace(
        "d•••@new.example.com", ""
    )
    assert [message.to for message in read_mail() if "register" in message.body] == [[sam.email]]
    assert client.post(CONFIRM, {"code": "ABC234567"}).status_code == 400


def test_somebody_takes_the_address_while_i_wait(client, dana):
    sign_in(client, dana)
    ask(client)
    code = mailed_code()
    UserFactory(email=NEW)

    page = client.post(CONFIRM, {"code": code})

    assert page.status_code == 400
    assert "can no longer be used" in text_of(page)


def test_the_code_is_of_no_use_in_another_browser(client, dana, sam, another_browser):
    sign_in(client, dana)
    ask(client)
    code = mailed_code()
    elsewhere = another_browser()
    sign_in(elsewhere, sam)

    assert elsewhere.post(CONFIRM, {"code": code}).url == ASK


def test_i_undo_it_from_the_old_address(client, dana, another_browser):
    """SR-29: whoever changed it is out, the password has to be chosen anew, factors stay."""
    add_mode(dana, "authenticator")
    thief = client
    sign_in(thief, dana)
    ssh_keys.add(dana, "laptop", new_key(), Origin())
    change(thief)
    victim = another_browser()
    link = undo_link()

    assert "It was not me" in text_of(victim.get(link))
    assert User.objects.get(pk=dana.pk).email == NEW  # opening it changes nothing (SR-47)
    assert victim.post(link).url == "/account/password/reset"

    user = User.objects.get(pk=dana.pk)
    assert user.email == "Dana@example.com"
    assert user.preferred_mode == "authenticator"
    assert not user.has_usable_password()
    assert not is_signed_in(thief)
    assert not PublicKey.objects.filter(user=dana).exists()
    assert victim.get(link).status_code == 404
    victim.post("/account/password/reset", {"identifier": "dana"})
    same = {"code": mailed_code(), "password": PASSWORD, "password_confirm": PASSWORD}
    assert "this one was withdrawn" in text_of(victim.post("/account/password/reset/complete", same))


def test_a_code_that_went_to_the_new_address_is_worthless_after_the_undo(client, dana, another_browser):
    sign_in(client, dana)
    change(client)
    thief, victim = another_browser(), another_browser()
    thief.post("/account/password/reset", {"identifier": NEW})
    code = mailed_code()

    victim.post(undo_link())

    page = thief.post(
        "/account/password/reset/complete",
        {"code": code, "password": "another quiet harbour", "password_confirm": "another quiet harbour"},
    )
    assert page.url == "/account/password/reset"
    assert not User.objects.get(pk=dana.pk).has_usable_password()


def test_undoing_the_first_of_two_changes_undoes_both(client, dana, another_browser):
    sign_in(client, dana)
    change(client)
    link = undo_link()
    change(client, "third@example.com")
    links = [line for message in read_mail() for line in message.body.splitlines() if "/email/undo/" in line]

    another_browser().post(link)

    assert User.objects.get(pk=dana.pk).email == "Dana@example.com"
    assert another_browser().get(links[-1].partition("testserver")[2]).status_code == 404


def test_after_a_week_it_cannot_be_undone(client, dana, another_browser):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in(client, dana)
        change(client)
        link = undo_link()
        clock.shift(timedelta(days=7, minutes=1))

        assert another_browser().get(link).status_code == 404


def test_nobody_registers_the_old_address_while_it_can_be_wanted_back(client, dana, another_browser):
    sign_in(client, dana)
    change(client)

    page = another_browser().post(
        "/account/register", {"email": "dana@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
    )

    assert page.url == "/account/verify-email"
    assert not User.objects.filter(email_key="dana@example.com").exists()


def test_whoever_got_a_mistyped_address_gets_no_way_into_the_account(client, db):
    user = UserFactory(email="mistyped@example.com", email_verified_at=None)
    sign_in(client, user)

    change(client)

    user.refresh_from_db()
    assert user.email == NEW
    assert user.email_verified_at
    assert not any("/email/undo/" in message.body for message in read_mail())


def test_i_may_change_how_my_address_is_written(client, dana):
    sign_in(client, dana)

    change(client, "DANA@example.com")

    assert User.objects.get(pk=dana.pk).email == "DANA@example.com"


def test_nobody_is_flooded_with_codes(client, dana):
    """SR-17."""
    sign_in(client, dana)
    for number in range(5):
        ask(client, f"stranger{number}@example.com")

    assert ask(client, "stranger6@example.com").status_code == 429


def test_two_people_of_one_browser_do_not_become_strangers_to_it(client, dana, sam):
    """SR-54: a mail about a new browser means one."""
    for user in (dana, sam, dana, sam):
        sign_in(client, user)
        client.post("/account/logout")

    assert KnownBrowser.objects.count() == 2
    assert KnownBrowser.objects.values("digest").distinct().count() == 2  # neither holds the other's token (SR-37)
    assert not any("new browser" in message.subject for message in read_mail())
