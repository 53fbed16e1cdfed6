from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_credential_fingerprints")]

    operations = [
        migrations.AddField(model_name="knownbrowser", name="mailbox_proven_at", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="knownbrowser", name="factor_proven_at", field=models.DateTimeField(null=True)),
        migrations.AddField(
            model_name="signinattempt",
            name="known_place",
            field=models.CharField(blank=True, default="", max_length=80),
            preserve_default=False,
        ),
        migrations.RemoveField(model_name="signinattempt", name="is_familiar"),
    ]
