"""Connections to the mail server. Each thread of a worker keeps one open between mails."""

import threading
from select import POLLIN, poll
from time import monotonic

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend

# Mail servers end idle connections after minutes, and some accept only so many mails over one.
MAX_IDLE_SECONDS = 30.0
MAX_MAILS = 100
KEEPS_REPLY = {"django.core.mail.backends.smtp.EmailBackend": "accounts.smtp.EmailBackend"}


def new_backend() -> BaseEmailBackend:
    """Return ``EMAIL_BACKEND``, not yet open; an SMTP backend keeps what the mail server answers."""
    return get_connection(KEEPS_REPLY.get(settings.EMAIL_BACKEND, settings.EMAIL_BACKEND))


class KeptConnection:
    """A connection that is opened again when it is old or the server has closed it."""

    def __init__(self) -> None:
        self._backend = new_backend()
        self._used_at = 0.0
        self._mails = 0

    def reach(self) -> None:
        """Open the connection. Raises what the mail backend raises if the server is away."""
        if self._is_old():
            self._backend.close()
        if self._backend.open():
            self._mails = 0
        self._used_at = monotonic()

    def for_mail(self) -> BaseEmailBackend:
        """Return the connection, open, for one mail."""
        self.reach()
        self._mails += 1
        return self._backend

    def close(self) -> None:
        """Close the connection: a mail failed, and the next one deserves a new one."""
        self._backend.close()

    def _is_old(self) -> bool:
        return monotonic() - self._used_at > MAX_IDLE_SECONDS or self._mails >= MAX_MAILS or self._has_ended()

    def _has_ended(self) -> bool:
        """Return whether the server has closed an SMTP connection: only then is there anything to read."""
        socket = getattr(getattr(self._backend, "connection", None), "sock", None)
        if socket is None:
            return False
        waiting = poll()
        waiting.register(socket, POLLIN)
        return bool(waiting.poll(0))


class _OfThread(threading.local):
    connection: KeptConnection | None = None


_of_thread = _OfThread()


def of_this_thread() -> KeptConnection:
    """Return the connection of this thread."""
    if _of_thread.connection is None:
        _of_thread.connection = KeptConnection()
    return _of_thread.connection
