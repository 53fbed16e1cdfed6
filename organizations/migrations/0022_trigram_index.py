from django.db import migrations

from organizations import search_index


def create(apps, schema_editor):
    """Create the index where the database and its role allow it."""
    search_index.create(schema_editor.connection, search_index.MEMBERS)


def drop(apps, schema_editor):
    """Drop the index."""
    search_index.drop(schema_editor.connection, search_index.MEMBERS)


class Migration(migrations.Migration):
    """A role that may not create extensions skips this; docs/operating.md says how to add the index later."""

    dependencies = [("organizations", "0021_members_by_any_part")]

    operations = [migrations.RunPython(create, drop)]
