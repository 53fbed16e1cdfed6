"""Activating a mode without typing again what the portal knows."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from accounts.security_log import Origin
from mfa import recovery
from mfa.models import Factor
from mfa.tests.factories import add_mode
from organizations import invitations
from organizations.models import Membership, Role
from organizations.tests.factories import MembershipFactory
from tests.codes import mailed_code
from tests.pages import text_of
from tests.signing_in import PASSWORD, give_credentials, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

ACTIVATE = "/account/mfa/activate"
COMPLETE = "/account/mfa/activate/complete"


def fields(page) -> dict[str, str]:
    """Return the names of a page's inputs with their values."""
    tags = re.findall(r"<input[^>]*>", page.content.decode())
    found = [(re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)) for tag in tags]
    return {name[1]: value[1] if value else "" for name, value in found if name}


def test_the_account_is_known_and_the_password_was_just_typed(client, dana):
    """SR-23: the password was right a moment ago, in this session."""
    give_credentials(client, dana)
    page = client.get(ACTIVATE)
    assert fields(page)["identifier"] == dana.email
    assert "You can leave this blank." in text_of(page)

    page = client.post(ACTIVATE, {"type": "email", "identifier": dana.email, "password": ""}, follow=True)
    page = client.post(COMPLETE, {"otp": mailed_code(), "set_as_preferred": "on"}, follow=True)

    assert "Multi-factor Authentication successfully enabled!" in text_of(page)
    assert Factor.objects.filter(user=dana, mode="email").exists()


def test_after_a_loss_the_app_is_set_up_again_without_turning_mfa_off(client, dana):
    add_mode(dana, "authenticator")
    sign_in(client, dana)

    page = client.post(ACTIVATE, {"type": "authenticator", "identifier": dana.email, "password": PASSWORD}, follow=True)

    assert "the app that you used until now stops working" in text_of(page)
    assert dana.modes == {"authenticator"}


def test_the_password_is_typed_when_the_last_proof_is_old(client, dana):
    """SR-22."""
    give_credentials(client, dana)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        page = client.post(ACTIVATE, {"type": "email", "identifier": dana.email, "password": ""})

    assert page.status_code == 400
    assert not mail.outbox


@pytest.mark.parametrize("identifier", ["sam", "sam@example.com", "nobody"])
def test_a_blank_password_is_for_the_own_account_only(client, dana, sam, identifier):
    give_credentials(client, dana)

    page = client.post(ACTIVATE, {"type": "email", "identifier": identifier, "password": ""})

    assert page.status_code == 400
    assert "Incorrect username, email or password." in text_of(page)


def test_without_a_sign_in_the_password_is_typed(client, dana):
    page = client.post(ACTIVATE, {"type": "email", "identifier": dana.email, "password": ""})

    assert page.status_code == 400
    assert not mail.outbox


def activated(client, dana, mode="email"):
    client.post(ACTIVATE, {"type": mode, "identifier": dana.email, "password": PASSWORD}, follow=True)
    return client.post(COMPLETE, {"otp": mailed_code(), "set_as_preferred": "on"}, follow=True)


def test_a_first_activation_ends_with_recovery_codes(client, dana):
    """They are offered. After they are saved, the settings follow."""
    give_credentials(client, dana)

    page = activated(client, dana)

    assert "One last step: save recovery codes." in text_of(page)
    assert "Skip this step" in text_of(page)
    address = page.request["PATH_INFO"] + "?" + page.request["QUERY_STRING"]
    page = client.post(address)
    code = re.search(r"<code>([^<]+)</code>", page.content.decode())[1]
    action = re.search(r'action="([^"]*confirm[^"]*)"', page.content.decode())[1].replace("&amp;", "&")
    page = client.post(action, {"code": code}, follow=True)
    assert page.request["PATH_INFO"] == "/account/view"
    assert recovery.left(dana) == recovery.CODES


def test_skipping_them_leads_to_where_the_activation_would(client, dana):
    give_credentials(client, dana)

    page = activated(client, dana)

    skip = re.search(r'href="([^"]*)">Skip this step', page.content.decode())[1]
    assert skip.startswith("/account/view?mfa=open")


def test_a_second_mode_does_not_ask_again(client, dana):
    add_mode(dana, "authenticator")
    sign_in(client, dana)

    page = activated(client, dana)

    assert page.request["PATH_INFO"] == "/account/view"


def test_a_newcomer_types_the_password_once_from_the_mail_to_the_organization(client, dana, settings):
    """The address is filled in, the invitation has proved the mailbox, and the registration signs in."""
    owner = MembershipFactory(user=dana, role=Role.OWNER)
    invitation = invitations.send(owner, "newcomer@example.com", role=Role.MEMBER, origin=Origin())
    client.get(invitations.link_of(invitation).removeprefix(settings.SITE_URL), follow=True)
    assert fields(client.get("/account/register"))["email"] == "newcomer@example.com"
    assert fields(client.get("/account/login"))["identifier"] == "newcomer@example.com"

    page = client.post(
        "/account/register",
        {"email": "newcomer@example.com", "password": PASSWORD, "password_confirm": PASSWORD},
        follow=True,
    )

    assert page.request["PATH_INFO"] == "/account/accept-invite"
    assert "Accept invitation" in text_of(page)
    page = client.post("/account/accept-invite", follow=True)
    assert Membership.objects.get(user__email="newcomer@example.com").organization == owner.organization
