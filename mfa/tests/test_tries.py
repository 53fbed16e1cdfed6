"""A wrong code says how many tries are left; the last one, that it was the last."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.identifiers import tag_of
from accounts.models import Channel, SecurityEvent, Throttle
from accounts.security_log import Kind, Origin
from mfa import challenges, code_failures, code_refusals
from mfa.models import Challenge
from mfa.tests.factories import add_mode
from mfa.tests.test_activation import COMPLETE, activate
from tests.codes import app_code, mailed_code
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, pending_sign_in_of, sign_in

pytestmark = pytest.mark.django_db

CONFIRM = "/account/confirm"
ENDED = "That was the fifth wrong code, so we ended this sign-in."
LAST = f"{ENDED} Sign in again to get a new code."
LAST_OF_APP = f"{ENDED} To try again, sign in again."


def a_wrong_code(right: str) -> str:
    return str((int(right) + 1) % 1_000_000).zfill(6)


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


def test_each_wrong_code_says_how_many_tries_are_left(client, dana_with_email):
    """SR-15."""
    give_credentials(client, "dana")
    wrong = a_wrong_code(mailed_code())

    pages = [text_of(client.post(OTP, {"otp": wrong}, follow=True)) for _try in range(5)]

    for page, left in zip(pages[:4], ("4 tries", "3 tries", "2 tries", "1 try"), strict=True):
        assert f"That code is wrong. You have {left} left." in page
    assert LAST in pages[4]
    assert "has expired or was ended" not in pages[4]


def test_after_the_fifth_code_of_an_app_the_other_ways_are_named(client, dana_with_app):
    """There is no new code to wait for."""
    give_credentials(client, "dana")

    page = [text_of(client.post(OTP, {"otp": "000000"}, follow=True)) for _try in range(5)][-1]

    assert f"{LAST_OF_APP} At the prompt you can also use another type or a recovery code, and get help." in page


def test_the_number_is_that_of_the_setting(client, dana_with_email, settings):
    settings.OTP_FAILURES_PER_CHALLENGE = 2
    give_credentials(client, "dana")
    wrong = a_wrong_code(mailed_code())

    first, second = (text_of(client.post(OTP, {"otp": wrong}, follow=True)) for _try in range(2))

    assert "You have 1 try left." in first
    assert LAST.replace("fifth", "second") in second


def test_a_try_that_was_not_looked_at_takes_none(client, dana_with_email):
    """SR-16."""
    give_credentials(client, "dana")
    wrong = a_wrong_code(mailed_code())
    client.post(OTP, {"otp": wrong})

    assert "left" not in text_of(client.post(OTP, {"otp": "12345"}))

    assert "You have 3 tries left." in text_of(client.post(OTP, {"otp": wrong}))


def test_the_reason_of_a_refused_code_stays_beside_the_number(client, dana_with_app, clock):
    give_credentials(client, "dana")

    page = text_of(client.post(OTP, {"otp": app_code(dana_with_app, step=-10)}))

    assert "your phone's clock is about 5 min behind: set it to automatic time. You have 4 tries left." in page


def test_the_last_try_tells_of_the_clock_too(client, dana_with_app, clock, settings):
    settings.OTP_FAILURES_PER_CHALLENGE = 1
    give_credentials(client, "dana")

    page = text_of(client.post(OTP, {"otp": app_code(dana_with_app, step=-10)}, follow=True))

    assert "about 5 min behind" in page
    assert LAST_OF_APP.replace("fifth", "first") in page


def fails(client, times, otp="000000"):
    give_credentials(client, "dana")
    return [text_of(client.post(OTP, {"otp": otp}, follow=True)) for _try in range(times)]


def test_the_limit_of_the_account_is_told_where_it_is_nearer(client, dana_with_app, clock):
    """SR-15: three wrong codes before, then five, then two more: no promise of a try that is not looked at."""
    fails(client, 3)
    assert "You have 2 tries left." in fails(client, 3)[-1]
    fails(client, 2)

    first, second = fails(client, 2)

    assert "That code is wrong. You have 1 try left." in first
    blocked = "That code is wrong. For your safety, we accept no codes for a while. Try again in 15 minutes."
    blocked += " A recovery code still works."
    assert blocked in second
    assert "left" not in second
    answer = client.post(OTP, {"otp": app_code(dana_with_app)})
    assert answer.status_code == 429
    assert "Too many wrong codes. Try again in 15 minutes. A recovery code still works." in text_of(answer)


def test_the_next_prompt_says_at_once_that_no_code_is_accepted(client, dana_with_email, clock):
    """SR-15: before one is typed, and without a button that mails one. Recovery codes have their own count."""
    fails(client, 5)
    fails(client, 5)

    give_credentials(client, "dana")
    page = client.get(OTP)
    assert "Too many wrong codes. Try again in 15 minutes. A recovery code still works." in text_of(page)
    for misleading in ("Send the code again", "to enter a code, until", "In our email"):
        assert misleading not in text_of(page)
    assert "Too many wrong codes" not in text_of(client.get(f"{OTP}?recovery"))

    clock.shift(timedelta(minutes=15, seconds=1))
    give_credentials(client, "dana")
    page = text_of(client.get(OTP))
    assert "Too many wrong codes" not in page
    assert "Send the code again" in page


def test_who_only_tries_a_mode_is_offered_no_recovery_code(client, dana_with_app, clock):
    """It would be spent for nothing."""
    sign_in(client, dana_with_app)
    for _prompt in range(2):
        tried = client.post("/account/mfa/authenticator/try").url
        for _try in range(5):
            client.post(tried, {"otp": "000000"})

    page = text_of(client.get(client.post("/account/mfa/authenticator/try").url))

    assert "Too many wrong codes. Try again in 15 minutes." in page
    assert "Use a recovery code" not in page


def test_where_recovery_codes_are_refused_too_nothing_else_is_said(client, dana_with_app, clock):
    """SR-15: ten wrong recovery codes close those."""
    page = [*fails(client, 5, "AAAA-AAAA-AAAA"), *fails(client, 5, "AAAA-AAAA-AAAA")][-1]
    assert "we accept no codes for a while. Try again in 60 minutes." in page
    assert "still works" not in page

    assert "still works" not in fails(client, 1, "AAAA-AAAA-AAAA")[0]


def test_the_log_tells_when_codes_were_closed_and_once(client, dana_with_app, clock):
    """SR-53."""
    fails(client, 5)
    fails(client, 4)
    assert not SecurityEvent.objects.filter(kind=Kind.CODES_REFUSED).exists()

    fails(client, 3)

    assert SecurityEvent.objects.filter(user=dana_with_app, kind=Kind.CODES_REFUSED).count() == 1


def test_the_last_try_does_not_send_on_to_a_sign_in_that_is_closed(client, dana_with_app, clock):
    fails(client, 5)

    page = fails(client, 5)[-1]

    assert "That was the fifth wrong code, so we ended this sign-in. For your safety, we accept no codes" in page
    assert "Sign in again to get a new code" not in page


def test_wrong_codes_of_long_ago_are_not_told(client, dana_with_app, clock):
    fails(client, 5)
    fails(client, 4)
    clock.shift(timedelta(minutes=16))

    assert "You have 4 tries left." in fails(client, 1)[-1]


def test_the_nearest_limit_may_be_that_of_codes_in_a_row(client, dana_with_app, clock):
    Throttle.objects.create(digest=code_failures.slot_of(dana_with_app, "").digest, in_a_row=97)

    assert "You have 2 tries left." in fails(client, 1)[-1]


def test_a_code_that_a_newer_one_has_overtaken_is_not_called_used(client, dana_with_app, clock):
    """SR-11."""
    sign_in(client, dana_with_app)
    client.post("/account/logout")
    give_credentials(client, "dana")

    older = text_of(client.post(OTP, {"otp": app_code(dana_with_app, step=-1)}))
    same = text_of(client.post(OTP, {"otp": app_code(dana_with_app)}))

    assert "A newer code was accepted after that one." in older
    assert "already used" not in older
    assert "That code was already used." in same
    assert not is_signed_in(client)


EARLIER = "That code is from an earlier email and no longer works. Enter the code from the email with the tag"


def test_the_code_of_a_cancelled_sign_in_is_told_from_a_wrong_one(client, dana_with_email):
    """SR-14: it is refused and counted as any other."""
    give_credentials(client, "dana")
    earlier = mailed_code()
    client.post(f"{OTP}/cancel")
    give_credentials(client, "dana")

    page = text_of(client.post(OTP, {"otp": earlier}))

    assert f"{EARLIER} {tag_of(pending_sign_in_of(client).pk)}. You have 4 tries left." in page
    assert not is_signed_in(client)
    assert client.post(OTP, {"otp": mailed_code()}).url == "/account"


def test_signing_in_again_in_a_browser_ends_what_was_pending_there(client, another_browser, dana_with_email):
    """SR-14: and only there; a prompt in another browser goes on, and its code is just wrong here."""
    other = another_browser()
    give_credentials(other, "dana")
    of_other = mailed_code()
    give_credentials(client, "dana")
    earlier = mailed_code()
    give_credentials(client, "dana")

    assert EARLIER in text_of(client.post(OTP, {"otp": earlier}))
    assert "That code is wrong. You have 3 tries left." in text_of(client.post(OTP, {"otp": of_other}))
    assert other.post(OTP, {"otp": of_other}).url == "/account"


def test_the_pending_sign_in_of_another_person_goes_on(client, dana_with_email, sam):
    """SR-54: its user is told of it, if no code follows."""
    add_mode(sam, "email")
    give_credentials(client, "sam")

    give_credentials(client, "dana")

    assert Challenge.objects.get(user=sam).ended_at is None


def test_the_code_of_an_earlier_sign_in_ends_the_prompt_with_the_reason(client, dana_with_email, settings):
    settings.OTP_FAILURES_PER_CHALLENGE = 1
    give_credentials(client, "dana")
    earlier = mailed_code()
    give_credentials(client, "dana")

    page = text_of(client.post(OTP, {"otp": earlier}, follow=True))

    assert EARLIER in page
    assert LAST.replace("fifth", "first") in page


def test_an_earlier_code_of_another_mode_or_person_is_just_wrong(client, dana_with_email, sam):
    """SR-3: what was mailed to another person is not told."""
    add_mode(sam, "email")
    give_credentials(client, "sam")
    of_sam = mailed_code()
    client.post(f"{OTP}/cancel")
    add_mode(dana_with_email, "authenticator")
    give_credentials(client, "dana")
    of_dana = mailed_code()
    give_credentials(client, "dana")

    assert EARLIER not in text_of(client.post(OTP, {"otp": of_sam}))
    client.post(f"{OTP}/switch", {"mode": "authenticator"})
    assert EARLIER not in text_of(client.post(OTP, {"otp": of_dana}))


def test_a_step_up_counts_too_and_says_where_it_ended(client, dana_with_email, clock):
    sign_in(client, dana_with_email)
    clock.shift(timedelta(minutes=11))
    client.post(f"{CONFIRM}/send", {"next": "/account/view"})
    wrong = a_wrong_code(mailed_code())

    pages = [text_of(client.post(CONFIRM, {"otp": wrong, "next": "/account/view"})) for _try in range(5)]

    assert "That code is wrong. You have 4 tries left." in pages[0]
    assert "That was the fifth wrong code, so we ended this prompt. Confirm with a new code." in pages[4]
    assert "Send code" in pages[4]


def test_an_enrolment_counts_too_and_says_where_it_ended(client, dana):
    activate(client, "email")
    wrong = a_wrong_code(mailed_code())

    pages = [text_of(client.post(COMPLETE, {"otp": wrong}, follow=True)) for _try in range(5)]

    assert "That code is wrong. You have 4 tries left." in pages[0]
    assert "That was the fifth wrong code, so we ended this activation. Start again to get a new code." in pages[4]


def test_the_command_line_is_told_of_no_tries(dana_with_email):
    """It has one: the next command begins anew."""
    challenge = challenges.begin_sign_in(dana_with_email, channel=Channel.CLI, origin=Origin())

    with pytest.raises(code_refusals.WrongCode) as refused:
        challenges.answer(challenge, "000000", Origin())

    assert refused.value.text == "That code is wrong. Check it and try again."


@pytest.mark.parametrize("address", [f"{OTP}?recovery", f"{CONFIRM}?recovery&next=/account/view"])
def test_the_prompt_for_a_recovery_code_names_no_mode(client, dana_with_email, address):
    if address.startswith(OTP):
        give_credentials(client, "dana")
    else:
        sign_in(client, dana_with_email)

    page = text_of(client.get(address))

    assert "Recovery code" in page
    assert "Use a one-time password" in page
    assert "authentication type" not in page
