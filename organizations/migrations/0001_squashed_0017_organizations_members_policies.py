"""Organizations, their members and environments, and the MFA policy with its records.

A new database runs only this migration of organizations. It replaces the ones before it. Their files remain for one
release, and a database at any of them continues from there.
"""

import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("organizations", "0001_initial"),
        ("organizations", "0002_invitations_environments_admins"),
        ("organizations", "0003_kinds_of_events"),
        ("organizations", "0004_remembering_forbidden"),
        ("organizations", "0005_policy_counts_rehearsal"),
        ("organizations", "0006_count_members"),
        ("organizations", "0007_reminders_compliance"),
        ("organizations", "0008_rehearsal_doors"),
        ("organizations", "0009_rehearsals_by_end"),
        ("organizations", "0010_reminders_count_mails"),
        ("organizations", "0011_reminders_settle"),
        ("organizations", "0012_events_name_actors"),
        ("organizations", "0013_fill_names_of_actors"),
        ("organizations", "0014_reminders_speak_of_a_policy"),
        ("organizations", "0015_events_keep_whom_and_when"),
        ("organizations", "0016_fill_whom_and_when"),
        ("organizations", "0017_rename_to_fields_terms"),
    ]

    dependencies = [
        ("accounts", "0001_squashed_0017_users_sign_in_sessions"),
        ("mfa", "0001_squashed_0009_factors_challenges_recovery"),
    ]

    operations = [
        # --- Organizations and their environments
        migrations.CreateModel(
            name="Organization",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=128)),
                ("mfa_required_at", models.DateTimeField(editable=False, null=True)),
                ("accepted_modes", models.CharField(blank=True, default="", editable=False, max_length=16)),
                ("rehearsal_until", models.DateTimeField(editable=False, null=True)),
                ("remembering_forbidden", models.BooleanField(default=False, editable=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("mfa_required_at", None), _negated=True),
                        fields=["mfa_required_at"],
                        name="organizations_by_date",
                    ),
                    models.Index(
                        condition=models.Q(("rehearsal_until", None), _negated=True),
                        fields=["rehearsal_until"],
                        name="organizations_rehearsing",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Pod",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[django.core.validators.RegexValidator("\\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\\Z")],
                        verbose_name="name",
                    ),
                ),
                ("phi_safe", models.BooleanField(default=True, verbose_name="safe for protected health information")),
                ("import_requires_length", models.BooleanField(default=False, verbose_name="import requires length")),
            ],
        ),
        migrations.CreateModel(
            name="Environment",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(
                        max_length=64,
                        validators=[django.core.validators.RegexValidator("\\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\\Z")],
                        verbose_name="name",
                    ),
                ),
                ("namespace", models.CharField(blank=True, max_length=64, verbose_name="namespace")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
                (
                    "pod",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="organizations.pod"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("organization", "name"), name="environment_name_once")],
            },
        ),
        # --- Members; triggers count them by mode (organizations/triggers.py)
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[("owner", "owner"), ("admin", "admin"), ("member", "member")],
                        default="member",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("exempt_until", models.DateTimeField(editable=False, null=True)),
                ("exempt_reason", models.CharField(blank=True, default="", editable=False, max_length=200)),
                ("modes", models.CharField(blank=True, default="", editable=False, max_length=64)),
                ("email_key", models.CharField(blank=True, default="", editable=False, max_length=254)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="organizations.organization",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "email_key"], name="members_by_address"),
                    models.Index(
                        fields=["organization", "email_key"],
                        name="members_search",
                        opclasses=["uuid_ops", "varchar_pattern_ops"],
                    ),
                    models.Index(fields=["organization", "modes", "email_key"], name="members_by_modes"),
                    models.Index(fields=["organization", "id"], name="members_in_order"),
                    models.Index(fields=["organization", "role", "email_key"], name="members_by_role"),
                    models.Index(
                        condition=models.Q(("exempt_until", None), _negated=True),
                        fields=["organization"],
                        name="members_exempt",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "organization"), name="member_once"),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["owner", "admin", "member"])), name="role_is_a_role"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MemberCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("modes", models.CharField(blank=True, max_length=64)),
                ("count", models.IntegerField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("organization", "modes"), name="count_once")],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("email", models.EmailField(max_length=254)),
                ("email_key", models.CharField(max_length=254)),
                (
                    "role",
                    models.CharField(
                        choices=[("owner", "owner"), ("admin", "admin"), ("member", "member")],
                        default="member",
                        max_length=8,
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("sealed_code", models.TextField()),
                ("link_path", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "sender",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("accepted_at", None), ("revoked_at", None)),
                        fields=("organization", "email_key"),
                        name="one_open_invitation",
                    )
                ],
            },
        ),
        # --- The MFA policy: what it would block, the mails about it, its figures by day, and the event log
        migrations.CreateModel(
            name="RehearsalHit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "channel",
                    models.CharField(
                        choices=[("browser", "browser"), ("cli", "command line"), ("key", "command line, with a key")],
                        max_length=8,
                    ),
                ),
                ("count", models.PositiveIntegerField(default=1)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("first_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
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
                "indexes": [models.Index(fields=["organization", "-last_at"], name="hits_of_organization")],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "user", "channel"), name="hit_once_a_channel")
                ],
            },
        ),
        migrations.CreateModel(
            name="Reminder",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
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
                ("required_at", models.DateTimeField(null=True)),
                ("counting", models.CharField(blank=True, default="", max_length=16)),
                ("superseded_at", models.DateTimeField(null=True)),
                ("place", models.BigIntegerField(default=0)),
                ("mails", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("starts_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("done_at", None)), fields=["starts_at"], name="reminders_to_write"
                    ),
                    models.Index(fields=["organization", "-created_at"], name="reminders_of_organization"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["week", "day"]), ("superseded_at", None)),
                        fields=("organization", "kind", "required_at"),
                        name="reminded_once_a_date",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ComplianceDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("members", models.PositiveIntegerField()),
                ("ready", models.PositiveIntegerField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("organization", "day"), name="one_count_a_day")],
            },
        ),
        migrations.CreateModel(
            name="OrganizationEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor_email", models.CharField(blank=True, max_length=254)),
                ("kind", models.CharField(max_length=40)),
                ("subject", models.CharField(blank=True, max_length=600)),
                ("member", models.UUIDField(null=True)),
                ("effective_at", models.DateTimeField(null=True)),
                ("ip_address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, max_length=255)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organizations.organization"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["organization", "-at"], name="events_of_organization")],
            },
        ),
    ]
