"""Database triggers that keep ``User.enabled_modes`` in step with the factors (SR-42).

Triggers also cover changes that bypass the ``mfa`` app, such as those of support or a command. They are installed after
every migration, because SQLite drops the triggers of a table that a migration rebuilds.
"""

from typing import Any

from django.db import connections
from django.db.migrations import Migration

from accounts.triggers import drop_before_rebuild

MODES_OF = (
    "SELECT {aggregate} FROM (SELECT mode FROM mfa_factor WHERE user_id = {user} AND confirmed ORDER BY mode) AS m"
)
POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION mfa_note_modes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE whose uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
BEGIN
  UPDATE accounts_user SET enabled_modes = COALESCE(
    ({MODES_OF.format(aggregate="string_agg(mode, ' ')", user="whose")}), '') WHERE id = whose;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS mfa_note_modes ON mfa_factor;
CREATE TRIGGER mfa_note_modes AFTER INSERT OR DELETE OR UPDATE OF mode, confirmed ON mfa_factor
  FOR EACH ROW EXECUTE FUNCTION mfa_note_modes();
"""


# On SQLite: the event that each trigger follows, and the row that names the user.
SQLITE = {
    "mfa_note_modes_insert": ("INSERT", "NEW"),
    "mfa_note_modes_delete": ("DELETE", "OLD"),
    "mfa_note_modes_update": ("UPDATE OF mode, confirmed", "NEW"),
}


def _sqlite() -> list[str]:
    statements = []
    for name, (event, row) in SQLITE.items():
        modes = MODES_OF.format(aggregate="group_concat(mode, ' ')", user=f"{row}.user_id")
        statements += [
            f"DROP TRIGGER IF EXISTS {name}",
            (
                f"CREATE TRIGGER {name} AFTER {event} ON mfa_factor BEGIN UPDATE accounts_user "
                f"SET enabled_modes = COALESCE(({modes}), '') WHERE id = {row}.user_id; END"
            ),
        ]
    return statements


def remove_before_rebuild(*, using: str, plan: list[tuple[Migration, bool]], **_signal: Any) -> None:
    """Remove the triggers before migrations on SQLite."""
    drop_before_rebuild(using=using, plan=plan, names=SQLITE)


def install(*, using: str, **_signal: Any) -> None:
    """Install or replace the triggers."""
    connection = connections[using]
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        if "mfa_factor" not in tables or not _has_column(connection, cursor):
            return  # the database is migrated to an earlier state
        for statement in [POSTGRESQL] if connection.vendor == "postgresql" else _sqlite():
            cursor.execute(statement)


def _has_column(connection: Any, cursor: Any) -> bool:
    columns = connection.introspection.get_table_description(cursor, "accounts_user")
    return any(column.name == "enabled_modes" for column in columns)
