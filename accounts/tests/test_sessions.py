"""Where an account is signed in: seen, ended, and over by themselves."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.test import Client
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY
from ua_parser import parse as real_parse

from accounts import security_log, sessions, ssh_keys, tokens
from accounts.models import PublicKey, SecurityEvent, Session, Token, User
from accounts.security_log import Origin
from accounts.session_store import SessionStore, row_key
from accounts.tests.factories import new_key
from accounts.web.authentication import FACTOR_MODE
from mfa.models import Factor
from organizations.tests.factories import MembershipFactory
from tests.pages import text_of
from tests.signing_in import give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/sessions"
LAPTOP = Origin("192.0.2.7", "datica-cli-4.4.1 linux amd64")
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def in_firefox(another_browser):
    def make(user):
        browser = another_browser(headers={"user-agent": FIREFOX})
        sign_in(browser, user)
        return browser

    return make


def test_browsers_and_command_lines_are_listed_together(client, dana_with_app, in_firefox):
    """SR-36."""
    sign_in(client, dana_with_app)
    tokens.issue(dana_with_app, LAPTOP, mode="authenticator")

    page = text_of(client.get(PAGE))

    assert "datica command line 4.4.1 on Linux command line from 192.0.2.7, signed in" in page
    assert "this session from 127.0.0.1" in page
    assert page.count("verified by authenticator") == 2


def test_only_what_i_use_is_on_the_page(client, dana, in_firefox):
    """The command line is folded away, and no button does what has nothing to do."""
    sign_in(client, dana)
    alone = client.get(PAGE).content.decode()
    assert "Sign out all other sessions" not in alone
    assert alone.count('class="current"') == 1
    assert "<details" in alone
    assert "These browsers are signed in to your account." in alone
    assert 'href="/account/view#signing-in"' in alone

    in_firefox(dana)
    assert "Sign out all other sessions" in client.get(PAGE).content.decode()

    tokens.issue(dana, LAPTOP, mode="")
    assert '<details class="more" open>' in client.get(PAGE).content.decode()
    PublicKey.objects.create(user=dana, name="laptop", text="ssh-rsa AAAA", fingerprint="f" * 43)
    page = client.get(PAGE).content.decode()
    assert "<details" not in page
    assert "laptop" in page


def test_a_browser_is_named_in_words(client, dana, in_firefox):
    in_firefox(dana)
    sign_in(client, dana)

    assert "Firefox on Windows" in text_of(client.get(PAGE))


def test_what_is_shown_opens_nothing(client, dana, in_firefox):
    """SR-19."""
    in_firefox(dana)
    sign_in(client, dana)
    token = tokens.issue(dana, LAPTOP, mode="")

    page = client.get(PAGE).content.decode()

    assert token not in page
    assert not [row.session_key for row in Session.objects.all() if row.session_key in page]


def test_one_session_is_ended(client, dana, in_firefox):
    other, third = in_firefox(dana), in_firefox(dana)
    sign_in(client, dana)
    public_id = Session.objects.get(session_key=row_key(other.cookies["session"].value)).public_id

    page = client.post(f"/account/sessions/{public_id}/end", follow=True)

    assert "That session is signed out." in text_of(page)
    assert [is_signed_in(browser) for browser in (client, other, third)] == [True, False, True]
    assert "had already ended" in text_of(client.post(f"/account/sessions/{public_id}/end", follow=True))


def test_a_command_line_is_ended(client, dana):
    """SR-36."""
    sign_in(client, dana)
    value = tokens.issue(dana, LAPTOP, mode="")

    client.post(f"/account/sessions/{Token.objects.get().public_id}/end")

    assert tokens.find(value) is None
    assert SecurityEvent.objects.filter(kind="session_ended").exists()


def test_a_session_of_somebody_else_is_out_of_reach(client, dana, sam):
    sign_in(client, dana)
    value = tokens.issue(sam, LAPTOP, mode="")

    client.post(f"/account/sessions/{Token.objects.get().public_id}/end")

    assert tokens.find(value)


def test_all_others_are_ended(client, dana, in_firefox):
    """SR-36."""
    other = in_firefox(dana)
    sign_in(client, dana)
    value = tokens.issue(dana, LAPTOP, mode="")

    client.post("/account/sessions/end-others")

    assert is_signed_in(client)
    assert not is_signed_in(other)
    assert tokens.find(value) is None


def test_a_browser_is_signed_out_when_idle(client, dana):
    """SR-34."""
    sign_in(client, dana)

    with time_machine.travel(timezone.now(), tick=False) as clock:
        clock.shift(timedelta(hours=11, minutes=59))
        assert is_signed_in(client)
        clock.shift(timedelta(hours=11, minutes=59))
        assert is_signed_in(client)
        clock.shift(timedelta(hours=12, minutes=1))
        assert not is_signed_in(client)
        assert not Session.objects.filter(user=dana).exists()


ENDED = "You were signed out because your session was not used for too long or was ended elsewhere."


@pytest.mark.parametrize("how", ["idle", "ended elsewhere", "over"])
def test_a_session_that_is_over_returns_to_the_sign_in_page_with_a_word(client, dana, how):
    """SR-34. Told once."""
    span = {"idle": timedelta(hours=12, minutes=1), "ended elsewhere": timedelta(0), "over": timedelta(days=15)}[how]
    sign_in(client, dana)
    if how == "ended elsewhere":
        sessions.end_others(dana, keep=None)

    with time_machine.travel(timezone.now() + span):
        page = client.get("/account/view", follow=True)
        again = client.get("/account/view", follow=True)

    assert page.redirect_chain == [("/account/login?next=/account/view", 302)]
    assert ENDED in text_of(page)
    assert ENDED not in text_of(again)


def test_who_has_signed_out_is_not_told_so(client, dana):
    sign_in(client, dana)
    client.post("/account/logout")

    assert ENDED not in text_of(client.get("/account/view", follow=True))


def test_who_has_never_signed_in_is_not_told_so(client, another_browser, dana_with_email):
    """Neither a first visitor, nor one with a made-up cookie, nor one whose sign-in never ended."""
    assert ENDED not in text_of(client.get("/account/view", follow=True))
    client.cookies["session"] = "x" * 32
    assert ENDED not in text_of(client.get("/account/view", follow=True))
    waiting = another_browser()
    give_credentials(waiting, "dana")
    assert ENDED not in text_of(waiting.get("/account/view", follow=True))


def test_a_sign_in_page_that_was_opened_by_hand_says_nothing(client, dana):
    sign_in(client, dana)
    sessions.end_others(dana, keep=None)

    assert ENDED not in text_of(client.get("/account/login"))


def test_use_does_not_put_off_the_end(client, dana):
    """SR-34."""
    sign_in(client, dana)

    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _use in range(29):
            assert is_signed_in(client)
            clock.shift(timedelta(hours=11, minutes=40))
        assert not is_signed_in(client)


def test_a_mode_enabled_within_a_session_is_told_of_it(client, dana):
    from mfa.tests.test_activation import COMPLETE, activate
    from tests.codes import mailed_code

    sign_in(client, dana)
    activate(client, "email")
    client.post(COMPLETE, {"otp": mailed_code()})

    assert "verified by email" in text_of(client.get(PAGE))
    client.post("/account/mfa/email/disable")
    assert "verified by" not in text_of(client.get(PAGE))


def test_keys_are_shown_and_removed(client, dana):
    ssh_keys.add(dana, "laptop", new_key(), LAPTOP)
    key = PublicKey.objects.get()
    sign_in(client, dana)
    assert f"laptop SHA256:{key.fingerprint}" in text_of(client.get(PAGE))

    assert "Remove the key laptop?" in text_of(client.get(f"/account/keys/{key.pk}/remove"))
    page = client.post(f"/account/keys/{key.pk}/remove", follow=True)

    assert "The key laptop is removed." in text_of(page)
    assert not PublicKey.objects.exists()


def test_a_key_of_somebody_else_is_out_of_reach(client, dana, sam):
    ssh_keys.add(sam, "laptop", new_key(), LAPTOP)
    sign_in(client, dana)

    assert client.post(f"/account/keys/{PublicKey.objects.get().pk}/remove").status_code == 404

    assert PublicKey.objects.exists()


def test_an_account_holds_so_many_keys(dana, monkeypatch):
    monkeypatch.setattr(ssh_keys, "MAX_KEYS", 2)
    for name in "ab":
        ssh_keys.add(dana, name, new_key(), LAPTOP)

    with pytest.raises(ssh_keys.TooManyKeys):
        ssh_keys.add(dana, "c", new_key(), LAPTOP)


def test_many_sessions_are_shown_page_by_page(client, dana, django_assert_max_num_queries):
    sign_in(client, dana)
    for _number in range(60):
        tokens.issue(dana, LAPTOP, mode="")

    with django_assert_max_num_queries(7):
        page = text_of(client.get(f"{PAGE}?page=3"))

    assert "Page 3 of 3" in page


def test_a_copy_of_the_table_opens_no_session(client, another_browser, dana):
    """SR-34: the row's key is no cookie."""
    sign_in(client, dana)
    cookie, row = client.cookies["session"].value, Session.objects.get(user=dana)

    for stolen in (row.session_key, row.session_key[:32], str(row.public_id)):
        thief = another_browser()
        thief.cookies["session"] = stolen
        assert not is_signed_in(thief)

    assert cookie not in str(Session.objects.values())
    assert is_signed_in(client)


