"""The mfa app keeps pending sign-ins now. Users can be read together with their known browsers."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0018_throttles_insert_rows"),
        ("mfa", "0010_sign_ins_are_challenges"),
    ]

    operations = [
        migrations.AlterField(
            model_name="knownbrowser",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="known_browsers", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.DeleteModel(
            name="SignInAttempt",
        ),
    ]
