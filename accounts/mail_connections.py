"""Connections to the mail servers. Each thread of a worker keeps one open between mails."""

import threading
from select import POLLIN, poll
from time import monotonic

from django.core.mail.backends.base import BaseEmailBackend

from accounts.mail_routes import Route, connect

# Mail servers end idle connections after minutes, and some accept only so many mails over one.
MAX_IDLE_SECONDS = 30.0
MAX_MAILS = 100


class KeptConnection:
    """A connection that is opened again when it is old or the server has closed it."""

    def __init__(self, route: Route = Route.PRIMARY) -> None:
        self._route = route
        self._backend = connect(route)
        self._used_at = 0.0
        self._mails = 0
        self._other: KeptConnection | None = None

    def by(self, route: Route) -> "KeptConnection":
        """Return the connection of a route: this one, or the one that is kept beside it."""
        if route == self._route:
            return self
        if self._other is None:
            self._other = KeptConnection(route)
        return self._other

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

    def close_all(self) -> None:
        """Close the connections of all routes."""
        self.close()
        if self._other:
            self._other.close()

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
