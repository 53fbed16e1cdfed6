"""What doors share: how a refusal is shown, and what a session remembers of a mailbox proof."""

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.models import MailboxProof, User
from accounts.refusals import Refused

MAILBOX_PROOF = "mailbox_proof"


def person(request: HttpRequest) -> User:
    """Give the signed-in user of a view that only signed-in users reach."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def refuse(form: forms.BaseForm, field: str | None, refused: Refused) -> int:
    """Put a refusal at its field (or on top) and give the status of the answer."""
    form.add_error(field, forms.ValidationError(refused.text))
    return 429 if refused.retry_at else 400


def remember_mailbox_proof(request: HttpRequest, proof: MailboxProof) -> None:
    """Bind a proof to this browser; an earlier one of it is forgotten."""
    request.session[MAILBOX_PROOF] = str(proof.pk)
