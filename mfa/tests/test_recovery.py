"""Recovery codes: made, saved, used, and never shown again (SR-26)."""

import re

import pytest

from accounts.models import SecurityEvent
from mfa import recovery
from mfa.models import Challenge, RecoveryCodes
from mfa.tests.factories import add_mode
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/mfa/recovery-codes"
CONFIRM = f"{PAGE}/confirm"
CODE = r"<code>((?:[2-9A-Z]{4}-){2}[2-9A-Z]{4})</code>"


def make(client) -> list[str]:
    return re.findall(CODE, client.post(PAGE).content.decode())


@pytest.fixture
def codes(client, dana_with_app):
    """Those that dana has saved."""
    sign_in(client, dana_with_app)
    made = make(client)
    client.post(CONFIRM, {"code": made[0]})
    client.post("/account/logout")
    return made


def test_ten_are_made_and_count_when_one_was_typed_back(client, dana_with_app):
    """SR-26."""
    sign_in(client, dana_with_app)

    made = make(client)
    assert len(set(made)) == 10
    assert recovery.left(dana_with_app) == 0
    page = client.post(CONFIRM, {"code": made[3].lower().replace("-", " ")}, follow=True)

    assert "Your recovery codes are ready." in text_of(page)
    assert "10 left" in text_of(page)
    assert recovery.left(dana_with_app) == 10


def test_a_wrong_one_typed_back_leaves_the_earlier_codes_good(client, dana_with_app, codes):
    sign_in_with(client, codes[0])

    make(client)
    page = client.post(CONFIRM, {"code": "2222-2222-2222"})
    assert page.status_code == 400
    assert "That is not one of the codes that we showed you last." in text_of(page)
    client.post("/account/logout")

    assert sign_in_with(client, codes[1]).status_code == 302


def test_codes_that_were_not_typed_back_are_told_of_and_can_still_be(client, dana_with_app, codes):
    """SR-26: at the prompt, on the dashboard and in the settings."""
    sign_in_with(client, codes[0])
    new = make(client)
    client.post("/account/logout")

    assert "That recovery code does not work yet" in text_of(sign_in_with(client, new[0]))
    assert not is_signed_in(client)
    client.post(OTP, {"otp": codes[1]})
    for page in ("/account", "/account/view"):
        assert "Type a code back" in text_of(client.get(page))
    assert "Type one of the codes that we showed you last." in text_of(client.get(CONFIRM))
    client.post(CONFIRM, {"code": new[0]})

    assert "Type a code back" not in text_of(client.get("/account/view"))
    assert client.get(CONFIRM).url == PAGE


def sign_in_with(client, code):
    give_credentials(client, "dana")
    return client.post(OTP, {"otp": code})


def test_a_code_signs_in_once_in_the_same_field(client, dana_with_app, codes):
    """SR-26."""
    answer = sign_in_with(client, codes[5].lower())
    page = client.get(answer.url)

    assert "You used a recovery code. 9 codes are left." in text_of(page)
    assert is_signed_in(client)
    client.post("/account/logout")
    again = sign_in_with(client, codes[5])
    assert again.status_code == 400
    assert "That recovery code no longer works: it was used" in text_of(again)
    assert "You have 4 tries left." in text_of(again)


def test_the_prompt_offers_it(client, dana_with_app, codes):
    give_credentials(client, "dana")

    assert "Use a recovery code" in text_of(client.get(OTP))
    page = client.get(f"{OTP}?recovery")

    assert "Recovery code" in text_of(page)
    assert 'inputmode="text"' in page.content.decode()
    malformed = text_of(client.post(f"{OTP}?recovery", {"otp": "12"}))
    assert "Enter a recovery code as it was shown to you." in malformed
    assert "Enter the six digits of the code." in text_of(client.post(OTP, {"otp": "12"}))
    assert client.post(f"{OTP}?recovery", {"otp": codes[0]}).status_code == 302


def test_it_works_when_the_mode_is_email_too(client, dana):
    add_mode(dana, "email")
    sign_in(client, dana)
    made = make(client)
    client.post(CONFIRM, {"code": made[0]})
    client.post("/account/logout")

    assert sign_in_with(client, made[1]).status_code == 302
    assert "verified by recovery code" in text_of(client.get("/account/sessions"))


def test_it_proves_a_step_up(client, dana_with_app, codes):
    """SR-22: an existing factor or a recovery code."""
    from datetime import timedelta

    import time_machine
    from django.utils import timezone

    sign_in_with(client, codes[0])
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        asked = client.get("/account/mfa/authenticator/disable")
        assert asked.url.startswith("/account/confirm?next=")
        client.post(asked.url, {"otp": codes[1], "next": "/account/view"})

        assert client.get("/account/mfa/authenticator/disable").status_code == 200


def test_it_signs_in_at_the_command_line(client, dana_with_app, codes):
    body = {"identifier": "dana", "password": "a quiet harbour at dawn"}
    begun = client.post("/auth/signin", body, "application/json").json()

    answer = client.post(f"/auth/signin/mfa/{begun['mfaID']}", {"otp": codes[0]}, "application/json")

    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['sessionToken']}"}
    assert client.get("/auth/verify", headers=headers).status_code == 200


