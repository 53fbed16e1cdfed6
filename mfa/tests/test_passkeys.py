"""Passkeys, as their owner meets them: adding, signing in after the password and without it, naming, removing."""

import html
import json
import re

import pytest
import time_machine
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import SecurityEvent, Session
from accounts.tests.factories import PASSWORD, UserFactory
from datica_account import checks
from datica_account.settings import origin_of
from mfa import passkeys
from mfa.models import Challenge, Factor, Passkey
from mfa.tests.factories import add_mode, add_passkey
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.passkeys import AlreadyRegistered, SoftwareAuthenticator, unbase64url
from tests.signing_in import LOGIN, OTP, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

BY_PASSKEY = "/account/login/passkey"
ACTIVATE = "/account/mfa/activate"
COMPLETE = "/account/mfa/activate/complete"
OWN = "/account/mfa/passkeys"
FIREFOX = {"HTTP_USER_AGENT": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@pytest.fixture(name="stick")
def her_security_key():
    return SoftwareAuthenticator(
        settings.RP_ORIGINS[0], settings.RP_ID, counter_step=1, backup_eligible=False, backed_up=False,
        transports=("usb",),
    )  # fmt: skip


@pytest.fixture(name="passkey")
def her_passkey(dana, phone):
    return add_passkey(dana, phone)


def options_on(page) -> dict:
    """Return the options of the ceremony that a page asks for."""
    return json.loads(html.unescape(re.search(r'data-options="([^"]*)"', page.content.decode())[1]))


def signed(page, authenticator, **altered) -> str:
    """Return what a browser posts when its user unlocks a passkey on a page."""
    return json.dumps(authenticator.sign(options_on(page), **altered))


def uses_passkey(client, authenticator, page=LOGIN, to=BY_PASSKEY, key=None, **altered):
    return client.post(to, {"otp": signed(client.get(page), authenticator, key=key, **altered)})


def activate(client, authenticator, **altered):
    response = client.post(ACTIVATE, {"type": "passkey", "identifier": "dana", "password": PASSWORD})
    if response.url == "/account/mfa/activate/confirm-email":
        client.post(response.url, {"code": mailed_code()})
    made = authenticator.register(options_on(client.get(COMPLETE)), **altered)
    return client.post(COMPLETE, {"otp": json.dumps(made), "set_as_preferred": "on"}, follow=True)


class TestAdding:
    def test_i_activate_it_as_my_first_mode(self, client, dana, phone):
        page = activate(client, phone)

        assert "Multi-factor Authentication successfully enabled!" in text_of(page)
        dana.refresh_from_db()
        assert dana.preferred_mode == dana.enabled_modes == "passkey"
        assert Passkey.objects.get().is_synced

    def test_a_stolen_password_alone_adds_none(self, client, dana, phone):
        """SR-59: the first factor needs the mailbox too (SR-23)."""
        client.post(ACTIVATE, {"type": "passkey", "identifier": "dana", "password": PASSWORD})
        assert client.get(COMPLETE).url == ACTIVATE
        assert not Factor.objects.exists()

    def test_an_account_with_mfa_adds_none_without_its_factor(self, client, dana_with_app, phone):
        """SR-59: the password leads to the prompt of the existing mode."""
        response = client.post(ACTIVATE, {"type": "passkey", "identifier": "dana", "password": PASSWORD})
        assert response.url == OTP
        assert client.get(COMPLETE).url == ACTIVATE

    def test_a_remembered_browser_adds_none(self, client, dana_with_app, phone):
        """SR-59, SR-37."""
        give_credentials(client, "dana")
        client.post(OTP, {"otp": app_code(dana_with_app), "remember": "on"})
        client.post("/account/logout")
        assert give_credentials(client, "dana").url == "/account"
        assert client.get(f"{OWN}/add").url.startswith("/account/confirm")

    def test_i_add_a_second_one_without_typing_a_password(self, client, dana, passkey, phone, stick):
        uses_passkey(client, phone)
        assert client.get(f"{OWN}/add").status_code == 200
        assert client.post(f"{OWN}/add").url == COMPLETE
        options = options_on(client.get(COMPLETE))
        assert [unbase64url(key["id"]) for key in options["excludeCredentials"]] == [bytes(passkey.credential_id)]

        page = client.post(COMPLETE, {"otp": json.dumps(stick.register(options))}, follow=True)

        assert "Security key" in text_of(page)
        assert "this device only" in text_of(page)
        assert Factor.objects.get().passkeys.count() == 2
        assert SecurityEvent.objects.get(kind="passkey_added").factor_name == "Security key"
        assert "Security key" in read_mail()[-1].body

    def test_the_same_authenticator_is_refused(self, client, dana, passkey, phone):
        uses_passkey(client, phone)
        client.post(f"{OWN}/add")
        options = options_on(client.get(COMPLETE))
        with pytest.raises(AlreadyRegistered):  # as browsers do
            phone.register(options)
        forced = phone.register({**options, "excludeCredentials": []}, credential_id=bytes(passkey.credential_id))
        page = client.post(COMPLETE, {"otp": json.dumps(forced)})
        assert "This passkey was added already." in text_of(page)
        assert Passkey.objects.count() == 1

    def test_it_gets_the_name_of_its_model_or_of_where_it_was_made(self, dana, phone):
        phone.aaguid = bytes.fromhex("ea9b8d664d011d213ce4b6b48cb575d4")
        assert add_passkey(dana, phone).name == "Google Password Manager"
        phone.keys.clear()
        assert add_passkey(dana, phone).name == "Google Password Manager 2"
        phone.aaguid = bytes(16)
        assert add_passkey(dana, phone).name == "Firefox on Linux"

    def test_there_are_at_most_as_many_as_a_page_shows(self, client, dana, phone, monkeypatch):
        add_passkey(dana, phone)
        monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 1)
        uses_passkey(client, phone)
        client.post(f"{OWN}/add")
        made = phone.register({**options_on(client.get(COMPLETE)), "excludeCredentials": []})
        page = client.post(COMPLETE, {"otp": json.dumps(made)})
        assert "as many passkeys as it can have" in text_of(page)
        assert Passkey.objects.count() == 1

    @pytest.mark.parametrize("posted", ["", "492013", "{}", "{", '{"rawId": "YQ"}', "[1]"])
    def test_something_else_is_refused_in_words(self, client, dana, phone, posted):
        client.post(ACTIVATE, {"type": "passkey", "identifier": "dana", "password": PASSWORD})
        client.post("/account/mfa/activate/confirm-email", {"code": mailed_code()})
        page = client.post(COMPLETE, {"otp": posted})
        assert page.status_code == 400
        assert "passkey" in text_of(page)
        assert not Factor.objects.exists()


