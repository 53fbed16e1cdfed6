"""What doors share: how a refusal is shown, how a session begins, what it remembers."""

import csv
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from io import StringIO
from itertools import chain
from uuid import uuid4

from django import forms
from django.conf import settings
from django.contrib import auth, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import known_browsers, mailbox
from accounts.models import KNOWN_BROWSER_FOR, MailboxProof, User
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.session_store import KEEP_UNTIL, SIGNED_IN

MAILBOX_PROOF = "mailbox_proof"
INVITATION_FOR = timedelta(days=1)  # how long a browser remembers the invitation that brought its user here
FORMULAS = frozenset("=+-@\t\r")
RETRY_AFTER = "retry_after"  # of a request: seconds for the header of its answer
COOKIES = "cookies_to_set"  # of a request: the value and lifetime of each signed cookie that its answer sets


def person(request: HttpRequest) -> User:
    """Give the signed-in user of a view that only signed-in users reach."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def refuse(request: HttpRequest, form: forms.BaseForm, field: str | None, refused: Refused) -> int:
    """Put a refusal at its field (or on top) and give the status of the answer; its header says when to try again."""
    form.add_error(field, forms.ValidationError(refused.text))
    setattr(request, RETRY_AFTER, refused.seconds_to_wait)
    return 429 if refused.retry_at else 400


def remember_mailbox_proof(request: HttpRequest, proof: MailboxProof) -> None:
    """Bind a proof to this browser; an earlier one of it is forgotten."""
    request.session[MAILBOX_PROOF] = str(proof.pk)
    keep_session_until(request, proof.expires_at)


def keep_session_until(request: HttpRequest, moment: datetime) -> None:
    """Let a session that no user is signed in to live until then; others have a fixed end."""
    request.session[KEEP_UNTIL] = max(request.session.get(KEEP_UNTIL, 0), moment.timestamp())


def invitation_of(request: HttpRequest) -> str:
    """Return the code of the invitation that this browser has opened, or an empty text."""
    name = settings.INVITATION_COOKIE_NAME
    return str(request.get_signed_cookie(name, default="", salt=name, max_age=INVITATION_FOR))


def remember_invitation(request: HttpRequest, code: str) -> None:
    """Keep the code of an invitation in the browser, or forget it where ``code`` is empty. Nothing is stored here."""
    set_cookie(request, settings.INVITATION_COOKIE_NAME, code, lifetime=INVITATION_FOR)


def proof_of(request: HttpRequest, purpose: MailboxProof.Purpose) -> MailboxProof | None:
    """Find the open proof that this browser asked for."""
    return mailbox.find(request.session.get(MAILBOX_PROOF), purpose)


def send_mailbox_code_again(request: HttpRequest, proof: MailboxProof) -> None:
    """Mail the code of a proof again, and say so without telling whether there is such an account (SR-3)."""
    try:
        mailbox.resend(proof, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        text = _("Another email is on its way, unless this mailbox got many in the last hour. Use the newest code.")
        messages.success(request, text)


def proof_is_over(request: HttpRequest, start_again: str) -> HttpResponse:
    """Say so, and lead to where another one is asked for."""
    request.session.pop(MAILBOX_PROOF, None)
    messages.warning(request, mailbox.ProofOver.message)
    return redirect(start_again)


def waits_until(moment: datetime) -> int:
    """Give the Unix time, never too early, up to which a page lets a button wait; 0 if there is nothing to wait for."""
    return math.ceil(moment.timestamp()) if moment > timezone.now() else 0


def forget_person(request: HttpRequest) -> None:
    """Empty the session before a user signs in."""
    auth.logout(request)


def sign_out(request: HttpRequest) -> None:
    """End the session. An opened invitation is forgotten with it, unless its page leads on to another account."""
    auth.logout(request)
    if not request.POST.get("keep_invitation"):
        remember_invitation(request, "")


def set_cookie(request: HttpRequest, name: str, value: str, *, lifetime: timedelta = KNOWN_BROWSER_FOR) -> None:
    """Let the answer set a signed cookie, or delete it where ``value`` is empty."""
    setattr(request, COOKIES, {**getattr(request, COOKIES, {}), name: (value, lifetime)})


def know_browser(request: HttpRequest, tokens: tuple[str, ...]) -> None:
    """Let the browser hold the tokens of the users who have signed in with it."""
    set_cookie(request, settings.BROWSER_COOKIE_NAME, ".".join(tokens))


def start_session(request: HttpRequest, user: User, *, mode: str, by_factor: bool) -> None:
    """Make this the session of a user whose sign-in was finished; ``mode`` proved it besides the password.

    ``user`` is the one that the sign-in has read under its lock: the session carries the fingerprint of then (SR-25).
    ``by_factor``: a factor was proven just now.
    """
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    origin, now = origin_of(request), timezone.now()
    request.session[SIGNED_IN] = {
        "public_id": str(uuid4()),
        "created_at": now.isoformat(),
        "mode": mode,
        "address": origin.address,
        "agent": origin.agent[:255],
    }
    know_browser(request, known_browsers.note_sign_in(user, origin, by_factor=by_factor))
    # A fixed end: use does not put it off (SR-34).
    request.session.set_expiry(now + timedelta(seconds=settings.SESSION_COOKIE_AGE))


def keep_session(request: HttpRequest, user: User) -> None:
    """Give this session the fingerprint of its user after a change that ends the others (SR-25)."""
    request.session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()


def note_mode(request: HttpRequest, mode: str) -> None:
    """Note what has proved this session since it began."""
    request.session[SIGNED_IN] = {**request.session.get(SIGNED_IN, {}), "mode": mode}


def csv_file(name: str, head: list[str], rows: Iterable[list[str]]) -> StreamingHttpResponse:
    """Give rows as a file, written while it is sent: no size is too large."""

    def lines() -> Iterator[str]:
        line = StringIO()
        writer = csv.writer(line)
        for cells in chain([head], rows):
            # A spreadsheet runs what begins like a formula.
            writer.writerow([f"'{cell}" if cell[:1] in FORMULAS else cell for cell in cells])
            yield line.getvalue()
            line.seek(0)
            line.truncate()

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)
