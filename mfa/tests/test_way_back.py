"""What a loss would mean, how the factors are doing, and trying one without signing out."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from accounts.security_log import Origin
from mfa import recovery, way_back
from mfa.models import Factor
from mfa.tests.factories import add_mode
from mfa.way_back import FactorHealth, Health
from tests.codes import app_code, mailed_code
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

SETTINGS = "/account/view?mfa=open"
FATAL = "you cannot sign in until an administrator has reset your modes."


def sentences(*modes: str, codes: int = 0, mail_arrives: bool = True, passkeys: int = 1, synced: int = 0) -> dict:
    """Return the ways that are left, by what is lost."""
    factors = {mode: FactorHealth(mode, None) for mode in modes}
    if "passkey" in factors:
        factors["passkey"] = FactorHealth("passkey", None, kept=passkeys, synced=synced)
    losses = Health(factors, codes, recovery_codes_wait=False, mail_arrives=mail_arrives).losses
    return {tuple(map(str, loss.things)): list(map(str, loss.ways)) for loss in losses}


PHONE, MAILBOX, DEVICE = "your phone", "your mailbox", "the device with your passkey"


def test_the_only_mode_is_the_only_way():
    assert sentences("authenticator") == {(PHONE,): []}
    assert sentences("email", codes=3) == {(MAILBOX,): ["a recovery code"]}


def test_two_modes_stand_in_for_each_other_until_both_are_lost():
    assert sentences("authenticator", "email") == {
        (PHONE,): ["a code by email"],
        (MAILBOX,): ["a code of your authenticator app"],
        (PHONE, MAILBOX): [],
    }


def test_a_mailbox_that_mail_does_not_reach_is_no_way():
    assert sentences("authenticator", "email", mail_arrives=False)[(PHONE,)] == []


@pytest.mark.parametrize(("passkeys", "synced", "ways"), [(1, 0, []), (1, 1, 1), (2, 0, 1)])
def test_a_synced_or_second_passkey_survives_its_device(passkeys, synced, ways):
    left = sentences("passkey", passkeys=passkeys, synced=synced)[(DEVICE,)]

    assert left == (["another of your passkeys"] if ways else [])


def test_three_modes_are_lost_two_at_a_time():
    found = sentences("authenticator", "email", "passkey")

    assert len(found) == 6
    assert found[(PHONE, DEVICE)] == ["a code by email"]


def test_the_settings_say_what_a_loss_means_and_what_mends_it(client, dana):
    add_mode(dana, "authenticator")
    sign_in(client, dana)
    page = client.get(SETTINGS)
    assert f"If you lose your phone, {FATAL}" in text_of(page)
    assert '<a class="button action" href="/account/mfa/recovery-codes">' in page.content.decode()

    codes = recovery.make(User.objects.get(pk=dana.pk))
    recovery.confirm(User.objects.get(pk=dana.pk), codes[0], Origin())

    page = text_of(client.get(SETTINGS))
    assert "Recovery codes 10 left New codes replace all earlier ones. Make new recovery codes" in page
    assert "If you lose your phone, you sign in with a recovery code." in page
    assert FATAL not in page


def test_the_settings_say_how_each_factor_is_doing(client, dana):
    add_mode(dana, "authenticator")
    Factor.objects.update(drift=-1)
    sign_in(client, dana)
    Factor.objects.update(drift=-1)

    page = text_of(client.get(SETTINGS))

    assert "last worked" in page
    assert "your phone's clock is 30 s behind" in page


def test_health_is_one_query_and_none_without_mfa(dana, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert way_back.health_of(dana).losses == []
    for mode in ("authenticator", "email"):
        add_mode(dana, mode)
    recovery.make(User.objects.get(pk=dana.pk))
    dana = User.objects.get(pk=dana.pk)
    with django_assert_num_queries(1):
        assert len(way_back.health_of(dana).losses) == 3


def test_i_try_a_mode_without_signing_out(client, dana):
    """The code is spent as at a sign-in, and the settings say when it was proven."""
    add_mode(dana, "authenticator")
    add_mode(dana, "email")
    sign_in(client, dana)
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        page = client.post("/account/mfa/authenticator/try", follow=True)
        assert "Multi-factor authentication type: authenticator" in text_of(page)
        address = f"{page.request['PATH_INFO']}?{page.request['QUERY_STRING']}"

        wrong = client.post(address, {"otp": "000000"})
        right = client.post(address, {"otp": app_code(dana)}, follow=True)

    assert "That code is wrong." in text_of(wrong)
    assert "It works. This is how you will sign in." in text_of(right)
    assert right.request["PATH_INFO"] == "/account/view"


def test_i_try_whether_mail_arrives(client, dana):
    """The code is mailed at once."""
    add_mode(dana, "authenticator")
    add_mode(dana, "email")
    sign_in(client, dana)

    page = client.post("/account/mfa/email/try", follow=True)
    address = f"{page.request['PATH_INFO']}?{page.request['QUERY_STRING']}"

    assert "It works." in text_of(client.post(address, {"otp": mailed_code()}, follow=True))


def test_a_mode_that_is_not_enabled_cannot_be_tried(client, dana):
    add_mode(dana, "authenticator")
    sign_in(client, dana)

    page = client.post("/account/mfa/email/try", follow=True)

    assert "This mode is not enabled for your account." in text_of(page)
