"""Middleware for responses: cookies and headers that a view asked for, and the message that a session has ended."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from accounts.web.cookies import COOKIES
from accounts.web.form_pages import RETRY_AFTER

GetResponse = Callable[[HttpRequest], HttpResponse]


def response_headers(get_response: GetResponse) -> GetResponse:
    """Set the cookies and headers that the view asked for, and ``no-store`` by default (SR-19)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        for name, (value, lifetime) in getattr(request, COOKIES, {}).items():
            if value:
                flags = {"secure": settings.SECURE, "httponly": True, "samesite": "Lax"}
                response.set_signed_cookie(name, value, salt=name, max_age=lifetime, **flags)
            elif name in request.COOKIES:
                response.set_cookie(name, max_age=0, secure=settings.SECURE, httponly=True, samesite="Lax")
        if seconds := getattr(request, RETRY_AFTER, 0):
            response.headers["Retry-After"] = str(seconds)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)  # every page shows its user's name in the menu
        return response

    return middleware


def tell_of_ended_session(get_response: GetResponse) -> GetResponse:
    """Add a message when a session is over, or a form is sent without one, and the sign-in page is next."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        to_sign_in = response.headers.get("Location", "").startswith(f"{resolve_url(settings.LOGIN_URL)}?")
        if to_sign_in and _was_signed_in(request):
            messages.info(
                request,
                _(
                    "You were signed out because your session was not used for too long or was ended elsewhere. "
                    "Sign in again to continue."
                ),
            )
        elif to_sign_in and request.method == "POST" and _needs_sign_in(request):
            messages.info(request, _("You are signed out, so nothing was changed. Sign in to continue."))
        return response

    return middleware


def _needs_sign_in(request: HttpRequest) -> bool:
    """Return whether the view needs a sign-in. A public one says itself why it leads to the sign-in page."""
    return bool(request.resolver_match and getattr(request.resolver_match.func, "login_required", True))


def _was_signed_in(request: HttpRequest) -> bool:
    """Return whether the request has a known-browser cookie and the cookie of a session that is over.

    Signing out deletes the session cookie, and so does the response to this request, so the message is shown once.
    """
    cookies = (settings.SESSION_COOKIE_NAME, settings.BROWSER_COOKIE_NAME)
    return all(request.COOKIES.get(name) for name in cookies) and request.session.session_key is None
