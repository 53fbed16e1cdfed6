"""What programs ask at well-known addresses, and what search engines read."""

import re
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


def test_a_password_manager_finds_the_page_that_changes_the_password(client, dana):
    """Signed in or not: the page asks for the sign-in first."""
    assert client.get("/.well-known/change-password").url == "/account/password/change"

    sign_in(client, dana)

    assert client.get("/.well-known/change-password", follow=True).redirect_chain == [("/account/password/change", 302)]


def test_a_finder_of_a_hole_is_told_whom_to_tell(client, settings):
    """RFC 9116: contact and expiry are required, and it expires within a year."""
    settings.SECURITY_CONTACT = "mailto:security@example.com"

    answer = client.get("/.well-known/security.txt")

    text = answer.content.decode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "Contact: mailto:security@example.com\n" in text
    assert f"Canonical: {settings.SITE_URL}/.well-known/security.txt\n" in text
    expires = datetime.fromisoformat(re.search(r"Expires: (\S+)", text)[1])
    assert timezone.now() < expires < timezone.now() + timedelta(days=365)


def test_without_a_contact_there_is_no_such_file(client):
    assert client.get("/.well-known/security.txt").status_code == 404


def test_search_engines_are_let_in_to_the_public_pages_only(client):
    """RFC 9309."""
    lines = client.get("/robots.txt").content.decode().splitlines()

    assert lines[0] == "User-agent: *"
    assert lines[-1] == "Disallow: /"
    for path in ("/account/login", "/account/register", "/account/password/reset", "/help/mfa"):
        page = client.get(path).content.decode()
        assert len(re.findall(r'<meta name="description" content="[^"]{40,160}">', page)) == 1, path
