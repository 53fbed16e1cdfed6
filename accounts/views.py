"""Pages of accounts: signing in and out, registration, passwords, dashboard and settings."""

import csv
from collections.abc import Iterator
from io import StringIO
from uuid import UUID

from django.conf import settings as configuration
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import keys, mailbox, passwords, profile, security_log, sessions, signin
from accounts.forms import (
    ChangePasswordForm,
    IdentifierForm,
    MailboxCodeForm,
    ProfileForm,
    RegisterForm,
    ResetPasswordForm,
    SignInForm,
)
from accounts.identifiers import masked
from accounts.models import Channel, MailboxProof, Mode, SecurityEvent, User
from accounts.origin import origin_of
from accounts.redirection import safe_path
from accounts.refusals import Refused
from accounts.requests import (
    MAILBOX_PROOF,
    forget_person,
    person,
    refuse,
    remember_mailbox_proof,
    start_session,
    waits_until,
)
from accounts.session_store import SIGNED_IN
from mfa import browser, modes
from mfa.stepup import asks_for_password, needs_fresh_proof
from organizations import policy
from organizations.policy import works_without_mfa

Purpose = MailboxProof.Purpose
SESSIONS_PER_PAGE = 25
EVENTS_PER_PAGE = 50


# --- signing in and out -----------------------------------------------------------------------


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def login(request: HttpRequest) -> HttpResponse:
    """Ask for credentials; the OTP prompt follows where MFA is on."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(safe_path(request.GET.get("next")) or "accounts:dashboard")
    form = SignInForm(request.POST if request.method == "POST" else None, initial={"next": request.GET.get("next", "")})
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            user = signin.check_credentials(
                form.cleaned_data["identifier"], form.cleaned_data["password"], origin_of(request)
            )
            return _sign_in(request, user, form.cleaned_data["next"])
        except Refused as refused:
            status = refuse(request, form, None, refused)
    return render(request, "accounts/login.html", {"form": form}, status=status)


def _sign_in(request: HttpRequest, user: User, next_path: str) -> HttpResponse:
    if user.mfa_is_on:
        browser.begin_sign_in(request, user, next_path=next_path)
        return redirect("mfa:otp_prompt")
    forget_person(request)
    origin = origin_of(request)
    user = signin.finish(signin.begin(user, channel=Channel.BROWSER, origin=origin), origin)
    start_session(request, user, mode="")
    browser.remember_password(request)
    return redirect(next_path or "accounts:dashboard")


@require_POST
@works_without_mfa
def logout(request: HttpRequest) -> HttpResponse:
    """End this session."""
    if request.user.is_authenticated:
        security_log.record(request.user, security_log.Kind.SIGNED_OUT, origin_of(request))
    auth.logout(request)
    messages.success(request, _("You have been signed out."))
    return redirect("accounts:login")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def not_me(request: HttpRequest, token: str) -> HttpResponse:
    """Offer to make a password worthless that a stranger knows; the mail about it leads here. Signs nobody in."""
    event = signin.find_disowned(token)
    if event is None:
        return render(request, "accounts/not_me_over.html", status=404)
    if request.method == "POST":
        signin.disown(event, origin_of(request))
        messages.success(request, _("The password is withdrawn and all sessions are ended. Now choose a new one."))
        return redirect("accounts:password_reset")
    context = {"event": event, "browser": security_log.agent_in_words(event.agent)}
    return render(request, "accounts/not_me.html", context)


# --- registration and the mailbox ---------------------------------------------------------------


@never_cache
@sensitive_post_parameters("password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def register(request: HttpRequest) -> HttpResponse:
    """Register an account."""
    form = RegisterForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        email = form.cleaned_data["email"]
        try:
            proof = mailbox.register(email, form.cleaned_data["password"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            remember_mailbox_proof(request, proof)
            return redirect("accounts:verify_email")
    return render(request, "accounts/register.html", {"form": form}, status=status)


def _proof(request: HttpRequest, purpose: MailboxProof.Purpose) -> MailboxProof | None:
    return mailbox.find(request.session.get(MAILBOX_PROOF), purpose)


def _proof_is_over(request: HttpRequest, start_again: str) -> HttpResponse:
    request.session.pop(MAILBOX_PROOF, None)
    messages.warning(request, mailbox.ProofOver.message)
    return redirect(start_again)


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def verify_email(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was mailed after registration."""
    proof = _proof(request, Purpose.VERIFY_EMAIL)
    if proof is None:
        return _proof_is_over(request, "accounts:dashboard")
    form = MailboxCodeForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            mailbox.verify_email(proof, form.cleaned_data["code"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        else:
            request.session.pop(MAILBOX_PROOF, None)
            messages.success(request, _("Your email address is verified."))
            return redirect("accounts:dashboard")
    context = {
        "form": form,
        "email": masked(request.user.email) if request.user.is_authenticated else "",
        "resend_at": waits_until(mailbox.resend_at(proof)),
        "lifetime_hours": int(configuration.VERIFY_EMAIL_LIFETIME.total_seconds() // 3600),
    }
    return render(request, "accounts/verify_email.html", context, status=status)


@require_POST
@works_without_mfa
def verify_email_resend(request: HttpRequest) -> HttpResponse:
    """Mail the code again, or a first one for the signed-in user."""
    proof = _proof(request, Purpose.VERIFY_EMAIL)
    user = request.user
    if proof is None and user.is_authenticated and user.email_verified_at is None:
        remember_mailbox_proof(request, mailbox.ask(user, Purpose.VERIFY_EMAIL))
        return redirect("accounts:verify_email")
    if proof is None:
        return _proof_is_over(request, "accounts:dashboard")
    try:
        mailbox.resend(proof)
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("We have sent the code again."))
    return redirect("accounts:verify_email")


# --- passwords --------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def password_reset(request: HttpRequest) -> HttpResponse:
    """Mail a code for a new password, if there is such an account; the answer is always the same (SR-3)."""
    form = IdentifierForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            proof = mailbox.ask_reset(form.cleaned_data["identifier"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, None, refused)
        else:
            remember_mailbox_proof(request, proof)
            return redirect("accounts:password_reset_complete")
    return render(request, "accounts/password_reset.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("code", "password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
def password_reset_complete(request: HttpRequest) -> HttpResponse:
    """Ask for the mailed code and a new password. Ends at the sign-in page (SR-27)."""
    proof = _proof(request, Purpose.RESET_PASSWORD)
    if proof is None:
        return _proof_is_over(request, "accounts:password_reset")
    form = ResetPasswordForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            mailbox.reset_password(proof, form.cleaned_data["code"], form.cleaned_data["password"], origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "code", refused)
        except ValidationError as weak:
            form.add_error("password", weak)
            status = 400
        else:
            auth.logout(request)
            messages.success(request, _("Your password is changed. Please sign in with it."))
            return redirect("accounts:login")
    return render(request, "accounts/password_reset_complete.html", {"form": form}, status=status)


@never_cache
@sensitive_post_parameters("current_password", "password", "password_confirm")
@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
@asks_for_password
def password_change(request: HttpRequest) -> HttpResponse:
    """Change the password; the other sessions end."""
    user = person(request)
    form = ChangePasswordForm(request.POST if request.method == "POST" else None, user=user)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            changed = passwords.change(
                user,  # type: ignore[arg-type]
                form.cleaned_data["password"],
                origin_of(request),
                current=form.cleaned_data["current_password"],
                session_key=request.session.session_key,
            )
        except Refused as refused:
            status = refuse(request, form, "current_password", refused)
        else:
            auth.update_session_auth_hash(request, changed)
            messages.success(request, _("Your password is changed. Your other sessions were signed out."))
            return redirect("accounts:settings")
    return render(request, "accounts/password_change.html", {"form": form}, status=status)


# --- dashboard and settings ---------------------------------------------------------------------


@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show where things stand."""
    user = person(request)
    context = {
        "mfa_on": user.mfa_is_on,
        "preferred_mode": user.preferred_mode,
        "email_verified": user.email_verified_at is not None,
    }
    return render(request, "accounts/dashboard.html", context)


@require_safe
@works_without_mfa
@login_required
def settings(request: HttpRequest) -> HttpResponse:
    """Show the account's settings; the MFA section expands."""
    user = person(request)
    factors, recovery_codes_left = modes.overview(user)
    enabled = {factor.mode for factor in factors}
    context = {
        "recovery_codes_left": recovery_codes_left,
        "modes": [
            {
                "name": mode.value,
                "icon": "phone" if mode == Mode.AUTHENTICATOR else "mail",
                "enabled": mode in enabled,
                "preferred": mode == user.preferred_mode,
                "target": masked(user.email) if mode == Mode.EMAIL else "",
            }
            for mode in Mode
        ],
        "mfa_open": "mfa" in request.GET,
        "required_by": policy.requiring(user),
    }
    return render(request, "accounts/settings.html", context)


# --- sessions and keys ----------------------------------------------------------------------------


@never_cache
@require_safe
@works_without_mfa
@login_required
def sessions_page(request: HttpRequest) -> HttpResponse:
    """List where the account is signed in, in browsers and at the command line, and the keys that sign in."""
    user = person(request)
    page = Paginator(sessions.of_user(user), SESSIONS_PER_PAGE).get_page(request.GET.get("page"))
    this = request.session.get(SIGNED_IN, {}).get("public_id")
    rows = [
        {**row, "is_this": str(row["public_id"]) == this, "what": security_log.agent_in_words(row["agent"])}
        for row in page
    ]
    context = {
        "page": page,
        "sessions": rows,
        "keys": keys.of_user(user),
        "add_key_command": "datica keys add NAME FILE",
    }
    return render(request, "accounts/sessions.html", context)


def _events(request: HttpRequest) -> tuple[str, QuerySet[SecurityEvent]]:
    """Give the kind that the address asks for, blank for all, and the user's events of it."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in security_log.Kind.values else ""
    return kind, security_log.of_user(person(request), kind=kind)


def _as_row(event: SecurityEvent) -> dict[str, object]:
    kind = event.kind
    return {
        "at": event.at,
        "what": security_log.Kind(kind).label if kind in security_log.Kind.values else kind,
        "mode": event.mode,
        "address": event.address or "–",
        "browser": security_log.agent_in_words(event.agent),
    }


@never_cache
@require_safe
@works_without_mfa
@login_required
def security_log_page(request: HttpRequest) -> HttpResponse:
    """Show what happened to the account."""
    kind, events = _events(request)
    page = Paginator(events, EVENTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [_as_row(event) for event in page],
        "kind": kind,
        "kinds": sorted(security_log.Kind.choices, key=lambda choice: str(choice[1])),
        "query": f"kind={kind}&" if kind else "",
    }
    return render(request, "accounts/security_log.html", context)


@never_cache
@require_safe
@works_without_mfa
@login_required
def security_log_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Give the same as a file, row by row."""
    _kind, events = _events(request)

    def lines() -> Iterator[str]:
        line = StringIO()
        writer = csv.writer(line)
        writer.writerow([_("Time (UTC)"), _("What"), _("Mode"), _("Address"), _("Browser")])
        for event in events.iterator(chunk_size=1000):
            row = _as_row(event)
            writer.writerow([event.at.isoformat(timespec="seconds"), *list(row.values())[1:]])
            yield line.getvalue()
            line.seek(0)
            line.truncate()
        yield line.getvalue()

    headers = {"Content-Disposition": 'attachment; filename="security-log.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)


def _confirm(request: HttpRequest, **context: object) -> HttpResponse:
    return render(request, "mfa/confirm.html", {"cancel_url": reverse("accounts:sessions"), **context})


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def end_session(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Sign one session out."""
    if request.method == "POST":
        if sessions.end(person(request), public_id, origin_of(request)):
            messages.success(request, _("That session is signed out."))
        else:
            messages.warning(request, _("That session had already ended."))
        return redirect("accounts:sessions")
    return _confirm(
        request,
        title=_("Sign this session out?"),
        icon="door",
        text=[_("Whoever uses it has to sign in again.")],
        button=_("Sign out"),
        button_class="danger",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere else."""
    if request.method == "POST":
        sessions.end_all_others(person(request), origin_of(request), keep=request.session.session_key)
        messages.success(request, _("All other sessions are signed out."))
        return redirect("accounts:sessions")
    return _confirm(
        request,
        title=_("Sign all other sessions out?"),
        icon="door",
        text=[_("Every other browser and every command line has to sign in again. This session stays.")],
        button=_("Sign out all others"),
        button_class="danger",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
@needs_fresh_proof
def remove_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """Remove an SSH key, after a confirmation."""
    key = get_object_or_404(keys.of_user(person(request)), pk=key_id)
    if request.method == "POST":
        keys.remove(person(request), key.name, origin_of(request))
        messages.success(request, _("The key %(name)s is removed.") % {"name": key.name})
        return redirect("accounts:sessions")
    return _confirm(
        request,
        title=_("Remove the key %(name)s?") % {"name": key.name},
        icon="key",
        text=[_("Whoever holds it can no longer sign in with it at the command line.")],
        button=_("Remove"),
        button_class="danger",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@works_without_mfa
@login_required
def profile_edit(request: HttpRequest) -> HttpResponse:
    """Change name and user name."""
    user = person(request)
    form = ProfileForm(
        request.POST if request.method == "POST" else None, initial={"name": user.name, "username": user.username}
    )
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            profile.change(user, **form.cleaned_data, origin=origin_of(request))
        except Refused as refused:
            status = refuse(request, form, "username", refused)
        else:
            messages.success(request, _("Your profile is saved."))
            return redirect("accounts:settings")
    return render(request, "accounts/profile_edit.html", {"form": form}, status=status)