class TestAfterThePassword:
    def test_i_sign_in_with_it(self, client, dana, passkey, phone):
        assert give_credentials(client, "dana").url == OTP
        page = client.get(OTP)
        assert "Multi-factor authentication type: passkey" in text_of(page)
        assert options_on(page)["userVerification"] == "preferred"

        client.post(OTP, {"otp": signed(page, phone)}, **FIREFOX)

        assert is_signed_in(client)
        event = SecurityEvent.objects.get(kind="signed_in")
        assert (event.mode, event.factor_name) == ("passkey", passkey.name)
        session = Session.objects.get()
        assert (session.mode, session.factor_name) == ("passkey", passkey.name)
        passkey.refresh_from_db()
        assert passkey.last_used_at
        assert "Firefox" in passkey.last_agent

    def test_presence_is_enough_for_a_security_key_without_a_pin(self, client, dana, stick):
        stick.verifies_user = False
        add_passkey(dana, stick)
        give_credentials(client, "dana")
        assert client.post(OTP, {"otp": signed(client.get(OTP), stick)}).status_code == 302
        assert is_signed_in(client)

    def test_no_option_tells_of_it_before_the_password(self, client, dana, passkey):
        """SR-3, SR-58: a made-up account looks the same."""
        for page in (client.get(LOGIN), give_credentials(client, "dana", "wrong"), give_credentials(client, "nemo")):
            assert options_on(page)["allowCredentials"] == []
            assert "Dana" not in json.dumps(options_on(page))

    def test_i_switch_to_another_mode_for_this_sign_in(self, client, dana, passkey):
        add_mode(dana, "authenticator")
        give_credentials(client, "dana")
        client.post("/account/login/otp/switch", {"mode": "authenticator"})
        client.post(OTP, {"otp": app_code(dana)})
        assert is_signed_in(client)

    def test_i_switch_to_it_for_this_sign_in(self, client, dana_with_app, phone):
        add_passkey(dana_with_app, phone)
        give_credentials(client, "dana")
        client.post("/account/login/otp/switch", {"mode": "passkey"})
        client.post(OTP, {"otp": signed(client.get(OTP), phone)})
        assert is_signed_in(client)

    def test_an_answer_from_an_old_page_leads_to_the_right_one(self, client, dana, passkey, phone):
        add_mode(dana, "authenticator")
        give_credentials(client, "dana")
        old = signed(client.get(OTP), phone)
        client.post("/account/login/otp/switch", {"mode": "authenticator"})
        response = client.post(OTP, {"otp": old})
        assert response.url == OTP
        assert "Enter the code that your authenticator app shows now." in text_of(client.get(OTP))
        assert not is_signed_in(client)

    def test_a_recovery_code_works_where_it_is_lost(self, client, dana, passkey, phone):
        uses_passkey(client, phone)
        made = client.post("/account/mfa/recovery-codes")
        code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", text_of(made))[0]
        client.post("/account/mfa/recovery-codes/confirm", {"code": code})
        client.post("/account/logout")
        give_credentials(client, "dana")
        assert client.post(f"{OTP}?recovery", {"otp": code}).status_code == 302
        assert is_signed_in(client)

    def test_an_answer_works_once(self, client, dana, passkey, phone):
        """SR-58."""
        give_credentials(client, "dana")
        answer = signed(client.get(OTP), phone)
        client.post(OTP, {"otp": answer})
        client.post("/account/logout")
        give_credentials(client, "dana")
        assert client.post(OTP, {"otp": answer}).status_code == 400
        assert not is_signed_in(client)

    def test_five_refused_answers_end_the_sign_in(self, client, dana, passkey, phone):
        """SR-15: as with wrong codes."""
        give_credentials(client, "dana")
        for _try in range(4):
            page = client.post(OTP, {"otp": signed(client.get(OTP), phone, origin="http://evil.example")})
            assert "That passkey was not accepted." in text_of(page)
        assert client.post(OTP, {"otp": signed(client.get(OTP), phone, up=False)}).url == LOGIN


