"""The page that asks before something is done."""

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict, Unpack

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise


class Confirmation(TypedDict):
    """What the page says. Its form goes to ``action_url``, by default the page itself, with the ``hidden`` fields."""

    title: str | Promise
    text: Sequence[str | Promise]  # what will happen, a paragraph each
    button: str | Promise
    cancel_url: str
    icon: NotRequired[str]
    button_class: NotRequired[Literal["primary", "action", "danger"]]
    action_url: NotRequired[str]
    method: NotRequired[Literal["post", "get"]]
    hidden: NotRequired[Mapping[str, str]]


def confirm(request: HttpRequest, **page: Unpack[Confirmation]) -> HttpResponse:
    """Show what will happen and a button that does it."""
    return render(request, "confirm.html", {"icon": "warning", "button_class": "primary", "method": "post", **page})
