"""Print how mail is doing, or send a test mail by each way out. Exits with 1 if a code has waited for too long."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import mail_routes, mail_status
from accounts.mail_status import Status


class Command(BaseCommand):
    """Fit for cron: what is wrong goes to standard error."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the address of a test mail."""
        parser.add_argument("--test", metavar="ADDRESS", help="send a test mail to ADDRESS by each way out")

    def handle(self, *_args: Any, test: str | None, **_options: Any) -> None:
        """Print the status, and raise ``CommandError`` if a code is late; or test the ways out."""
        if test:
            self._test(test)
            return
        status = mail_status.status()
        for line in _lines(status):
            self.stdout.write(line)
        if late := status.late:
            raise CommandError(f"The oldest unsent code has waited for {late.oldest.total_seconds():.0f} s.")

    def _test(self, address: str) -> None:
        failed = []
        for route in mail_routes.all_routes():
            name = f"{route} ({mail_routes.provider_of(route)})"
            try:
                self.stdout.write(f"{name}: {mail_routes.send_test(route, address)}")
            except mail_routes.PROVIDER_ERRORS as error:
                self.stdout.write(f"{name}: failed: {type(error).__name__}: {error}")
                failed.append(str(route))
        if failed:
            raise CommandError(f"No mail went out by: {', '.join(failed)}.")


def _lines(status: Status) -> Iterator[str]:
    yield "Queues"
    for queue in status.queues:
        yield f"  {queue.name:8} {queue.length} unsent, the oldest for {queue.oldest.total_seconds():.0f} s"
    yield f"Last hour{f' (its newest {mail_status.SAMPLE} mails)' if status.last_hour.is_sample else ''}"
    for one in status.last_hour.outcomes:
        told = f", {one.delivery.label}" if one.delivery else ""
        yield f"  {one.count} {one.state}{told}{f', by {one.provider}' if one.provider else ''}"
    yield "Seconds until sent, in the last hour"
    for speed in status.last_hour.speeds:
        yield (
            f"  {speed.queue:8} median {speed.median:.1f}, 95 % within {speed.p95:.1f}, slowest {speed.slowest:.1f} "
            f"({speed.count} mails)"
        )
    yield f"Accounts at which mail does not arrive: {status.failing}"
    for mailbox in status.newest_failing:
        yield f"  {mailbox.email} since {mailbox.failed_at:%Y-%m-%d %H:%M} UTC: {mailbox.reason}"
    yield from _breaker_lines(status)


def _breaker_lines(status: Status) -> Iterator[str]:
    if len(mail_routes.all_routes()) == 1:
        yield "Circuit breaker: there is no second way out (EMAIL_FALLBACK_URL)"
        return
    yield f"Circuit breaker of {mail_routes.provider_of(mail_routes.Route.PRIMARY)}: {status.breaker}"
    if status.route.failed_at:
        yield f"  last failure: {status.route.error}, {status.route.failed_at:%Y-%m-%d %H:%M:%S} UTC"
