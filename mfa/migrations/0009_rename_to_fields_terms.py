from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Names, and a constraint for each mode in place of one for both."""

    dependencies = [("mfa", "0008_wrong_codes_are_throttled"), ("accounts", "0016_rename_to_fields_terms")]

    operations = [
        migrations.RenameField("challenge", "mark", "credential_fingerprint"),
        migrations.RenameField("rememberedbrowser", "mark", "credential_fingerprint"),
        migrations.RenameField("rememberedbrowser", "address", "ip_address"),
        migrations.RemoveConstraint("factor", "authenticator_has_a_secret"),
        migrations.AlterField("factor", "mode", models.CharField(max_length=16)),
        migrations.AlterField("challenge", "mode", models.CharField(max_length=16)),
        migrations.AddConstraint(
            "factor",
            models.CheckConstraint(
                condition=~Q(mode="authenticator") | ~Q(sealed_secret=""), name="secret_of_authenticator"
            ),
        ),
        migrations.AddConstraint(
            "factor", models.CheckConstraint(condition=~Q(mode="email") | Q(sealed_secret=""), name="secret_of_email")
        ),
    ]
