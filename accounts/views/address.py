"""Pages of changing the e-mail address."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import addresses, mailbox
from accounts.forms import EmailForm, MailboxCodeForm
from accounts.identifiers import masked
from accounts.models import MailboxProof
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.requests import (
    keep_session,
    person,
    proof_is_over,
    proof_of,
    refuse,
    remember_mailbox_proof,
    send_mailbox_code_again,
    waits_until,
)
from mfa import browser, modes
from mfa.stepup import needs_fresh_proof
from organizations.policy import works_without_mfa


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def change_email(request: HttpRequest) -> HttpResponse:
    """Ask for a new address; a code goes to it."""
    form = EmailForm(request.POST if request.method == "POST" else None, initial=browser.kept_form(request))
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            proof = addresses.ask(person(request), form.cleaned_data["email"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "email", refused)
        else:
            remember_mailbox_proof(request, proof)
            return redirect("accounts:confirm_email")
    return render(request, "accounts/change_email.html", {"form": form}, status=status)


def _proof(request: HttpRequest) -> MailboxProof | None:
    """Find this browser's proof; one of another account than the signed-in one is none."""
    proof = proof_of(request, MailboxProof.Purpose.CHANGE_EMAIL)
    return proof if proof and proof.user_id in {None, person(request).pk} else None


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def confirm_email(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was mailed to the new address."""
    proof = _proof(request)
    if proof is None:
        return proof_is_over(request, "accounts:change_email")
    form = MailboxCodeForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            user = addresses.complete(
                proof, form.cleaned_data["code"], origin_of(request), session_key=request.session.session_key
            )
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            keep_session(request, user)
            messages.success(request, _("Your email address is changed. Your other sessions were signed out."))
            return redirect("accounts:settings")
    context = {"form": form, "email": masked(proof.email), "resend_at": waits_until(mailbox.resend_at(proof))}
    return render(request, "accounts/confirm_email.html", context, status=status)


@require_POST
@works_without_mfa
@login_required
def resend_email(request: HttpRequest) -> HttpResponse:
    """Mail the code to the new address again."""
    proof = _proof(request)
    if proof is None:
        return proof_is_over(request, "accounts:change_email")
    send_mailbox_code_again(request, proof)
    return redirect("accounts:confirm_email")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def undo_email_change(request: HttpRequest, token: str) -> HttpResponse:
    """Offer to undo a change of the address; the mail to the old address leads here. Signs nobody in."""
    change = addresses.find_undoable(token)
    if change is None:
        return render(request, "accounts/undo_email_over.html", status=404)
    if request.method == "POST":
        try:
            addresses.undo(change, origin_of(request), remove_factors=modes.remove_all)
        except Refused as refused:
            messages.error(request, refused.text)
            return redirect("accounts:login")
        messages.success(request, _("Your address is back and all sessions are ended. Now choose a new password."))
        return redirect("accounts:password_reset")
    context = {"change": change, "old_email": masked(change.old_email), "new_email": masked(change.user.email)}
    return render(request, "accounts/undo_email.html", context)
