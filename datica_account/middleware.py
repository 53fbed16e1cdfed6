"""Middleware that refuses malformed requests (SR-49) and keeps the JSON endpoints to JSON (SR-45)."""

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_structlog.middlewares import RequestMiddleware

from accounts.api.authentication import is_client
from accounts.web.origin import client_ip
from datica_account import api


class RequestLog(RequestMiddleware):
    """Log each request with the client's IP address as the throttles see it (SR-6)."""

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """Bind the IP address. The package's own method trusts ``X-Forwarded-For`` from any client."""
        structlog.contextvars.bind_contextvars(ip=client_ip(request))

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Bind the user if the request knows who it is. The package's own method would read every session.

        Of a request that failed because the database is away, it would also wait for it once more.
        """
        session = getattr(request, "session", None)
        if session is not None and session.is_read:
            user_id = str(request.user.pk) if request.user.pk else None
            structlog.contextvars.bind_contextvars(user_id=user_id)


GetResponse = Callable[[HttpRequest], HttpResponse]
INVITING = re.compile(r"\A/organizations/[0-9a-f-]{36}/invitations\Z")
HOOKS = "/hooks/"  # where machines report
FORM = "application/x-www-form-urlencoded"


def is_text(sent: bytes) -> bool:
    """Return whether bytes of a form or a URL decode to text without a NUL."""
    plain = unquote_to_bytes(sent.replace(b"+", b" "))
    try:
        return "\0" not in plain.decode()
    except UnicodeDecodeError:
        return False


def _parts(request: HttpRequest) -> Iterable[bytes]:
    yield request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
    yield request.path.encode("utf-8", "surrogatepass")
    if request.method == "POST" and request.content_type == FORM and not json_path(request.path_info):
        yield request.body


def _has_nul(request: HttpRequest) -> bool:
    """Return whether a multipart form, which ``is_text`` cannot check, contains a NUL."""
    if request.method != "POST" or request.content_type != "multipart/form-data" or json_path(request.path_info):
        return False
    return any("\0" in text for name, values in request.POST.lists() for text in (name, *values))


def _max_body_size(path: str) -> int:
    if path.startswith(HOOKS):
        return settings.MAX_MAIL_REPORT_SIZE
    return settings.MAX_INVITATIONS_BODY_SIZE if INVITING.match(path) else settings.MAX_BODY_SIZE


def refuse_malformed_requests(get_response: GetResponse) -> GetResponse:
    """Answer 413 to a body that is too large and 400 to NUL bytes and invalid UTF-8, and give 405 a page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit() and int(length) > _max_body_size(request.path_info):
            return render(request, "413.html", status=413)
        if not all(is_text(part) for part in _parts(request)) or _has_nul(request):
            return render(request, "400.html", status=400)
        response = get_response(request)
        if response.status_code == 405 and not response.content:
            page = render(request, "405.html", status=405)
            page.headers["Allow"] = response.headers["Allow"]
            return page
        return response

    return middleware


# The first segments of the JSON endpoints' paths.
JSON_ROOTS = frozenset({"auth", "orgs", "acls", "keys", "pods", "environments", "healthcheck"})


def json_path(path: str) -> str | None:
    """Return the path of a JSON endpoint without the client's configured prefix, or None for any other path.

    A client whose host setting ends in a slash sends two slashes.
    """
    path = "/" + path.lstrip("/")
    for prefix in settings.API_PREFIXES:
        if path.startswith(f"{prefix}/"):
            path = "/" + path.removeprefix(prefix).lstrip("/")
            break
    return path if path.split("/")[1] in JSON_ROOTS or path.startswith("/api/v1/") else None


def _headers(response: HttpResponse, *names: str) -> dict[str, str]:
    """Return those of the headers that a response has."""
    return {name: value for name in names if (value := response.headers.get(name))}


def speak_json(get_response: GetResponse) -> GetResponse:
    """Keep HTML, cookies and caching away from the JSON endpoints, also in errors (SR-45).

    The command-line client gets JSON at every path, because it would print an HTML page into the terminal.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        path = json_path(request.path_info)
        if path is None and is_client(request):
            return api.no_such_endpoint()
        if path is None:
            return get_response(request)
        request.path_info = request.path = path
        request.COOKIES = {}
        response = get_response(request)
        if response.status_code >= 400 and response.headers.get("Content-Type") != "application/json":
            kept = _headers(response, "Allow", "Retry-After")
            response = api.error_of_status(response.status_code)
            for name, value in kept.items():
                response.headers[name] = value
        response.headers["Cache-Control"] = "no-store"
        return response

    return middleware


def speak_plainly(get_response: GetResponse) -> GetResponse:
    """Keep pages, cookies and sessions away from the addresses at which machines report (SR-61)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(HOOKS):
            return get_response(request)
        request.COOKIES = {}
        response = get_response(request)
        if response.status_code >= 400:
            kept = _headers(response, "Allow", "Retry-After", "WWW-Authenticate")
            text = f"{response.status_code} {response.reason_phrase}\n"
            response = HttpResponse(text, status=response.status_code, content_type="text/plain", headers=kept)
        response.headers["Cache-Control"] = "no-store"
        return response

    return middleware