def test_one_that_is_over_is_a_wrong_code_at_the_command_line(client, dana_with_app, codes):
    """As every refused code: the client knows no other number."""
    body = {"identifier": "dana", "password": "a quiet harbour at dawn"}
    for status in (200, 401):
        begun = client.post("/auth/signin", body, "application/json").json()
        answer = client.post(f"/auth/signin/mfa/{begun['mfaID']}", {"otp": codes[0]}, "application/json")
        assert answer.status_code == status

    assert answer.json()["code"] == 4012
    assert "That recovery code no longer works" in str(answer.json())


def test_it_completes_no_activation(client, dana_with_app, codes):
    """SR-21: only a code of the new mode does."""
    from mfa.tests.test_activation import COMPLETE, activate

    sign_in_with(client, codes[0])
    activate(client, "email")

    assert client.post(COMPLETE, {"otp": codes[1]}).status_code == 400


def test_guesses_are_counted_like_wrong_codes(client, dana_with_app, codes):
    """SR-15."""
    give_credentials(client, "dana")
    for _try in range(4):
        assert client.post(OTP, {"otp": "2222-2222-2222"}).status_code == 400
    assert Challenge.objects.filter(failures=4).exists()

    client.post(OTP, {"otp": "2222-2222-2222"})

    assert client.post(OTP, {"otp": codes[0]}).url == "/account/login"


def test_i_am_told_when_one_was_used_and_when_few_are_left(client, another_browser, dana_with_app, codes):
    """SR-54."""
    for number in range(7):
        sign_in_with(another_browser(), codes[number])

    subjects = [message.subject for message in read_mail()]

    assert sum("Recovery code used" in subject for subject in subjects) == 7
    assert sum("Few recovery codes left" in subject for subject in subjects) == 1


def test_codes_are_stored_as_marks_and_never_shown_again(client, dana_with_app, codes):
    """SR-18, SR-19, SR-26."""
    row = RecoveryCodes.objects.get()
    stored = f"{row.unused}{row.waiting}{row.sealed_secret}"
    sign_in_with(client, codes[0])

    page = client.get(PAGE)

    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]
    assert "You have 9 recovery codes left." in text_of(page)
    assert not [code for code in codes if code in page.content.decode()]
    assert "no-store" in client.post(PAGE).headers["Cache-Control"]


def test_new_codes_replace_all_earlier_ones(client, dana_with_app, codes):
    """SR-26."""
    sign_in_with(client, codes[0])
    fresh = make(client)
    client.post(CONFIRM, {"code": fresh[0]})
    client.post("/account/logout")

    for code in (codes[0], codes[1]):
        assert "or you have made new ones since" in text_of(sign_in_with(client, code))
    assert sign_in_with(client, fresh[1]).status_code == 302
    assert SecurityEvent.objects.filter(kind="recovery_codes_made").count() == 2


def test_they_go_with_the_last_mode(client, dana_with_app, codes):
    sign_in_with(client, codes[0])

    client.post("/account/mfa/authenticator/disable")

    assert not RecoveryCodes.objects.exists()


def test_making_them_needs_a_fresh_proof_and_mfa(client, another_browser, dana, sam):
    """SR-22."""
    sign_in(client, sam)
    page = client.post(PAGE, follow=True)
    assert "Enable multi-factor authentication first" in text_of(page)

    add_mode(dana, "email")
    other = another_browser()
    give_credentials(other, "dana")
    assert other.post(PAGE).url.startswith("/account/login")
    other.post(OTP, {"otp": mailed_code()})
    assert other.post(PAGE).status_code == 200


@pytest.mark.parametrize("typed", ["", "ABCD", "2222-2222-222O", "1" * 12, "🙂" * 12, "2222-2222-2222-2222"])
def test_what_can_be_neither_is_not_counted(client, dana_with_app, codes, typed):
    give_credentials(client, "dana")

    assert client.post(OTP, {"otp": typed}).status_code == 400

    assert not Challenge.objects.filter(failures__gt=0).exists()


def test_the_app_goes_on_working(client, dana_with_app, codes):
    sign_in_with(client, codes[0])
    client.post("/account/logout")

    assert sign_in_with(client, app_code(dana_with_app, step=1)).status_code == 302


def test_the_mail_says_how_many_are_left_and_what_to_do_if_it_was_not_me(another_browser, dana_with_app, codes):
    """SR-54: and none says that there is nothing to do."""
    for code in codes[:8]:
        sign_in_with(another_browser(), code)

    mails = {message.subject: message for message in read_mail()}

    for subject in ("Datica: Recovery code used", "Datica: Few recovery codes left: create new ones"):
        for body in (mails[subject].body, mails[subject].alternatives[0][0]):
            assert "You have 2 recovery codes left." in body
            assert "http://testserver/account/mfa/recovery-codes" in body
            assert "someone else has your codes. Choose a new password at" in body
            assert "there is nothing to do" not in body
