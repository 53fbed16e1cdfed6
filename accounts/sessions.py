"""Browser sessions of a user."""

from django.utils import timezone

from accounts.models import Session, SignInAttempt, User


def end_others(user: User, *, keep: str | None) -> None:
    """End every browser session and pending sign-in of ``user`` but the session with the key ``keep`` (SR-25)."""
    Session.objects.filter(user=user).exclude(session_key=keep).delete()
    SignInAttempt.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())
