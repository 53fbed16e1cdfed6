"""Jobs: sending one-time passwords, and keeping the table of challenges small."""

from celery import Task, shared_task
from django.core.mail import EmailMultiAlternatives

from accounts import outbox
from accounts.models import Mail
from mfa import challenges
from mfa import mail as mails
from mfa.models import Challenge


def _one_time_password(mail: Mail) -> EmailMultiAlternatives | None:
    challenge = Challenge.objects.select_related("user").filter(pk=mail.about).first()
    if challenge is None or not challenges.is_wanted(challenge):
        return None
    return mails.one_time_password(challenge)


@shared_task(bind=True, name="mfa.send_one_time_password", max_retries=None)
def send_one_time_password(self: "Task[..., None]", mail_id: str) -> None:
    """Mail the code of a challenge."""
    outbox.deliver_or_retry(self, mail_id, _one_time_password)


@shared_task(name="mfa.forget_expired")
def forget_expired() -> int:
    """Delete expired challenges."""
    return challenges.forget_expired()
