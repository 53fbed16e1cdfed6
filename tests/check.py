"""``make test``: everything that must hold, in the order in which it is fastest to learn that it does not.

``python -m tests.check lint`` stops after the static checks; ``coverage`` only traces the unit tests on SQLite.
"""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests import security_report, servers
from tests.security_report import REPORTS

ADVISORIES = "api.osv.dev"
CI = bool(os.environ.get("CI"))
PYTHON = sys.executable
# What an operator would set; `check --deploy` is clean with it.
PRODUCTION = {
    "DEVELOPMENT": "0",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "ENCRYPTION_KEYS": "0123456789abcdefghijklmnopqrstuvwxyz",
    "SITE_URL": "https://portal.example.com",
    "ALLOWED_HOSTS": "portal.example.com",
    "DATABASE_URL": "postgres://portal@127.0.0.1/portal",
    "CELERY_BROKER_URL": "redis://127.0.0.1/0",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "EMAIL_URL": "smtp://mail.example.com:25",
    "DEFAULT_FROM_EMAIL": "Datica <no-reply@example.com>",
    "TRUSTED_PROXIES": "10.0.0.0/8",
}
MANAGE = [PYTHON, "-W", "ignore", "manage.py"]
PYTEST = [PYTHON, "-m", "pytest"]
# Tests that ask no database need not run on each.
NO_DATABASE = [f"--ignore=tests/test_{name}.py" for name in ("broker", "deploy", "house", "proxies", "run", "settings")]
# What runs on SQLite too, which development has: all of tests/, which opens every page as everybody, and the modules
# with SQL of their own. PostgreSQL refuses more of what test_bad_input.py sends, so there it is asked alone.
ON_SQLITE_TOO = ["tests", "--ignore=tests/test_bad_input.py"] + [
    f"{app}/tests/test_{name}.py"
    for app, names in {
        "accounts": ("delivery", "housekeeping", "mail_retention", "outbox", "throttles"),
        "mfa": ("challenges", "invariants", "remembered_browsers", "tries"),
        "organizations": ("event_retention", "many_members", "member_counts", "member_search"),
    }.items()
    for name in names
]
# The slowest first: they run side by side.
STATIC_CHECKS = {
    "types": ["mypy", "--no-error-summary", "."],
    "templates": ["djlint", "templates", "--lint", "--quiet"],
    "lint": ["ruff", "check", "--quiet", "."],
    "format": ["ruff", "format", "--quiet", "--check", "."],
    "imports": ["lint-imports", "--no-cache"],
    "deployment": [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
    "migrations": [*MANAGE, "makemigrations", "--check", "--dry-run"],
}
# Lines and branches that the unit tests run, in per cent, less one: below it the run fails.
MIN_COVERAGE = 90


def run(name: str, command: list[str], **environment: str) -> bool:
    """Run one check and print its result; of one that fails, its own words too."""
    started = time.monotonic()
    if command[0] != PYTHON:
        command = [str(Path(PYTHON).parent / command[0]), *command[1:]]
    quiet = "pytest" not in command
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        check=False,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )
    passed = done.returncode == 0
    result = f"{'ok' if passed else 'FAILED':7}{name} ({time.monotonic() - started:.0f} s)"
    print(result if passed or not quiet else f"{result}\n{done.stdout.decode()}", flush=True)
    return passed


def step(name: str, command: list[str], **environment: str) -> None:
    """Run one check; a failure ends the run."""
    if not run(name, command, **environment):
        sys.exit(1)


def static_checks() -> None:
    """Run the static checks on both cores, all of them even if one fails."""
    # Django compares the migrations with the database as well, where there is one.
    settings = {name: {**PRODUCTION} for name in STATIC_CHECKS}
    settings["migrations"]["DATABASE_URL"] = "sqlite://"
    with ThreadPoolExecutor(2) as pool:
        passed = [pool.submit(run, name, command, **settings[name]) for name, command in STATIC_CHECKS.items()]
    if not all(check.result() for check in passed):
        sys.exit(1)


def coverage() -> None:
    """Print how much of the code the unit tests ran. Below the floor the run fails."""
    program = Path(PYTHON).with_name("coverage")
    done = subprocess.run([program, "report", "--format=total"], check=True, capture_output=True, text=True)
    percent = int(done.stdout)
    result = "ok" if percent >= MIN_COVERAGE else "FAILED"
    print(f"{result:7}coverage by the unit tests: {percent} % of lines and branches", flush=True)
    if percent < MIN_COVERAGE:
        print(f"At least {MIN_COVERAGE} % is asked for. `.venv/bin/coverage report -m --format=text` names the rest.")
        sys.exit(1)


def need(stack: ExitStack, server: str) -> str | None:
    """Start a server. Without it: a failure in CI, elsewhere a loud gap."""
    try:
        return stack.enter_context(getattr(servers, server)())
    except servers.MissingServerError as missing:
        print(f"{'FAILED' if CI else 'GAP':7}{missing}", flush=True)
        if CI:
            sys.exit(1)
        return None


def audit() -> None:
    """Ask whether anything that we install has a known hole. Where nobody can be asked, the gap is said aloud."""
    try:
        socket.create_connection((ADVISORIES, 443), timeout=3).close()
    except OSError:
        print(f"GAP    audit of dependencies: {ADVISORIES} cannot be reached from here", flush=True)
        return
    service = ["--vulnerability-service", "osv", "--disable-pip", "--require-hashes"]
    step("audit of dependencies", ["pip-audit", "--progress-spinner", "off", *service, "-r", "requirements.txt"])


def main() -> None:
    # One process more than cores: some tests start the portal and wait for it. They come first (tests/conftest.py).
    units = [*PYTEST, "--migrations", "--numprocesses", "3", "--dist", "worksteal"]
    on_sqlite = [*units, "-m", "not browser and not postgresql", f"--junitxml={REPORTS}/sqlite.xml"]
    if "coverage" in sys.argv[1:]:
        step("unit tests on SQLite, traced", [*on_sqlite, "--cov", "--cov-report="])
        coverage()
        return
    static_checks()
    if "lint" in sys.argv[1:]:
        return
    audit()
    step("static files", [*MANAGE, "collectstatic", "--no-input"], **PRODUCTION)
    os.environ["STATIC_FILES_COLLECTED"] = "1"  # the stacks of the tests need not do it again
    for old in REPORTS.glob("*.xml"):
        old.unlink()
    with ExitStack() as stack:
        database = need(stack, "postgresql")
        if database:
            step(
                "unit and concurrency tests on PostgreSQL",
                [*units, *NO_DATABASE, "-m", "not browser", f"--junitxml={REPORTS}/postgresql.xml"],
                DATABASE_URL=database,
            )
        step("unit tests on SQLite", [*on_sqlite, *(ON_SQLITE_TOO if database else [])])
    by_stack = ["--numprocesses", "3", "--dist", "loadgroup"]
    step("browser tests", [*PYTEST, *by_stack, "-m", "browser", f"--junitxml={REPORTS}/browser.xml"])
    if database:
        print()
        sys.exit(security_report.main())


if __name__ == "__main__":
    main()
