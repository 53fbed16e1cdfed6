from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mfa", "0006_resets_of_user")]

    operations = [
        migrations.AddField(
            model_name="factor", name="refused_steps", field=models.JSONField(default=list, editable=False)
        ),
        migrations.RemoveField(model_name="factor", name="refused_step"),
    ]
