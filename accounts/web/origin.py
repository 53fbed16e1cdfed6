"""The origin of a request: IP address, ``User-Agent``, known-browser tokens and time zone."""

from ipaddress import IPv4Address, IPv6Address
from ipaddress import ip_address as parse_ip_address

from django.conf import settings
from django.http import HttpRequest

from accounts.known_browsers import MAX_TOKENS
from accounts.security_log import Origin
from accounts.web.cookies import cookie_of
from accounts.web.time_zones import zone_of_browser


def origin_of(request: HttpRequest) -> Origin:
    """Return the client's IP address, its ``User-Agent``, the tokens of the browser's users, and its time zone."""
    agent = request.headers.get("User-Agent", "")
    tokens = tokens_in_cookie(request, settings.BROWSER_COOKIE_NAME)
    return Origin(client_ip(request), agent, tokens, zone_of_browser(request))


def tokens_in_cookie(request: HttpRequest, name: str) -> tuple[str, ...]:
    """Return the tokens that a signed cookie holds, one per user of the browser; none if its signature is wrong."""
    value = cookie_of(request, name)
    return tuple(value.split("."))[-MAX_TOKENS:] if value else ()


def client_ip(request: HttpRequest) -> str | None:
    """Return the IP address of the connection or, behind ``TRUSTED_PROXIES``, the one that they report (SR-6).

    Reads ``X-Forwarded-For`` from its end, because each trusted proxy vouches only for the hop before it. Entries that
    the client wrote are further left and are never reached. A connection through a Unix socket has no IP address; its
    proxy is trusted if the setting contains ``unix``.
    """
    client = _parse(request.META.get("REMOTE_ADDR", ""))
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    while hops and _is_trusted(client):
        reported = _parse(hops.pop())
        if reported is None:
            break
        client = reported
    return str(client) if client else None


def _is_trusted(hop: IPv4Address | IPv6Address | None) -> bool:
    if hop is None:
        return bool(settings.TRUST_UNIX_SOCKET)
    return any(hop in network for network in settings.TRUSTED_PROXIES)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = parse_ip_address(text.strip())
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