class TestInPlaceOfThePassword:
    def test_i_sign_in_without_typing_anything(self, client, dana, passkey, phone):
        response = uses_passkey(client, phone)
        assert response.url == "/account"
        assert is_signed_in(client)
        event = SecurityEvent.objects.get(kind="signed_in")
        assert (event.mode, event.factor_name) == ("passkey", passkey.name)

    def test_it_counts_as_a_proof_of_a_factor(self, client, dana, passkey, phone):
        uses_passkey(client, phone)
        assert client.get("/account/mfa/recovery-codes").status_code == 200

    def test_it_works_whatever_mode_i_prefer(self, client, dana_with_app, phone):
        add_passkey(dana_with_app, phone)
        uses_passkey(client, phone)
        assert is_signed_in(client)

    def test_i_get_where_i_wanted_to_go_and_never_off_the_site(self, client, dana, passkey, phone):
        """SR-9."""
        for wanted, reached in (("/account/view", "/account/view"), ("//evil.example", "/account")):
            posted = {"otp": signed(client.get(LOGIN), phone), "next": wanted}
            assert client.post(BY_PASSKEY, posted).url == reached
            client.post("/account/logout")

    def test_another_user_of_this_browser_is_signed_out(self, client, sam, dana, passkey, phone):
        sign_in(client, sam)
        page = client.get(LOGIN)  # leads on, for sam is signed in
        assert page.status_code == 302
        other = client.__class__()
        answer = signed(other.get(LOGIN), phone)
        client.cookies[settings.CSRF_COOKIE_NAME] = other.cookies[settings.CSRF_COOKIE_NAME].value
        client.post(BY_PASSKEY, {"otp": answer})
        assert "Dana@example.com" in text_of(client.get("/account/view"))
        assert Session.objects.count() == 1

    def test_a_question_costs_nothing_that_lasts(self, client, django_assert_num_queries):
        """SR-57: strangers can ask as often as they like."""
        with django_assert_num_queries(0):
            assert options_on(client.get(LOGIN))["userVerification"] == "required"
        assert not Challenge.objects.exists()

    def test_the_page_of_a_refusal_signs_in_by_password_and_can_be_opened_again(self, client, dana, passkey, phone):
        page = uses_passkey(client, phone, uv=False)
        assert page.status_code == 400
        assert re.findall(r'<form method="post" action="([^"]*)"', page.content.decode()) == [LOGIN, BY_PASSKEY]
        assert client.get(BY_PASSKEY).url == LOGIN

    def test_it_needs_the_fingerprint_face_or_pin(self, client, dana, passkey, phone):
        """SR-58."""
        page = uses_passkey(client, phone, uv=False)
        assert page.status_code == 400
        assert "That passkey was not accepted." in text_of(page)
        assert not is_signed_in(client)

    def test_an_answer_works_once(self, client, dana, passkey, phone):
        """SR-58: also for a synced passkey, which counts nothing."""
        answer = signed(client.get(LOGIN), phone)
        assert client.post(BY_PASSKEY, {"otp": answer}).status_code == 302
        client.post("/account/logout")
        assert client.post(BY_PASSKEY, {"otp": answer}).status_code == 400
        assert not is_signed_in(client)

    def test_an_answer_works_in_its_own_browser_alone(self, client, dana, passkey, phone):
        """SR-58, SR-14: bound to who asked."""
        other = client.__class__()
        assert other.post(BY_PASSKEY, {"otp": signed(client.get(LOGIN), phone)}).status_code == 400

    def test_an_answer_works_for_five_minutes(self, client, dana, passkey, phone):
        answer = signed(client.get(LOGIN), phone)
        with time_machine.travel(timezone.now() + timezone.timedelta(minutes=5, seconds=2)):
            assert client.post(BY_PASSKEY, {"otp": answer}).status_code == 400

    def test_a_removed_passkey_is_told_to_the_authenticator(self, client, dana, passkey, phone):
        Passkey.objects.all().delete()
        page = uses_passkey(client, phone)
        assert "This passkey no longer works here" in text_of(page)
        detail = re.search(r'signalUnknownCredential" data-passkey-details="([^"]*)"', page.content.decode())[1]
        told = json.loads(html.unescape(detail))
        assert unbase64url(told["credentialId"]) == phone.keys[-1].credential_id

    def test_a_disabled_account_stays_out(self, client, dana, passkey, phone):
        dana.is_active = False
        dana.save()
        page = uses_passkey(client, phone)
        assert page.status_code == 400
        assert not is_signed_in(client)

    def test_many_refusals_hold_back_their_own_network_alone(self, client, dana, passkey, phone, settings):
        """SR-6, SR-57."""
        settings.IP_LOGIN_FAILURES = 3
        for _try in range(3):
            assert uses_passkey(client, phone, uv=False, page=LOGIN).status_code == 400
        assert uses_passkey(client, phone).status_code == 429
        elsewhere = client.__class__(REMOTE_ADDR="203.0.113.9")
        assert uses_passkey(elsewhere, phone).status_code == 302
        assert give_credentials(client, "dana").url == OTP

    def test_it_ends_an_assisted_reset_and_forgives_wrong_codes(self, client, dana, passkey, phone):
        add_mode(dana, "authenticator", prefer=True)
        give_credentials(client, "dana")
        client.post(OTP, {"otp": "000000"})
        client.post("/account/login/otp/cancel")
        assert uses_passkey(client, phone).status_code == 302


