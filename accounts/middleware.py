"""Headers that a view asked for: a cookie for a browser that is known now, and when to try again."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.models import KNOWN_BROWSER_FOR
from accounts.requests import BROWSER, RETRY_AFTER

GetResponse = Callable[[HttpRequest], HttpResponse]


def answer_headers(get_response: GetResponse) -> GetResponse:
    """Set what this request has asked for."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        token = getattr(request, BROWSER, None)
        if token:
            response.set_cookie(
                settings.BROWSER_COOKIE_NAME,
                token,
                max_age=KNOWN_BROWSER_FOR,
                secure=settings.SECURE,
                httponly=True,
                samesite="Lax",
            )
        if seconds := getattr(request, RETRY_AFTER, 0):
            response.headers["Retry-After"] = str(seconds)
        return response

    return middleware
