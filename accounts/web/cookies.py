"""Signed cookies: which browser this is, and the invitation that brought its user here."""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest

from accounts.models import KNOWN_BROWSER_LIFETIME

INVITATION_COOKIE_LIFETIME = timedelta(days=1)  # how long a browser remembers the invitation that brought its user here
COOKIES = "cookies_to_set"  # of a request: the value and lifetime of each signed cookie that its answer sets


def set_cookie(request: HttpRequest, name: str, value: str, *, lifetime: timedelta = KNOWN_BROWSER_LIFETIME) -> None:
    """Let the answer set a signed cookie, or delete it where ``value`` is empty."""
    setattr(request, COOKIES, {**getattr(request, COOKIES, {}), name: (value, lifetime)})


def know_browser(request: HttpRequest, tokens: tuple[str, ...]) -> None:
    """Let the browser hold the tokens of the users who have signed in with it."""
    set_cookie(request, settings.BROWSER_COOKIE_NAME, ".".join(tokens))


def invitation_of(request: HttpRequest) -> str:
    """Return the code of the invitation that this browser has opened, or an empty text."""
    name = settings.INVITATION_COOKIE_NAME
    return str(request.get_signed_cookie(name, default="", salt=name, max_age=INVITATION_COOKIE_LIFETIME))


def remember_invitation(request: HttpRequest, code: str) -> None:
    """Keep the code of an invitation in the browser, or forget it where ``code`` is empty. Nothing is stored here."""
    set_cookie(request, settings.INVITATION_COOKIE_NAME, code, lifetime=INVITATION_COOKIE_LIFETIME)
