"""Refuses what no page of ours could have sent, before anything reads it (SR-49)."""

from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

GetResponse = Callable[[HttpRequest], HttpResponse]
FORM = "application/x-www-form-urlencoded"


def is_text(sent: bytes) -> bool:
    """Whether bytes of a form or an address decode to text without a NUL."""
    plain = unquote_to_bytes(sent.replace(b"+", b" "))
    try:
        return "\0" not in plain.decode()
    except UnicodeDecodeError:
        return False


def _parts(request: HttpRequest) -> Iterable[bytes]:
    yield request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
    yield request.path.encode("utf-8", "surrogatepass")
    if request.method == "POST" and request.content_type == FORM:
        yield request.body


def _has_nul(request: HttpRequest) -> bool:
    """Whether a form of the other encoding, which `is_text` cannot judge, holds a NUL."""
    if request.method != "POST" or request.content_type != "multipart/form-data":
        return False
    return any("\0" in text for name, values in request.POST.lists() for text in (name, *values))


def refuse_malformed_requests(get_response: GetResponse) -> GetResponse:
    """Answer 413 to a body that is too large, 400 to NUL bytes and invalid UTF-8, and 405 in words."""

    def middleware(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
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
