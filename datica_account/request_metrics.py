"""Requests by route, method and status: django-prometheus' middlewares with fewer metrics.

Of its 18 metrics those stay that an alert or a graph asks for. A label is a constant of the code: the name of a route,
a known method, a status. The package's own time by view takes the method as it was sent, so anonymous requests could
make metrics without end, and counts the time of a failed request twice.
"""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django_prometheus.middleware import Metrics, PrometheusAfterMiddleware, PrometheusBeforeMiddleware
from django_prometheus.utils import Time

KEPT = frozenset(
    {
        "django_http_requests_latency_including_middlewares_seconds",
        "django_http_requests_latency_seconds_by_view_method",
        "django_http_responses_total_by_status",
        "django_http_responses_total_by_status_view_method",
        "django_http_exceptions_total_by_type",
    }
)


class NoMetric:
    """Takes the place of a metric that is not kept."""

    def labels(self, **_labels: str) -> "NoMetric":
        """Return itself for any labels."""
        return self

    def inc(self) -> None:
        """Count nothing."""

    def observe(self, _amount: float) -> None:
        """Observe nothing."""


class RequestMetrics(Metrics):
    """The metrics that are kept."""

    def register_metric(
        self, metric_cls: type, name: str, documentation: str, labelnames: tuple[str, ...] = (), **options: Any
    ) -> object:
        """Return the metric, or one that counts nothing."""
        if name not in KEPT:
            return NoMetric()
        return super().register_metric(metric_cls, name, documentation, labelnames, **options)


class Before(PrometheusBeforeMiddleware):
    """Measures the time of every request, also of those that another middleware answers."""

    metrics_cls = RequestMetrics


class After(PrometheusAfterMiddleware):
    """Counts what reaches a route, or none of them, with its status and its time."""

    metrics_cls = RequestMetrics

    def process_request(self, request: HttpRequest) -> None:
        """Note when the request came. Nothing else of it is counted."""
        vars(request)["prometheus_after_middleware_event"] = Time()

    def process_view(self, *_arguments: object) -> None:
        """Count nothing yet: the answer tells the route."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Count an exception by its type. Its time is measured with the answer."""
        self.label_metric(self.metrics.exceptions_by_type, request, type=type(exception).__name__).inc()

    def label_metric(
        self, metric: Any, request: HttpRequest, response: HttpResponseBase | None = None, **labels: str
    ) -> Any:
        """Return the metric with its labels, the method among them as one of those that exist."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)
