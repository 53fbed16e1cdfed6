"""The dashboard: what needs the user, where they stand, and their last sign-ins."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from mfa.tests.factories import add_mode
from organizations.tests.factories import MembershipFactory
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


def test_each_organization_says_where_i_stand(client, dana):
    names = ["Open", "Strict", "Lenient", "Soon"]
    open_, strict, lenient, soon = (MembershipFactory(user=dana, organization__name=name) for name in names)
    for membership, accepted, at in (
        (strict, "passkey", timezone.now()),
        (lenient, "", timezone.now()),
        (soon, "passkey", timezone.now() + timedelta(days=3)),
    ):
        membership.organization.mfa_required_at, membership.organization.accepted_modes = at, accepted
        membership.organization.save()
    strict.exempt_until = timezone.now() + timedelta(days=1)
    strict.save()
    add_mode(dana, "authenticator")
    sign_in(client, dana)

    page = text_of(client.get("/account"))
    page = page[page.index("Your organizations") :]

    assert "Open member · MFA not required" in page
    assert "Strict member · you are exempt from its rules" in page
    assert "Lenient member · you meet its rules" in page
    assert "Soon member · MFA required from" in page
    assert open_.organization.get_absolute_url() in client.get("/account").content.decode()


def test_my_last_sign_ins_are_shown(client, dana):
    add_mode(dana, "authenticator")
    for agent in ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",):
        client.defaults["HTTP_USER_AGENT"] = agent
        sign_in(client, dana)

    page = text_of(client.get("/account"))

    assert "Your last sign-ins" in page
    assert "Firefox on Linux · authenticator · 127.0.0.1" in page


def test_a_mailbox_that_fails_comes_first(client, dana):
    sign_in(client, dana)
    User.objects.filter(pk=dana.pk).update(mailbox_failed_at=timezone.now(), mailbox_failure="mailbox_full")

    page = text_of(client.get("/account"))

    assert page.index("Mail to your address does not arrive:") < page.index("Anyone who knows your password")