def test_a_session_goes_on_when_its_own_user_signs_the_others_out_or_changes_what_signs_in(client, dana):
    """SR-25: the kept session carries the new fingerprint."""
    from tests.codes import mailed_code

    sign_in(client, dana)
    for _time in range(2):
        client.post("/account/sessions/end-others")
        assert is_signed_in(client)
    client.post("/account/email", {"email": "else@example.com"})
    client.post("/account/email/confirm", {"code": mailed_code()})

    assert is_signed_in(client)


def test_private_pages_are_kept_by_no_cache(client, dana_with_app):
    """SR-19: nor are redirects and errors."""
    organization = MembershipFactory(user=dana_with_app, role="owner").organization
    sign_in(client, dana_with_app)

    for path in ("/account", "/account/view", organization.get_absolute_url(), "/organizations", "/", "/nowhere"):
        answer = client.get(path)
        assert "no-store" in answer.headers["Cache-Control"], path
        assert "private" in answer.headers["Cache-Control"], path
    assert "no-store" in Client(enforce_csrf_checks=True).post("/account/login").headers["Cache-Control"]


def test_a_made_up_browser_is_parsed_once(client, dana, monkeypatch):
    """Not once for each row of the security log."""
    parsed = []
    monkeypatch.setattr(security_log, "parse", lambda agent: parsed.append(agent) or real_parse(agent))
    origin = Origin("192.0.2.7", "A browser that nobody has (made up; rv:1.0) NoSuchThing/1.0 once")
    for _time in range(30):
        security_log.record(dana, security_log.Kind.SIGNED_IN, origin)
    sign_in(client, dana)

    rows = b"".join(client.get("/account/security-log.csv")).decode().splitlines()

    assert len(rows) > 30
    assert parsed.count(origin.agent) == 1


