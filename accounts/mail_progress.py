"""How far the newest mail of a challenge or verification has got, for the person who waits for it.

Only pages that come after a right password show it: elsewhere it would tell whether there is such an account (SR-3,
docs/decisions.md#52).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core import signing
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.delivery import mailbox_of
from accounts.models import Delivery, DeliveryReason, Mail, User

SALT = "accounts.mail_progress"
OVER = frozenset({Delivery.DELIVERED, Delivery.FAILED, Delivery.BOUNCED, Delivery.COMPLAINED})


@dataclass(frozen=True)
class Progress:
    """What is known of a mail. ``steps`` are words and times in their order; ``problem`` is a sentence, or blank."""

    steps: list[tuple[str, datetime]]
    problem: str
    is_over: bool  # nothing more will be told
    is_lost: bool  # it will not arrive


def token_of(about: object) -> str:
    """Return what a page asks with for the progress of its mail. It tells nothing else, and only to that page."""
    return signing.dumps(str(about), salt=SALT)


def of_token(token: str) -> Progress | None:
    """Return the progress that a page asks for; None for a forged or old token, or if there is no mail."""
    try:
        about = signing.loads(token, salt=SALT, max_age=settings.ENROLMENT_LIFETIME)
    except signing.BadSignature:
        return None
    return of(about)


def of(about: object) -> Progress | None:
    """Return the progress of the newest mail about a row; None if there is none. One indexed query."""
    mail = newest_about(about)
    return progress_of(mail) if mail else None


def newest_about(about: object) -> Mail | None:
    """Return the newest mail about a row; None if there is none. One indexed query."""
    return max(Mail.objects.filter(about=str(about)), key=lambda mail: mail.created_at, default=None)


def newest(user: User, task: str, *, since: datetime) -> Mail | None:
    """Return the newest mail of a kind to the user's present address; None if there is none. One indexed query."""
    mails = Mail.objects.filter(user=user, task=task, created_at__gt=since)
    mail = mails.order_by("-created_at").first()
    return mail if mail and mail.mailbox in ("", mailbox_of(user.email)) else None


def progress_of(mail: Mail) -> Progress:
    """Return the progress of a mail. No query."""
    is_lost = mail.state == Mail.State.FAILED or mail.delivery in (Delivery.FAILED, Delivery.BOUNCED)
    is_over = is_lost or mail.state == Mail.State.DROPPED or mail.delivery in OVER
    return Progress(list(_steps(mail)), _problem(mail), is_over=is_over, is_lost=is_lost)


def _steps(mail: Mail) -> Iterator[tuple[str, datetime]]:
    yield pgettext("a mail", "sent"), mail.created_at
    if mail.sent_at:
        yield pgettext("a mail", "accepted by a mail server"), mail.sent_at
    if mail.delivery > Delivery.ACCEPTED and mail.delivery_at:
        yield str(Delivery(mail.delivery).label), mail.delivery_at


def _problem(mail: Mail) -> str:
    reason = DeliveryReason.in_words(mail.delivery_reason)
    if mail.delivery == Delivery.DEFERRED:
        return _("Your mail server is holding it back: %(reason)s. We will go on trying.") % {"reason": reason}
    if mail.delivery == Delivery.BOUNCED:
        return _("It came back: %(reason)s.") % {"reason": reason}
    if mail.delivery == Delivery.COMPLAINED:
        return _("Your mailbox has marked it as spam.")
    if mail.state == Mail.State.FAILED or mail.delivery == Delivery.FAILED:
        return _("It could not be sent: %(reason)s.") % {"reason": reason}
    return ""
