"""Events name the staff or the operator who acted on an account; staff, disabled accounts and domains are found by index.

The index of reversed emails serves a search by domain: emails that end with "@clinic.example.com".
"""

from django.db import migrations, models

INDEX = "accounts_user_email_key_reversed"


def create_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"CREATE INDEX {INDEX} ON accounts_user (reverse(email_key) text_pattern_ops)")


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX {INDEX}")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0025_mail_status_indexes"),
    ]

    operations = [
        migrations.AddField(
            model_name="securityevent",
            name="actor",
            field=models.CharField(blank=True, db_default="", default="", max_length=254),
        ),
        migrations.AddField(
            model_name="securityevent",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AlterModelOptions(
            name="user",
            options={
                "permissions": [
                    ("unlock_user", "Can unlock an account"),
                    ("sign_out_user", "Can sign out all sessions of an account"),
                    ("disable_user", "Can disable and enable an account"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(condition=models.Q(("is_staff", True)), fields=["email_key"], name="staff_by_email"),
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                condition=models.Q(("is_active", False)), fields=["email_key"], name="disabled_by_email"
            ),
        ),
        migrations.RunPython(create_index, drop_index),
    ]