class TestWhatIsRead:
    """A session brings its user, and the user's modes say whether its factor is still there."""

    def test_a_session_whose_factor_is_gone_has_proven_nothing(self, client, dana_with_both):
        """SR-33: even if the row was deleted past the domain."""
        sign_in(client, dana_with_both)
        Factor.objects.filter(user=dana_with_both, mode=dana_with_both.preferred_mode).delete()

        assert client.get("/account/view").url == "/account/login/otp"

    def test_a_session_of_an_older_release_goes_on(self, client, dana_with_app):
        """It does not name the mode of its factor."""
        sign_in(client, dana_with_app)
        session = client.session
        del session[FACTOR_MODE]
        session.save()

        assert is_signed_in(client)

        session = client.session
        session[DEVICE_ID_SESSION_KEY] = "mfa.factor/0"
        session.save()
        assert not is_signed_in(client)

    def test_a_session_that_was_signed_with_the_last_key_goes_on_and_gets_the_new_one(self, client, dana, settings):
        """SR-25: after a rotation of ``SECRET_KEY``."""
        sign_in(client, dana)
        before = client.session.session_key
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key-of-the-portal-0123456789-abcdefghijklmnopqrstuvwxyz"
        client.cookies.pop(settings.BROWSER_COOKIE_NAME)

        assert is_signed_in(client)
        settings.SECRET_KEY_FALLBACKS = []
        assert is_signed_in(client)
        assert client.session.session_key != before
        assert not Session.objects.filter(pk=row_key(before)).exists()

    def test_a_disabled_account_is_signed_out(self, client, dana):
        sign_in(client, dana)
        User.objects.filter(pk=dana.pk).update(is_active=False)

        assert not is_signed_in(client)

    def test_a_new_key_is_in_the_database_at_the_end_of_the_request_and_the_old_one_is_not(self, client, dana):
        """SR-8."""
        sign_in(client, dana)
        store = SessionStore(client.session.session_key)
        before = store.session_key

        store.cycle_key()
        assert Session.objects.filter(pk=row_key(before)).exists()
        store.save()

        assert list(Session.objects.values_list("pk", flat=True)) == [row_key(store.session_key)]

    def test_a_session_that_was_ended_meanwhile_stays_ended(self, client, dana):
        """SR-25."""
        sign_in(client, dana)
        renamed, changed = (SessionStore(client.session.session_key) for _store in range(2))
        renamed.cycle_key()
        changed["x"] = 1
        Session.objects.all().delete()

        with pytest.raises(SessionInterrupted):
            renamed.save()
        with pytest.raises(UpdateError):
            changed.save()
        assert not Session.objects.exists()
