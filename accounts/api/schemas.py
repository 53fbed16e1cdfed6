"""What the JSON endpoints share: who asks, what text is, what an error looks like."""

from typing import Annotated

from ninja import Schema
from pydantic import AfterValidator, StringConstraints


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
