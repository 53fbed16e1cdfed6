"""Errors to Sentry, without anything that was typed. The package is optional: requirements-extras.txt.

None of the package's integrations is on but the one that sends what waits at the end of a process: they collect
requests, log lines and values on the way. An event is made of a report alone.
"""

from typing import cast

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from datica_account.error_reports import Report, ReportHandler

# What a report and the package's description of itself consist of.
KEPT = frozenset(
    {
        "level", "exception", "message", "transaction", "fingerprint", "tags", "user",
        "event_id", "timestamp", "platform", "release", "environment", "server_name", "sdk",
    }
)  # fmt: skip


class SentryHandler(ReportHandler):
    """Sends reports to Sentry."""

    def __init__(self, *, dsn: str) -> None:
        """Begin to send to the project with this address."""
        super().__init__()
        sentry_sdk.init(
            dsn=dsn,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[AtexitIntegration(callback=lambda _pending, _timeout: None)],
            include_local_variables=False,
            max_request_body_size="never",
            before_breadcrumb=lambda _breadcrumb, _hint: None,
            before_send=without_context,
        )

    def send(self, report: Report) -> None:
        """Send a report."""
        sentry_sdk.capture_event(event_of(report))


def without_context(event: Event, _hint: Hint) -> Event:
    """Remove what the package adds of the past and the surroundings, should it collect any."""
    return cast("Event", {key: value for key, value in event.items() if key in KEPT})


def event_of(report: Report) -> Event:
    """Return the event of a report, without the messages of its exceptions."""
    event: Event = {"level": "error"}
    if report.exception:
        event, _hint = event_from_exception(report.exception, client_options=sentry_sdk.get_client().options)
        for value in event["exception"]["values"]:
            value["value"] = ""
    else:
        event["message"] = report.title
    event["transaction"] = report.view or report.place
    event["fingerprint"] = [report.title, report.place]
    event["tags"] = {"place": report.place, "request_id": report.request_id}
    if report.user_id:
        event["user"] = {"id": report.user_id}
    return event
