"""Access is one layer: every URL is for signed-in users unless it is marked, and the checks come in one order."""

import re

import pytest
from django.contrib import admin
from django.urls import URLResolver, get_resolver

from accounts.models import User
from accounts.web.access import CHECKS, Mark, marks_of
from tests.pages import text_of, views_of_pages
from tests.signing_in import sign_in
from tests.test_bad_input import SOME_ID, every_address

pytestmark = pytest.mark.django_db

PUBLIC = {
    "home",
    "mail_reports",
    "metrics",
    "help_mfa",
    "help_mfa_troubleshooting",
    "help_owners",
    "help_search",
    "accounts:login",
    "accounts:choose_language",
    "accounts:logout",
    "accounts:not_me",
    "accounts:register",
    "accounts:verify_email",
    "accounts:verify_email_resend",
    "accounts:password_reset",
    "accounts:password_reset_complete",
    "accounts:undo_email_change",
    "accounts:keep_account",
    "mfa:otp_prompt",
    "mfa:resend",
    "mfa:switch",
    "mfa:cancel_sign_in",
    "mfa:sign_in_by_passkey",
    "passkey_endpoints",
    "change_password",
    "security_txt",
    "robots_txt",
    "accounts:mail_progress",
    "mfa:activate",
    "mfa:complete_activation",
    "mfa:confirm_mailbox",
    "mfa:confirm_mailbox_resend",
    "mfa:resend_enrolment",
    "mfa:confirm_reset",
    "organizations:accept_invitation",
    "organizations:accept_invitation_of_older_clients",
}
DURING_ASSISTED_RESET = {
    "accounts:choose_language",
    "accounts:logout",
    "mfa:activate",
    "mfa:complete_activation",
    "mfa:resend_enrolment",
    "help_mfa",
    "help_mfa_troubleshooting",
    "help_owners",
    "help_search",
}


def marked(mark: Mark) -> set[str]:
    return {name for name, view in views_of_pages().items() if mark in marks_of(view)}


def test_what_works_without_a_sign_in_is_listed_here():
    """SR-33: a new page is closed until it is marked, and a mark is seen in this list."""
    assert marked(Mark.PUBLIC) == PUBLIC


def test_what_an_assisted_reset_opens_is_listed_here():
    """SR-28."""
    assert marked(Mark.WORKS_DURING_ASSISTED_RESET) == DURING_ASSISTED_RESET


def test_what_reads_no_session_works_without_a_sign_in():
    """SR-33: no check is left out for a view that only the signed-in may see."""
    assert marked(Mark.READS_NO_SESSION) == {"accounts:mail_progress"}
    assert marked(Mark.READS_NO_SESSION) <= marked(Mark.PUBLIC)


@pytest.mark.parametrize("address", every_address())
def test_a_page_without_the_mark_sends_an_anonymous_request_to_the_sign_in(client, address):
    """SR-33: by SignInMiddleware, before the view runs."""
    match = get_resolver().resolve(address)
    if Mark.PUBLIC in marks_of(match.func):
        pytest.skip("public")

    response = client.get(address)

    assert response.status_code == 302
    assert response.url.startswith("/account/login?next=")


@pytest.mark.parametrize(
    ("referer", "next_path"),
    [
        ("http://testserver/account/sessions?page=2", "/account/sessions%3Fpage%3D2"),
        ("https://evil.example/account/sessions", "/account/mfa/recovery-codes/confirm"),
        ("http://testserver//evil.example", "/account/mfa/recovery-codes/confirm"),
        ("", "/account/mfa/recovery-codes/confirm"),
    ],
)
def test_a_form_that_is_sent_while_signed_out_leads_back_to_its_page(client, referer, next_path):
    """SR-9, SR-33: where the form was sent to can often not be opened."""
    response = client.post("/account/mfa/recovery-codes/confirm", headers={"Referer": referer})

    assert response.url == f"/account/login?next={next_path}"
    assert "You are signed out, so nothing was changed." in text_of(client.get(response.url))


@pytest.mark.parametrize("address", every_address())
def test_a_page_that_needs_a_recent_proof_asks_for_it(client, dana_with_app, address):
    """SR-22: whatever else it would say."""
    match = get_resolver().resolve(address)
    if Mark.NEEDS_RECENT_PROOF not in marks_of(match.func):
        pytest.skip("needs none")
    sign_in(client, dana_with_app)
    session = client.session
    session["proven_at"] -= 3600
    session.save()

    response = client.get(address)

    assert response.url.startswith("/account/confirm?next=")


def test_the_checks_come_in_one_order():
    """The code first: no later check may tell anything to a session that has proven no factor."""
    assert [check.__name__ for check in CHECKS] == [
        "_ask_for_code",
        "_ask_for_new_factor",
        "_ask_for_accepted_mode",
        "_ask_for_recent_proof",
        "_ask_for_mfa",
        "_ask_for_code_in_remembered_browser",
    ]


# --- the administration ---------------------------------------------------------------------------

# What every member of staff may open: the rest needs a permission.
FOR_ALL_STAFF = {"", "mail", "password_change/done/", "jsi18n/"}


def addresses_of_the_administration():
    def walk(patterns, prefix=""):
        for pattern in patterns:
            route = f"{prefix}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif "(?P" not in route:  # the catch-all, and lists of an app
                yield re.sub(r"<\w+:object_id>", SOME_ID, re.sub(r"<slug:name>", "unlock", route))

    return [address for address in walk(admin.site.get_urls()) if "<" not in address]


@pytest.mark.parametrize("address", addresses_of_the_administration())
def test_the_administration_is_closed_unless_a_permission_opens_it(client, dana_with_app, address):
    """SR-52: also a page that is added later."""
    assert client.get(f"/admin/{address}", follow=True).redirect_chain[-1][0].startswith("/account/login")
    sign_in(client, dana_with_app)
    if address not in {"logout/", "password_change/"}:  # which are as the portal's own
        assert client.get(f"/admin/{address}", follow=True).status_code == 403
    User.objects.filter(pk=dana_with_app.pk).update(is_staff=True)

    assert (client.get(f"/admin/{address}").status_code == 200) == (address in FOR_ALL_STAFF)
