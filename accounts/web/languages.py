"""The language of a response: the user's choice, else the browser's cookie, else what ``Accept-Language`` prefers."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

from accounts import languages

GetResponse = Callable[[HttpRequest], HttpResponse]
TRANSLATED = ("text/html", "application/json")
LANGUAGE_COOKIE_LIFETIME = timedelta(days=365)
# A header: the page's language, with a request for a part of the page, which needs no session to know it.
PAGE_LANGUAGE = "X-Page-Language"


def speak_language_of_browser(get_response: GetResponse) -> GetResponse:
    """Answer in the language of the cookie or of ``Accept-Language``, and say which language it is."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with translation.override(_of_page(request) or translation.get_language_from_request(request)):
            response = get_response(request)
            if response.headers.get("Content-Type", "").startswith(TRANSLATED):
                response.headers.setdefault("Content-Language", languages.active())
                patch_vary_headers(response, ["Accept-Language"])
        return response

    return middleware


def speak_language_of_user(get_response: GetResponse) -> GetResponse:
    """Answer in the language that the signed-in user has chosen. The user is read together with the session."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if _of_page(request) or not request.session.session_key:
            return get_response(request)
        if not (chosen := languages.known(getattr(request.user, "language", ""))):
            return get_response(request)
        with translation.override(chosen):
            response = get_response(request)
            response.headers["Content-Language"] = chosen
        return response

    return middleware


def _of_page(request: HttpRequest) -> str:
    return languages.known(request.headers.get(PAGE_LANGUAGE, ""))


def keep_in_browser(response: HttpResponse, code: str) -> None:
    """Set the cookie of the language, or delete it if ``code`` is blank."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=LANGUAGE_COOKIE_LIFETIME if code else 0,
        secure=settings.SECURE,
        httponly=True,
        samesite="Lax",
    )
