"""What the answer of a mail server or provider that did not take a mail says of the mailbox (RFC 5321, RFC 3463)."""

from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPResponseException

from anymail.exceptions import AnymailAPIError, AnymailRecipientsRefused
from django.core.mail import EmailMessage

from accounts.delivery_reasons import by_status, statuses_in
from accounts.models import DeliveryReason

# Of the enhanced status codes 5.1.x: 5.1.7 and 5.1.8 are about the sender, 5.1.9 about the server.
_ABOUT_RECIPIENT = {"0", "1", "2", "3", "6", "10"}
# Without an enhanced code: no such mailbox, not local, mailbox full, mailbox name not allowed.
_PLAIN = {
    550: DeliveryReason.NO_MAILBOX,
    551: DeliveryReason.NO_MAILBOX,
    552: DeliveryReason.FULL,
    553: DeliveryReason.NO_MAILBOX,
}


def reason_of(error: Exception) -> DeliveryReason | None:
    """Return why the mailbox takes no mail, if that is for good; None if another try or another way may help."""
    if isinstance(error, AnymailRecipientsRefused):
        # "rejected" is an address to which the provider no longer sends.
        return DeliveryReason.NO_MAILBOX if "invalid" in _statuses(error.email_message) else DeliveryReason.SUPPRESSED
    if isinstance(error, SMTPRecipientsRefused):
        # Each of our mails has one recipient.
        return next((_reason(code, text, at_recipient=True) for code, text in error.recipients.values()), None)
    if isinstance(error, SMTPDataError):
        return _reason(error.smtp_code, _bytes(error.smtp_error), at_recipient=False)
    return None


def raise_if_not_taken(message: EmailMessage) -> None:
    """Raise ``AnymailRecipientsRefused`` or ``AnymailAPIError`` if a provider's answer says that it took no mail.

    Anymail itself does so for refused recipients, unless it is told to ignore them, but not if sending has failed.
    """
    statuses = _statuses(message)
    if not statuses or not statuses <= {"invalid", "rejected", "failed"}:
        return
    if "failed" in statuses:
        raise AnymailAPIError
    raise AnymailRecipientsRefused(email_message=message)


def _statuses(message: EmailMessage | None) -> set[str]:
    """Return what Anymail read in a provider's answer to a mail."""
    answer = getattr(message, "anymail_status", None)
    return set(answer.status or ()) if answer else set()


def _reason(code: int, text: bytes, *, at_recipient: bool) -> DeliveryReason | None:
    if code < 500:
        return None
    statuses = statuses_in(text.decode(errors="replace"))
    if not statuses:
        return _PLAIN.get(code) if at_recipient else None
    subject, detail = statuses[0]
    if subject == "2" or (subject == "1" and detail in _ABOUT_RECIPIENT):
        return by_status(subject, detail) or DeliveryReason.OTHER
    return None  # 5.7.1 and the like: this server refuses us, and another one may not


def is_about_recipient(error: Exception) -> bool:
    """Return whether a failure says nothing of the server's health: a mailbox is unknown, full or greylisted."""
    if reason_of(error):
        return True
    if not isinstance(error, SMTPRecipientsRefused):
        return False
    # 421 ends the connection; 5.7.1 refuses us.
    return all(code < 500 and code != 421 for code, _text in error.recipients.values())


def in_short(error: Exception) -> str:
    """Return the type of an error and the server's code, without its text, which may quote the mail (SR-19)."""
    codes = [str(error.smtp_code)] if isinstance(error, SMTPResponseException) else []
    if isinstance(error, SMTPRecipientsRefused):
        codes = [str(code) for code, _text in error.recipients.values()]
    if isinstance(status := getattr(error, "status_code", None), int):
        codes = [str(status)]
    return " ".join([type(error).__name__, *codes])[:64]


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
