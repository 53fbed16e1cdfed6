"""What became of a mail: what its mail server or provider answered when it was sent, and what was reported since.

A mail's state moves only forward (SR-61): reports come late, twice, in any order and for mails that are gone.
"""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import structlog
from anymail.backends.base import AnymailBaseBackend
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends import smtp
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import bounce_addresses, metrics
from accounts.identifiers import as_plain_line, key_of, uuid_of
from accounts.models import Delivery, DeliveryReason, Mail, User

log = structlog.get_logger(__name__)
STEP = "mail report"  # in the metrics

# Backends of Anymail that cannot send metadata. Their reports name the mail by the provider's id alone.
WITHOUT_METADATA = frozenset({"MailerSend", "Postal"})


def mailbox_of(email: str) -> str:
    """Return a keyed hash of an email address: whether two are the same can be told, but not which it is."""
    return salted_hmac("accounts.mailbox", key_of(email), algorithm="sha256").hexdigest()[:32]


def name_for_reports(message: EmailMultiAlternatives, mail: Mail) -> None:
    """Add to a message what reports of its provider or mail server will name it by. Its connection must be set."""
    if isinstance(message.connection, AnymailBaseBackend):
        if message.connection.esp_name not in WITHOUT_METADATA:
            cast("Any", message).metadata = {"mail_id": str(mail.pk)}
    elif isinstance(message.connection, smtp.EmailBackend) and (sender := bounce_addresses.address_for(mail.pk)):
        # Of the envelope. What the recipient sees stays in the header.
        message.extra_headers.setdefault("From", message.from_email)
        message.from_email = sender


def learned(message: EmailMultiAlternatives) -> dict[str, str]:
    """Return the columns of ``Mail`` that are known once a mail server or provider has accepted a message."""
    return {
        "mailbox": mailbox_of(message.to[0]) if message.to else "",
        "message_id": _id_of(message)[:255],
        "provider": provider_of(message.connection, host=str(getattr(message.connection, "host", ""))),
        "reply": _reply_to(message)[:255],
    }


def _id_of(message: EmailMultiAlternatives) -> str:
    if isinstance(message.connection, AnymailBaseBackend):
        message_id = cast("Any", message).anymail_status.message_id
        return "" if message_id is None else str(message_id)
    return str(message.extra_headers.get("Message-ID", ""))


def provider_of(backend: object, *, host: str) -> str:
    """Return the name of who takes mail from a mail backend or its class.

    This is Anymail's name of a provider, or the ``host`` of a mail server, or else the name of the backend.
    """
    return str(getattr(backend, "esp_name", "") or host or backend.__module__.rpartition(".")[2])[:64]


def _reply_to(message: EmailMultiAlternatives) -> str:
    """Return the mail server's answer without what it repeats of the mail: a code or an address (SR-19)."""
    reply = as_plain_line(getattr(message.connection, "last_reply", ""))
    body = str(message.body)
    repeated = (word for word in reply.split() if "@" in word or (len(word) > 3 and word in body))
    for word in repeated:
        reply = reply.replace(word, "…")
    return reply


def note_accepted(mail: Mail, *, at: datetime, **columns: object) -> None:
    """Write that a mail server or provider has accepted a mail, with other ``columns``, in one statement.

    A report can be faster than this: its state stays, and what it tells of the mailbox is noted now, when the row says
    to which mailbox the mail went.
    """
    unreported = Mail.objects.filter(pk=mail.pk, delivery=Delivery.UNKNOWN)
    if not unreported.update(delivery=Delivery.ACCEPTED, delivery_at=at, **columns):
        _note_after_report(mail, columns)


@transaction.atomic
def _note_after_report(mail: Mail, columns: dict[str, object]) -> None:
    user = _lock_user(mail.user_id) if mail.user_id else None
    rows = Mail.objects.filter(pk=mail.pk)
    rows.update(**columns)
    reported = rows.first()
    if reported and user and reported.delivery in OF_MAILBOX:
        _note_mailbox(user, reported)


# --- Reports --------------------------------------------------------------------------------------

