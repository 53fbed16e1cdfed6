"""Work that each test would otherwise repeat: expensive password hashes, lists of static files, rows of Django's own.

Nothing here changes what the portal decides or answers.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.management.color import no_style
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase
from whitenoise import WhiteNoise

# What a password costs where the portal runs (SR-1).
ARGON2 = {name: getattr(Argon2PasswordHasher, name) for name in ("time_cost", "memory_cost", "parallelism")}
# Filled by `migrate`, changed by no test. `flush` would empty these tables and fill them again after every test.
KEPT_TABLES = {"auth_permission", "django_content_type", "django_migrations"}


def examples(number: int) -> int:
    """Return how many made-up histories to try: all on PostgreSQL, a quarter of them on SQLite."""
    return number if connection.vendor == "postgresql" else max(1, number // 4)


@contextmanager
def cheap_hashing() -> Iterator[None]:
    """Let a password cost a millisecond. SR-1 has its own test."""
    with pytest.MonkeyPatch.context() as patch:
        for name, cheap in {"time_cost": 1, "memory_cost": 64, "parallelism": 1}.items():
            patch.setattr(Argon2PasswordHasher, name, cheap)
        yield


@contextmanager
def static_files_listed_once() -> Iterator[None]:
    """Keep WhiteNoise's list of static files, which every new test client would make again from the disk."""
    list_files, lists = WhiteNoise.update_files_dictionary, {}

    def update_files_dictionary(self: WhiteNoise, root: str, prefix: str) -> None:
        key = type(self), root, prefix, self.max_age
        if key not in lists:
            present, self.files = self.files, {}
            list_files(self, root, prefix)
            lists[key], self.files = self.files, present
        self.files.update(lists[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoise, "update_files_dictionary", update_files_dictionary)
        yield


def _empty(connection: BaseDatabaseWrapper) -> None:
    """Empty the tables that have rows, without the signals that would fill Django's own tables again."""
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT_TABLES
    questions = [
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})" for table in tables
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(questions))
        filled = [table for (table,) in cursor.fetchall()]
    # A table with rows may be named by foreign keys of empty ones, which PostgreSQL wants to be told of.
    statements = connection.ops.sql_flush(no_style(), filled, reset_sequences=False, allow_cascade=True)
    connection.ops.execute_sql_flush(statements)


def _wait_for_live_server() -> None:
    """Let requests end whose answer has arrived: they still hold a connection."""
    deadline = time.monotonic() + 2
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(max(0, deadline - time.monotonic()))


@contextmanager
def quick_flush() -> Iterator[None]:
    """After a test that commits, empty only the tables that it filled."""

    def teardown(self: Any) -> None:
        _wait_for_live_server()
        for alias in self._databases_names(include_mirrors=False):
            _empty(connections[alias])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield
