"""Why a mail was deferred or returned, by what the mailbox's server or a provider answered."""

import re

from accounts.models import DeliveryReason

_STATUS = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
# By subject and detail of an enhanced status code (RFC 3463, and the registry of RFC 5248), else by the subject alone.
_BY_STATUS = {
    "1": DeliveryReason.NO_MAILBOX,
    "1.2": DeliveryReason.UNREACHABLE,  # there is no such domain
    "1.7": DeliveryReason.BLOCKED,  # it is our address that they do not accept
    "1.8": DeliveryReason.BLOCKED,
    "2.1": DeliveryReason.NO_MAILBOX,  # it is disabled
    "2.2": DeliveryReason.FULL,
    "3": DeliveryReason.UNREACHABLE,
    "3.1": DeliveryReason.FULL,
    "4": DeliveryReason.UNREACHABLE,
    "7": DeliveryReason.BLOCKED,
}
# What servers and providers write where they send no such code, in small letters.
_BY_WORDS = {
    r"full\b|quota|insufficient storage": DeliveryReason.FULL,
    r"spam|junk": DeliveryReason.SPAM,
    r"unknown (user|recipient)|(user|recipient|mailbox) (unknown|not found|inactive)": DeliveryReason.NO_MAILBOX,
    r"no such (user|mailbox|recipient)|does(n.t| not) exist|noemail": DeliveryReason.NO_MAILBOX,
    r"black ?list|block ?list|blocked|denied|suppressed": DeliveryReason.BLOCKED,
    r"time[d-]? ?out|no mail ?host|invalid domain|\bdns|unreachable|refused connection|connection refused": (
        DeliveryReason.UNREACHABLE
    ),
}


def statuses_in(answer: str) -> list[tuple[str, str]]:
    """Return subject and detail of each enhanced status code in an answer: ``5.1.1`` is ``("1", "1")``."""
    return _STATUS.findall(answer)


def by_status(subject: str, detail: str) -> DeliveryReason | None:
    """Return the reason that an enhanced status code gives; None if it gives none."""
    return _BY_STATUS.get(f"{subject}.{detail}") or _BY_STATUS.get(subject)


def reason_in(answer: str) -> DeliveryReason | None:
    """Return the reason that an answer gives, by its status codes or else by its words; None if it gives none."""
    for subject, detail in statuses_in(answer):
        if found := by_status(subject, detail):
            return found
    words = answer.lower()
    return next((reason for pattern, reason in _BY_WORDS.items() if re.search(pattern, words)), None)
