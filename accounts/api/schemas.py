"""Types that all JSON endpoints share: texts and errors."""

from typing import Annotated

from ninja import Schema
from pydantic import AfterValidator, StringConstraints


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL")
    return text


Text = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_plain)]
ShortText = Annotated[str, StringConstraints(max_length=254), AfterValidator(_plain)]  # as long as an email
LongText = Annotated[str, StringConstraints(max_length=16_384), AfterValidator(_plain)]


class Error(Schema):
    """The body of every error: what happened, what to do, and a number for this kind of error."""

    title: str
    description: str
    code: int


class Nothing(Schema):
    """An empty body."""


ERRORS = dict.fromkeys((400, 401, 403, 404, 405, 409, 413, 429, 500), Error)
