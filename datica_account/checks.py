"""What ``manage.py check --deploy`` says of settings that work and are worth a second look.

Settings with which the portal must not start are refused earlier, all in one message (``datica_account.refusal``).
"""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004  (Django's name for it)

from datica_account.renamed import OLD_NAMES


@register(Tags.compatibility)
def old_names(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of settings that have got another name."""
    return [
        Warning(
            f"{old} is now called {OLD_NAMES[old]}.",
            hint=f"Rename it: {old} works in this release only.",
            id="datica.W001",
        )
        for old in settings.OLD_SETTINGS_USED
    ]


@register(Tags.security, deploy=True)
def one_machine_only(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of parts that cannot be shared by several machines."""
    found: list[CheckMessage] = []
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        hint = "Set DATABASE_URL to postgres://user:password@host/name."
        found.append(Warning("The database is SQLite, which serves one machine.", hint=hint, id="datica.W002"))
    if settings.CELERY_BROKER_URL.startswith("filesystem:"):
        hint = "Set CELERY_BROKER_URL to redis://host/0."
        found.append(Warning("The queue is a folder, which serves one machine.", hint=hint, id="datica.W003"))
    return found


@register(Tags.security, deploy=True)
def proxies(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of limits by network that would count every client as the proxy (SR-6)."""
    if not settings.SECURE or settings.TRUSTED_PROXIES or settings.TRUST_UNIX_SOCKET:
        return []
    hint = "Set TRUSTED_PROXIES to the network of the proxy, or to unix for one at a Unix socket."
    text = "SITE_URL is https, so a proxy stands in front, but no proxy is trusted: all clients share one limit."
    return [Warning(text, hint=hint, id="datica.W004")]


@register(Tags.security)
def passkeys(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of addresses at which browsers refuse passkeys (WebAuthn 3 sections 5.1.3 and 13.4.9)."""
    hosts = {origin: urlsplit(origin).hostname or "" for origin in settings.RP_ORIGINS}
    wrong = [
        origin
        for origin, host in hosts.items()
        if not (host == settings.RP_ID or host.endswith(f".{settings.RP_ID}"))
        or not (origin.startswith("https://") or host == "localhost" or host.endswith(".localhost"))
        or is_ip_address(host)
    ]
    if not wrong:
        return []
    hint = "SITE_URL must be https:// and a host name, not an IP address; RP_ID must be that name or a domain above it."
    text = f"Passkeys cannot be used at {', '.join(wrong)} with the RP_ID {settings.RP_ID!r}."
    return [Warning(text, hint=hint, id="datica.W006")]


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address: no passkey can be bound to one."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@register(Tags.security, deploy=True)
def secure_site(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of sign-ins that anyone on the way can read."""
    if settings.SECURE:
        return []
    hint = "Let SITE_URL begin with https://, and a proxy in front end TLS."
    return [Warning("SITE_URL is http: passwords and codes travel in the open.", hint=hint, id="datica.W005")]
