"""Drop the indexes for LIKE that Django adds to text keys on PostgreSQL: nothing searches hashes by their beginning."""

from django.db import migrations

TABLES = (("session", "session_key"), ("throttle", "digest"), ("token", "digest"), ("usednonce", "digest"))


def drop(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    for model, _column in TABLES:
        table = apps.get_model("accounts", model)._meta.db_table
        with connection.cursor() as cursor:
            names = connection.introspection.get_constraints(cursor, table)
        for name in names:
            if name.endswith("_like"):
                schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


def create(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for model_name, column in TABLES:
        model = apps.get_model("accounts", model_name)
        schema_editor.execute(schema_editor._create_like_index_sql(model, model._meta.get_field(column)))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0019_sign_ins_are_challenges"),
    ]

    operations = [
        migrations.RunPython(drop, create),
    ]
