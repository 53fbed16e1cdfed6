"""The two ways out for mail, and which of them a mail takes.

A mail goes by the primary one. If that fails, a code goes by the second one at once, in the same attempt, with the same
``Message-ID``. Other mails wait for their next try; they go by the second one while the circuit breaker is open. Where
a server may have accepted a code before its connection was lost, the code goes out twice: a user waits for it, and a
mail program shows two mails with one ``Message-ID`` once (docs/decisions.md#53).
"""

from copy import copy
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog
from anymail.exceptions import AnymailAPIError, AnymailRecipientsRefused
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts import delivery, mail_breaker, mail_refusals, metrics
from accounts.models import Mail

if TYPE_CHECKING:
    from accounts.mail_connections import KeptConnection

log = structlog.get_logger(__name__)

DJANGO_SMTP = "django.core.mail.backends.smtp.EmailBackend"
SMTP = "accounts.smtp.EmailBackend"
# What a mail server or provider does. Everything else is a bug here, which a second way does not mend. All errors of
# smtplib, of sockets and of requests are OSErrors.
PROVIDER_ERRORS = (OSError, AnymailAPIError, AnymailRecipientsRefused)


class Route(StrEnum):
    """A way out for mail."""

    PRIMARY = "primary"
    FALLBACK = "fallback"


def all_routes() -> list[Route]:
    """Return the routes that are set up."""
    return list(Route) if settings.EMAIL_FALLBACK_BACKEND else [Route.PRIMARY]


def connect(route: Route) -> BaseEmailBackend:
    """Return the mail backend of a route, not yet connected."""
    backend, options = settings.EMAIL_BACKEND, _patience()
    if route == Route.FALLBACK:
        backend, options = settings.EMAIL_FALLBACK_BACKEND, settings.EMAIL_FALLBACK_SMTP
    if backend != DJANGO_SMTP:
        return get_connection(backend)
    return get_connection(SMTP, **options)


def _patience() -> dict[str, Any]:
    """Return the options of the primary mail server: less patience with it where there is another one."""
    return {"timeout": min(settings.EMAIL_FALLBACK_AFTER, settings.EMAIL_TIMEOUT)} if len(all_routes()) > 1 else {}


def provider_of(route: Route) -> str:
    """Return the name of who takes mail on a route: the host of a mail server, or Anymail's name of a provider."""
    fallback = route == Route.FALLBACK
    backend = settings.EMAIL_FALLBACK_BACKEND if fallback else settings.EMAIL_BACKEND
    host = settings.EMAIL_FALLBACK_SMTP.get("host", "") if fallback else settings.EMAIL_HOST
    return delivery.provider_of(import_string(backend), host=host if backend == DJANGO_SMTP else "")


def send(
    message: EmailMultiAlternatives, over: "KeptConnection", mail: Mail, *, is_code: bool
) -> EmailMultiAlternatives:
    """Send a mail; return what was sent, with its connection. Raises what the mail backend of the last route raised."""
    first, *others = _in_order()
    try:
        return _send_by(first, message, over, mail)
    except PROVIDER_ERRORS as error:
        if not others or not is_code or mail_refusals.reason_of(error):
            raise
        # The text of an error may quote the mail (SR-19).
        log.warning("mail_route.failed", route=str(first), error=mail_refusals.in_short(error))
    return _send_by(others[0], message, over, mail)


def _in_order() -> list[Route]:
    """Return the routes in the order in which a mail tries them."""
    routes = all_routes()
    if len(routes) > 1 and not mail_breaker.lets_through():
        routes.reverse()
    return routes


def reach(over: "KeptConnection") -> None:
    """Open the connection by which bulk mail goes now. Raises what the mail backend raises if the server is away."""
    routes = all_routes()
    route = Route.FALLBACK if len(routes) > 1 and mail_breaker.is_open() else Route.PRIMARY
    try:
        over.by(route).reach()
    except PROVIDER_ERRORS as error:
        _note_failure(route, error)
        raise


def _send_by(
    route: Route, message: EmailMultiAlternatives, over: "KeptConnection", mail: Mail
) -> EmailMultiAlternatives:
    kept = over.by(route)
    # The signed sender is for SMTP, and metadata for a provider: the other route must not carry them.
    own = copy(message)
    own.extra_headers = dict(message.extra_headers)
    try:
        own.connection = kept.for_mail()
        delivery.name_for_reports(own, mail)
        own.send()
        mail_refusals.raise_if_not_taken(own)
    except PROVIDER_ERRORS as error:
        kept.close()
        _note_failure(route, error)
        raise
    except Exception:
        kept.close()
        raise
    metrics.count(f"mail by the {route} route", "sent")
    if route == Route.PRIMARY:
        mail_breaker.succeeded()
    return own


def _note_failure(route: Route, error: Exception) -> None:
    metrics.count(f"mail by the {route} route", "failed")
    if route == Route.PRIMARY and len(all_routes()) > 1 and not mail_refusals.is_about_recipient(error):
        mail_breaker.failed(mail_refusals.in_short(error))


def send_test(route: Route, to: str) -> str:
    """Send a test mail by a route, past the circuit breaker; return what was answered.

    Raises one of ``PROVIDER_ERRORS``.
    """
    connection = connect(route)
    text = _("This mail was sent to test the mail route “%(route)s” of %(site)s.")
    site = {"route": str(route), "site": settings.SITE_NAME}
    message = EmailMultiAlternatives(_("Test mail"), text % site, to=[to], connection=connection)
    connection.open()
    try:
        message.send()
        mail_refusals.raise_if_not_taken(message)
        status = getattr(message, "anymail_status", None)
        return str(getattr(connection, "last_reply", "") or status or "sent")
    finally:
        connection.close()
