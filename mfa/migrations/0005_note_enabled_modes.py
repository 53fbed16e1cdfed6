from django.db import migrations

BATCH = 1000


def note(apps, schema_editor):
    """Write the modes of everybody who has one; triggers keep them from here on."""
    Factor = apps.get_model("mfa", "Factor")
    User = apps.get_model("accounts", "User")
    users = User.objects.using(schema_editor.connection.alias).exclude(preferred_mode="").order_by("pk")
    last = None
    while batch := list((users.filter(pk__gt=last) if last else users)[:BATCH]):
        modes = {}
        for factor in Factor.objects.filter(user__in=batch, confirmed=True).order_by("mode"):
            modes.setdefault(factor.user_id, []).append(factor.mode)
        for user in batch:
            user.enabled_modes = " ".join(modes.get(user.pk, []))
        User.objects.bulk_update(batch, ["enabled_modes"])
        last = batch[-1].pk


class Migration(migrations.Migration):
    dependencies = [
        ("mfa", "0004_remembered_browsers_assisted_resets"),
        ("accounts", "0007_enabled_modes"),
    ]
    operations = [migrations.RunPython(note, migrations.RunPython.noop)]
