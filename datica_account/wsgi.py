"""The WSGI application that gunicorn serves."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from datica_account import extras, metrics_folder

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "datica_account.settings")
BOUNDARY = re.compile(r""";\s*boundary="?([A-Za-z0-9'()+_,./:=?-]{1,70})"?\s*(?:;|$)""", re.IGNORECASE)

MOST_SENT, CHUNK = 1_000_000, 64 * 1024  # bytes


def in_utf_8(inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Read every body as UTF-8, which all pages and clients send, and ignore the charset that a request names.

    Before any middleware, Django looks up the charset and the encoding of every parameter (RFC 2231) among Python's
    codecs, which include ``base64`` and ``zip``. So only the ``boundary`` parameter is passed on (SR-49).
    """

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("CONTENT_TYPE", "")
        boundary = BOUNDARY.search(given)
        environ["CONTENT_TYPE"] = given.partition(";")[0] + (f"; boundary={boundary[1]}" if boundary else "")
        return inner(environ, start_response)

    return application


def reading_bodies(inner: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Read what an answer left of its request's body, as far as a proxy sends one (1 MB).

    A proxy whose connection is closed while it still sends answers 502 in place of what it was told.
    """

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = inner(environ, start_response)
        for _ in range(0, MOST_SENT, CHUNK):
            if not environ["wsgi.input"].read(CHUNK):
                break
        return answer

    return application


metrics_folder.choose()
extras.start_tracing()
application = in_utf_8(reading_bodies(get_wsgi_application()))
