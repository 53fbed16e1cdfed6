"""The database is lost and comes back from a backup, as docs/operating.md says: people sign in as before."""

import re
import shutil
import subprocess

import pytest

from tests import production, servers
from tests.production import Visitor, app_code, sign_in
from tests.servers import postgresql_programs

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site():
    context = production.site()
    yield servers.or_skip(context.__enter__)
    context.__exit__(None, None, None)


def postgres(site, program, *arguments):
    """Run a program of PostgreSQL against the site's server."""
    server = ["-h", "127.0.0.1", "-p", str(site.database.port), "-U", "portal"]
    found = shutil.which(program) or str(postgresql_programs() / program)
    return subprocess.run([found, *server, *arguments], check=True, capture_output=True, text=True).stdout


def dumped(site, *arguments):
    """Return the database as SQL, without what differs in each dump and what PostgreSQL writes in another way."""
    lines = postgres(site, "pg_dump", *arguments, "portal").splitlines()
    # ``ARRAY['a', 'b']::text[]`` is read back as ``ARRAY['a'::text, 'b'::text]``.
    casts = re.compile(r"::(character varying|text)(\[\])?|[()]")
    return [casts.sub("", line) for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


def test_a_restored_database_lets_people_sign_in(site):
    """SR-64: with an authenticator and by mail; and what was signed in at the time of the dump can be ended."""
    web, worker = site.start_web(), site.start_worker()
    with_app, by_mail = site.somebody("authenticator"), site.somebody("email")
    before = sign_in(site, by_mail)
    assert before.is_signed_in()
    web.stop()
    worker.stop()
    schema, data = dumped(site, "--schema-only"), dumped(site, "--data-only")
    backup = site.folder / "portal.dump"
    postgres(site, "pg_dump", "--format=custom", f"--file={backup}", "portal")

    postgres(site, "dropdb", "portal")
    postgres(site, "createdb", "portal")
    postgres(site, "pg_restore", "--exit-on-error", "--dbname=portal", str(backup))

    # Owners and rights, triggers and their functions, partial indexes, constraints, sequences; and every row.
    assert dumped(site, "--schema-only") == schema
    assert dumped(site, "--data-only") == data
    assert site.manage("check_system", "--no-workers").returncode == 0
    wrong_key = site.manage("check_system", "--no-workers", check=False, ENCRYPTION_KEYS="the key of another site " * 2)
    assert wrong_key.returncode == 1
    assert "fits none of ENCRYPTION_KEYS" in wrong_key.stdout

    web.start()
    worker.start()
    assert before.is_signed_in()  # perhaps it had signed out since then
    assert "1 sessions ended" in site.manage("end_sessions", "--all").stdout
    assert not before.is_signed_in()
    assert sign_in(site, with_app).is_signed_in()
    assert sign_in(site, by_mail).is_signed_in()

    # A trigger works: it counts a member whose modes change.
    question = "SELECT count FROM organizations_membercount WHERE modes = 'authenticator'"
    members = int(site.psql("--command", question))
    theirs = f"(SELECT id FROM accounts_user WHERE email = '{with_app}')"
    site.psql("--command", f"DELETE FROM mfa_factor WHERE user_id = {theirs}")
    assert int(site.psql("--command", question)) == members - 1
    web.stop()
    worker.stop()


def test_lost_keys_leave_everyone_a_way_back(site):
    """SR-64: the authenticator cannot be checked; after one command its user signs in with a mailed code."""
    lost = {"ENCRYPTION_KEYS": "another key: of the first one there was no backup"}
    port = servers.free_port()
    web, worker = site.start_web("web-new-key", port=port, **lost), site.start_worker("worker-new-key", **lost)
    user, visitor = site.somebody("authenticator"), Visitor(f"http://127.0.0.1:{port}")
    visitor.give_password(user)
    visitor.give_code(app_code(user))
    assert not visitor.is_signed_in()

    counted_only = site.manage("replace_lost_secrets", check=False, **lost)
    assert counted_only.returncode == 1
    assert "add it to ENCRYPTION_KEYS" in counted_only.stderr
    site.manage("replace_lost_secrets", "--remove", **lost)

    visitor = Visitor(f"http://127.0.0.1:{port}")
    visitor.give_password(user)
    visitor.give_code(site.code_to(user))
    assert visitor.is_signed_in()
    web.stop()
    worker.stop()
