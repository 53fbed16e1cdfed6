"""A phone whose clock is off: followed a little, told about the rest, never let in by it."""

from datetime import timedelta

import pyotp
import pytest
import time_machine
from django.utils import timezone

from mfa import codes
from mfa.models import Factor
from tests.codes import app_code
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as moved:
        yield moved


def bring(client, user, step):
    """Sign in with what a phone shows whose clock is ``step`` half minutes ahead."""
    give_credentials(client, "dana")
    answer = client.post(OTP, {"otp": app_code(user, step=step)})
    client.post("/account/logout")
    return answer


def test_a_drift_is_learned_step_by_step(client, dana_with_app, clock):
    """SR-13: one step either side of the learned drift, which is two at most."""
    for step, works in ((2, False), (1, True), (2, True), (3, True), (4, False), (3, True)):
        clock.shift(timedelta(minutes=20))
        assert (bring(client, dana_with_app, step).status_code == 302) is works, step

    assert Factor.objects.get().drift == 2


def test_a_drift_is_unlearned(client, dana_with_app, clock):
    """SR-13."""
    for step in (1, 2, 1, 0, -1, -2):
        clock.shift(timedelta(minutes=20))
        assert bring(client, dana_with_app, step).status_code == 302, step

    assert Factor.objects.get().drift == -2


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (-10, "your phone's clock is about 5 min behind"),
        (10, "Your phone's clock is about 5 min ahead"),
        (-2, "is about 1 min behind"),
        (21, "That code is wrong."),
        (-21, "That code is wrong."),
    ],
)
def test_a_clock_further_off_is_told_and_not_followed(client, dana_with_app, clock, step, words):
    page = bring(client, dana_with_app, step)

    assert page.status_code == 400
    assert words in text_of(page)
    assert Factor.objects.get().drift == 0


def test_what_was_told_to_be_right_in_five_minutes_is_not_right_then(client, dana_with_app, clock):
    """Else each guess would be good for forty codes instead of three."""
    code = app_code(dana_with_app, step=10)
    give_credentials(client, "dana")
    client.post(OTP, {"otp": code})

    clock.shift(timedelta(minutes=5))
    give_credentials(client, "dana")
    page = client.post(OTP, {"otp": code})

    assert page.status_code == 400
    assert "That code was already used" in text_of(page)
    assert client.post(OTP, {"otp": app_code(dana_with_app, step=1)}).status_code == 302


def test_an_enrolment_tells_too(client, dana, clock):
    import pyotp

    from mfa import codes
    from mfa.models import Challenge
    from mfa.tests.test_activation import COMPLETE, activate

    activate(client, "authenticator")
    secret = codes.base32(Challenge.objects.get().secret)

    page = client.post(COMPLETE, {"otp": pyotp.HOTP(secret).at(codes.step_at(timezone.now()) + 8)})

    assert "Your phone's clock is about 4 min ahead" in text_of(page)
    assert not Factor.objects.exists()


def test_setting_the_clock_right_locks_nobody_out(client, dana_with_app, clock):
    """SR-13: the phone was one step fast, then two; its owner does what our message advises."""
    for step in (1, 2):
        clock.shift(timedelta(minutes=20))
        assert bring(client, dana_with_app, step).status_code == 302
    assert Factor.objects.get().drift == 2

    clock.shift(timedelta(minutes=20))

    assert bring(client, dana_with_app, 0).status_code == 302


@pytest.mark.parametrize("drift", [-2, -1, 0, 1, 2])
def test_at_most_five_codes_are_right_at_once(dana_with_app, drift):
    """SR-13."""
    secret, now = Factor.objects.get().secret, timezone.now()
    current = codes.step_at(now)

    accepted = [
        step
        for step in range(-25, 26)
        if codes.matching_step(secret, otp_of(secret, current + step), now=now, after=0, drift=drift) is not None
    ]

    assert set(accepted) == {-1, 0, 1} | {drift - 1, drift, drift + 1}
    assert len(accepted) <= 5


def otp_of(secret: bytes, step: int) -> str:
    return pyotp.HOTP(codes.base32(secret)).at(step)


def test_every_future_code_that_was_told_is_burnt(client, dana_with_app, clock):
    """SR-11: telling a second one frees the first no more."""
    for step in (8, 10, 12):
        bring(client, dana_with_app, step)
    begun = codes.step_at(timezone.now())

    for step in (8, 10, 12):
        clock.shift(timedelta(seconds=30 * (begun + step - codes.step_at(timezone.now()))))
        assert bring(client, dana_with_app, 0).status_code == 400, step

    clock.shift(timedelta(minutes=20))
    assert bring(client, dana_with_app, 0).status_code == 302
    assert len(Factor.objects.get().refused_steps) == 3
