"""The page on which a member confirms an assisted reset (SR-28)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import email_verification
from accounts.templatetags.times import in_words
from accounts.web.access import public
from accounts.web.form_pages import bound, refusals_on, render_form
from accounts.web.origin import origin_of
from mfa import assisted_reset
from mfa.web.forms import ConfirmResetForm


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def confirm_reset(request: HttpRequest) -> HttpResponse:
    """Ask for the mailed code that confirms a reset that an owner or staff has started. Sign no one in."""
    form = bound(request, ConfirmResetForm)
    if form.is_valid():
        user = email_verification.find_user(form.cleaned_data["identifier"])
        with refusals_on(request, form, "code"):
            due = assisted_reset.confirm(user, form.cleaned_data["code"], origin_of(request))
            text = _("Confirmed. We will email you a code at %(at)s. Signing in with your mode cancels the reset.")
            messages.success(request, text % {"at": in_words(due)})
            return redirect("accounts:login")
    return render_form(request, "mfa/confirm_reset.html", form)
