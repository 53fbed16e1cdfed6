"""Where a request comes from."""

from django.http import HttpRequest

from accounts.security_log import Origin


def origin_of(request: HttpRequest) -> Origin:
    """Give the client's address, from the connection itself, and its browser's description."""
    return Origin(request.META.get("REMOTE_ADDR") or None, request.headers.get("User-Agent", ""))
