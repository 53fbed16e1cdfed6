from django.db import migrations, models
from django.db.models import Q

PURPOSES = [
    ("register", "Register"),
    ("confirm_mailbox", "Confirm Mailbox"),
    ("reset_password", "Reset Password"),
    ("change_email", "Change Email"),
]


def end_proofs(apps, schema_editor):
    """Delete what waits for a code: who waits asks once more."""
    apps.get_model("accounts", "MailboxProof").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0013_known_places")]

    operations = [
        migrations.RunPython(end_proofs, end_proofs),
        migrations.AlterField(
            model_name="mailboxproof", name="purpose", field=models.CharField(choices=PURPOSES, max_length=16)
        ),
        migrations.AddField(
            model_name="mailboxproof", name="password", field=models.CharField(blank=True, max_length=128)
        ),
        migrations.AddField(
            model_name="mailboxproof", name="mailbox_key", field=models.CharField(blank=True, max_length=254)
        ),
        migrations.AddField(model_name="mailboxproof", name="mailed_at", field=models.DateTimeField(null=True)),
        migrations.AddIndex(
            model_name="mailboxproof",
            index=models.Index(
                condition=Q(("mailed_at__isnull", False)),
                fields=["mailbox_key", "purpose", "-mailed_at"],
                name="mailed_codes_of_mailbox",
            ),
        ),
    ]
