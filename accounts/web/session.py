"""The start, changes and end of a browser's session."""

from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.contrib import auth, messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.session_store import KEEP_UNTIL, PROVED, SIGNED_IN
from accounts.signin import Finished, Proof
from accounts.web.cookies import know_browser, remember_invitation
from accounts.web.origin import origin_of


def keep_session_until(request: HttpRequest, moment: datetime) -> None:
    """Extend an anonymous session until ``moment``. Sessions of users have a fixed end."""
    request.session[KEEP_UNTIL] = max(request.session.get(KEEP_UNTIL, 0), moment.timestamp())


def empty_session(request: HttpRequest) -> None:
    """Empty the session, and end it if a user was signed in."""
    auth.logout(request)


def sign_out(request: HttpRequest) -> None:
    """End the session and forget an opened invitation, unless ``keep_invitation`` was posted."""
    auth.logout(request)
    if not request.POST.get("keep_invitation"):
        remember_invitation(request, "")


def start_session(request: HttpRequest, finished: Finished) -> None:
    """Start the session of a sign-in that was finished; it carries the user's fingerprint (SR-25)."""
    auth.login(request, finished.user, backend="django.contrib.auth.backends.ModelBackend")
    origin, now = origin_of(request), timezone.now()
    request.session[SIGNED_IN] = {
        "public_id": str(uuid4()),
        "created_at": now.isoformat(),
        **asdict(finished.proof),
        "ip_address": origin.ip_address,
        "agent": origin.agent[:255],
    }
    request.session[PROVED] = []  # until a factor is noted, nothing is proved
    know_browser(request, finished.browser_tokens)
    if finished.kept_account:
        messages.success(request, _("Your account will not be deleted. This sign-in has undone that."))
    # Use does not extend the session (SR-34).
    request.session.set_expiry(now + timedelta(seconds=settings.SESSION_COOKIE_AGE))


def keep_session(request: HttpRequest, user: User) -> None:
    """Store the user's new fingerprint in this session after a change that ends the others (SR-25)."""
    request.session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()


def note_mode(request: HttpRequest, proof: Proof) -> None:
    """Record what has proved this session besides the password."""
    request.session[SIGNED_IN] = {**request.session.get(SIGNED_IN, {}), **asdict(proof)}
