"""Headers that a view asked for: cookies that mark a browser, and when to try again."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.models import KNOWN_BROWSER_FOR
from accounts.requests import COOKIES, RETRY_AFTER

GetResponse = Callable[[HttpRequest], HttpResponse]


def answer_headers(get_response: GetResponse) -> GetResponse:
    """Set what this request has asked for."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        for name, value in getattr(request, COOKIES, {}).items():
            response.set_signed_cookie(
                name,
                value,
                salt=name,
                max_age=KNOWN_BROWSER_FOR,
                secure=settings.SECURE,
                httponly=True,
                samesite="Lax",
            )
        if seconds := getattr(request, RETRY_AFTER, 0):
            response.headers["Retry-After"] = str(seconds)
        return response

    return middleware
