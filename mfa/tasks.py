"""Scheduled jobs of factors and challenges."""

from celery import shared_task
from django.utils import timezone

from accounts.housekeeping import delete_in_batches
from mfa import assisted_reset, challenges, unfinished_sign_ins
from mfa.models import RememberedBrowser


@shared_task(name="mfa.tell_resets_ready")
def tell_resets_ready() -> int:
    """Mail the codes of all assisted resets whose waiting time is over."""
    return assisted_reset.tell_ready()


@shared_task(name="mfa.report_unfinished")
def report_unfinished() -> int:
    """Tell users of sign-ins that had the right password and no right code."""
    return unfinished_sign_ins.report()


@shared_task(name="mfa.forget_expired")
def forget_expired() -> int:
    """Delete expired challenges, remembered browsers and assisted resets."""
    browsers = RememberedBrowser.objects.filter(expires_at__lt=timezone.now())
    return challenges.forget_expired() + assisted_reset.forget_expired() + delete_in_batches(browsers)
