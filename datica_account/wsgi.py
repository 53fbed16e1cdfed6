"""The WSGI application that gunicorn serves."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from datica_account import extras, metrics_folder

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "datica_account.settings")
BOUNDARY = re.compile(r""";\s*boundary="?([A-Za-z0-9'()+_,./:=?-]{1,70})"?\s*(?:;|$)""", re.IGNORECASE)


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


metrics_folder.choose()
extras.start_tracing()
application = in_utf_8(get_wsgi_application())