class TestWhatDoesNotFit:
    """SR-58: cross-purpose, cross-user, cross-door."""

    def test_an_answer_for_the_sign_in_page_is_none_for_the_prompt(self, client, dana, passkey, phone):
        answer = signed(client.get(LOGIN), phone)
        give_credentials(client, "dana")
        assert client.post(OTP, {"otp": answer}).status_code == 400

    def test_an_answer_for_the_prompt_is_none_for_the_sign_in_page(self, client, dana, passkey, phone):
        give_credentials(client, "dana")
        answer = signed(client.get(OTP), phone)
        assert client.post(BY_PASSKEY, {"otp": answer}).status_code == 400

    def test_an_answer_for_a_sign_in_is_none_for_a_step_up(self, client, dana, passkey, phone):
        uses_passkey(client, phone)
        other = client.__class__()
        give_credentials(other, "dana")
        answer = signed(other.get(OTP), phone)
        client.get("/account/confirm")
        assert client.post("/account/confirm", {"otp": answer}).status_code == 400

    def test_an_answer_for_one_sign_in_is_none_for_another(self, client, dana, passkey, phone):
        give_credentials(client, "dana")
        answer = signed(client.get(OTP), phone)
        give_credentials(client, "dana")
        assert client.post(OTP, {"otp": answer}).status_code == 400

    def test_a_passkey_of_another_account_is_refused(self, client, dana, passkey, sam, stick):
        add_passkey(sam, stick)
        give_credentials(client, "dana")
        page = client.get(OTP)
        answer = json.dumps(stick.sign(options_on(page), key=stick.keys[-1]))
        response = client.post(OTP, {"otp": answer})
        assert "no longer works here" in text_of(response)
        assert not is_signed_in(client)

    def test_the_command_line_takes_no_signature(self, client, dana, passkey, phone):
        begun = client.post(
            "/auth/signin", {"identifier": "dana", "password": PASSWORD}, content_type="application/json"
        ).json()
        answer = signed(client.get(LOGIN), phone)
        response = client.post(f"/auth/signin/mfa/{begun['mfaID']}", {"otp": answer}, content_type="application/json")
        assert response.status_code == 401

    def test_a_counter_that_goes_back_is_refused_logged_and_mailed(self, client, dana, stick):
        passkey = add_passkey(dana, stick)
        uses_passkey(client, stick)
        client.post("/account/logout")

        page = uses_passkey(client, stick, counter=1)

        assert "it may have been copied" in text_of(page)
        assert SecurityEvent.objects.get(kind="passkey_copied").factor_name == passkey.name
        told = read_mail()[-1].body
        assert f"may have been copied. Remove it and add a new one ({passkey.name})" in told
        assert "/account/mfa/passkeys and add a new one" in told
        assert "nothing to do" not in told
        assert not is_signed_in(client)

    def test_backup_eligibility_never_changes(self, client, dana, stick):
        """WebAuthn 3 section 7.2."""
        add_passkey(dana, stick)
        assert uses_passkey(client, stick, be=True).status_code == 400


