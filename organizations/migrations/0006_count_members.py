from django.db import migrations
from django.db.models import Count

BATCH = 1000


def copy_and_count(apps, schema_editor):
    """Give memberships the copies of their users' columns and count them; triggers keep both from here on."""
    Membership = apps.get_model("organizations", "Membership")
    MemberCount = apps.get_model("organizations", "MemberCount")
    rows = Membership.objects.using(schema_editor.connection.alias).select_related("user").order_by("pk")
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        for membership in batch:
            membership.modes, membership.email_key = membership.user.enabled_modes, membership.user.email_key
        Membership.objects.bulk_update(batch, ["modes", "email_key"])
        last = batch[-1].pk
    MemberCount.objects.all().delete()
    counted = Membership.objects.order_by().values_list("organization_id", "modes").annotate(count=Count("pk"))
    MemberCount.objects.bulk_create(
        [MemberCount(organization_id=pk, modes=modes, count=count) for pk, modes, count in counted], batch_size=BATCH
    )


class Migration(migrations.Migration):
    dependencies = [
        ("organizations", "0005_policy_counts_rehearsal"),
        ("mfa", "0005_note_enabled_modes"),
    ]
    operations = [migrations.RunPython(copy_and_count, migrations.RunPython.noop)]
