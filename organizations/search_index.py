"""The trigram index of PostgreSQL for searches of members by any part of their email or name.

It needs the extension ``pg_trgm``, which comes with PostgreSQL. A role that may not create extensions goes without the
index: a search then reads the members of the one organization, which is slower and finds the same. SQLite always
does so.
"""

from django.db import ProgrammingError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

NAME = "members_by_any_part"


def create(connection: BaseDatabaseWrapper) -> bool:
    """Create the index, with the extension that it needs. Return whether it is there. Safe to repeat."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except ProgrammingError:  # the role lacks the privilege
            return False
        cursor.execute(
            "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_trgm'"
        )
        schema = connection.ops.quote_name(cursor.fetchone()[0])
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS {NAME} ON organizations_membership "
            f"USING gin (search_key {schema}.gin_trgm_ops)"
        )
    return True


def drop(connection: BaseDatabaseWrapper) -> None:
    """Drop the index. The extension stays, because others may use it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX IF EXISTS {NAME}")
