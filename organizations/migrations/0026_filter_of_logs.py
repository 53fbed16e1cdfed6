from django.db import migrations, models

from organizations import search_index


def create(apps, schema_editor):
    """Create the trigram indexes where the database and its role allow it."""
    search_index.create(schema_editor.connection, search_index.EVENTS)


def drop(apps, schema_editor):
    """Drop the trigram indexes."""
    search_index.drop(schema_editor.connection, search_index.EVENTS)


class Migration(migrations.Migration):
    """Indexes. A role that may not create extensions skips some; docs/operating.md says how to add them later."""

    dependencies = [("organizations", "0025_exemption_runs")]

    operations = [
        migrations.AddIndex(
            model_name="organizationevent",
            index=models.Index(fields=["organization", "kind", "-at"], name="organization_events_by_kind"),
        ),
        migrations.RunPython(create, drop),
    ]
