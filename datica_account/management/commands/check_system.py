"""Check that the portal can serve, in words: database, clock, migrations, broker, workers, unsent codes, secrets.

Exits with 1 if something is wrong. Run it after an installation, an upgrade, a restore and a change of keys.
"""

import logging
from argparse import ArgumentParser
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Model

from accounts.mail_status import QUEUES
from datica_account import health, sealed
from datica_account.health import Problem, Result

WORKERS_ANSWER_WITHIN_SECONDS = 2.0


class Command(BaseCommand):
    """Print a line for each check."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what may be left out."""
        parser.add_argument("--no-workers", action="store_true", help="do not ask whether workers run")
        parser.add_argument("--quick", action="store_true", help="decrypt the oldest and newest secrets, not all")

    def handle(self, *_args: Any, no_workers: bool, quick: bool, **_options: Any) -> None:
        """Check everything, and raise ``CommandError`` if something is wrong."""
        logging.getLogger("psycopg.pool").disabled = True  # what it says of a database that is away is said here
        results = health.run_checks()
        states = {result.name: result.state for result in results}
        if not no_workers and states["broker"] == "ok":
            results.append(self._workers())
        if not quick and states["migrations"] == "ok":
            results += [self._secrets(model, field) for model, field in sealed.SEALED]
        for result in results:
            self.stdout.write(f"{result.state:12} {result.name:18} {result.words}")
        if failed := [result.name for result in results if not result.is_ok]:
            raise CommandError(f"The portal is not ready: {', '.join(failed)}.")

    def _workers(self) -> Result:
        """Ask the workers which queues they serve."""
        answers = current_app.control.inspect(timeout=WORKERS_ANSWER_WITHIN_SECONDS).active_queues() or {}
        served = {queue["name"] for queues in answers.values() for queue in queues}
        if missing := [queue for queue in QUEUES if queue not in served]:
            return Result("workers", "failed", f"No worker answers for the queues {', '.join(missing)}.")
        return Result("workers", "ok", f"{len(answers)} workers serve the queues {', '.join(QUEUES)}.")

    def _secrets(self, model: type[Model], field: str) -> Result:
        """Decrypt every secret of a table (SR-64)."""
        name, checked = model.__name__, 0
        try:
            for pk, secret in sealed.rows(model, field):
                health.require_key(secret, f"{name} {pk}")
                checked += 1
        except (Problem, DatabaseError) as problem:
            return Result(name, "failed", f"{problem} {checked} before it could be decrypted.")
        return Result(name, "ok", f"{checked} secrets can be decrypted.")
