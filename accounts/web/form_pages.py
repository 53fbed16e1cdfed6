"""How every page with a form is bound, refused and shown."""

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

RETRY_AFTER = "retry_after"  # of a request: seconds for the header of its answer
Form = TypeVar("Form", bound=forms.BaseForm)


def bound(request: HttpRequest, form_class: type[Form], **kwargs: Any) -> Form:
    """Return the form, bound to what was posted, if anything was."""
    return form_class(request.POST if request.method == "POST" else None, **kwargs)


class refusals_on(AbstractContextManager["refusals_on", bool]):  # noqa: N801  (used like a function)
    """Show a refusal of the domain at a field of the form, or on top of it; the code after the block then runs.

    Any other exception passes. ``error`` is the refusal, if there was one.
    """

    def __init__(self, request: HttpRequest, form: forms.BaseForm, field: str | None = None) -> None:
        self._request, self._form, self._field = request, form, field
        self.error: Refused | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Note the refusal; its answer's header says when to try again."""
        if not isinstance(error, Refused):
            return False
        self.error = error
        self._form.add_error(self._field, forms.ValidationError(error.text))
        setattr(self._request, RETRY_AFTER, error.seconds_to_wait)
        return True


def render_form(request: HttpRequest, template: str, form: forms.BaseForm, **context: object) -> HttpResponse:
    """Show a form. Answer 400 if it has errors, 429 where trying again makes sense only later, else 200."""
    status = 200 if not form.errors else 429 if getattr(request, RETRY_AFTER, 0) else 400
    return render(request, template, {"form": form, **context}, status=status)


def waits_until(moment: datetime) -> int:
    """Return the Unix time, never too early, until which a page lets a button wait; 0 for no wait."""
    return math.ceil(moment.timestamp()) if moment > timezone.now() else 0
