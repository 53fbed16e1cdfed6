"""Mails that came back: delivery status notifications (RFC 3464) at the signed address of one mail (SR-61)."""

from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message

from django.utils import timezone

from accounts import bounce_addresses, delivery
from accounts.delivery_reasons import reason_in
from accounts.models import Delivery, DeliveryReason

# Where mail servers keep the address to which a mail was delivered, beside what its sender wrote.
ADDRESS_HEADERS = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
# Others, such as ``relayed``, tell nothing that is not known already.
ACTIONS = {"failed": Delivery.BOUNCED, "delayed": Delivery.DEFERRED, "delivered": Delivery.DELIVERED}


class NotSigned(Exception):
    """The notification did not come to an address that this portal has signed."""


def take(returned: bytes, *, address: str = "") -> bool:
    """Note what a returned mail tells; return whether that was new.

    ``address``: to which it came, if the mail server says so; else its headers are searched. What is no notification,
    such as an automatic answer, tells nothing. Raise ``NotSigned`` for a notification that could be forged.
    """
    message = message_from_bytes(returned)
    told = [found for block in _status_blocks(message) if (found := _read(block))]
    if not told:
        return False
    mail_id = bounce_addresses.mail_at(address or _addresses(message))
    if mail_id is None:
        raise NotSigned
    # One mail has one recipient. A mailing list or an alias behind it may report several.
    state, reason = max(told, key=lambda found: found[0])
    return delivery.note("", state, at=timezone.now(), reason=reason, mail_id=str(mail_id))


def _addresses(message: Message) -> str:
    return "\n".join(str(value) for name in ADDRESS_HEADERS for value in message.get_all(name, []))


def _status_blocks(message: Message) -> Iterator[Message]:
    """Return the blocks of fields of a notification: one of the message and one for each recipient."""
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            blocks = part.get_payload()
            yield from (block for block in blocks if isinstance(block, Message))
            return


def _read(block: Message) -> tuple[Delivery, DeliveryReason | str] | None:
    action = str(block.get("Action", "")).strip().lower()
    state = ACTIONS.get(action)
    if state is None or state == Delivery.DELIVERED:
        return (state, "") if state else None
    answer = f"{block.get('Status', '')} {block.get('Diagnostic-Code', '')}"
    return state, reason_in(answer) or DeliveryReason.OTHER
