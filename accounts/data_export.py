"""The copy of what the portal knows of a user: built by a worker, downloaded by that user alone (SR-63).

The archive is in the database, encrypted: workers and web servers share no files. It is bounded, because a section has
``MAX_ROWS`` at most, and is deleted after ``LIFETIME``. What it contains, each app says in ``account_part.py``.
"""

import csv
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from io import TextIOWrapper
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import structlog
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import account_parts, languages, outbox, security_log, throttles, time_zones
from accounts.account_parts import Section
from accounts.csv_cells import csv_cell
from accounts.encryption import decrypt, encrypt, new_sealed_key
from accounts.limits import Limit
from accounts.locks import lock_unchanged
from accounts.models import DataExport, User
from accounts.security_log import Kind, Origin
from accounts.templatetags.times import in_words

log = structlog.get_logger(__name__)

TASK = "accounts.build_exports"
LIFETIME = timedelta(days=1)
MAX_ROWS = 100_000  # of a section
PROGRESS_BATCH = 1000  # rows after which the page can tell of progress
# A worker that has shown nothing for so long has died: another one begins again, MAX_TRIES times at most.
STUCK_AFTER = timedelta(minutes=5)
MAX_TRIES = 3
MAX_BUILT_AT_ONCE = 20
MEMORY = 1 << 20  # bytes of a file that stay in memory
EXPORTS = Limit(what="copies of one's data", per="user", key="export", tries=5, window=timedelta(days=1))


class _GoneError(Exception):
    """The export was deleted while it was built, with its account or after its time."""


def latest(user: User) -> DataExport | None:
    """Return the latest export of a user that has not expired, without its archive. One query."""
    rows = DataExport.objects.filter(user=user, expires_at__gt=timezone.now()).defer("archive")
    return rows.order_by("-created_at").first()


def ask(user: User, origin: Origin) -> DataExport:
    """Let a worker build an export, unless one is being built; return it. Raises ``TooManyTries``."""
    found = latest(user)
    if found and found.is_waiting:
        return found
    throttles.take([EXPORTS.of(user.pk)])
    with transaction.atomic():
        user = lock_unchanged(user)
        DataExport.objects.filter(user=user).delete()
        transaction.on_commit(partial(outbox.call, TASK, queue=outbox.BULK_QUEUE))
        return DataExport.objects.create(
            user=user,
            ip_address=origin.ip_address,
            agent=origin.agent[:255],
            expires_at=timezone.now() + LIFETIME,
        )


def read(user: User, export_id: UUID) -> bytes | None:
    """Return the archive of an export of this user; None if there is none, or no more."""
    rows = DataExport.objects.filter(user=user, pk=export_id, expires_at__gt=timezone.now(), archive__isnull=False)
    export = rows.first()
    return decrypt(bytes(export.archive), export.sealed_key) if export and export.archive else None


# --- The worker -----------------------------------------------------------------------------------


def build_waiting() -> int:
    """Build the exports that wait, oldest first. Return how many were built. Safe to run twice at once."""
    count = 0
    for _number in range(MAX_BUILT_AT_ONCE):
        export = _take()
        if export is None:
            break
        try:
            _build(export)
            count += 1
        except _GoneError:
            log.info("export.gone", export_id=str(export.pk))
        except Exception:
            log.exception("export.not_built", export_id=str(export.pk))
    return count


def _waiting() -> "QuerySet[DataExport]":
    now = timezone.now()
    is_free = Q(taken_at=None) | Q(taken_at__lt=now - STUCK_AFTER)
    return DataExport.objects.filter(is_free, ended_at=None).order_by("created_at")


def _take() -> DataExport | None:
    """Mark the oldest export that waits as taken by this worker, and return it. Give up those that failed often."""
    _waiting().filter(tries__gte=MAX_TRIES).update(ended_at=timezone.now())
    for export in _waiting().select_related("user")[:MAX_BUILT_AT_ONCE]:
        mine = DataExport.objects.filter(pk=export.pk, taken_at=export.taken_at, ended_at=None)
        if mine.update(taken_at=timezone.now(), tries=F("tries") + 1, rows=0):
            return export
    return None


