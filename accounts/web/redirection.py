"""Which paths a page may redirect to (SR-9)."""

import unicodedata
from urllib.parse import unquote

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
