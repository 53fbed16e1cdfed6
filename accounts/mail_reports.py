"""What a mail provider reports of our mails, in the words of Anymail, which checks and reads it (SR-61)."""

from datetime import UTC, datetime
from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from django.utils import timezone

from accounts import delivery
from accounts.delivery_reasons import reason_in
from accounts.models import Delivery, DeliveryReason

# Others tell nothing of the delivery. Mails are never tracked: whether one was opened is not our business.
STATES = {
    EventType.QUEUED: Delivery.ACCEPTED,
    EventType.SENT: Delivery.ACCEPTED,
    EventType.DEFERRED: Delivery.DEFERRED,
    EventType.DELIVERED: Delivery.DELIVERED,
    EventType.REJECTED: Delivery.FAILED,
    EventType.FAILED: Delivery.FAILED,
    EventType.BOUNCED: Delivery.BOUNCED,
    EventType.COMPLAINED: Delivery.COMPLAINED,
}
# Of an address to which the provider no longer sends, because of an earlier mail.
SUPPRESSIONS = frozenset(
    {RejectReason.BOUNCED, RejectReason.TIMED_OUT, RejectReason.BLOCKED, RejectReason.SPAM, RejectReason.UNSUBSCRIBED}
)
REASONS = {
    RejectReason.INVALID: DeliveryReason.NO_MAILBOX,
    RejectReason.TIMED_OUT: DeliveryReason.UNREACHABLE,
    RejectReason.BLOCKED: DeliveryReason.BLOCKED,
    RejectReason.SPAM: DeliveryReason.SPAM,
    RejectReason.UNSUBSCRIBED: DeliveryReason.SUPPRESSED,
}


def take(event: AnymailTrackingEvent, **_signal: Any) -> None:
    """Note an event that Anymail has read from a report and whose signature or secret it has checked."""
    state = STATES.get(event.event_type)
    if state is None:
        return
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    delivery.note(
        str(event.message_id or ""),
        state,
        at=_aware(event.timestamp) if event.timestamp else timezone.now(),
        reason=_reason_of(event, state),
        mail_id=str(metadata.get("mail_id", "")),
    )


def _aware(at: datetime) -> datetime:
    return at if timezone.is_aware(at) else timezone.make_aware(at, UTC)


def _reason_of(event: AnymailTrackingEvent, state: Delivery) -> DeliveryReason | str:
    if state in {Delivery.ACCEPTED, Delivery.DELIVERED}:
        return ""
    if state == Delivery.COMPLAINED:
        return DeliveryReason.SPAM
    if event.event_type == EventType.REJECTED and event.reject_reason in SUPPRESSIONS:
        return DeliveryReason.SUPPRESSED
    answer = f"{event.mta_response or ''} {event.description or ''}"
    return reason_in(answer) or REASONS.get(event.reject_reason, DeliveryReason.OTHER)
