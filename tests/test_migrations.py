"""The migrations match the models, and the squashed ones continue the databases of those they replace.

What is left to do is decided from the rows of ``django_migrations`` alone, so the tests change only those.
"""

import os
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

APPS = ("accounts", "mfa", "organizations")
FRESH = MigrationLoader(None)
UNSQUASHED = MigrationLoader(None, replace_migrations=False)
SQUASHED = {key: migration for key, migration in FRESH.disk_migrations.items() if migration.replaces}
REPLACED = sorted(key for migration in SQUASHED.values() for key in migration.replaces)


@pytest.fixture(autouse=True)
def migrated(request):
    """Skip where the tables are made from the models; `make test` runs the migrations."""
    if request.config.getoption("nomigrations"):
        pytest.skip("run with --migrations, as make test does")


def record(names):
    """Make the database look as if exactly these migrations of ours had run."""
    recorder = MigrationRecorder(connection)
    recorder.migration_qs.filter(app__in=APPS).delete()
    for app, name in names:
        recorder.record_applied(app, name)


def planned():
    """Return what `migrate` would run, after the check that it makes first."""
    executor = MigrationExecutor(connection)
    executor.loader.check_consistent_history(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    assert not any(backwards for _, backwards in plan)
    return [migration for migration, _ in plan]


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("app", APPS)
def test_a_new_database_starts_with_one_squashed_migration(app):
    (root,) = FRESH.graph.root_nodes(app)
    assert root in SQUASHED
    assert not set(REPLACED) & set(FRESH.graph.nodes)


def test_the_squashed_migrations_make_the_models_of_those_they_replace():
    ends = [(app, max(name for of, name in REPLACED if of == app)) for app in APPS]
    before = UNSQUASHED.graph.make_state(nodes=ends, real_apps=UNSQUASHED.unmigrated_apps)
    after = FRESH.graph.make_state(nodes=list(SQUASHED), real_apps=FRESH.unmigrated_apps)
    assert {key for key in before.models if key[0] in APPS} == {key for key in after.models if key[0] in APPS}
    changes = MigrationAutodetector(before, after).changes(FRESH.graph)
    assert not {app: changes[app][0].operations for app in APPS if app in changes}


@pytest.mark.django_db
def test_a_database_at_the_last_replaced_migration_has_nothing_to_run():
    record(REPLACED)
    later = set(FRESH.graph.nodes) - set(SQUASHED)
    assert not [migration for migration in planned() if (migration.app_label, migration.name) not in later]
    MigrationExecutor(connection).migrate(list(SQUASHED))
    assert set(SQUASHED) <= set(MigrationRecorder(connection).applied_migrations())


@pytest.mark.django_db
@pytest.mark.parametrize("stop", REPLACED, ids=".".join)
def test_a_database_between_replaced_migrations_runs_the_rest_once(stop):
    applied = [key for key in UNSQUASHED.graph.forwards_plan(stop) if key in REPLACED]
    record(applied)
    rest = [key for migration in planned() for key in migration.replaces or [(migration.app_label, migration.name)]]
    assert sorted([*applied, *(key for key in rest if key in REPLACED)]) == REPLACED


UPGRADE = """
import django
django.setup()
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from accounts.models import User

executor = MigrationExecutor(connection)
executor.loader = MigrationLoader(connection, replace_migrations=False)
executor.migrate([key for key in executor.loader.graph.nodes if key in {OLD}])
emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
with connection.cursor() as cursor:
    before = cursor.execute(triggers).fetchall()
    call_command("migrate", verbosity=0)
    print(len(before), cursor.execute(triggers).fetchall() == before, User.objects.count())
"""
# What was migrated before modes left the schema: the next migrations rebuild tables that triggers name.
LAST_OF_OLDER_RELEASE = {
    ("accounts", "0015_undo_of_first_factors"),
    ("mfa", "0008_wrong_codes_are_throttled"),
    ("organizations", "0016_fill_whom_and_when"),
}


def test_a_database_with_triggers_is_upgraded_on_sqlite(tmp_path):
    """A developer's data survives an upgrade: `make run` keeps it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UPGRADE.replace("{OLD}", repr(LAST_OF_OLDER_RELEASE))],
        env={**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/portal.sqlite3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["7", "True", "0"], done.stderr
