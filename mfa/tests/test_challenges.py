"""How long a challenge lives, and when its mails may be asked for: to the moment."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import Channel, KnownBrowser, Mail
from accounts.security_log import Origin
from mfa import assisted_reset, challenges, codes
from mfa.models import AssistedReset, Challenge, RememberedBrowser
from mfa.tasks import forget_expired

ORIGIN = Origin("192.0.2.1")
HOUR = timedelta(hours=1)
A_MOMENT = timedelta(microseconds=1)


@pytest.fixture
def clock():
    """Let the clock stand still, and move it by hand."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


def move_to(clock, moment) -> None:
    clock.move_to(moment, tick=False)


@pytest.fixture
def step_up(clock, dana_with_email):
    return challenges.begin(dana_with_email, Challenge.Purpose.STEP_UP, mode="email")


def test_a_challenge_is_open_until_it_expires_and_no_longer(clock, step_up):
    """SR-15."""
    move_to(clock, step_up.expires_at - A_MOMENT)
    assert challenges.find(step_up.pk, Challenge.Purpose.STEP_UP) == step_up

    move_to(clock, step_up.expires_at)
    assert challenges.find(step_up.pk, Challenge.Purpose.STEP_UP) is None


def test_an_open_challenge_is_never_deleted(clock, step_up):
    """SR-21: nor one that expired within the hour."""
    assert challenges.forget_expired() == 0

    move_to(clock, step_up.expires_at + HOUR)
    assert challenges.forget_expired() == 0
    assert Challenge.objects.get() == step_up

    move_to(clock, step_up.expires_at + HOUR + A_MOMENT)
    assert challenges.forget_expired() == 1
    assert not Challenge.objects.exists()


def test_nor_is_an_assisted_reset(clock, dana_with_app, sam):
    """SR-28."""
    reset = AssistedReset(user=dana_with_app, started_by=sam, expires_at=timezone.now())
    reset.secret = b"x" * 20
    reset.save()

    move_to(clock, reset.expires_at + HOUR)
    assert assisted_reset.forget_expired() == 0

    move_to(clock, reset.expires_at + HOUR + A_MOMENT)
    assert assisted_reset.forget_expired() == 1


def test_nor_a_remembered_browser(clock, dana_with_app):
    """SR-37."""
    browser = RememberedBrowser.objects.create(user=dana_with_app, digest="digest", expires_at=timezone.now())

    assert forget_expired() == 0

    move_to(clock, browser.expires_at + A_MOMENT)
    assert forget_expired() == 1
    assert not RememberedBrowser.objects.exists()


def test_the_worker_deletes_all_three_kinds_at_once(clock, dana_with_app, step_up):
    reset = AssistedReset(user=dana_with_app, expires_at=step_up.expires_at)
    reset.secret = b"x" * 20
    reset.save()
    RememberedBrowser.objects.create(user=dana_with_app, digest="digest", expires_at=step_up.expires_at)

    move_to(clock, step_up.expires_at + 2 * HOUR)

    assert forget_expired() == 3


def test_a_sign_in_belongs_to_its_channel(clock, dana_with_email):
    """SR-31."""
    challenge = challenges.begin_sign_in(dana_with_email, channel=Channel.BROWSER, origin=ORIGIN)

    assert challenges.find_sign_in(str(challenge.pk), channel=Channel.BROWSER) == challenge
    assert challenges.find_sign_in(str(challenge.pk), channel=Channel.CLI) is None


def test_another_lifetime_may_be_asked_for(clock, dana_with_email, settings):
    usual = challenges.begin(dana_with_email, Challenge.Purpose.STEP_UP, mode="email")
    longer = challenges.begin(dana_with_email, Challenge.Purpose.STEP_UP, mode="email", lifetime=timedelta(days=1))

    assert usual.expires_at == timezone.now() + settings.CHALLENGE_LIFETIME
    assert longer.expires_at == timezone.now() + timedelta(days=1)


def test_the_next_mail_may_be_asked_for_when_the_pause_is_over(clock, step_up, settings):
    """SR-17."""
    challenges.send_code(step_up, ORIGIN)
    pause_ends = timezone.now() + settings.OTP_MAIL_PAUSE

    move_to(clock, pause_ends - A_MOMENT)
    with pytest.raises(challenges.MailTooSoon) as refused:
        challenges.send_code(step_up, ORIGIN)
    assert refused.value.retry_at == pause_ends

    move_to(clock, pause_ends)
    challenges.send_code(step_up, ORIGIN)
    step_up.refresh_from_db()
    assert (step_up.mails, step_up.last_mail_at) == (2, pause_ends)


def test_a_challenge_has_so_many_mails_and_no_more(clock, step_up, settings):
    """SR-17."""
    settings.OTP_MAILS_PER_CHALLENGE = 2
    for _number in range(2):
        challenges.send_code(step_up, ORIGIN)
        clock.shift(settings.OTP_MAIL_PAUSE)

    with pytest.raises(challenges.TooManyMails):
        challenges.send_code(step_up, ORIGIN)


def test_its_mail_is_wanted_once_asked_for_and_while_it_is_open(clock, step_up):
    """SR-50."""
    assert not challenges.code_is_wanted(step_up)

    challenges.send_code(step_up, ORIGIN)
    step_up.refresh_from_db()
    assert challenges.code_is_wanted(step_up)

    move_to(clock, step_up.expires_at)
    assert not challenges.code_is_wanted(step_up)


@pytest.mark.parametrize("changed", [{"mode": "authenticator"}, {"ended_at": timezone.now()}])
def test_no_code_is_mailed_of_a_mode_that_mails_none_or_after_the_end(clock, step_up, changed):
    """SR-50."""
    Challenge.objects.filter(pk=step_up.pk).update(**changed)

    with pytest.raises(challenges.ChallengeOver):
        challenges.send_code(step_up, ORIGIN)
    assert not Mail.objects.exists()


def test_a_sign_in_at_the_command_line_makes_no_known_browser(clock, dana_with_email):
    """SR-5."""
    begun = challenges.begin_sign_in(dana_with_email, channel=Channel.CLI, origin=ORIGIN)

    answer = challenges.answer_sign_in(str(begun.pk), codes.mailed_code(begun.secret), ORIGIN, channel=Channel.CLI)

    assert answer.proof.mode == answer.finished.proof.mode == "email"
    assert not begun.by_key
    assert not KnownBrowser.objects.exists()
