"""Signed cookies: the tokens of the browser's users, the pending sign-in, the invitation that it has opened."""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest

from accounts.models import KNOWN_BROWSER_LIFETIME

INVITATION_COOKIE_LIFETIME = timedelta(days=1)
COOKIES = "cookies_to_set"  # of a request: the value and lifetime of each signed cookie that its response sets


def set_cookie(request: HttpRequest, name: str, value: str, *, lifetime: timedelta = KNOWN_BROWSER_LIFETIME) -> None:
    """Set a signed cookie with the response, or delete it if ``value`` is empty."""
    setattr(request, COOKIES, {**getattr(request, COOKIES, {}), name: (value, lifetime)})


def cookie_of(request: HttpRequest, name: str, *, lifetime: timedelta = KNOWN_BROWSER_LIFETIME) -> str:
    """Return the value of a signed cookie; blank if it is missing, forged or older than ``lifetime``."""
    if name in (to_set := getattr(request, COOKIES, {})):
        return str(to_set[name][0])
    return str(request.get_signed_cookie(name, default="", salt=name, max_age=lifetime))


def know_browser(request: HttpRequest, tokens: tuple[str, ...]) -> None:
    """Store the tokens of the users who have signed in with this browser in its cookie."""
    set_cookie(request, settings.BROWSER_COOKIE_NAME, ".".join(tokens))


def invitation_of(request: HttpRequest) -> str:
    """Return the code of the invitation that this browser has opened, or an empty string."""
    return cookie_of(request, settings.INVITATION_COOKIE_NAME, lifetime=INVITATION_COOKIE_LIFETIME)


def remember_invitation(request: HttpRequest, code: str) -> None:
    """Store the code of an invitation in the browser's cookie, or delete it if ``code`` is empty."""
    set_cookie(request, settings.INVITATION_COOKIE_NAME, code, lifetime=INVITATION_COOKIE_LIFETIME)
