"""Events keep the address of whoever did them, also when the account is gone."""

from django.db import migrations

BATCH = 1000


def fill(apps, _schema_editor):
    event = apps.get_model("organizations", "OrganizationEvent")
    last = 0
    rows = event.objects.filter(actor__isnull=False, actor_email="").select_related("actor").order_by("pk")
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        for row in batch:
            row.actor_email = row.actor.email
        event.objects.bulk_update(batch, ["actor_email"])
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [("organizations", "0012_events_name_actors"), ("accounts", "0010_attempts_by_key")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
