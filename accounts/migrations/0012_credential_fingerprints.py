from django.db import migrations, models


def end_sessions_and_tokens(apps, schema_editor):
    """End what was made with the keys and marks of before: everyone signs in once more."""
    for name in ("Session", "Token"):
        rows = apps.get_model("accounts", name).objects
        while batch := list(rows.values_list("pk", flat=True)[:5000]):
            rows.filter(pk__in=batch).delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0011_mail_about")]

    operations = [
        migrations.RunPython(end_sessions_and_tokens, end_sessions_and_tokens),
        migrations.AddField(
            model_name="user",
            name="credential_version",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.RenameField(model_name="token", old_name="password_mark", new_name="credential_fingerprint"),
    ]
