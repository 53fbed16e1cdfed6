"""The trigram indexes of PostgreSQL, for searches by any part of an email or name: of members, and in logs.

They need the extension ``pg_trgm``, which comes with PostgreSQL. A role that may not create extensions goes without
them: a search then reads the rows of the one organization, which is slower and finds the same. SQLite always does so.
"""

from collections.abc import Mapping

from django.db import ProgrammingError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

MEMBERS = {"members_by_any_part": "organizations_membership USING gin (search_key {trigrams})"}
# As Django's ``icontains`` compares.
EVENTS = {
    "organization_events_by_actor": "organizations_organizationevent USING gin (upper(actor_email) {trigrams})",
    "organization_events_by_subject": "organizations_organizationevent USING gin (upper(subject) {trigrams})",
}


def create(connection: BaseDatabaseWrapper, indexes: Mapping[str, str]) -> bool:
    """Create indexes, with the extension that they need. Return whether they are there. Safe to repeat."""
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
        for name, definition in indexes.items():
            on = definition.format(trigrams=f"{schema}.gin_trgm_ops")
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {on}")
    return True


def drop(connection: BaseDatabaseWrapper, indexes: Mapping[str, str]) -> None:
    """Drop indexes. The extension stays, because others may use it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for name in indexes:
                cursor.execute(f"DROP INDEX IF EXISTS {name}")
