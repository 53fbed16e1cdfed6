"""Django's PostgreSQL backend, whose pool notices without a query that the server has closed a connection."""

from select import POLLIN, poll
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection


def has_ended(connection: "Connection[Any]") -> bool:
    """Return whether the server has closed an idle connection, as at its restart: only then is there anything to read.

    A query would cost a round trip for every request that uses the database.
    """
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    return bool(waiting.poll(0))


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of a thread: one of the pool's for each request or task."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> "Connection[Any]":
        """Return a connection that works, as far as this machine knows. The pool replaces those that do not."""
        connection: Connection[Any] = super().get_new_connection(conn_params)
        while self.pool is not None and has_ended(connection):
            connection.close()
            self.pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection
