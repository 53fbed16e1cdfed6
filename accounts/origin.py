"""Where a request comes from."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

from accounts.security_log import Origin


def origin_of(request: HttpRequest) -> Origin:
    """Give the client's address, its browser's description, and the token of a browser that was here before."""
    agent = request.headers.get("User-Agent", "")
    name = settings.BROWSER_COOKIE_NAME
    return Origin(client_address(request), agent, str(request.get_signed_cookie(name, default="", salt=name)))


def client_address(request: HttpRequest) -> str | None:
    """Give the address of the connection or, behind proxies of ``TRUSTED_PROXIES``, the one that they name (SR-6).

    The header is read from its end: each trusted hop vouches for the one before it, and for no more. What a client
    wrote into it itself lies further left and is never reached.
    """
    address = _parsed(request.META.get("REMOTE_ADDR", ""))
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    while address and hops and any(address in network for network in settings.TRUSTED_PROXIES):
        named = _parsed(hops.pop())
        if named is None:
            break
        address = named
    return str(address) if address else None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
