"""Whatever is done in whatever order: a preferred mode is enabled, and nobody is in who did not prove it."""

from datetime import timedelta

import pyotp
import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Mode, User
from accounts.tests.factories import PASSWORD, UserFactory
from conftest import OTP, app_code, give_credentials
from mfa import codes
from mfa.models import Challenge, Factor

pytestmark = pytest.mark.django_db

MODES = st.sampled_from(Mode.values)
COMPLETE = "/account/mfa/activate/complete"


class Walker:
    """A person with a browser, who also knows what the mails say and what the phone shows."""

    def __init__(self, user: User) -> None:
        self.user, self.client = user, Client()
        self.proved_password = self.proved_code = False

    def _open(self, purpose: str) -> Challenge | None:
        return Challenge.objects.filter(user=self.user, purpose=purpose, ended_at=None).order_by("-created_at").first()

    def give_password(self, _mode: str) -> None:
        give_credentials(self.client, self.user.email)
        self.user.refresh_from_db()
        self.proved_password, self.proved_code = True, False

    def give_wrong_password(self, _mode: str) -> None:
        give_credentials(self.client, self.user.email, "wrong")

    def answer(self, _mode: str) -> None:
        challenge = self._open("sign_in")
        if challenge and Factor.objects.filter(user=self.user, mode=challenge.mode).exists():
            mailed = codes.mailed_code(challenge.secret)
            otp = mailed if challenge.mode == Mode.EMAIL else app_code(self.user)
            if self.client.post(OTP, {"otp": otp}).status_code == 302:
                self.proved_code = True

    def answer_wrongly(self, _mode: str) -> None:
        self.client.post(OTP, {"otp": "000000"})

    def switch(self, mode: str) -> None:
        self.client.post(f"{OTP}/switch", {"mode": mode})

    def begin_activation(self, mode: str) -> None:
        self.client.post("/account/mfa/activate", {"type": mode, "identifier": self.user.email, "password": PASSWORD})
        self.proved_password = True  # where MFA is on, the page leads to the prompt of a sign-in

    def complete_activation(self, _mode: str) -> None:
        challenge = self._open("enrolment")
        if challenge:
            code = codes.mailed_code(challenge.secret)
            if challenge.mode == Mode.AUTHENTICATOR:
                code = pyotp.TOTP(codes.base32(challenge.secret)).at(timezone.now())
            self.client.post(COMPLETE, {"otp": code, "set_as_preferred": ""})

    def disable(self, mode: str) -> None:
        self.client.post(f"/account/mfa/{mode}/disable")

    def prefer(self, mode: str) -> None:
        self.client.post(f"/account/mfa/{mode}/prefer")

    def sign_out(self, _mode: str) -> None:
        self.client.post("/account/logout")
        self.proved_password = self.proved_code = False


ACTIONS = st.sampled_from([name for name in vars(Walker) if not name.startswith("_")])


def check(walkers: list[Walker]) -> None:
    for walker in walkers:
        user = User.objects.get(pk=walker.user.pk)
        enabled = set(Factor.objects.filter(user=user).values_list("mode", flat=True))
        assert (user.preferred_mode in enabled) if enabled else (user.preferred_mode == "")  # SR-24
        page = walker.client.get("/account/view")
        if page.status_code == 200:
            assert page.context["user"].pk == user.pk
            assert walker.proved_password  # SR-30
        if page.status_code == 200 and enabled:
            assert page.context["user"].is_verified()  # SR-33


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0, 1]), ACTIONS, MODES, st.sampled_from([0, 1, 31, 700])), min_size=5, max_size=25
    )
)
def test_no_order_of_steps_breaks_the_rules(steps):
    """SR-24, SR-30, SR-33."""
    User.objects.all().delete()
    walkers = [Walker(UserFactory()), Walker(UserFactory())]
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for who, action, mode, seconds in steps:
            clock.shift(timedelta(seconds=seconds))
            getattr(walkers[who], action)(mode)
            check(walkers)


@settings(max_examples=200, deadline=None)
@given(secret=st.binary(min_size=20, max_size=20), seconds=st.integers(30 * 100, 2**36), offset=st.integers(-30, 30))
def test_a_code_matches_just_its_own_step_and_the_neighbours(secret, seconds, offset):
    """SR-13, against pyotp as a second opinion."""
    now = timezone.datetime.fromtimestamp(seconds, tz=timezone.get_default_timezone())
    step = codes.step_at(now) + offset
    otp = pyotp.HOTP(codes.base32(secret)).at(step)

    found = codes.matching_step(secret, otp, now=now, after=0)

    if abs(offset) <= 1:
        assert found is not None
    elif found is not None:  # the same six digits by chance
        assert pyotp.HOTP(codes.base32(secret)).at(found) == otp
    assert codes.matching_step(secret, otp, now=now, after=codes.step_at(now) + 1) is None
