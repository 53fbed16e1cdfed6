"""Database triggers that copy users' modes, emails and names into memberships and count members by mode.

Only lists and counts read these copies, so that a page costs the same for 100 members and for 100,000. Enforcement
never reads them. The triggers keep them exact in every transaction. A transaction locks counters last, in the order of
the organizations, so that no two transactions deadlock.
"""

from typing import Any

from django.db import connections
from django.db.migrations import Migration

from accounts.triggers import drop_before_rebuild

ADD = (
    "INSERT INTO organizations_membercount (organization_id, modes, count) VALUES (NEW.organization_id, {modes}, 1) "
    "ON CONFLICT (organization_id, modes) DO UPDATE SET count = organizations_membercount.count + 1;"
)
TAKE = (
    "UPDATE organizations_membercount SET count = count - 1 "
    "WHERE organization_id = OLD.organization_id AND modes = OLD.modes;"
)
SEARCH_KEY = "lower({row}email_key || ' ' || {row}name)"


def _postgresql(*, has_search_key: bool) -> str:
    """Return the functions and triggers of PostgreSQL."""
    copied = (
        f"SELECT enabled_modes, email_key, {SEARCH_KEY.format(row='')} INTO NEW.modes, NEW.email_key, NEW.search_key"
    )
    followed = f"modes = NEW.enabled_modes, email_key = NEW.email_key, search_key = {SEARCH_KEY.format(row='NEW.')}"
    if not has_search_key:
        copied = "SELECT enabled_modes, email_key INTO NEW.modes, NEW.email_key"
        followed = "modes = NEW.enabled_modes, email_key = NEW.email_key"
    return f"""
CREATE OR REPLACE FUNCTION organizations_copy_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  {copied} FROM accounts_user WHERE id = NEW.user_id;
  RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION organizations_count_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN {TAKE} IF NOT FOUND THEN RETURN NULL; END IF; END IF;
  IF TG_OP <> 'DELETE' THEN {ADD.format(modes="NEW.modes")} END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION organizations_follow_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE mine record;
BEGIN
  FOR mine IN SELECT id FROM organizations_membership WHERE user_id = NEW.id ORDER BY organization_id LOOP
    UPDATE organizations_membership SET {followed} WHERE id = mine.id;
  END LOOP;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS organizations_copy_member ON organizations_membership;
DROP TRIGGER IF EXISTS organizations_count_member ON organizations_membership;
DROP TRIGGER IF EXISTS organizations_follow_user ON accounts_user;
CREATE TRIGGER organizations_copy_member BEFORE INSERT ON organizations_membership
  FOR EACH ROW EXECUTE FUNCTION organizations_copy_member();
CREATE TRIGGER organizations_count_member AFTER INSERT OR DELETE OR UPDATE OF modes ON organizations_membership
  FOR EACH ROW EXECUTE FUNCTION organizations_count_member();
CREATE TRIGGER organizations_follow_user AFTER UPDATE OF enabled_modes, email_key, name ON accounts_user FOR EACH ROW
  WHEN ((OLD.enabled_modes, OLD.email_key, OLD.name) IS DISTINCT FROM (NEW.enabled_modes, NEW.email_key, NEW.name))
  EXECUTE FUNCTION organizations_follow_user();
"""


# Add to a counter only if another was reduced: `flush` empties SQLite's tables in any order while triggers run.
MOVE = (
    "INSERT INTO organizations_membercount (organization_id, modes, count) SELECT NEW.organization_id, NEW.modes, 1 "
    "WHERE EXISTS (SELECT 1 FROM organizations_membercount WHERE organization_id = OLD.organization_id AND "
    "modes = OLD.modes) "
    "ON CONFLICT (organization_id, modes) DO UPDATE SET count = organizations_membercount.count + 1;"
)
SQLITE_NAMES = (
    "organizations_count_joined",
    "organizations_count_left",
    "organizations_count_changed",
    "organizations_follow_user",
)


def _sqlite(*, has_search_key: bool) -> list[str]:
    """Return the bodies of SQLite's triggers, in the order of ``SQLITE_NAMES``."""
    of_user = "(SELECT {} FROM accounts_user WHERE id = NEW.user_id)".format
    copies = {"modes": of_user("enabled_modes"), "email_key": of_user("email_key")}
    follows = {"modes": "NEW.enabled_modes", "email_key": "NEW.email_key"}
    if has_search_key:
        copies["search_key"] = of_user(SEARCH_KEY.format(row=""))
        follows["search_key"] = SEARCH_KEY.format(row="NEW.")
    update = "UPDATE organizations_membership SET"
    joined = (
        f"AFTER INSERT ON organizations_membership BEGIN {ADD.format(modes='NEW.modes')} "
        f"{update} {_assigned(copies)} WHERE id = NEW.id; END"
    )
    followed = (
        "AFTER UPDATE OF enabled_modes, email_key, name ON accounts_user WHEN OLD.enabled_modes <> NEW.enabled_modes "
        "OR OLD.email_key <> NEW.email_key OR OLD.name <> NEW.name "
        f"BEGIN {update} {_assigned(follows)} WHERE user_id = NEW.id; END"
    )
    return [
        joined,
        f"AFTER DELETE ON organizations_membership BEGIN {TAKE} END",
        f"AFTER UPDATE OF modes ON organizations_membership WHEN OLD.modes <> NEW.modes BEGIN {TAKE} {MOVE} END",
        followed,
    ]


def _assigned(values: dict[str, str]) -> str:
    return ", ".join(f"{column} = {value}" for column, value in values.items())


POSTGRESQL_REMOVAL = """
DROP FUNCTION IF EXISTS organizations_copy_member, organizations_count_member, organizations_follow_user CASCADE;
"""


def remove_before_rebuild(*, using: str, plan: list[tuple[Migration, bool]], **_signal: Any) -> None:
    """Remove the triggers before migrations on SQLite."""
    drop_before_rebuild(using=using, plan=plan, names=SQLITE_NAMES)


def remove_before_reversal(*, using: str, plan: list[tuple[Migration, bool]], **_signal: Any) -> None:
    """Remove the triggers before a migration of this app is reversed.

    Otherwise the trigger on users would outlive the tables it writes to. `install` brings the triggers back
    afterwards if their tables are still there.
    """
    if not any(backwards and migration.app_label == "organizations" for migration, backwards in plan):
        return
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(POSTGRESQL_REMOVAL)
            return
        for name in SQLITE_NAMES:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def install(*, using: str, **_signal: Any) -> None:
    """Create or replace the triggers. Safe to repeat."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if "organizations_membercount" not in connection.introspection.table_names(cursor):
            return  # the migrations have not reached the table of counters
        columns = connection.introspection.get_table_description(cursor, "organizations_membership")
        has_search_key = "search_key" in {column.name for column in columns}  # else its migration has not run
        if connection.vendor == "postgresql":
            cursor.execute(_postgresql(has_search_key=has_search_key))
            return
        for name, body in zip(SQLITE_NAMES, _sqlite(has_search_key=has_search_key), strict=True):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            cursor.execute(f"CREATE TRIGGER {name} {body}")
