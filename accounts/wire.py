"""What the JSON endpoints share: who asks, what text is, what an error looks like."""

from typing import Annotated, cast

from django.http import HttpRequest
from ninja import Schema
from ninja.security import HttpBearer
from pydantic import AfterValidator, StringConstraints

from accounts import tokens
from accounts.models import Token


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL")
    return text


Text = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_plain)]
ShortText = Annotated[str, StringConstraints(max_length=254), AfterValidator(_plain)]  # as long as an address
LongText = Annotated[str, StringConstraints(max_length=16_384), AfterValidator(_plain)]


class Error(Schema):
    """What every refusal says: what happened, what to do, and a number that means one thing."""

    title: str
    description: str
    code: int


class Nothing(Schema):
    """An answer that says no more than its status."""


ERRORS = dict.fromkeys((400, 401, 403, 404, 405, 409, 413, 429, 500), Error)


class Bearer(HttpBearer):
    """The token of a command-line session. Nothing else opens these endpoints, no cookie in particular (SR-45)."""

    def authenticate(self, _request: HttpRequest, token: str) -> Token | None:
        """Find the session of a token."""
        return tokens.find(token)


bearer = Bearer()


def token_of(request: HttpRequest) -> Token:
    """Give the session of an endpoint that only signed-in clients reach."""
    return cast("Token", request.auth)  # type: ignore[attr-defined]
