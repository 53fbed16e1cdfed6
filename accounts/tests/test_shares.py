"""What strangers can use up has a share for each source, and a reserve for the owner (SR-57)."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import EmailVerification, SecurityEvent, Session, Throttle, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD
from mfa import code_failures, recovery
from mfa.models import Challenge
from mfa.tests.factories import add_mode
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, sign_in

pytestmark = pytest.mark.django_db

RESET = "/account/password/reset"
COMPLETE = "/account/password/reset/complete"
REGISTER = "/account/register"
VERIFY = "/account/verify-email"
NEW = "an entirely different phrase"


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


@pytest.fixture(autouse=True)
def few_mails(settings):
    """Limits of 4 and 8 instead of 10 and 20: the shares are the same."""
    settings.EMAIL_VERIFICATION_MAILS_PER_HOUR, settings.OTP_MAILS_PER_HOUR = 4, 8


def strangers(number: int):
    """Return browsers of as many networks."""
    return [Client(REMOTE_ADDR=f"198.51.{n // 250}.{n % 250 + 1}") for n in range(number)]


def choose(client, code, password=NEW):
    return client.post(COMPLETE, {"code": code, "password": password, "password_confirm": password})


def reset_mails() -> int:
    return len([message for message in read_mail() if "new" in message.subject and "password" in message.subject])


class TestResets:
    """Twelve anonymous resets used up what an account may be mailed."""

    def test_one_network_uses_up_its_own_share_only(self, client, dana, clock):
        stranger = Client(REMOTE_ADDR="198.51.100.7")
        for _time in range(6):
            stranger.post(RESET, {"identifier": "dana"})
        assert reset_mails() == 2

        client.post(RESET, {"identifier": "dana"})

        assert reset_mails() == 3
        assert choose(client, mailed_code()).url == "/account/login"

    def test_a_known_browser_is_mailed_when_all_networks_have_used_up_theirs(self, client, dana, clock):
        sign_in(client, dana)
        client.post("/account/logout")
        for stranger in strangers(9):
            stranger.post(RESET, {"identifier": "dana"})
        before = reset_mails()

        client.post(RESET, {"identifier": "dana"})

        assert before < 4
        assert reset_mails() == before + 1

    def test_an_owner_without_any_known_browser_uses_the_newest_mail(self, client, dana, clock):
        """From any number of sources: the code in the mailbox works in each browser that has asked."""
        for stranger in strangers(9):
            stranger.post(RESET, {"identifier": "dana"})
            clock.shift(timedelta(seconds=20))
        sent = reset_mails()

        client.post(RESET, {"identifier": "dana"})

        assert reset_mails() == sent
        assert "use the one in the newest email" in text_of(client.get(COMPLETE))
        assert choose(client, mailed_code()).url == "/account/login"
        assert give_credentials(client, "dana", NEW).status_code == 302

    def test_strangers_who_fail_on_purpose_take_no_code_away(self, client, dana, clock):
        """Their own proofs end, before and after the worker has sent the mails."""
        for stranger in strangers(6):
            stranger.post(RESET, {"identifier": "dana"})
            for _try in range(5):
                choose(stranger, "222-222-222")

        client.post(RESET, {"identifier": "dana"})

        assert choose(client, mailed_code()).url == "/account/login"

    def test_a_code_that_was_spent_is_shared_no_more(self, client, dana, clock):
        others = strangers(6)
        for stranger in others:
            stranger.post(RESET, {"identifier": "dana"})
        code = mailed_code()
        client.post(RESET, {"identifier": "dana"})
        choose(client, code)

        again = Client(REMOTE_ADDR="203.0.113.5")
        again.post(RESET, {"identifier": "dana"})

        assert choose(again, code, "yet another long phrase").status_code == 400
        assert choose(others[0], code, "yet another long phrase").url == RESET

    def test_a_mailbox_that_is_no_longer_the_accounts_resets_nothing(self, client, dana, clock):
        """SR-29: a code that went to the old address."""
        client.post(RESET, {"identifier": "dana"})
        code = mailed_code()
        User.objects.filter(pk=dana.pk).update(email="else@example.com", email_key="else@example.com")

        assert choose(client, code).status_code == 400

    def test_a_code_is_renewed_after_an_hour(self, client, dana, clock):
        client.post(RESET, {"identifier": "dana"})
        first = mailed_code()
        clock.shift(timedelta(minutes=61))

        client.post(RESET, {"identifier": "dana"})

        assert mailed_code() != first

    def test_an_unknown_account_costs_and_tells_the_same(self, dana, clock):
        """SR-3."""
        answers = {}
        for name in ("dana", "nobody"):
            for stranger in strangers(6):
                page = stranger.post(RESET, {"identifier": name}, follow=True)
                wrong = choose(stranger, "222-222-222")
                shown = [re.sub(r"tag [A-Z]\d", "tag …", text_of(answer)) for answer in (page, wrong)]
                answers.setdefault(name, []).append((*shown, wrong.status_code))

        assert answers["dana"] == answers["nobody"]


class TestRegistrations:
    def test_the_owner_of_an_address_registers_although_strangers_have_used_up_its_mails(self, client, clock):
        for stranger in strangers(9):
            stranger.post(REGISTER, {"email": "new@example.com", "password": NEW, "password_confirm": NEW})
        own = "only the owner knows this one"

        client.post(REGISTER, {"email": "new@example.com", "password": own, "password_confirm": own})
        client.post(VERIFY, {"code": mailed_code()})

        assert give_credentials(client, "new@example.com", own).status_code == 302
        assert len(read_mail()) <= 4

    def test_notices_that_an_address_is_taken_use_up_no_reset(self, client, dana, clock):
        for stranger in strangers(9):
            stranger.post(REGISTER, {"email": "dana@example.com", "password": NEW, "password_confirm": NEW})

        client.post(RESET, {"identifier": "dana"})

        assert choose(client, mailed_code()).url == "/account/login"


class TestPasswords:
    @pytest.fixture(autouse=True)
    def few(self, settings):
        """Ten wrong passwords for each name instead of fifty: what is shown is the same."""
        settings.PASSWORD_FAILURES_IN_A_ROW = 20

    def test_the_command_line_has_a_reserve_where_its_user_has_signed_in_before(self, client, dana, clock):
        """SR-5: a terminal has no cookie; its network was used before."""
        home = Client(REMOTE_ADDR="203.0.113.5")
        body = {"identifier": "dana", "password": PASSWORD}
        assert home.post("/auth/signin", body, "application/json").status_code == 200
        for stranger in strangers(10):
            give_credentials(stranger, "dana", "wrong")

        assert client.post("/auth/signin", body, "application/json").status_code == 429
        assert home.post("/auth/signin", body, "application/json").status_code == 200

    def test_the_network_of_a_terminal_is_that_of_one_customer(self, client, dana, clock):
        """SR-6: of IPv6 a /64."""
        body = {"identifier": "dana", "password": PASSWORD}
        home, later = Client(REMOTE_ADDR="2001:db8:1:2::1"), Client(REMOTE_ADDR="2001:db8:1:2::99")
        home.post("/auth/signin", body, "application/json")
        for stranger in strangers(10):
            give_credentials(stranger, "dana", "wrong")

        assert later.post("/auth/signin", body, "application/json").status_code == 200

    def test_a_browser_that_has_reset_the_password_is_known_at_once(self, client, dana, clock, settings):
        """SR-57: strangers go on guessing right after it."""
        settings.IP_LOGIN_FAILURES = 10_000
        shut(dana, clock)
        assert "Reset your password by email" in text_of(give_credentials(client, "dana"))
        client.post(RESET, {"identifier": "dana"})
        choose(client, mailed_code())
        shut(dana, clock)

        assert give_credentials(client, "dana", NEW).url == "/account"

    def test_who_shares_my_browser_resets_no_count_of_mine(self, client, dana, sam, clock):
        """SR-5: the count belongs to the browser and to the user."""
        for user in (dana, sam):
            sign_in(client, user)
            client.post("/account/logout")

        looked_at = 0
        for _round in range(9):
            for _try in range(5):
                looked_at += give_credentials(client, "dana", "wrong").status_code == 400
            sign_in(client, sam)
            client.post("/account/logout")

        assert looked_at == 5

    def test_a_known_browser_guesses_no_more_than_a_name_may_be_guessed_at(self, client, dana, clock):
        """SR-5."""
        sign_in(client, dana)
        client.post("/account/logout")
        for _try in range(10):
            clock.shift(timedelta(minutes=16))
            assert give_credentials(client, "dana", "wrong").status_code == 400
        clock.shift(timedelta(days=3))

        page = give_credentials(client, "dana")

        assert "Reset your password by email" in text_of(page)


def shut(user, clock) -> None:
    """Let strangers use up all wrong passwords of a name."""
    for stranger in strangers(12):
        clock.shift(timedelta(minutes=16))
        give_credentials(stranger, "dana", "wrong")


class TestOneNetwork:
    """An office, or every request that comes through a Unix socket."""

    @pytest.fixture
    def settings(self, settings):
        settings.IP_LOGIN_FAILURES = settings.IP_MAILS_PER_HOUR = 3
        return settings

    def test_guesses_of_a_neighbour_do_not_hold_back_a_known_browser(self, client, dana, sam, settings):
        """SR-6, SR-57."""
        sign_in(client, dana)
        client.post("/account/logout")
        for number in range(4):
            give_credentials(Client(), f"somebody{number}", "wrong")

        assert give_credentials(Client(), "sam").status_code == 429
        assert give_credentials(client, "dana").url == "/account"

    def test_neither_do_resets_that_a_neighbour_asks_for(self, client, dana, settings):
        """SR-57."""
        sign_in(client, dana)
        client.post("/account/logout")
        for number in range(4):
            Client().post(RESET, {"identifier": f"somebody{number}"})

        assert Client().post(RESET, {"identifier": "sam"}).status_code == 429
        client.post(RESET, {"identifier": "dana"})

        assert choose(client, mailed_code()).url == "/account/login"

    def test_a_browser_in_which_only_the_password_was_right_is_no_known_place_once_mfa_is_on(self, client, dana):
        """SR-57: a thief had signed in there before the owner added a factor."""
        sign_in(client, dana)
        client.post("/account/logout")
        add_mode(dana, "email")

        for _sign_in in range(9):
            give_credentials(client, "dana")
            read_mail()

        assert len([message for message in read_mail() if "one-time password" in message.subject]) == 4


class TestCodes:
    """A thief knows the password; the owner has a known browser, or the mailbox, or recovery codes."""

    @pytest.fixture(autouse=True)
    def few(self, settings):
        """Thirty wrong codes in a row instead of a hundred: what is shown is the same."""
        settings.OTP_FAILURES_IN_A_ROW = 30

    def use_up(self, user, clock) -> None:
        """Bring all wrong codes in a row."""
        thief = Client(REMOTE_ADDR="198.51.100.7")
        while Throttle.objects.filter(digest=code_failures.slot_of(user, "").digest, in_a_row__gte=30).count() == 0:
            clock.shift(timedelta(minutes=16))
            for _sign_in in range(2):
                give_credentials(thief, "dana")
                for _try in range(5):
                    thief.post(OTP, {"otp": "000000"})

    def test_a_known_browser_goes_on(self, client, dana_with_app, clock):
        """SR-57."""
        sign_in(client, dana_with_app)
        client.post("/account/logout")
        self.use_up(dana_with_app, clock)

        give_credentials(client, "dana")

        assert client.post(OTP, {"otp": app_code(dana_with_app)}).status_code == 302

    def test_a_reset_opens_what_was_shut_for_a_day(self, client, dana_with_app, clock):
        """SR-15, SR-57."""
        self.use_up(dana_with_app, clock)
        give_credentials(client, "dana")
        assert client.post(OTP, {"otp": app_code(dana_with_app)}).status_code == 429

        client.post(RESET, {"identifier": "dana"})
        choose(client, mailed_code())
        give_credentials(client, "dana", NEW)

        assert client.post(OTP, {"otp": app_code(dana_with_app)}).status_code == 302

    def test_resets_refill_no_guesses(self, dana_with_app, clock):
        """SR-15: a thief of the mailbox gets ten more a day."""
        self.use_up(dana_with_app, clock)
        slot = code_failures.slot_of(dana_with_app, "")

        code_failures.ease(dana_with_app)
        assert Throttle.objects.get(digest=slot.digest).in_a_row == 20
        Throttle.objects.filter(digest=slot.digest).update(in_a_row=30)
        code_failures.ease(dana_with_app)

        assert Throttle.objects.get(digest=slot.digest).in_a_row == 30

    def test_a_thief_of_the_mailbox_gains_no_guesses_by_resetting_again_and_again(self, dana_with_app, clock, settings):
        """SR-15: each reset makes a browser known that has proven no factor."""
        settings.EMAIL_VERIFICATION_MAILS_PER_HOUR = 100
        thief = Client(REMOTE_ADDR="203.0.113.9")
        looked_at = 0
        for number in range(8):
            thief.post(RESET, {"identifier": "dana"})
            assert choose(thief, mailed_code(), f"{NEW} {number}").url == "/account/login"
            for _sign_in in range(3):
                give_credentials(thief, "dana", f"{NEW} {number}")
                pages = [thief.post(OTP, {"otp": "000000"}).status_code for _try in range(5)]
                looked_at += pages.count(400) + pages.count(302)

        assert looked_at <= 20

    def test_a_thief_of_the_password_gains_no_guesses_by_new_browsers(self, dana, clock):
        """SR-15: the first mode is enrolled by a mailed code, which is guessed at from browsers made for it."""
        sign_in(Client(), dana)
        for _browser in range(20):
            thief = Client(REMOTE_ADDR="203.0.113.9")
            give_credentials(thief, "dana")
            thief.post("/account/mfa/activate", {"type": "email", "identifier": "dana", "password": PASSWORD})
            for _try in range(5):
                thief.post("/account/mfa/activate/complete", {"otp": "000000"})

        assert SecurityEvent.objects.filter(kind="code_refused").count() == 10

    def test_a_recovery_code_is_looked_at_even_then(self, client, dana_with_app, clock):
        """SR-15."""
        made = recovery.make(dana_with_app)
        recovery.confirm(dana_with_app, made[0], Origin())
        self.use_up(dana_with_app, clock)

        give_credentials(client, "dana")

        assert client.post(OTP, {"otp": made[1]}).status_code == 302

    def test_recovery_codes_have_a_small_count_of_their_own(self, client, dana_with_app, clock):
        """SR-15: for each network, so a thief uses up nothing of the owner's."""
        made = recovery.make(dana_with_app)
        recovery.confirm(dana_with_app, made[0], Origin())
        thief = Client(REMOTE_ADDR="198.51.100.7")
        for _sign_in in range(2):
            give_credentials(thief, "dana")
            for _try in range(5):
                thief.post(OTP, {"otp": "2222-2222-2222"})
        give_credentials(thief, "dana")
        assert thief.post(OTP, {"otp": made[1]}).status_code == 429

        give_credentials(client, "dana")

        assert client.post(OTP, {"otp": made[2]}).status_code == 302

    def test_a_thief_uses_up_no_mails_of_a_known_browser(self, client, dana_with_email, clock):
        """SR-17, SR-57: of what an account gets in an hour a quarter is kept."""
        sign_in(client, dana_with_email)
        client.post("/account/logout")
        for thief in strangers(9):
            give_credentials(thief, "dana")
        sent = len([message for message in read_mail() if "one-time password" in message.subject])
        assert sent < 8

        give_credentials(client, "dana")

        assert client.post(OTP, {"otp": mailed_code()}).status_code == 302

    def test_one_network_has_half_of_the_mails(self, client, dana_with_email, clock):
        thief = Client(REMOTE_ADDR="198.51.100.7")
        for _sign_in in range(9):
            give_credentials(thief, "dana")
            read_mail()
        assert len([message for message in read_mail() if "one-time password" in message.subject]) == 4

        give_credentials(client, "dana")

        assert client.post(OTP, {"otp": mailed_code()}).status_code == 302

    def test_a_reset_gives_the_mails_back(self, client, dana_with_email, clock):
        """SR-57: an owner without a known browser, against a thief of many networks."""
        for thief in strangers(9):
            give_credentials(thief, "dana")
        client.post(RESET, {"identifier": "dana"})
        choose(client, mailed_code())

        give_credentials(client, "dana", NEW)

        assert client.post(OTP, {"otp": mailed_code()}).status_code == 302


