"""The confirmation page."""

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict, Unpack

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise


class Confirmation(TypedDict):
    """The content of the page. Its form posts the ``hidden`` fields to ``action_url``, by default the page itself."""

    title: str | Promise
    text: Sequence[str | Promise]  # what will happen, one item a paragraph
    button: str | Promise
    cancel_url: str
    icon: NotRequired[str]
    button_class: NotRequired[Literal["primary", "action", "danger"]]
    action_url: NotRequired[str]
    method: NotRequired[Literal["post", "get"]]
    hidden: NotRequired[Mapping[str, str]]
    nav: NotRequired[object]  # the navigation of an organization, if this is one of its pages


def confirm(request: HttpRequest, **page: Unpack[Confirmation]) -> HttpResponse:
    """Render a page that says what will happen, with a button that does it."""
    return render(request, "confirm.html", {"icon": "warning", "button_class": "primary", "method": "post", **page})
