"""Which paths a page may redirect to (SR-9)."""

import unicodedata
from urllib.parse import unquote, urlsplit

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


def safe_path(path: str | None) -> str:
    """Return ``path`` if it is a path of this site, else an empty string.

    Refuses ``//host``, backslashes, control characters, and whatever decodes to them.
    """
    if not path or not path.startswith("/") or len(path) > 2000:
        return ""
    for form in (path, unquote(path), unquote(unquote(path))):
        if form.startswith("//") or "\\" in form or any(unicodedata.category(char) == "Cc" for char in form):
            return ""
    return path if url_has_allowed_host_and_scheme(path, allowed_hosts=None) else ""


def page_of_form(request: HttpRequest) -> str:
    """Return the path of the page whose form was sent, as the browser names it; else the path that it was sent to."""
    sent_from = urlsplit(request.headers.get("Referer", ""))
    path = sent_from._replace(scheme="", netloc="", fragment="").geturl()
    return (safe_path(path) if sent_from.netloc == request.get_host() else "") or request.get_full_path()
