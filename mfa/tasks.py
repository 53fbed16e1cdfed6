"""Jobs: sending one-time passwords, and keeping the table of challenges small."""

from celery import shared_task
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from accounts import outbox
from accounts.housekeeping import delete_in_batches
from accounts.models import Mail
from mfa import assisted_reset, challenges
from mfa import emails as mails
from mfa.models import AssistedReset, Challenge, RememberedBrowser


@outbox.sends("mfa.send_one_time_password")
def one_time_password(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail the code of a challenge."""
    challenge = Challenge.objects.select_related("user").filter(pk=mail.about).first()
    if challenge is None or not challenges.is_wanted(challenge):
        return None
    return mails.one_time_password(challenge)


def _reset(mail: Mail) -> AssistedReset | None:
    reset = AssistedReset.objects.select_related("user", "started_by").filter(pk=mail.about).first()
    return reset if reset and reset.is_open(timezone.now()) else None


@outbox.sends("mfa.ask_to_confirm_reset")
def confirm_reset(mail: Mail) -> EmailMultiAlternatives | None:
    """Ask a member's mailbox to confirm an assisted reset."""
    reset = _reset(mail)
    return mails.confirm_reset(reset) if reset and reset.due_at is None else None


@outbox.sends("mfa.tell_reset_ready")
def reset_ready(mail: Mail) -> EmailMultiAlternatives | None:
    """Mail the code of an assisted reset whose waiting time is over."""
    reset = _reset(mail)
    return mails.reset_ready(reset) if reset and reset.is_ready(timezone.now()) else None


@shared_task(name="mfa.tell_resets_ready")
def tell_resets_ready() -> int:
    """Mail the codes of all assisted resets whose waiting time is over."""
    return assisted_reset.tell_ready()


@shared_task(name="mfa.forget_expired")
def forget_expired() -> int:
    """Delete expired challenges, remembered browsers and assisted resets."""
    browsers = RememberedBrowser.objects.filter(expires_at__lt=timezone.now())
    return challenges.forget_expired() + assisted_reset.forget_expired() + delete_in_batches(browsers)
