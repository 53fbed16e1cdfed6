"""What became of a mail: what its mail server or provider answered when it was sent, and what was reported since.

A mail's state moves only forward (SR-61): reports come late, twice, in any order and for mails that are gone.
"""

from datetime import datetime
from typing import Any, cast

from anymail.backends.base import AnymailBaseBackend
from django.core.mail import EmailMultiAlternatives
from django.db.models import Case, PositiveSmallIntegerField, Q, Value, When
from django.utils.crypto import salted_hmac

from accounts.identifiers import as_plain_line, key_of
from accounts.models import Delivery, Mail

# Backends of Anymail that cannot send metadata. Their reports name the mail by the provider's id alone.
WITHOUT_METADATA = frozenset({"MailerSend", "Postal"})


def mailbox_of(email: str) -> str:
    """Return a keyed hash of an email address: whether two are the same can be told, but not which it is."""
    return salted_hmac("accounts.mailbox", key_of(email), algorithm="sha256").hexdigest()[:32]


def name_for_reports(message: EmailMultiAlternatives, mail: Mail) -> None:
    """Give a message, whose connection is set, that by which reports of its provider name it."""
    if isinstance(message.connection, AnymailBaseBackend) and message.connection.esp_name not in WITHOUT_METADATA:
        cast("Any", message).metadata = {"mail_id": str(mail.pk)}


def learned(message: EmailMultiAlternatives, *, at: datetime) -> dict[str, object]:
    """Return the columns of ``Mail`` that are known once a mail server or provider has accepted a message.

    A report can be faster than the row: it is not overwritten.
    """
    unreported = Q(delivery=Delivery.UNKNOWN)
    state = Case(When(unreported, then=Delivery.ACCEPTED), default="delivery", output_field=PositiveSmallIntegerField())
    return {
        "delivery": state,
        "delivery_at": Case(When(unreported, then=Value(at)), default="delivery_at"),
        "mailbox": mailbox_of(message.to[0]) if message.to else "",
        "message_id": _id_of(message)[:255],
        "provider": _provider_of(message)[:64],
        "reply": _reply_to(message)[:255],
    }


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