def _build(export: DataExport) -> None:
    with SpooledTemporaryFile(MEMORY) as file:
        _write(file, export)
        file.seek(0)
        content = file.read()
    key = new_sealed_key()
    archive = encrypt(content, key)
    now = timezone.now()
    with transaction.atomic():
        _update(export, archive=archive, sealed_key=key, size=len(content), ended_at=now, expires_at=now + LIFETIME)
        event = security_log.record(export.user, Kind.DATA_EXPORTED, Origin(export.ip_address, export.agent))
        outbox.post("accounts.data_exported", user=export.user, about=event.pk)
    log.info("export.built", export_id=str(export.pk), size=len(content))


def _update(export: DataExport, **columns: object) -> None:
    if not DataExport.objects.filter(pk=export.pk, ended_at=None).update(**columns):
        raise _GoneError


def _write(file: "SpooledTemporaryFile[bytes]", export: DataExport) -> None:
    written = 0

    def progress(rows: int) -> None:
        nonlocal written
        written += rows
        _update(export, rows=written, taken_at=timezone.now())

    user = export.user
    with ZipFile(file, "w") as archive, languages.of(user), time_zones.shown_in(time_zones.of_user(user)):
        sections = (section for part in account_parts.PARTS for section in part.sections(user))
        cut = [section.name for section in sections if _write_section(archive, section, progress)]
        archive.writestr(_file("README.txt"), _explanation(cut))


def _file(name: str) -> ZipInfo:
    """Return a file of the archive that was written now, by the clock of its reader: archives know no time zones."""
    file = ZipInfo(name, timezone.localtime().timetuple()[:6])
    file.compress_type = ZIP_DEFLATED
    return file


def _write_section(archive: ZipFile, section: Section, progress: Callable[[int], None]) -> bool:
    """Write a section as JSON and as CSV, reading its rows once. Return whether there were more than ``MAX_ROWS``."""
    rows = iter(section.rows())
    with SpooledTemporaryFile(MEMORY) as table:
        text = TextIOWrapper(table, "utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(section.columns)
        with archive.open(_file(f"json/{section.name}.json"), "w", force_zip64=True) as objects:
            objects.write(b"[")
            for number in range(0, MAX_ROWS, PROGRESS_BATCH):
                batch = list(islice(rows, PROGRESS_BATCH))
                _write_objects(objects, section.columns, batch, is_first=number == 0)
                writer.writerows(map(csv_cell, row) for row in batch)
                progress(len(batch))
                if len(batch) < PROGRESS_BATCH:
                    break
            objects.write(b"\n]\n")
        text.flush()
        table.seek(0)
        with archive.open(_file(f"csv/{section.name}.csv"), "w", force_zip64=True) as copy:
            while chunk := table.read(MEMORY):
                copy.write(chunk)
        text.detach()
    return next(rows, None) is not None


def _write_objects(
    file: IO[bytes], columns: Sequence[str], rows: Sequence[Sequence[object]], *, is_first: bool
) -> None:
    for number, row in enumerate(rows):
        separator = "\n" if is_first and number == 0 else ",\n"
        line = json.dumps(dict(zip(columns, row, strict=True)), cls=DjangoJSONEncoder, ensure_ascii=False)
        file.write(f"{separator}  {line}".encode())


def _explanation(cut: list[str]) -> str:
    lines = [
        _("This is what %(site)s knows of you, on %(at)s.")
        % {"site": settings.SITE_NAME, "at": in_words(timezone.now())},
        _("Each table is in the folder json and, for spreadsheets, in the folder csv."),
        _("The times in the tables are in UTC, whatever your time zone is, so that programs can read them."),
        _("Passwords, codes and other secrets are not in it. A text that begins like a formula has a quote before it."),
    ]
    if cut:
        text = _(
            "These tables have only the newest %(n)s rows: %(names)s. Ask the people who run this portal for the rest."
        )
        lines.append(text % {"n": f"{MAX_ROWS:,}", "names": ", ".join(cut)})
    return "\n\n".join(lines) + "\n"
