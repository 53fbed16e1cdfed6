"""A pending sign-in is one row, a challenge, in place of two."""

from django.conf import settings
from django.db import migrations, models


def end_pending_sign_ins(apps, _schema_editor):
    """Delete the sign-ins that wait for a code, at most ten minutes old: their users sign in again."""
    apps.get_model("mfa", "Challenge").objects.filter(purpose="sign_in").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("mfa", "0001_squashed_0009_factors_challenges_recovery"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(end_pending_sign_ins, migrations.RunPython.noop),
        migrations.RemoveConstraint(
            model_name="challenge",
            name="sign_in_challenge_has_an_attempt",
        ),
        migrations.RemoveIndex(
            model_name="challenge",
            name="open_challenges_of_user",
        ),
        migrations.RemoveField(
            model_name="challenge",
            name="attempt",
        ),
        migrations.AddField(
            model_name="challenge",
            name="agent",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name="challenge",
            name="by_key",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="challenge",
            name="channel",
            field=models.CharField(
                blank=True,
                choices=[("browser", "browser"), ("cli", "command line"), ("key", "command line, with a key")],
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="challenge",
            name="ip_address",
            field=models.GenericIPAddressField(null=True),
        ),
        migrations.AddField(
            model_name="challenge",
            name="known_place",
            field=models.CharField(blank=True, max_length=80),
        ),
        migrations.AddConstraint(
            model_name="challenge",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("purpose", "sign_in"), models.Q(("channel", ""), _negated=True)),
                    models.Q(models.Q(("purpose", "sign_in"), _negated=True), ("channel", "")),
                    _connector="OR",
                ),
                name="sign_in_has_a_channel",
            ),
        ),
        migrations.RunPython(migrations.RunPython.noop, end_pending_sign_ins),
    ]
