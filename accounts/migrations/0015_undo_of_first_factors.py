from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0014_registrations_wait")]

    operations = [
        migrations.AddField(model_name="addresschange", name="mfa_was_on", field=models.BooleanField(default=True)),
    ]
