"""Headers of each answer: cookies that a view asked for, when to try again, and that no cache keeps a private page."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers

from accounts.requests import COOKIES, RETRY_AFTER

GetResponse = Callable[[HttpRequest], HttpResponse]


def answer_headers(get_response: GetResponse) -> GetResponse:
    """Set what this request has asked for, and ``no-store`` where nothing else was said (SR-19)."""

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
            add_never_cache_headers(response)  # every page names its reader in the menu
        return response

    return middleware