# What tells whether mail arrives at a mailbox.
OF_MAILBOX = frozenset({Delivery.DELIVERED, Delivery.FAILED, Delivery.BOUNCED, Delivery.COMPLAINED})


def note(
    message_id: str, delivery: Delivery, *, at: datetime, reason: DeliveryReason | str = "", mail_id: str = ""
) -> bool:
    """Move the mail that a report names forward to ``delivery``; return whether the report told anything new.

    ``mail_id`` is our own id, ``message_id`` the one that the provider gave. Call only for a report whose signature or
    secret was checked: this changes a mail's delivery state and whether mail arrives at its account's address (SR-61).
    """
    mail = _find(message_id, mail_id)
    if mail is None:
        metrics.count(STEP, "unknown mail")
        return False
    # No mail is delivered before it was sent, or tomorrow: clocks differ.
    at = min(max(at, mail.sent_at or at), timezone.now())
    if mail.delivery >= delivery or not _move(mail, delivery, at, reason):
        metrics.count(STEP, "nothing new")
        return False
    metrics.count(STEP, delivery.name.lower())
    if delivery == Delivery.DELIVERED and mail.sent_at:
        metrics.delivered(mail.provider, at - mail.sent_at)
    log.info("delivery.noted", mail_id=str(mail.pk), task=mail.task, state=delivery.name.lower(), reason=str(reason))
    return True


def _find(message_id: str, mail_id: str) -> Mail | None:
    if (key := uuid_of(mail_id)) and (mail := Mail.objects.filter(pk=key).first()):
        return mail
    if not (message_id.isascii() and message_id.isprintable()):  # no provider's: PostgreSQL would refuse to look
        return None
    # Says what the partial index says, so that PostgreSQL uses it for a prepared statement too.
    named = Mail.objects.filter(message_id=message_id).exclude(message_id="")
    return named.order_by("-created_at").first()


@transaction.atomic
def _move(mail: Mail, delivery: Delivery, at: datetime, reason: DeliveryReason | str) -> bool:
    """Write the state if it is still behind ``delivery``, and what it tells of the mailbox; return whether it was."""
    # Locked before the mail is written: two reports of one mailbox each see what the other wrote.
    user = _lock_user(mail.user_id) if mail.user_id and delivery in OF_MAILBOX else None
    behind = Mail.objects.filter(pk=mail.pk, delivery__lt=delivery)
    moved = behind.update(delivery=delivery, delivery_at=at, delivery_reason=reason)
    if moved and user:
        # Read again: it may say since then to which mailbox the mail went. If not, ``note_accepted`` will mark it.
        _note_mailbox(user, Mail.objects.get(pk=mail.pk))
    return bool(moved)


def _lock_user(user_id: UUID) -> User | None:
    return User.objects.select_for_update(no_key=True).filter(pk=user_id).first()


def _note_mailbox(user: User, mail: Mail) -> None:
    """Mark the user's mailbox if its latest report is this mail's and a failure; clear the mark if it is a delivery."""
    at, failed_at = mail.delivery_at, user.mailbox_failed_at
    if at is None or mail.mailbox != mailbox_of(user.email):  # not known yet, or the address was changed since
        return
    if mail.delivery == Delivery.DELIVERED:
        if failed_at and failed_at < at:
            clear_failure(user)
    elif (failed_at is None or failed_at < at) and not _has_arrived_since(user, mail.mailbox, at):
        rows = User.objects.filter(pk=user.pk)
        rows.update(mailbox_failed_at=at, mailbox_failure=mail.delivery_reason or DeliveryReason.OTHER)


def _has_arrived_since(user: User, mailbox: str, at: datetime) -> bool:
    later = Mail.objects.filter(user=user, mailbox=mailbox, delivery_at__gt=at)
    return later.filter(delivery=Delivery.DELIVERED).exists()


def clear_failure(user: User) -> None:
    """Clear the mark of a mailbox at which mail arrives again."""
    User.objects.filter(pk=user.pk).update(mailbox_failed_at=None, mailbox_failure="")
