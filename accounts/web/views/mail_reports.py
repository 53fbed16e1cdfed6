"""Where mail providers report what became of our mails. Anymail checks and reads each report (SR-61)."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, cast

from anymail.exceptions import AnymailError
from anymail.urls import urlpatterns as views_of_anymail
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from django.views.decorators.csrf import csrf_exempt

from accounts.web.access import public, works_while_blocked

TRACKING = "_tracking_webhook"
# What Anymail's views raise for a wrong signature, and for a body that is not as its provider documents it.
UNREADABLE = (
    AnymailError, ArithmeticError, AssertionError, AttributeError, ImproperlyConfigured, LookupError, OSError,
    RawPostDataException, RecursionError, TypeError, ValueError,
)  # fmt: skip


class RefusedReport(SuspiciousOperation):
    """A report that is forged or cannot be read. Django answers 400 and logs the name of the error.

    Nothing more of it: Anymail's own messages quote addresses, bodies and the shared secret (SR-19).
    """


@csrf_exempt
@public
@works_while_blocked
def mail_reports(request: HttpRequest, provider: str) -> HttpResponse:
    """Take a report of a provider that is switched on. Raise ``Http404`` for any other."""
    if provider not in settings.MAIL_REPORT_PROVIDERS:
        raise Http404
    return _view_of(provider)(request)


@cache
def _view_of(provider: str) -> Callable[[HttpRequest], HttpResponse]:
    classes = {pattern.name: pattern.callback.view_class for pattern in views_of_anymail}
    anymails = classes[f"{provider}{TRACKING}"]
    guarded = {name: _refuse_unreadable(getattr(anymails, name)) for name in ("run_validators", "parse_events")}
    view: Any = type(anymails.__name__, (anymails,), guarded)
    return cast("Callable[[HttpRequest], HttpResponse]", view.as_view())


def _refuse_unreadable(read: Callable[[Any, HttpRequest], Any]) -> Callable[[Any, HttpRequest], Any]:
    """Return a method of Anymail's view that raises ``RefusedReport`` where ``read`` raises one of many errors.

    Errors of what happens next, such as an unreachable database, stay errors, so that the provider tries again.
    """

    @wraps(read)
    def guarded(view: Any, request: HttpRequest) -> Any:
        try:
            return read(view, request)
        except UNREADABLE as error:
            raise RefusedReport(type(error).__name__) from None

    return guarded
