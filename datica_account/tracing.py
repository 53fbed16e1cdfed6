"""Traces of requests, tasks and statements by OpenTelemetry. The packages are optional: requirements-extras.txt.

What an instrumentation notes of a request holds addresses, and secrets in URLs. So a span keeps only what is listed
here, and of an exception only its type (SR-19).
"""

from collections.abc import Sequence

from django.conf import settings
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

KEPT = frozenset(
    {
        "http.method",
        "http.request.method",
        "http.route",
        "http.status_code",
        "http.response.status_code",
        "db.system",
        "db.name",
        "celery.action",
        "celery.task_name",
        "celery.state",
        "messaging.destination",
        "messaging.message.id",
        "error.type",
        "exception.type",
    }
)
# The statement of PostgreSQL has places in place of values. That of Redis has keys, and is not kept.
STATEMENTS = {"db.statement", "db.query.text"}


class ScrubbingExporter(SpanExporter):
    """Passes spans on without what could be secret or personal."""

    def __init__(self, inner: SpanExporter) -> None:
        """Pass them on to ``inner``."""
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Pass on copies that keep what is listed."""
        return self._inner.export([scrubbed(span) for span in spans])

    def shutdown(self) -> None:
        """End."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._inner.force_flush(timeout_millis)


def scrubbed(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of a span that keeps what is listed. Its name is a route, a task or the verb of a statement."""
    attributes = span.attributes or {}
    kept = KEPT | STATEMENTS if attributes.get("db.system") == "postgresql" else KEPT
    return ReadableSpan(
        name=span.name if is_constant(span) else span.name.split(" ")[0],
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in attributes.items() if name in kept},
        events=[
            Event(
                event.name,
                {key: value for key, value in (event.attributes or {}).items() if key in KEPT},
                event.timestamp,
            )
            for event in span.events
        ],
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def is_constant(span: ReadableSpan) -> bool:
    """Return whether a span's name comes from the code: a request without a route could be named for its path."""
    attributes = span.attributes or {}
    is_request = "http.method" in attributes or "http.request.method" in attributes
    return not is_request or "http.route" in attributes


def _collector() -> SpanExporter:
    return OTLPSpanExporter(endpoint=f"{settings.OTEL_EXPORTER_OTLP_ENDPOINT.rstrip('/')}/v1/traces")


def start(exporter: SpanExporter | None = None) -> TracerProvider:
    """Begin to send traces to ``OTEL_EXPORTER_OTLP_ENDPOINT``. The package reads its other variables itself."""
    provider = TracerProvider(resource=Resource.create({"service.name": "datica-account"}))
    provider.add_span_processor(BatchSpanProcessor(ScrubbingExporter(exporter or _collector())))
    trace.set_tracer_provider(provider)
    for instrumentor in (DjangoInstrumentor(), PsycopgInstrumentor(), CeleryInstrumentor(), RedisInstrumentor()):
        instrumentor.instrument(tracer_provider=provider)
    return provider
