"""Where a page may lead on to (SR-9)."""

import unicodedata
from urllib.parse import unquote

from django.utils.http import url_has_allowed_host_and_scheme


def safe_path(path: str | None) -> str:
    """Give ``path`` if it is a path of this very site, else an empty text.

    Refused are ``//host``, backslashes, control characters and what decodes to them.
    """
    if not path or not path.startswith("/") or len(path) > 2000:
        return ""
    for form in (path, unquote(path), unquote(unquote(path))):
        if form.startswith("//") or "\\" in form or any(unicodedata.category(sign) == "Cc" for sign in form):
            return ""
    return path if url_has_allowed_host_and_scheme(path, allowed_hosts=None) else ""
