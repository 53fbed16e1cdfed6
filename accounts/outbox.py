"""The outbox: every mail is a row before it is a task (docs/decisions.md#e).

The broker carries only the row's id, or nothing at all. Each app's ``emails.py`` composes; this module queues by the
name of a mail, so that the domain and ``emails.py`` do not import each other.

A mail that a user waits for is a task of its own. Bulk mail is not: any worker of the bulk queue takes some rows from
the table, sends them over one connection and gives way to other tasks (``send_bulk``).
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from math import ceil
from time import monotonic
from urllib.parse import urlsplit

import structlog
from celery import Task, current_app, shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone, translation
from kombu.exceptions import OperationalError

from accounts import delivery, languages, mail_connections, mail_refusals, mail_routes, metrics, time_zones
from accounts.mail_connections import KeptConnection
from accounts.models import Delivery, DeliveryReason, IsUnsent, Mail, User

log = structlog.get_logger(__name__)

OTP_QUEUE = "otp"
DEFAULT_QUEUE = "celery"
BULK_QUEUE = "bulk"
BULK_TASK = "accounts.send_bulk"

MAX_TRIES = 6
RETRY_FOR = timedelta(days=1)  # mails other than codes, even beyond MAX_TRIES
SWEEP_BATCH = 500
INSERT_BATCH_SIZE = 1000
# Bulk mails that one worker takes at a time. If the worker dies, they are late by OUTBOX_SEND_TIMEOUT.
SEND_BATCH_SIZE = 20
# Connections over which bulk mails of one call go at once, if the worker has as many threads free.
BULK_CONNECTIONS = 4
# Where one worker serves all queues, a code waits at most this long for bulk mail.
BULK_TURN_SECONDS = 2.0
SERVER_AWAY_PAUSE = timedelta(seconds=20)

Compose = Callable[[Mail], EmailMultiAlternatives | None]
COMPOSERS: dict[str, Compose] = {}


def email(compose: Compose) -> Compose:
    """Register a function of an app's ``emails.py`` as a mail, with the Celery task ``<app>.<function>`` that sends it.

    The function reads the row that the mail is about. It returns None if the mail is no longer wanted (SR-50).
    """
    name = f"{compose.__module__.split('.')[0]}.{compose.__name__}"

    def send(self: "Task[..., None]", mail_id: str) -> None:
        pause = deliver(mail_id, over=mail_connections.of_this_thread())
        if pause is not None:
            raise self.retry(countdown=pause.total_seconds())

    COMPOSERS[name] = compose
    shared_task(bind=True, name=name, max_retries=None)(send)
    return compose


def post(
    task: str, *, user: User | None, about: object = "", queue: str = DEFAULT_QUEUE, is_on_page: bool | None = None
) -> Mail:
    """Write a mail into the outbox; it is queued when the surrounding transaction commits.

    ``task`` names the mail, such as ``mfa.one_time_password``; ``about`` is the id of the row that it is about.
    ``is_on_page``: its reader waits for it on the page that is being answered; by default, if it has the OTP queue.
    """
    is_awaited = queue == OTP_QUEUE if is_on_page is None else is_on_page
    language = languages.of_mail(user, is_awaited=is_awaited)
    zone = time_zones.of_mail(user, is_awaited=is_awaited)
    mail = Mail.objects.create(task=task, user=user, about=str(about), queue=queue, language=language, time_zone=zone)
    transaction.on_commit(partial(_enqueue, mail))
    return mail


def post_many(mails: list[Mail]) -> None:
    """Write mails into the outbox at once; they are queued when the surrounding transaction commits."""
    for mail in mails:
        if mail.user:
            mail.language = mail.language or mail.user.language
            mail.time_zone = time_zones.of_user(mail.user)
    Mail.objects.bulk_create(mails, batch_size=INSERT_BATCH_SIZE)
    for mail in mails:
        transaction.on_commit(partial(_enqueue, mail))


def post_in_bulk(mails: list[Mail]) -> None:
    """Write bulk mails into the outbox; workers are called when the surrounding transaction commits."""
    for mail in mails:
        mail.queue = BULK_QUEUE
    Mail.objects.bulk_create(mails, batch_size=INSERT_BATCH_SIZE)
    for _batch in range(min(BULK_CONNECTIONS, ceil(len(mails) / SEND_BATCH_SIZE))):
        transaction.on_commit(partial(call, BULK_TASK, queue=BULK_QUEUE))


def call(task: str, *, queue: str) -> None:
    """Queue a task without arguments. If the broker is unreachable, the task runs at its next scheduled time."""
    try:
        current_app.send_task(task, queue=queue, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("outbox.broker_unreachable", task=task, error=type(error).__name__)


def _enqueue(mail: Mail) -> None:
    try:
        current_app.send_task(mail.task, [str(mail.pk)], queue=mail.queue, retry=False)
    except (OperationalError, OSError) as error:
        # Slower for this one request, but a user who waits for a code gets it. If sending fails here too, the mail
        # stays in the outbox for the sweep.
        metrics.count(mail.task, "broker unreachable")
        log.warning("outbox.broker_unreachable", mail_id=str(mail.pk), task=mail.task, error=type(error).__name__)
        send_here(mail)


def send_here(mail: Mail) -> None:
    """Do the worker's job in this process."""
    register_mails()
    if mail.queue == BULK_QUEUE:
        send_bulk()
    else:
        deliver(str(mail.pk))


