"""Find organizations by the beginning of their names, in any case, by an index."""

from django.db import migrations

INDEX = "organizations_by_name"


def create_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            f"CREATE INDEX {INDEX} ON organizations_organization (upper(name::text) text_pattern_ops)"
        )


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX {INDEX}")


class Migration(migrations.Migration):
    dependencies = [
        ("organizations", "0018_retention"),
    ]

    operations = [
        migrations.RunPython(create_index, drop_index),
    ]
