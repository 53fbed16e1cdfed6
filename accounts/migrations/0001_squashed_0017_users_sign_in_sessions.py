"""Users and their keys, what a sign-in needs, what it opens, and what is told about it.

A new database runs only this migration of accounts. It replaces the ones before it. Their files remain for one
release, and a database at any of them continues from there.

In a database that came that way, some indexes and constraints of EmailChange and EmailVerification keep the names of
the models before (accounts_addresschange_…, accounts_mailboxproof_…). Django finds them by their columns.
"""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("accounts", "0001_initial"),
        ("accounts", "0002_sessions_tokens_keys"),
        ("accounts", "0003_throttles_known_browsers"),
        ("accounts", "0004_security_log_age"),
        ("accounts", "0005_attempts_tell_where_from"),
        ("accounts", "0006_email_change_shared_browsers"),
        ("accounts", "0007_enabled_modes"),
        ("accounts", "0008_tokens_by_key"),
        ("accounts", "0009_mail_to_send_by_queue"),
        ("accounts", "0010_attempts_by_key"),
        ("accounts", "0011_mail_about"),
        ("accounts", "0012_credential_fingerprints"),
        ("accounts", "0013_known_places"),
        ("accounts", "0014_registrations_wait"),
        ("accounts", "0015_undo_of_first_factors"),
        ("accounts", "0016_rename_to_fields_terms"),
        ("accounts", "0017_mails_by_name"),
    ]

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        # --- Users
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("email", models.EmailField(max_length=254, unique=True, verbose_name="email")),
                ("email_key", models.CharField(editable=False, max_length=254, unique=True)),
                ("email_verified_at", models.DateTimeField(blank=True, null=True)),
                ("username", models.CharField(blank=True, max_length=64, verbose_name="username")),
                ("username_key", models.CharField(editable=False, max_length=128, null=True, unique=True)),
                ("name", models.CharField(blank=True, max_length=128, verbose_name="name")),
                ("preferred_mode", models.CharField(blank=True, editable=False, max_length=16)),
                ("enabled_modes", models.CharField(blank=True, default="", editable=False, max_length=64)),
                ("credential_version", models.PositiveIntegerField(default=0, editable=False)),
                ("is_active", models.BooleanField(default=True)),
                ("is_staff", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="PublicKey",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=64)),
                ("text", models.TextField()),
                ("fingerprint", models.CharField(db_index=True, max_length=43)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("last_used_at", models.DateTimeField(editable=False, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "name"), name="key_name_once"),
                    models.UniqueConstraint(fields=("user", "fingerprint"), name="key_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="EmailChange",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("old_email", models.EmailField(max_length=254)),
                ("old_email_key", models.CharField(max_length=254)),
                ("mfa_was_on", models.BooleanField(default=True)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("undone_at", models.DateTimeField(null=True)),
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
                        condition=models.Q(("undone_at", None)),
                        fields=["old_email_key", "at"],
                        name="addresses_kept_free",
                    )
                ],
            },
        ),
        # --- Signing in: codes by email, attempts under way, and the limits on failures
        migrations.CreateModel(
            name="EmailVerification",
            fields=[
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("register", "Register"),
                            ("confirm_mailbox", "Confirm Mailbox"),
                            ("reset_password", "Reset Password"),
                            ("change_email", "Change Email"),
                        ],
                        max_length=16,
                    ),
                ),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("password", models.CharField(blank=True, max_length=128)),
                ("mailbox_key", models.CharField(blank=True, max_length=254)),
                ("mailed_at", models.DateTimeField(null=True)),
                ("sealed_code", models.TextField()),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("mails", models.PositiveSmallIntegerField(default=0)),
                ("last_mail_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("mailed_at__isnull", False)),
                        fields=["mailbox_key", "purpose", "-mailed_at"],
                        name="mailed_codes_of_mailbox",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SignInAttempt",
            fields=[
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "channel",
                    models.CharField(
                        choices=[("browser", "browser"), ("cli", "command line"), ("key", "command line, with a key")],
                        max_length=8,
                    ),
                ),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=255)),
                ("known_place", models.CharField(blank=True, max_length=80)),
                ("by_key", models.BooleanField(default=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("ended_at", None)), fields=["user"], name="open_attempts_of_user")
                ],
            },
        ),
        migrations.CreateModel(
            name="KnownBrowser",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64)),
                ("last_used_at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ("mailbox_proven_at", models.DateTimeField(null=True)),
                ("factor_proven_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("digest", "user"), name="browser_once_a_user")],
            },
        ),
        migrations.CreateModel(
            name="Throttle",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("in_a_row", models.PositiveIntegerField(default=0)),
                ("recent", models.JSONField(default=list)),
                ("last_at", models.DateTimeField(db_index=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="UsedNonce",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
        ),
        # --- What a completed sign-in opens
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "session_key",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_used_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("mode", models.CharField(blank=True, max_length=16)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=255)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_used_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("mode", models.CharField(blank=True, max_length=16)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=255)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("credential_fingerprint", models.CharField(max_length=128)),
                ("by_key", models.BooleanField(default=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        # --- The security log and the outbox
        migrations.CreateModel(
            name="SecurityEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=40)),
                ("mode", models.CharField(blank=True, max_length=16)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=255)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user", "-at"], name="events_of_user"),
                    models.Index(fields=["at"], name="events_by_age"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Mail",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("task", models.CharField(max_length=80)),
                ("queue", models.CharField(default="celery", max_length=16)),
                ("about", models.CharField(blank=True, max_length=36)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("sending", "Sending"),
                            ("sent", "Sent"),
                            ("dropped", "Dropped"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=8,
                    ),
                ),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "sending"])),
                        fields=["queue", "due_at"],
                        name="mail_to_send",
                    ),
                    models.Index(fields=["user", "task", "created_at"], name="mail_of_user"),
                    models.Index(fields=["about", "user"], name="mail_about"),
                ],
            },
        ),
    ]
