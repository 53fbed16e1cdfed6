from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("organizations", "0014_reminders_speak_of_a_policy")]

    operations = [
        migrations.AddField(
            model_name="organizationevent",
            name="effective_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="organizationevent",
            name="member",
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name="organizationevent",
            name="subject",
            field=models.CharField(blank=True, max_length=600),
        ),
    ]
