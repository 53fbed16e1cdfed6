from django.db import migrations, models


class Migration(migrations.Migration):
    """Names only."""

    dependencies = [("organizations", "0016_fill_whom_and_when"), ("accounts", "0016_rename_to_fields_terms")]

    operations = [
        migrations.RenameField("organization", "counting_modes", "accepted_modes"),
        migrations.RenameField("rehearsalhit", "address", "ip_address"),
        migrations.RenameField("organizationevent", "address", "ip_address"),
        migrations.AlterField(
            "organization",
            "accepted_modes",
            models.CharField(blank=True, default="", editable=False, max_length=16),
        ),
    ]
