"""A phone whose clock is off: followed a little, told about the rest, never let in by it."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from conftest import OTP, app_code, give_credentials, text_of
from mfa.models import Factor

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
