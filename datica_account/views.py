"""Error pages of a failed CSRF check and a failed request, metrics, and what programs ask at well-known addresses."""

import sys
from datetime import timedelta
from hmac import compare_digest

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from accounts import mail_gauges
from accounts.web.access import public, works_while_blocked
from accounts.web.redirection import page_of_form
from datica_account import shared_metrics
from mfa import mode_gauges

GAUGES = CollectorRegistry()
GAUGES.register(mail_gauges.gauges)
GAUGES.register(mode_gauges.gauges)
SECURITY_TXT_LIFETIME = timedelta(days=180)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid CSRF token: cookies are off, or a sign-in in another tab has changed it.

    What was typed is not shown again: a form of another site could have typed it.
    """
    has_cookie = settings.CSRF_COOKIE_NAME in request.COOKIES
    context = {"reason": reason, "has_cookie": has_cookie, "page_url": page_of_form(request)}
    return render(request, "403_csrf.html", context, status=403)


# A page that was answered with 503 may be asked for again after so many seconds: a database restarts in fewer.
RETRY_AFTER_SECONDS = 10


def server_error(_request: HttpRequest) -> HttpResponse:
    """Answer a request that failed: 503 if the database is away or gave up, as it may do later what it did not now.

    Django calls this while it handles the exception, and has logged it. The pages ask the database nothing.
    """
    if not isinstance(sys.exception(), InterfaceError | OperationalError):
        return HttpResponse(render_to_string("500.html"), status=500)
    page = HttpResponse(render_to_string("503.html"), status=503)
    page.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return page


@require_safe
@public
@works_while_blocked
def passkey_endpoints(_request: HttpRequest) -> JsonResponse:
    """Name the pages where passkeys are made and managed, for password managers (W3C, passkey endpoints)."""
    enrol, manage = (f"{settings.SITE_URL}{reverse(name)}" for name in ("mfa:add_passkey", "mfa:passkeys"))
    return JsonResponse({"enroll": enrol, "manage": manage})


@require_safe
@public
@works_while_blocked
def change_password(_request: HttpRequest) -> HttpResponse:
    """Lead password managers to the page that changes the password (W3C, a well-known URL for changing passwords)."""
    return redirect("accounts:password_change")


@require_safe
@public
@works_while_blocked
def security_txt(_request: HttpRequest) -> HttpResponse:
    """Tell where to report a security hole (RFC 9116). Raise ``Http404`` if ``SECURITY_CONTACT`` is blank."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (timezone.now() + SECURITY_TXT_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    address = f"{settings.SITE_URL}{reverse('security_txt')}"
    lines = [f"Contact: {settings.SECURITY_CONTACT}", f"Expires: {expires}", f"Canonical: {address}"]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@require_safe
@public
@works_while_blocked
def robots_txt(_request: HttpRequest) -> HttpResponse:
    """Let search engines find the sign-in and the help, and nothing else (RFC 9309)."""
    lines = ["User-agent: *", "Allow: /account/login", "Allow: /help/", "Allow: /static/", "Disallow: /"]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
@public
@works_while_blocked
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics of all processes to a client with ``METRICS_TOKEN``. Raise ``Http404`` for any other."""
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogatepass")
    if not settings.METRICS_TOKEN or not compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
        raise Http404
    # Counters are summed over the processes; gauges are asked of the database, which all of them share.
    text = generate_latest(shared_metrics.registry()) + generate_latest(GAUGES)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)