class TestStepUp:
    def test_it_confirms_a_sensitive_change(self, client, dana, passkey, phone):
        uses_passkey(client, phone)
        with time_machine.travel(timezone.now() + timezone.timedelta(minutes=11)):
            asked = client.get("/account/mfa/recovery-codes")
            assert asked.url.startswith("/account/confirm")
            page = client.get(asked.url)
            response = client.post(asked.url, {"otp": signed(page, phone), "next": "/account/mfa/recovery-codes"})
            assert response.url == "/account/mfa/recovery-codes"
            assert client.get(response.url).status_code == 200


class TestMyPasskeys:
    @pytest.fixture(autouse=True)
    def signed_in(self, client, dana, passkey, phone):
        uses_passkey(client, phone)

    def test_i_see_name_age_and_last_use(self, client, passkey):
        page = text_of(client.get(OWN))
        assert passkey.name in page
        assert "synced" in page
        assert "last used" in page

    def test_i_rename_one(self, client, passkey):
        page = client.post(f"{OWN}/{passkey.pk}/rename", {"name": "Dana's \u202ephone\n"}, follow=True)
        assert "The passkey is now called Dana's phone." in text_of(page)
        assert SecurityEvent.objects.filter(kind="passkey_renamed").exists()

    @pytest.mark.parametrize("name", ["", "   ", "\u200b"])
    def test_it_needs_a_name(self, client, passkey, name):
        assert client.post(f"{OWN}/{passkey.pk}/rename", {"name": name}).status_code == 400

    def test_i_remove_one_of_two_and_other_sessions_end(self, client, dana, passkey, phone, stick):
        """SR-25."""
        lost = add_passkey(dana, stick)
        elsewhere = client.__class__()
        uses_passkey(elsewhere, stick)
        assert "Remove the passkey" in text_of(client.get(f"{OWN}/{lost.pk}/remove"))

        page = client.post(f"{OWN}/{lost.pk}/remove", follow=True)

        assert "is removed." in text_of(page)
        assert not is_signed_in(elsewhere)
        assert is_signed_in(client)
        assert uses_passkey(elsewhere, stick).status_code == 400
        accepted = re.search(r'AllAcceptedCredentials" data-passkey-details="([^"]*)"', page.content.decode())[1]
        assert len(json.loads(html.unescape(accepted))["allAcceptedCredentialIds"]) == 1

    def test_removing_the_last_one_disables_the_mode(self, client, dana, passkey):
        asked = client.post(f"{OWN}/{passkey.pk}/remove")
        assert asked.url == reverse("mfa:disable", args=["passkey"])
        page = client.post(asked.url, follow=True)
        dana.refresh_from_db()
        assert not dana.mfa_is_on
        assert not Passkey.objects.exists()
        accepted = re.search(r'AllAcceptedCredentials" data-passkey-details="([^"]*)"', page.content.decode())[1]
        assert json.loads(html.unescape(accepted))["allAcceptedCredentialIds"] == []

    def test_those_of_others_are_not_there(self, client, sam, stick):
        other = add_passkey(sam, stick)
        assert client.get(f"{OWN}/{other.pk}/rename").status_code == 404
        assert client.post(f"{OWN}/{other.pk}/remove").status_code == 404

    def test_the_settings_lead_here(self, client):
        assert f'href="{OWN}"' in client.get("/account/view").content.decode()


