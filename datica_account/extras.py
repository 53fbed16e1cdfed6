"""What is switched on by a setting and needs packages of requirements-extras.txt."""

from functools import cache
from importlib.util import find_spec

from django.conf import settings
from django.utils.module_loading import import_string

PACKAGES = {
    "SENTRY_DSN": ("sentry_sdk",),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        "opentelemetry.sdk",
        "opentelemetry.exporter.otlp.proto.http",
        "opentelemetry.instrumentation.django",
        "opentelemetry.instrumentation.psycopg",
        "opentelemetry.instrumentation.celery",
        "opentelemetry.instrumentation.redis",
    ),
}


def are_installed(setting: str) -> bool:
    """Return whether the packages that a setting needs are there."""
    try:
        return all(find_spec(package) for package in PACKAGES[setting])
    except ModuleNotFoundError:  # the package above it is missing
        return False


@cache
def start_tracing() -> None:
    """Send traces from now on, if the setting says where to."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        import_string("datica_account.tracing.start")()
