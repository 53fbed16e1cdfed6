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
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import bounce_addresses, metrics
from accounts.identifiers import as_plain_line, key_of
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


# One row for each mail: Django would take longer to compose this statement than PostgreSQL to run it. A report can be
# faster than the row: it is not overwritten.
NOTE_SENT = """
UPDATE accounts_mail
SET state = %s, sent_at = %s, mailbox = %s, message_id = %s, provider = %s, reply = %s,
    delivery = CASE WHEN delivery = %s THEN %s ELSE delivery END,
    delivery_at = COALESCE(delivery_at, %s)
WHERE id = %s
"""


def note_sent(mail: Mail, message: EmailMultiAlternatives, *, at: datetime) -> None:
    """Note that a mail server or provider has accepted a mail, and what is known of it then, in one statement."""
    mailbox = mailbox_of(message.to[0]) if message.to else ""
    provider, sent_at = _provider_of(message)[:64], connection.ops.adapt_datetimefield_value(at)
    columns: list[object] = [Mail.State.SENT, sent_at, mailbox]
    columns += [_id_of(message)[:255], provider, _reply_to(message)[:255]]
    columns += [Delivery.UNKNOWN.value, Delivery.ACCEPTED.value, sent_at]
    with connection.cursor() as cursor:
        cursor.execute(NOTE_SENT, [*columns, Mail._meta.pk.get_db_prep_value(mail.pk, connection)])
    metrics.accepted(provider, mail.queue, at - mail.created_at)


def _id_of(message: EmailMultiAlternatives) -> str:
    if isinstance(message.connection, AnymailBaseBackend):
        message_id = cast("Any", message).anymail_status.message_id
        return "" if message_id is None else str(message_id)
    return str(message.extra_headers.get("Message-ID", ""))


def _provider_of(message: EmailMultiAlternatives) -> str:
    if isinstance(message.connection, AnymailBaseBackend):
        return str(message.connection.esp_name)
    return str(getattr(message.connection, "host", ""))


def _reply_to(message: EmailMultiAlternatives) -> str:
    """Return the mail server's answer without what it repeats of the mail: a code or an address (SR-19)."""
    reply = as_plain_line(getattr(message.connection, "last_reply", ""))
    body = str(message.body)
    repeated = (word for word in reply.split() if "@" in word or (len(word) > 3 and word in body))
    for word in repeated:
        reply = reply.replace(word, "…")
    return reply


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
    if _is_uuid(mail_id) and (mail := Mail.objects.filter(pk=UUID(mail_id)).first()):
        return mail
    if not (message_id.isascii() and message_id.isprintable()):  # no provider's: PostgreSQL would refuse to look
        return None
    # Says what the partial index says, so that PostgreSQL uses it for a prepared statement too.
    named = Mail.objects.filter(message_id=message_id).exclude(message_id="")
    return named.order_by("-created_at").first()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@transaction.atomic
def _move(mail: Mail, delivery: Delivery, at: datetime, reason: DeliveryReason | str) -> bool:
    """Write the state if it is still behind ``delivery``, and what it tells of the mailbox; return whether it was."""
    # Locked before the mail is written: two reports of one mailbox each see what the other wrote.
    user = _lock_user(mail.user_id) if mail.user_id and delivery in OF_MAILBOX else None
    behind = Mail.objects.filter(pk=mail.pk, delivery__lt=delivery)
    moved = behind.update(delivery=delivery, delivery_at=at, delivery_reason=reason)
    if moved and user and mail.mailbox == mailbox_of(user.email):  # else the address was changed since
        _note_mailbox(user, mail, delivery, at, reason)
    return bool(moved)


def _lock_user(user_id: UUID) -> User | None:
    return User.objects.select_for_update(no_key=True).filter(pk=user_id).first()


def _note_mailbox(user: User, mail: Mail, delivery: Delivery, at: datetime, reason: DeliveryReason | str) -> None:
    """Mark the user's mailbox if the latest report of it is a failure, or clear the mark if it is a delivery."""
    failed_at = user.mailbox_failed_at
    if delivery == Delivery.DELIVERED:
        if failed_at and failed_at < at:
            clear_failure(user)
    elif (failed_at is None or failed_at < at) and not _has_arrived_since(user, mail.mailbox, at):
        rows = User.objects.filter(pk=user.pk)
        rows.update(mailbox_failed_at=at, mailbox_failure=reason or DeliveryReason.OTHER)


def _has_arrived_since(user: User, mailbox: str, at: datetime) -> bool:
    later = Mail.objects.filter(user=user, mailbox=mailbox, delivery_at__gt=at)
    return later.filter(delivery=Delivery.DELIVERED).exists()


def clear_failure(user: User) -> None:
    """Clear the mark of a mailbox at which mail arrives again."""
    User.objects.filter(pk=user.pk).update(mailbox_failed_at=None, mailbox_failure="")