def test_a_sign_in_by_passkey_alone_costs_few_statements(client, dana, passkey, phone, django_assert_max_num_queries):
    uses_passkey(client, phone)
    client.post("/account/logout")
    page = client.get(LOGIN)
    answer = signed(page, phone)
    with django_assert_max_num_queries(20):
        assert client.post(BY_PASSKEY, {"otp": answer}).status_code == 302


def test_the_prompt_costs_one_question_more_than_that_of_a_code(client, passkey, django_assert_max_num_queries):
    give_credentials(client, "dana")
    with django_assert_max_num_queries(2):
        client.get(OTP)


def test_an_account_without_the_mode_pays_nothing_for_it(client, django_assert_max_num_queries):
    sign_in(client, UserFactory())
    with django_assert_max_num_queries(3):
        assert client.get(OWN).status_code == 200


class TestTheOffer:
    """After a sign-in with a code, in a browser that can."""

    PAGE = "/account/mfa/passkeys/offer"

    def sign_in(self, client, user, **fields):
        give_credentials(client, user.email)
        with time_machine.travel(timezone.now() + timezone.timedelta(seconds=60 * self.used)):
            self.used += 1
            return client.post(OTP, {"otp": app_code(user), "can_passkey": "", **fields})

    @pytest.fixture(autouse=True)
    def nothing_used(self):
        self.used = 0

    def test_it_comes_after_a_code_and_leads_on(self, client, dana_with_app):
        give_credentials(client, "dana", next="/account/view")
        response = client.post(OTP, {"otp": app_code(dana_with_app), "can_passkey": ""})
        assert response.url == f"{self.PAGE}?next=%2Faccount%2Fview"
        page = client.get(response.url)
        assert "Sign in faster and safer with a passkey" in text_of(page)
        assert client.post(self.PAGE, {"answer": "later", "next": "/account/view"}).url == "/account/view"

    def test_i_add_one_from_there(self, client, dana_with_app, phone):
        self.sign_in(client, dana_with_app)
        assert client.post(f"{OWN}/add", {"next": "/account/security-log"}).url == COMPLETE
        page = client.post(COMPLETE, {"otp": json.dumps(phone.register(options_on(client.get(COMPLETE))))}, follow=True)
        assert "Multi-factor Authentication successfully enabled!" in text_of(page)
        assert page.request["PATH_INFO"] == "/account/security-log"

    def test_a_browser_that_cannot_is_not_asked(self, client, dana_with_app):
        give_credentials(client, "dana")
        assert client.post(OTP, {"otp": app_code(dana_with_app)}).url == "/account"

    def test_not_now_is_asked_again_after_thirty_days(self, client, dana_with_app):
        assert self.sign_in(client, dana_with_app).url == self.PAGE
        client.post(self.PAGE, {"answer": "later"})
        assert self.sign_in(client, dana_with_app).url == "/account"
        with time_machine.travel(timezone.now() + timezone.timedelta(days=31)):
            assert self.sign_in(client, dana_with_app).url == self.PAGE

    def test_dont_ask_again_is_never_asked_again(self, client, dana_with_app):
        self.sign_in(client, dana_with_app)
        client.post(self.PAGE, {"answer": "never"})
        with time_machine.travel(timezone.now() + timezone.timedelta(days=4000)):
            assert self.sign_in(client, dana_with_app).url == "/account"

    def test_who_has_one_is_not_asked(self, client, dana_with_app, phone):
        add_passkey(dana_with_app, phone)
        assert self.sign_in(client, dana_with_app).url == "/account"

    def test_next_never_leads_off_the_site(self, client, dana_with_app):
        """SR-9."""
        self.sign_in(client, dana_with_app)
        assert client.post(self.PAGE, {"answer": "later", "next": "//evil.example"}).url == "/account"


