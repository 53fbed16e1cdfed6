from django.db import migrations, models


class Migration(migrations.Migration):
    """Names only. A mode is no longer listed in the schema: ``mfa.modes`` knows which there are."""

    dependencies = [("accounts", "0015_undo_of_first_factors")]

    operations = [
        migrations.RenameModel("AddressChange", "EmailChange"),
        migrations.RenameModel("MailboxProof", "EmailVerification"),
        migrations.RenameField("session", "address", "ip_address"),
        migrations.RenameField("token", "address", "ip_address"),
        migrations.RenameField("signinattempt", "address", "ip_address"),
        migrations.RenameField("securityevent", "address", "ip_address"),
        migrations.RemoveConstraint("user", "preferred_mode_is_a_mode"),
        migrations.AlterField("user", "preferred_mode", models.CharField(blank=True, editable=False, max_length=16)),
        migrations.AlterField("session", "mode", models.CharField(blank=True, max_length=16)),
        migrations.AlterField("token", "mode", models.CharField(blank=True, max_length=16)),
        migrations.AlterField(
            "signinattempt",
            "channel",
            models.CharField(
                choices=[("browser", "browser"), ("cli", "command line"), ("key", "command line, with a key")],
                max_length=8,
            ),
        ),
    ]