@cache
def register_mails() -> None:
    """Import each app's ``emails.py``, once. A worker has done so at its start."""
    current_app.loader.import_default_modules()


def back_off(tries: int) -> timedelta:
    """Return how long to wait after the given number of failed tries: 5 s, 20 s, 80 s, … at most 20 minutes."""
    return min(timedelta(seconds=5 * 4 ** max(tries - 1, 0)), timedelta(minutes=20))


def deliver(mail_id: str, *, over: KeptConnection | None = None) -> timedelta | None:
    """Send a mail of the outbox unless it was sent or is no longer wanted; ``over`` a connection that stays open.

    Return the pause after which to try again, or None if nothing is left to do. A mail is sent at least once: if a
    worker dies after the mail server has accepted it but before the row says so, it is sent twice.
    """
    mail = _take_one(mail_id)
    if mail is None:
        return None
    if over is not None:
        return _attempt(mail, over)
    own = KeptConnection()
    try:
        return _attempt(mail, own)
    finally:
        own.close_all()


TAKE_ONE = f"""
UPDATE {Mail._meta.db_table} SET state = %s, tries = tries + 1, due_at = %s
WHERE id = %s AND (state = %s OR state = %s AND due_at < %s) RETURNING *
"""


def _take_one(mail_id: str) -> Mail | None:
    """Mark a mail as being sent by this process and read it, in one statement; None if another has taken it."""
    now = timezone.now()
    taken_until, taken_before = map(connection.ops.adapt_datetimefield_value, (now + settings.OUTBOX_SEND_TIMEOUT, now))
    key = Mail._meta.pk.get_db_prep_value(mail_id, connection)
    queued, sending = Mail.State.QUEUED, Mail.State.SENDING
    rows = Mail.objects.raw(TAKE_ONE, [sending, taken_until, key, queued, sending, taken_before])
    return next(iter(rows), None)


def _take(mails: "QuerySet[Mail]") -> int:
    """Mark ``mails`` as being sent by this process; return how many it took."""
    due_at = timezone.now() + settings.OUTBOX_SEND_TIMEOUT
    return mails.update(state=Mail.State.SENDING, tries=F("tries") + 1, due_at=due_at)


def _attempt(mail: Mail, over: KeptConnection) -> timedelta | None:
    """Send one mail that this process has taken; return the pause before the next try if sending failed."""
    try:
        with translation.override(_language_of(mail)), time_zones.shown_in(_time_zone_of(mail)):
            message = COMPOSERS[mail.task](mail)
    except Exception as error:
        _put_back(mail, error)
        raise  # a bug here: the mail waits for its next try, and the log has the traceback
    if message is None:
        _close(mail, Mail.State.DROPPED)
        return None
    # The same for every try and every route, so a mail program that gets it twice shows it once.
    message.extra_headers.setdefault("Message-ID", f"<{mail.pk}@{urlsplit(settings.SITE_URL).hostname}>")
    _release_database()
    try:
        sent = mail_routes.send(message, over, mail, is_code=mail.queue == OTP_QUEUE)
    except Exception as error:  # noqa: BLE001  (each mail backend has its own; none may lose the mail)
        if reason := mail_refusals.reason_of(error):
            _refuse(mail, message, reason)
            return None
        return _put_back(mail, error)
    now = timezone.now()
    learned = delivery.learned(sent)
    delivery.note_accepted(mail, at=now, state=Mail.State.SENT, sent_at=now, **learned)
    _count_closed(mail, Mail.State.SENT)
    metrics.accepted(learned["provider"], mail.queue, now - mail.created_at)
    return None


def _language_of(mail: Mail) -> str:
    """Return the language of a mail: that of its row; else, of bulk mail, which is read with its user, the user's."""
    user = mail.user if Mail.user.is_cached(mail) else None
    return languages.known(mail.language or (user.language if user else "")) or settings.LANGUAGE_CODE


def _time_zone_of(mail: Mail) -> str:
    """Return the time zone of a mail: that of its row; else, of bulk mail, which is read with its user, the user's."""
    user = mail.user if Mail.user.is_cached(mail) else None
    return mail.time_zone or (time_zones.of_user(user) if user else "")


def _release_database() -> None:
    """Return this thread's database connection to the pool while the mail server is waited for."""
    if getattr(connection, "pool", None) and not connection.in_atomic_block:
        connection.close()


def _refuse(mail: Mail, message: EmailMultiAlternatives, reason: DeliveryReason) -> None:
    """Fail a mail that its mailbox refuses for good, without another try."""
    _close(mail, Mail.State.FAILED, mailbox=delivery.mailbox_of(message.to[0]))
    delivery.note("", Delivery.FAILED, at=timezone.now(), reason=reason, mail_id=str(mail.pk))


