"""Fill an empty PostgreSQL with a million people and organizations of several sizes, to see what size costs."""

import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from mfa import codes, modes
from mfa.models import Factor
from organizations.models import Membership, Organization, Role

PASSWORD = "correct-horse-battery"
EMAIL_OF = "'person' || n || '@example.com'"
# Of seven people three have no mode, two an authenticator, one both, one e-mail. Nobody of them can sign in.
MODE = next(mode.name for mode in modes.ALL.values() if mode.keeps_secret)  # what seeded owners sign in with
PEOPLE = f"""
INSERT INTO accounts_user (id, password, is_superuser, email, email_key, email_verified_at, username, name,
  preferred_mode, enabled_modes, credential_version, mailbox_failure, is_active, is_staff, created_at, last_login)
SELECT gen_random_uuid(), '!', false, {EMAIL_OF}, {EMAIL_OF}, now(), '',
  (ARRAY['Dana', 'Olaf', 'Sam', 'Zoë', 'José', 'Ann'])[mod(n, 6) + 1] || ' ' || initcap(substr(md5(n::text), 1, 8)),
  (ARRAY['', '', '', 'authenticator', 'authenticator', 'authenticator', 'email'])[mod(n, 7) + 1], '', 0, '', true,
  false, now(), now() - random() * interval '60 days'
FROM generate_series(1, %s) AS n
"""
NUMBER = "substr(email, 7, strpos(email, '@') - 7)::int"
# One sealed secret serves all: what it costs to keep and to count them is the same.
FACTORS = f"""
INSERT INTO mfa_factor (user_id, name, confirmed, mode, sealed_secret, last_step, drift, refused_steps, created_at,
  last_used_at)
SELECT id, mode, true, mode, CASE mode WHEN 'email' THEN '' ELSE %s END, 0, 0, '[]', now(), last_login
FROM accounts_user, unnest(CASE mod({NUMBER}, 7) WHEN 3 THEN ARRAY['authenticator'] WHEN 4 THEN ARRAY['authenticator']
  WHEN 5 THEN ARRAY['authenticator', 'email'] WHEN 6 THEN ARRAY['email'] ELSE ARRAY[]::text[] END) AS mode
WHERE starts_with(email, 'person')
"""
# Three of a hundred are signed in in a browser, one at the command line.
SESSIONS = f"""
INSERT INTO accounts_session (session_key, session_data, expire_date, user_id, public_id, created_at, last_used_at,
  mode, factor_name, agent)
SELECT md5(id::text), '', now() + interval '1 day', id, gen_random_uuid(), now(), now(), '', '', ''
FROM accounts_user WHERE starts_with(email, 'person') AND mod({NUMBER}, 100) < 3
"""
TOKENS = f"""
INSERT INTO accounts_token (digest, user_id, credential_fingerprint, by_key, expires_at, public_id, created_at,
  last_used_at, mode, factor_name, agent)
SELECT md5(id::text), id, '', false, now() + interval '1 day', gen_random_uuid(), now(), now(), '', '', ''
FROM accounts_user WHERE starts_with(email, 'person') AND mod({NUMBER}, 100) = 3
"""
MEMBERS = """
INSERT INTO organizations_membership (organization_id, user_id, role, created_at, exempt_reason, modes, email_key)
SELECT %s, id, 'member', now(), '', '', ''
FROM accounts_user WHERE starts_with(email, 'person') ORDER BY email_key LIMIT %s
"""


class Command(BaseCommand):
    """The people are members of every organization, the first in order of their addresses."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Ask for the numbers."""
        parser.add_argument("--users", type=int, default=1_000_000)
        parser.add_argument("--sizes", type=int, nargs="+", default=[100, 10_000, 100_000], help="members of each")

    def handle(self, *_args: Any, users: int, sizes: Iterable[int], **_options: Any) -> None:
        """Make them, and print who can sign in."""
        if not settings.DEVELOPMENT:
            raise CommandError("Made-up people are made only with DEVELOPMENT=1.")
        if connection.vendor != "postgresql":
            raise CommandError("A million people need PostgreSQL: name one in DATABASE_URL.")
        if User.objects.exists():
            raise CommandError("There are accounts in this database: name an empty one in DATABASE_URL.")
        started = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PEOPLE, [users])
            cursor.execute(FACTORS, [_sealed()])
            cursor.execute(SESSIONS)
            cursor.execute(TOKENS)
            for size in sizes:
                organization = Organization.objects.create(name=f"Size {size}")
                cursor.execute(MEMBERS, [organization.pk, size])
                self._people_of(organization, size)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        self.stdout.write(f"{users:,} people in {time.monotonic() - started:.0f} s")

    def _people_of(self, organization: Organization, size: int) -> None:
        """Make an owner, a member and a newcomer without MFA who can sign in."""
        email = f"newcomer.{size}@example.com"
        user = User.objects.create_user(email, PASSWORD, email_verified_at=timezone.now())
        Membership.objects.create(organization=organization, user=user)
        self.stdout.write(f"  {email}   password: {PASSWORD}")
        for role in (Role.OWNER, Role.MEMBER):
            email = f"{role}.{size}@example.com"
            user = User.objects.create_user(email, PASSWORD, email_verified_at=timezone.now())
            factor = Factor(user=user, mode=MODE, name=MODE)
            factor.secret = codes.new_secret()
            factor.save()
            User.objects.filter(pk=user.pk).update(preferred_mode=MODE)
            Membership.objects.create(organization=organization, user=user, role=role)
            secret = codes.base32(factor.secret)
            self.stdout.write(f"  {email}   password: {PASSWORD}   authenticator secret: {secret}")


def _sealed() -> str:
    factor = Factor(mode=MODE)
    factor.secret = codes.new_secret()
    return factor.sealed_secret
