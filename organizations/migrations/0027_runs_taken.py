from django.db import migrations, models


class Migration(migrations.Migration):
    """One worker at a time continues a run over many members."""

    dependencies = [("organizations", "0026_filter_of_logs")]

    operations = [
        migrations.AddField(model_name="exemptionrun", name="taken_until", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="removal", name="taken_until", field=models.DateTimeField(null=True)),
    ]
