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

from accounts import browsers, mailbox
from accounts.models import MailboxProof, User
from accounts.origin import origin_of
from accounts.refusals import Refused
from accounts.session_store import SIGNED_IN

MAILBOX_PROOF = "mailbox_proof"
INVITATION = "invitation"
FORMULAS = frozenset("=+-@\t\r")
RETRY_AFTER = "retry_after"  # of a request: seconds for the header of its answer
COOKIES = "cookies_to_set"  # of a request: what the browser is to hold for long, by name; signed


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


def proof_of(request: HttpRequest, purpose: MailboxProof.Purpose) -> MailboxProof | None:
    """Find the open proof that this browser asked for."""
    return mailbox.find(request.session.get(MAILBOX_PROOF), purpose)


def proof_is_over(request: HttpRequest, start_again: str) -> HttpResponse:
    """Say so, and lead to where another one is asked for."""
    request.session.pop(MAILBOX_PROOF, None)
    messages.warning(request, mailbox.ProofOver.message)
    return redirect(start_again)


def waits_until(moment: datetime) -> int:
    """Give the Unix time, never too early, up to which a page lets a button wait; 0 if there is nothing to wait for."""
    return math.ceil(moment.timestamp()) if moment > timezone.now() else 0


def forget_person(request: HttpRequest) -> None:
    """Empty the session before somebody signs in; only an invitation that brought them here stays."""
    invitation = request.session.get(INVITATION)
    auth.logout(request)
    if invitation:
        request.session[INVITATION] = invitation


def set_cookie(request: HttpRequest, name: str, value: str) -> None:
    """Let the answer set a cookie that stays for long."""
    setattr(request, COOKIES, {**getattr(request, COOKIES, {}), name: value})


def start_session(request: HttpRequest, user: User, *, mode: str) -> None:
    """Make this the session of a user whose sign-in was finished; ``mode`` proved it besides the password."""
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    origin, now = origin_of(request), timezone.now()
    request.session[SIGNED_IN] = {
        "public_id": str(uuid4()),
        "created_at": now.isoformat(),
        "mode": mode,
        "address": origin.address,
        "agent": origin.agent[:255],
    }
    set_cookie(request, settings.BROWSER_COOKIE_NAME, browsers.note(user, origin))
    # A fixed end: use does not put it off (SR-34).
    request.session.set_expiry(now + timedelta(seconds=settings.SESSION_COOKIE_AGE))


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
