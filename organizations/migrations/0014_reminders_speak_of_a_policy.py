from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("organizations", "0013_fill_names_of_actors")]

    operations = [
        migrations.RemoveConstraint(
            model_name="reminder",
            name="reminded_once_a_date",
        ),
        migrations.AddField(
            model_name="reminder",
            name="counting",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
        migrations.AddField(
            model_name="reminder",
            name="superseded_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="reminder",
            name="kind",
            field=models.CharField(
                choices=[
                    ("owner", "Owner"),
                    ("required", "Required"),
                    ("announced", "Announced"),
                    ("week", "Week"),
                    ("day", "Day"),
                    ("one", "One"),
                    ("lifted", "Lifted"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="reminder",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind__in", ["week", "day"]), ("superseded_at", None)),
                fields=("organization", "kind", "required_at"),
                name="reminded_once_a_date",
            ),
        ),
    ]
