"""Who sends a request to the JSON endpoints."""

from typing import cast

from django.http import HttpRequest
from ninja.security import HttpBearer

from accounts import tokens
from accounts.models import Token


class Bearer(HttpBearer):
    """The token of a command-line session. Nothing else opens these endpoints, no cookie in particular (SR-45)."""

    def authenticate(self, _request: HttpRequest, token: str) -> Token | None:
        """Find the session of a token."""
        return tokens.find(token)


bearer = Bearer()
AGENT = "datica-cli-"  # how the client's User-Agent begins: "datica-cli-<version> <os> <arch> <user id>"


def is_client(request: HttpRequest) -> bool:
    """Whether a request carries the headers of the command-line client, which no link makes a browser send."""
    return bool(request.headers.get("X-CLI-Version")) or request.headers.get("User-Agent", "").startswith(AGENT)


def named_user(request: HttpRequest) -> str:
    """Return the id of the account that the client names; blank before its first sign-in and for other clients."""
    agent = request.headers.get("User-Agent", "")
    words = agent.split() if agent.startswith(AGENT) else []
    return words[3] if len(words) > 3 else ""


def token_of(request: HttpRequest) -> Token:
    """Give the session of an endpoint that only signed-in clients reach."""
    return cast("Token", request.auth)  # type: ignore[attr-defined]
