"""A try is counted by inserting its row, or by locking the one that is there: the number of tries tells which."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_squashed_0017_users_sign_in_sessions"),
    ]

    operations = [
        migrations.AddField(
            model_name="throttle",
            name="tries",
            field=models.PositiveBigIntegerField(default=1),
        ),
    ]
