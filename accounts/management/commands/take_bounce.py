"""Read a mail that came back, as a mail server pipes it, and note what became of the mail that it tells of."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from accounts import bounces


class Command(BaseCommand):
    """Ends with 0, with 65 (``EX_DATAERR``: refuse it) or with 75 (``EX_TEMPFAIL``: keep it and try again)."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Accept the address."""
        parser.add_argument("address", nargs="?", default="", help="to which it came; else its headers are searched")

    def handle(self, *_args: Any, address: str, **_options: Any) -> None:
        """Take one mail from the standard input. A report is at its beginning: the rest of a long one is not read."""
        try:
            bounces.take(sys.stdin.buffer.read(settings.MAX_MAIL_REPORT_SIZE), address=address)
        except bounces.NotSigned:
            raise CommandError("This is not an address of the portal.", returncode=os.EX_DATAERR) from None
        except (InterfaceError, OperationalError) as error:
            # Not its text: a mail server writes it into its log, or mails it.
            raise CommandError(f"Try again: {type(error).__name__}.", returncode=os.EX_TEMPFAIL) from None
