"""What the triggers of all apps need around migrations."""

from collections.abc import Iterable

from django.db import connections
from django.db.migrations import Migration


def drop_before_rebuild(*, using: str, plan: list[tuple[Migration, bool]], names: Iterable[str]) -> None:
    """Drop triggers before migrations on SQLite; ``post_migrate`` installs them again.

    SQLite alters a table by replacing it, and refuses that while any trigger names the table. PostgreSQL alters tables
    in place, so its triggers stay in force.
    """
    connection = connections[using]
    if connection.vendor != "sqlite" or not plan:
        return
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
