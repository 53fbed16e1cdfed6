from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("organizations", "0011_reminders_settle")]

    operations = [
        migrations.AddField(
            model_name="organizationevent",
            name="actor_email",
            field=models.CharField(blank=True, max_length=254),
        ),
    ]
