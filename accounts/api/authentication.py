"""Authentication of the JSON endpoints."""

from typing import cast

from django.http import HttpRequest
from ninja.security import HttpBearer

from accounts import tokens
from accounts.models import Token


class Bearer(HttpBearer):
    """Accepts the token of a command-line session. Cookies do not authenticate these endpoints (SR-45)."""

    def authenticate(self, _request: HttpRequest, token: str) -> Token | None:
        """Return the session of a token."""
        return tokens.find(token)


bearer = Bearer()
AGENT = "datica-cli-"  # how the client's User-Agent begins: "datica-cli-<version> <os> <arch> <user id>"


def is_client(request: HttpRequest) -> bool:
    """Return whether a request has the headers of the command-line client, which no link makes a browser send."""
    return bool(request.headers.get("X-CLI-Version")) or request.headers.get("User-Agent", "").startswith(AGENT)


def named_user(request: HttpRequest) -> str:
    """Return the id of the account that the client names; blank before its first sign-in and for other clients."""
    agent = request.headers.get("User-Agent", "")
    words = agent.split() if agent.startswith(AGENT) else []
    return words[3] if len(words) > 3 else ""


def token_of(request: HttpRequest) -> Token:
    """Return the token of a request to an endpoint that requires one."""
    return cast("Token", request.auth)  # type: ignore[attr-defined]  # set by django-ninja
