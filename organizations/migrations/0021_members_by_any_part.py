from django.db import migrations, models

from organizations import triggers

BATCH = 10_000
FILL = (
    "UPDATE organizations_membership SET search_key = "
    "(SELECT lower(email_key || ' ' || name) FROM accounts_user WHERE accounts_user.id = user_id) "
    "WHERE id > %s AND id <= %s"
)


def fill(apps, schema_editor):
    """Copy the emails and names of users; triggers keep the copies from here on."""
    connection = schema_editor.connection
    if connection.vendor == "postgresql":  # the portal may serve meanwhile; on SQLite they come after the migrations
        triggers.install(using=connection.alias)
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM organizations_membership")
        (last,) = cursor.fetchone()
        for start in range(0, last, BATCH):
            cursor.execute(FILL, [start, start + BATCH])


class Migration(migrations.Migration):
    """Schema and data."""

    dependencies = [("organizations", "0020_account_deletion")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="search_key",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=400),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