class TestAnonymousRequests:
    """They write nothing that lives longer than what it is for."""

    def test_a_look_at_an_invitation_stores_nothing(self, client):
        for code in ("x" * 32, "-wrong", "no such code"):
            Client().get("/account/accept-invite", {"code": code})

        assert Session.objects.count() == 0

    @pytest.mark.parametrize(
        ("path", "fields", "lifetime"),
        [
            (RESET, {"identifier": "nobody"}, timedelta(hours=1)),
            (REGISTER, {"email": "a@example.com", "password": NEW, "password_confirm": NEW}, timedelta(hours=24)),
        ],
    )
    def test_a_session_without_a_user_ends_with_what_it_waits_for(self, client, clock, path, fields, lifetime):
        client.post(path, fields)

        assert Session.objects.get().expire_date == timezone.now() + lifetime

    def test_one_that_waits_for_a_code_has_no_session_and_a_cookie_that_ends_with_it(self, client, dana_with_app):
        give_credentials(client, "dana")

        assert not Session.objects.exists()
        (challenge,) = Challenge.objects.all()
        lifetime = challenge.expires_at - challenge.created_at
        assert client.cookies["sign-in"]["max-age"] == round(lifetime.total_seconds())
        assert client.cookies["sign-in"]["httponly"]

    def test_counts_of_names_that_nobody_has_are_forgotten_in_a_day(self, client, clock):
        from accounts import housekeeping

        client.post(RESET, {"identifier": "nobody"})
        assert Throttle.objects.exists()
        clock.shift(timedelta(days=1, minutes=1))

        housekeeping.forget_expired()

        assert not Throttle.objects.exists()
        assert not EmailVerification.objects.exists()