def _close(mail: Mail, state: Mail.State, **columns: object) -> None:
    """Note the end of the way through the outbox of a mail that was not sent."""
    Mail.objects.filter(pk=mail.pk).update(state=state, **columns)
    _count_closed(mail, state)


def _count_closed(mail: Mail, state: Mail.State) -> None:
    metrics.count(mail.task, state)
    log.info("outbox.closed", mail_id=str(mail.pk), task=mail.task, state=str(state))


def _is_hopeless(mail: Mail) -> bool:
    """Return whether to give a mail up: a code after ``MAX_TRIES``, other mails if ``RETRY_FOR`` has passed as well."""
    if mail.tries < MAX_TRIES:
        return False
    return mail.queue == OTP_QUEUE or timezone.now() - mail.created_at > RETRY_FOR


def _put_back(mail: Mail, error: Exception) -> timedelta | None:
    # The text of an error may quote the mail: only its type is logged (SR-19).
    metrics.count(mail.task, "not sent")
    log.warning("outbox.not_sent", mail_id=str(mail.pk), task=mail.task, tries=mail.tries, error=type(error).__name__)
    if _is_hopeless(mail):
        _close(mail, Mail.State.FAILED)
        return None
    pause = back_off(mail.tries)
    Mail.objects.filter(pk=mail.pk).update(state=Mail.State.QUEUED, due_at=timezone.now() + pause)
    return pause


# --- Bulk mail ------------------------------------------------------------------------------------


def unsent(queue: str) -> "QuerySet[Mail]":
    """Return the mails of a queue that are still to be sent."""
    return Mail.objects.filter(IsUnsent("state"), queue=queue)


def _due(queue: str) -> "QuerySet[Mail]":
    """Return the mails of a queue that are due or were taken by a worker that has died, oldest first."""
    return unsent(queue).filter(due_at__lte=timezone.now()).order_by("due_at")


def send_bulk() -> None:
    """Send bulk mails over one connection for ``BULK_TURN_SECONDS``, and queue another turn for the rest."""
    deadline = monotonic() + BULK_TURN_SECONDS
    over = KeptConnection()
    try:
        while batch := _take_some():
            sent = _send_batch(batch, over, deadline)
            if sent < len(batch):
                break
        else:
            return
    finally:
        over.close_all()
    if monotonic() > deadline:
        call(BULK_TASK, queue=BULK_QUEUE)


def _take_some() -> list[Mail]:
    with transaction.atomic():
        due = _due(BULK_QUEUE).select_for_update(skip_locked=True, of=("self",)).select_related("user")
        batch = list(due[:SEND_BATCH_SIZE])
        _take(Mail.objects.filter(pk__in=[mail.pk for mail in batch]))
    for mail in batch:
        mail.tries += 1
    return batch


def _send_batch(batch: list[Mail], over: KeptConnection, deadline: float) -> int:
    """Send a batch until ``deadline`` or the mail server fails. Give the rest back; return the number done."""
    for place, mail in enumerate(batch):
        if monotonic() > deadline:
            _give_back(batch[place:], timedelta(0))
            return place
        try:
            mail_routes.reach(over)
        except Exception as error:  # noqa: BLE001  (each mail backend has its own)
            # Not counted as a try: no bulk mail is given up because the mail server is down for a day.
            log.warning("outbox.mail_server_away", error=type(error).__name__)
            _give_back(batch[place:], SERVER_AWAY_PAUSE)
            return place
        try:
            _attempt(mail, over)
        except Exception:
            # A bug in one mail must not stop the others. It was put back, and the log has the traceback.
            log.exception("outbox.not_composed", mail_id=str(mail.pk), task=mail.task)
    return len(batch)


def _give_back(mails: list[Mail], pause: timedelta) -> None:
    rows = Mail.objects.filter(pk__in=[mail.pk for mail in mails])
    rows.update(state=Mail.State.QUEUED, tries=F("tries") - 1, due_at=timezone.now() + pause)


def _queue_again(mail: Mail) -> bool:
    """Queue a stuck mail again, behind all others. A mail that no function composes fails."""
    if mail.task not in COMPOSERS:
        log.error("outbox.unknown_task", mail_id=str(mail.pk), task=mail.task)
        _close(mail, Mail.State.FAILED)
        return False
    Mail.objects.filter(pk=mail.pk, state=Mail.State.QUEUED).update(due_at=timezone.now())
    _enqueue(mail)
    return True


def sweep() -> int:
    """Queue stuck mails again: the broker lost the task, or the worker died. Return how many.

    Safe at any time: a task whose mail was sent meanwhile does nothing. Bulk mails are not queued one by one, so they
    never delay a code here.
    """
    count = 0
    for queue in (OTP_QUEUE, DEFAULT_QUEUE):
        for mail in _due(queue).filter(due_at__lt=timezone.now() - settings.OUTBOX_REQUEUE_AFTER)[:SWEEP_BATCH]:
            count += _queue_again(mail)
    if _due(BULK_QUEUE).exists():
        call(BULK_TASK, queue=BULK_QUEUE)
    return count
