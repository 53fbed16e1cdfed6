"""The time zone of a response: the user's choice, else the one that the browser told the script, else UTC."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import time_zones

GetResponse = Callable[[HttpRequest], HttpResponse]
PAGE_TIME_ZONE = "X-Page-Time-Zone"  # a header: the page's time zone, with a request for a part of the page


def show_times_of_reader(get_response: GetResponse) -> GetResponse:
    """Show times in the reader's time zone. The user is read together with the session; nothing else is read."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with time_zones.shown_in(_zone_of(request)):
            return get_response(request)

    return middleware


def zone_of_browser(request: HttpRequest) -> str:
    """Return the name of the browser's time zone; blank if the script has not told it."""
    return time_zones.known(request.COOKIES.get(settings.TIME_ZONE_COOKIE_NAME, ""))


def _zone_of(request: HttpRequest) -> str:
    """Return the name of a time zone, or any other text: the browser may have sent anything."""
    if request.path.startswith(reverse("admin:index")):
        return time_zones.UTC  # staff of several time zones talk about what they see
    if named := request.headers.get(PAGE_TIME_ZONE):
        return named
    chosen = getattr(request.user, "time_zone", "") if request.session.session_key else ""
    return chosen or request.COOKIES.get(settings.TIME_ZONE_COOKIE_NAME, "")
