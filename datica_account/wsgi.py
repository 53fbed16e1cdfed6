"""The WSGI application that gunicorn serves."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "datica_account.settings")
CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)


def in_utf_8(inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Read every body as UTF-8, which all pages and clients send, whatever charset a stranger names.

    Django would look it up among Python's codecs, ``base64`` and ``zip`` among them, before any middleware (SR-49).
    """

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["CONTENT_TYPE"] = CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
        return inner(environ, start_response)

    return application


application = in_utf_8(get_wsgi_application())
