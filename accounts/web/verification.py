"""The pending email verification in a browser's session."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from accounts import email_verification, known_browsers
from accounts.identifiers import masked, tag_of
from accounts.models import EmailVerification, User
from accounts.refusals import Refused
from accounts.web.cookies import know_browser
from accounts.web.origin import origin_of
from accounts.web.session import keep_session_until

VERIFICATION = "mailbox_proof"
TYPED_EMAIL = "mailbox_proof_email"  # masked


def remember_verification(request: HttpRequest, proof: EmailVerification, *, typed: str = "") -> None:
    """Store a verification in this browser's session, in place of an earlier one, and the email that was typed."""
    request.session[VERIFICATION] = str(proof.pk)
    request.session[TYPED_EMAIL] = masked(typed) if "@" in typed else ""
    keep_session_until(request, proof.expires_at)


def verification_of(request: HttpRequest, purpose: EmailVerification.Purpose) -> EmailVerification | None:
    """Return the open verification that this browser asked for."""
    return email_verification.find(request.session.get(VERIFICATION), purpose)


def forget_verification(request: HttpRequest) -> None:
    """Forget the verification that this browser asked for."""
    request.session.pop(VERIFICATION, None)
    request.session.pop(TYPED_EMAIL, None)


def asked_context(request: HttpRequest, proof: EmailVerification) -> dict[str, object]:
    """Return the template context about when this browser asked for a code, and for which email.

    It comes from the request alone, not from a mail or an account: what became of a mail would tell whether there is
    such an account or mailbox (SR-3). No query.
    """
    email = request.session.get(TYPED_EMAIL, "")
    return {"asked_at": proof.last_mail_at, "email": email, "tag": tag_of(proof.pk)}


def resend_verification_code(request: HttpRequest, proof: EmailVerification) -> None:
    """Mail the code again. The message does not reveal whether there is such an account (SR-3)."""
    try:
        email_verification.resend(proof, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        text = _("Another email is on its way, unless this mailbox got too many in the last hour. Use the newest code.")
        messages.success(request, text)


def verification_is_over(request: HttpRequest, start_again: str) -> HttpResponse:
    """Say that the verification is over, and redirect to ``start_again``."""
    forget_verification(request)
    messages.warning(request, email_verification.VerificationOver.message)
    return redirect(start_again)


def has_proven_mailbox(request: HttpRequest, user: User) -> bool:
    """Return whether this browser has proven the user's mailbox or a factor before (SR-23). At most one query."""
    return known_browsers.has_proven_mailbox(user, origin_of(request))


def remember_factor(request: HttpRequest, user: User, *, by_mail: bool) -> None:
    """Record that this browser has just proven the user's new factor."""
    know_browser(request, known_browsers.note_factor(user, origin_of(request), by_mail=by_mail))


def remember_mailbox(request: HttpRequest, user: User) -> None:
    """Record that this browser has just proven the user's mailbox."""
    know_browser(request, known_browsers.note_mailbox(user, origin_of(request)))
