"""Helpers of pages with a form: bind it, show refusals, render it."""

import math
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.refusals import Refused

NOT_TYPED = (forms.CheckboxInput, forms.RadioSelect, forms.Select)
RETRY_AFTER = "retry_after"  # of a request: seconds for the header of its response
Form = TypeVar("Form", bound=forms.BaseForm)


def bound(request: HttpRequest, form_class: type[Form], **kwargs: Any) -> Form:
    """Return the form, bound to the posted data if the request is a POST."""
    return form_class(request.POST if request.method == "POST" else None, **kwargs)


class Refusals(AbstractContextManager["Refusals", bool]):
    """Catches a refusal in the block and adds it to a field of the form, or to the form as a whole.

    The code after the block then runs. Any other exception passes. ``error`` is the refusal, if there was one.
    """

    def __init__(self, request: HttpRequest, form: forms.BaseForm, field: str | None = None) -> None:
        self._request, self._form, self._field = request, form, field
        self.error: Refused | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Add the refusal to the form, and set ``Retry-After`` of the response."""
        if not isinstance(error, Refused):
            return False
        self.error = error
        self._form.add_error(self._field, forms.ValidationError(error.text))
        setattr(self._request, RETRY_AFTER, error.seconds_to_wait)
        return True


def refusals_on(request: HttpRequest, form: forms.BaseForm, field: str | None = None) -> Refusals:
    """Show a refusal that the block raises at ``field``, or on top of the form where it is None."""
    return Refusals(request, form, field)


def render_form(request: HttpRequest, template: str, form: forms.BaseForm, **context: object) -> HttpResponse:
    """Render a form. The status is 429 if a refusal has a ``retry_at``, 400 for other errors, else 200.

    Typing starts in the first wrong field. If none is wrong it starts in the first empty one, unless the context has
    ``focus=False``: the page does not begin with the form.
    """
    status = 200 if not form.errors else 429 if getattr(request, RETRY_AFTER, 0) else 400
    if form.errors or context.get("focus", True):
        focus_first(form)
    return render(request, template, {"form": form, **context}, status=status)


def focus_first(form: forms.BaseForm) -> None:
    """Let typing start in the first wrong field of a form, or in the first one that must be filled and is not."""
    fields = form.visible_fields()
    wrong = next((field for field in fields if field.errors), None)
    typed = [field for field in fields if not isinstance(field.field.widget, NOT_TYPED)]
    empty = [field for field in typed if field.field.required and _is_shown_empty(field)]
    unchosen = [field for field in fields if isinstance(field.field.widget, forms.RadioSelect) and not field.value()]
    if (first := wrong or next(iter(empty or unchosen or typed), None)) is None:
        return
    if isinstance(first.field.widget, forms.RadioSelect):
        vars(form)["wrong_group"] = first.name  # its fieldset takes the focus: a group of radios has many inputs
    else:
        first.field.widget.attrs["autofocus"] = True


def _is_shown_empty(field: forms.BoundField) -> bool:
    """Return whether a field has no value, or one that is not sent back: a password has to be typed again."""
    return not field.value() or isinstance(field.field.widget, forms.PasswordInput)


def seconds_until(moment: datetime) -> int:
    """Return how many seconds a page disables a button, rounded up; 0 if ``moment`` has passed."""
    return max(0, math.ceil((moment - timezone.now()).total_seconds()))
