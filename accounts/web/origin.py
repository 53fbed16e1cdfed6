"""Where a request comes from."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest

from accounts.known_browsers import MAX_TOKENS
from accounts.security_log import Origin


def origin_of(request: HttpRequest) -> Origin:
    """Return the client's IP address, its browser's description, and the tokens of the people who used it before."""
    agent = request.headers.get("User-Agent", "")
    return Origin(client_ip(request), agent, tokens_in_cookie(request, settings.BROWSER_COOKIE_NAME))


def tokens_in_cookie(request: HttpRequest, name: str) -> tuple[str, ...]:
    """Return the tokens that a signed cookie holds, one for each user of the browser; none if it was made up."""
    value = str(request.get_signed_cookie(name, default="", salt=name))
    return tuple(value.split("."))[-MAX_TOKENS:] if value else ()


def client_ip(request: HttpRequest) -> str | None:
    """Return the IP address of the connection or, behind proxies of ``TRUSTED_PROXIES``, the one that they name (SR-6).

    The header is read from its end: each trusted hop vouches for the one before it, and for no more. What a client
    wrote into it itself lies further left and is never reached. A connection through a Unix socket has no address; its
    proxy is trusted where the setting says ``unix``.
    """
    address = _parsed(request.META.get("REMOTE_ADDR", ""))
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    while hops and _is_trusted(address):
        named = _parsed(hops.pop())
        if named is None:
            break
        address = named
    return str(address) if address else None


def _is_trusted(address: IPv4Address | IPv6Address | None) -> bool:
    if address is None:
        return bool(settings.TRUST_UNIX_SOCKET)
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
