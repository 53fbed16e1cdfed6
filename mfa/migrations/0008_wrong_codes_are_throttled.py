from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("mfa", "0007_refused_steps")]

    operations = [
        migrations.DeleteModel(name="Guesses"),
        migrations.RemoveField(model_name="assistedreset", name="failures"),
    ]
