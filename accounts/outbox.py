"""The outbox: every mail is a row before it is a task (design, decision 5).

The broker carries only the row's id. Composing is the business of each app's ``tasks.py``; this module
queues by the task's name, so that domain and tasks do not import each other.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import structlog
from celery import Task, current_app
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import metrics
from accounts.models import Mail, User

log = structlog.get_logger(__name__)

OTP_QUEUE = "otp"
DEFAULT_QUEUE = "celery"
BULK_QUEUE = "bulk"

TRIES = 6
SWEEP_BATCH = 500
BATCH = 1000


def post(task: str, *, user: User | None, about: object = "", queue: str = DEFAULT_QUEUE) -> Mail:
    """Write a mail into the outbox; it is queued when the surrounding transaction commits.

    ``task`` names the Celery task that composes it, ``about`` is the id of the row that it tells of.
    """
    mail = Mail.objects.create(task=task, user=user, about=str(about), queue=queue)
    transaction.on_commit(partial(_enqueue, mail))
    return mail


def post_many(mails: list[Mail]) -> None:
    """Write many mails into the outbox at once; they are queued when the surrounding transaction commits."""
    Mail.objects.bulk_create(mails, batch_size=BATCH)
    for mail in mails:
        transaction.on_commit(partial(_enqueue, mail))


def _enqueue(mail: Mail) -> None:
    try:
        current_app.send_task(mail.task, [str(mail.pk)], queue=mail.queue, retry=False)
    except (OperationalError, OSError) as error:
        # Slower for this one request, but a person who waits for a code gets it. What fails here too
        # stays in the outbox for the sweep.
        metrics.count(mail.task, "broker unreachable")
        log.warning("outbox.broker_unreachable", mail_id=str(mail.pk), task=mail.task, error=type(error).__name__)
        send_here(mail)


def send_here(mail: Mail) -> None:
    """Do the worker's job in this process."""
    current_app.loader.import_default_modules()  # only workers know all tasks from the start
    current_app.tasks[mail.task].apply((str(mail.pk),), throw=True)


def back_off(tries: int) -> timedelta:
    """How long to wait after the given number of failed tries: 5 s, 20 s, 80 s, … at most 20 minutes."""
    return min(timedelta(seconds=5 * 4 ** max(tries - 1, 0)), timedelta(minutes=20))


def deliver(mail_id: str, compose: Callable[[Mail], EmailMultiAlternatives | None]) -> timedelta | None:
    """Send a mail of the outbox unless it was sent or is no longer wanted.

    ``compose`` rereads the state and gives None when nobody waits for the mail any more (SR-50).
    Gives the pause after which to try again, or None when there is nothing left to do. At least once:
    a worker that dies between the server's "accepted" and our note of it leaves a mail to be sent twice.
    """
    now = timezone.now()
    mine = Mail.objects.filter(pk=mail_id, state=Mail.State.QUEUED) | Mail.objects.filter(
        pk=mail_id, state=Mail.State.SENDING, due_at__lt=now
    )
    if not mine.update(state=Mail.State.SENDING, tries=F("tries") + 1, due_at=now + settings.SENDING_TAKES_AT_MOST):
        return None
    mail = Mail.objects.select_related("user").get(pk=mail_id)
    try:
        message = compose(mail)
    except Exception as error:
        _put_back(mail, error)
        raise  # a bug of ours: the mail waits for its next try, the log shows where
    if message is None:
        _close(mail, Mail.State.DROPPED)
        return None
    # The same for every try: a mail program that gets it twice shows it once.
    message.extra_headers.setdefault("Message-ID", f"<{mail.pk}@{urlsplit(settings.SITE_URL).hostname}>")
    try:
        message.send()
    except Exception as error:  # noqa: BLE001  (each provider has its own; none may lose the mail)
        return _put_back(mail, error)
    _close(mail, Mail.State.SENT)
    return None


def deliver_or_retry(
    task: "Task[..., None]", mail_id: str, compose: Callable[[Mail], EmailMultiAlternatives | None]
) -> None:
    """Deliver, and have Celery call the task again after the back-off where that failed."""
    pause = deliver(mail_id, compose)
    # Called directly (the broker is away) there is no queue to come back from: the sweep takes over.
    if pause is not None and not task.request.called_directly and not task.request.is_eager:
        raise task.retry(countdown=pause.total_seconds())


def _close(mail: Mail, state: Mail.State) -> None:
    Mail.objects.filter(pk=mail.pk).update(state=state, sent_at=timezone.now() if state == Mail.State.SENT else None)
    metrics.count(mail.task, state)
    log.info("outbox.closed", mail_id=str(mail.pk), task=mail.task, state=str(state))


def _put_back(mail: Mail, error: Exception) -> timedelta | None:
    # The text of an error may quote the mail: only its type is logged (SR-19).
    metrics.count(mail.task, "not sent")
    log.warning("outbox.not_sent", mail_id=str(mail.pk), task=mail.task, tries=mail.tries, error=type(error).__name__)
    if mail.tries >= TRIES:
        _close(mail, Mail.State.FAILED)
        return None
    pause = back_off(mail.tries)
    Mail.objects.filter(pk=mail.pk).update(state=Mail.State.QUEUED, due_at=timezone.now() + pause)
    return pause


def sweep() -> int:
    """Queue again what got stuck: the broker lost it, or the worker died. Gives how many.

    Safe at any time: a task whose mail was sent meanwhile does nothing.
    """
    stuck = Mail.objects.filter(
        state__in=[Mail.State.QUEUED, Mail.State.SENDING], due_at__lt=timezone.now() - settings.QUEUE_MAY_TAKE
    ).order_by("due_at")[:SWEEP_BATCH]
    count = 0
    for mail in stuck:
        _enqueue(mail)
        count += 1
    return count
