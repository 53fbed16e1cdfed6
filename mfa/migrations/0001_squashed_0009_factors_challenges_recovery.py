"""Factors, the challenges that ask for them, and the ways back in without one.

A new database runs only this migration of mfa. It replaces the ones before it. Their files remain for one
release, and a database at any of them continues from there.
"""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("mfa", "0001_initial"),
        ("mfa", "0002_recovery_codes"),
        ("mfa", "0003_clock_drift"),
        ("mfa", "0004_remembered_browsers_assisted_resets"),
        ("mfa", "0005_note_enabled_modes"),
        ("mfa", "0006_resets_of_user"),
        ("mfa", "0007_refused_steps"),
        ("mfa", "0008_wrong_codes_are_throttled"),
        ("mfa", "0009_rename_to_fields_terms"),
    ]

    dependencies = [
        ("accounts", "0001_squashed_0017_users_sign_in_sessions"),
    ]

    operations = [
        # --- Factors, and the codes that are asked for
        migrations.CreateModel(
            name="Factor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="The human-readable name of this device.", max_length=64)),
                ("confirmed", models.BooleanField(default=True, help_text="Is this device ready for use?")),
                ("sealed_secret", models.TextField(blank=True, editable=False)),
                ("mode", models.CharField(max_length=16)),
                ("last_step", models.BigIntegerField(default=0, editable=False)),
                ("drift", models.SmallIntegerField(default=0, editable=False)),
                ("refused_steps", models.JSONField(default=list, editable=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("last_used_at", models.DateTimeField(editable=False, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        help_text="The user that this device belongs to.",
                        on_delete=django.db.models.deletion.CASCADE,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "mode"), name="one_factor_a_mode"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("mode", "authenticator"), _negated=True),
                            models.Q(("sealed_secret", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="secret_of_authenticator",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("mode", "email"), _negated=True), ("sealed_secret", ""), _connector="OR"
                        ),
                        name="secret_of_email",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Challenge",
            fields=[
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("sealed_secret", models.TextField(blank=True, editable=False)),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[("sign_in", "Sign In"), ("enrolment", "Enrolment"), ("step_up", "Step Up")],
                        max_length=16,
                    ),
                ),
                ("mode", models.CharField(max_length=16)),
                ("credential_fingerprint", models.CharField(default="", max_length=64)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("mails", models.PositiveSmallIntegerField(default=0)),
                ("last_mail_at", models.DateTimeField(null=True)),
                (
                    "attempt",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.signinattempt",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)), fields=["user"], name="open_challenges_of_user"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("attempt__isnull", False), ("purpose", "sign_in")),
                            models.Q(models.Q(("purpose", "sign_in"), _negated=True), ("attempt__isnull", True)),
                            _connector="OR",
                        ),
                        name="sign_in_challenge_has_an_attempt",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RememberedBrowser",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("credential_fingerprint", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_used_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=255)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("digest", "user"), name="remembered_once_a_user")],
            },
        ),
        # --- Ways back in for users who have lost a factor
        migrations.CreateModel(
            name="RecoveryCodes",
            fields=[
                ("sealed_secret", models.TextField(blank=True, editable=False)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("unused", models.JSONField(default=list)),
                ("waiting", models.JSONField(default=list)),
                ("made_at", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="AssistedReset",
            fields=[
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("sealed_secret", models.TextField(blank=True, editable=False)),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("authority", models.CharField(max_length=254)),
                ("reason", models.CharField(max_length=500, verbose_name="reason")),
                ("due_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(null=True)),
                (
                    "started_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None), ("told_at", None)),
                        fields=["due_at"],
                        name="resets_to_tell_of",
                    ),
                    models.Index(fields=["user", "-created_at"], name="resets_of_user"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("user",), name="one_open_reset"
                    )
                ],
            },
        ),
    ]