def test_password_managers_learn_where_passkeys_are_made_and_managed(client):
    told = client.get("/.well-known/passkey-endpoints")
    assert told.headers["Content-Type"] == "application/json"
    assert told.json() == {
        "enroll": "http://testserver/account/mfa/passkeys/add",
        "manage": "http://testserver/account/mfa/passkeys",
    }


def test_the_settings_tell_the_authenticator_of_a_new_name_and_address(client, dana, passkey, phone):
    uses_passkey(client, phone)
    client.post("/account/profile", {"name": "Dana R.", "username": "dana"})
    page = client.get("/account/view").content.decode()
    told = json.loads(html.unescape(re.search(r'CurrentUserDetails" data-passkey-details="([^"]*)"', page)[1]))
    assert told["displayName"] == "Dana R."
    assert told["name"] == "Dana@example.com"
    assert unbase64url(told["userId"]) == phone.keys[-1].user_handle


def test_pages_of_an_account_without_a_passkey_load_no_script_for_it(client, dana_with_app):
    sign_in(client, dana_with_app)
    assert b"passkeys." not in client.get("/account/view").content


def test_the_admin_opens_for_a_session_that_a_passkey_proved(client, dana, passkey, phone):
    """SR-52."""
    dana.is_staff = dana.is_superuser = True
    dana.save()
    uses_passkey(client, phone)
    assert client.get("/admin/").status_code == 200


class TestTheAddressOfThePortal:
    """Browsers bind passkeys to a domain, and refuse IP addresses and plain HTTP."""

    @pytest.mark.parametrize(
        ("rp_id", "origin", "is_right"),
        [
            ("portal.example.com", "https://portal.example.com", True),
            ("example.com", "https://portal.example.com", True),
            ("localhost", "http://localhost:8000", True),
            ("portal.example.com", "http://portal.example.com", False),
            ("portal.example.com", "https://example.com", False),
            ("ample.com", "https://example.com", False),
            ("127.0.0.1", "http://127.0.0.1:8000", False),
            ("192.0.2.1", "https://192.0.2.1", False),
            ("", "https://portal.example.com", False),
        ],
    )
    def test_a_check_says_so(self, settings, rp_id, origin, is_right):
        settings.RP_ID, settings.RP_ORIGINS = rp_id, [origin]
        assert [message.id for message in checks.passkeys()] == ([] if is_right else ["datica.W006"])

    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://Portal.example.com", "https://portal.example.com"),
            ("https://portal.example.com:443/x", "https://portal.example.com"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("https://portal.example.com:8443", "https://portal.example.com:8443"),
        ],
    )
    def test_the_origin_is_written_as_browsers_do(self, url, origin):
        assert origin_of(url) == origin
