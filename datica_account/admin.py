"""The admin site: for staff whose session was verified by a factor (SR-52)."""

from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import auth, messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts import mail_routes, mail_status, security_log
from accounts.models import User
from accounts.web import proofs
from accounts.web.origin import origin_of
from mfa import modes, recovery


def _needs_proof(request: HttpRequest) -> bool:
    """Return whether a request changes something, other than ending the session, or shows the form that does."""
    name = (request.resolver_match.url_name if request.resolver_match else "") or ""
    if request.method in {"GET", "HEAD"}:
        return name.endswith(("_add", "_change", "_delete", "_act"))
    return name != "logout"


def _is_verified(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_verified()


class PortalAdmin(AdminSite):
    """An admin site without a sign-in of its own: staff use the portal's, with its factors and throttles."""

    site_header = site_title = gettext_lazy("Administration")
    site_url = "/account"
    index_template = "admin/portal_index.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether the user is active staff with a verified session."""
        if not super().has_permission(request) or not _is_verified(request):
            return False
        return proofs.mode_of_session(request) in {*modes.ALL, recovery.MODE}  # a remembered browser is not enough

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Require a recent proof for every change, and for the form that makes it (SR-52)."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def with_proof(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if _needs_proof(request) and self.has_permission(request) and not proofs.has_proven_factor(request):
                return proofs.ask_for_proof(request)
            answer: HttpResponse = inner(request, *args, **kwargs)
            return answer

        return with_proof

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Redirect to the portal's sign-in, to the step-up, or to the activation of MFA, whichever is missing."""
        if not request.user.is_authenticated:
            next_path = request.GET.get("next", reverse("admin:index"))
            return redirect(f"{reverse('accounts:login')}?{urlencode({'next': next_path})}")
        if not request.user.is_staff:
            raise PermissionDenied
        if _is_verified(request):  # by a remembered browser or an assisted reset
            return redirect(f"{reverse('mfa:step_up')}?{urlencode({'next': reverse('admin:index')})}")
        messages.warning(request, _("The administration requires multi-factor authentication. Activate it first."))
        return redirect("mfa:activate")

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the URLs, with the page about mail."""
        return [path("mail", self.admin_view(self.mail_status), name="mail_status"), *super().get_urls()]

    @method_decorator(require_safe)
    def mail_status(self, request: HttpRequest) -> HttpResponse:
        """Show how mail is doing. Addresses are masked."""
        context = {
            **self.each_context(request),
            "title": _("Mail"),
            "status": mail_status.status(),
            "routes": [(route, mail_routes.provider_of(route)) for route in mail_routes.all_routes()],
        }
        return TemplateResponse(request, "admin/mail_status.html", context)

    @method_decorator(require_POST)
    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # type: ignore[override]
        """Sign out, and write it into the security log."""
        if isinstance(request.user, User):
            security_log.record(request.user, security_log.Kind.SIGNED_OUT, origin_of(request))
        auth.logout(request)
        return redirect("accounts:login")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # type: ignore[override]
        """Redirect to the portal's own page, which ends the other sessions and sends a notice."""
        return redirect("accounts:password_change")
