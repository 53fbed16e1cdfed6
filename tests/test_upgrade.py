"""Code of the last release works on the schema of this one, so that an upgrade and a way back need no stop.

While an upgrade runs, old processes still serve: `migrate` comes first, the restarts come later, and a failed release
goes back to the old code on the new schema. So a migration may add what old code does not name, and nothing else. What
old code does name is removed a release later (CONTRIBUTING.md, "Migrations").

This needs no copy of the old code: what its ORM sends follows from the models as of its last migrations. It proves that
no statement names what is gone, and that no insert lacks a value. It does not prove that old code understands new rows.
"""

import re
from pathlib import Path

import pytest
from django.db import connection, models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parent.parent
# The last release, and its last migration of each app: each release sets both. From 0.1.0 to these migrations columns
# were renamed, so that one upgrade needs a stop (CHANGELOG.md).
VERSION = "0.1.0"
RELEASED = {"accounts": "0025_mail_status_indexes", "mfa": "0011_passkeys", "organizations": "0018_retention"}
# Old code does not see these. What an added field needs is asked of the database below.
HARMLESS = (
    operations.AddField,
    operations.AddIndex,
    operations.AlterModelManagers,
    operations.AlterModelOptions,
    operations.CreateModel,
    operations.RemoveConstraint,
    operations.RemoveIndex,
    operations.RenameIndex,
    operations.RunPython,
)
# Others, by app and name, each with the reason why old code works on: "mfa.0012_…": "no code names the column since …".
LOOKED_AT: dict[str, str] = {
    "accounts.0035_labels": "labels of columns, which no statement names",
    "organizations.0028_labels": "labels of columns, which no statement names",
    "organizations.0024_removals": "a further kind of reminder, in the same column; only new code writes it",
}

LOADER = MigrationLoader(None)
OLD = LOADER.project_state(list(RELEASED.items())).apps


def newer_migrations():
    """Return the migrations since the last release."""
    for app, last in RELEASED.items():
        known = set(LOADER.graph.forwards_plan((app, last)))
        plan = LOADER.graph.forwards_plan(LOADER.graph.leaf_nodes(app)[0])
        yield from (LOADER.graph.nodes[key] for key in plan if key[0] == app and key not in known)


def old_models():
    """Return the models of the last release, with those that Django makes for many-to-many fields."""
    return [model for app in RELEASED for model in OLD.get_app_config(app).get_models(include_auto_created=True)]


def test_the_last_release_is_named():
    """A release sets VERSION and RELEASED: else its own migrations would not be looked at."""
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest
    assert newest[1] == VERSION


def test_newer_migrations_only_add():
    refused = {
        f"{migration.app_label}.{migration.name}": operation.describe()
        for migration in newer_migrations()
        for operation in migration.operations
        if not isinstance(operation, HARMLESS) and f"{migration.app_label}.{migration.name}" not in LOOKED_AT
    }

    assert not refused, "expand now, contract a release later: see CONTRIBUTING.md, Migrations"


def test_newer_migrations_can_be_taken_back():
    one_way = [
        f"{migration.app_label}.{migration.name}: {operation.describe()}"
        for migration in newer_migrations()
        for operation in migration.operations
        if not operation.reversible
    ]

    assert not one_way


@pytest.fixture
def migrated(request, db):
    """Skip where the tables are made from the models; `make test` runs the migrations."""
    if request.config.getoption("nomigrations"):
        pytest.skip("run with --migrations, as make test does")


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("model", old_models(), ids=lambda model: model._meta.label)
def test_old_code_finds_its_columns_and_need_not_know_new_ones(model):
    with connection.cursor() as cursor:
        table = connection.introspection.get_table_description(cursor, model._meta.db_table)
    named = {field.column for field in model._meta.concrete_fields}

    assert named <= {column.name for column in table}
    unknown = [column for column in table if column.name not in named]
    assert [column.name for column in unknown if not column.null_ok and column.default is None] == []
    assert isinstance(model._meta.pk, models.Field)
    list(model._base_manager.all()[:1])
