"""The pending enrolment in a browser's session."""

from dataclasses import asdict, dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare

from accounts import email_verification
from accounts.models import EmailVerification, User
from accounts.refusals import Refused
from accounts.web import pending_sign_in, proofs, verification
from accounts.web.origin import origin_of
from accounts.web.session import keep_session_until
from mfa import activation
from mfa.models import Challenge
from mfa.web.prompt import settings_page

ENROLMENT = "enrolment"  # of a session: the id of its challenge
FIRST_FACTOR = "first_factor"
NEXT_PATH = "after_enrolment"  # of a session: the page that the user wanted before they began it


@dataclass(frozen=True)
class FirstFactor:
    """An enrolment that waits until this browser has proven its user's mailbox (SR-23)."""

    mode: str
    fingerprint: str  # of the user's credentials when it was begun
    proof: str  # the id of the verification that it waits for


def begin_enrolment(request: HttpRequest, user: User, mode: str, *, mailbox_proven: bool = False) -> HttpResponse:
    """Begin to enable a mode for a user whose password was right, or redirect to the proof that is missing."""
    try:
        enrolment = activation.begin(
            user,
            mode,
            proven=proofs.has_proven_factor(request),
            mailbox_proven=mailbox_proven or verification.has_proven_mailbox(request, user),
            origin=origin_of(request),
        )
    except activation.MailboxUnproven:
        proof = email_verification.ask_confirmation(user, origin_of(request))
        verification.remember_verification(request, proof)
        request.session[FIRST_FACTOR] = asdict(FirstFactor(mode, user.get_session_auth_hash(), str(proof.pk)))
        return redirect("mfa:confirm_mailbox")
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect(settings_page())
    request.session[ENROLMENT] = str(enrolment.pk)
    keep_session_until(request, enrolment.expires_at)
    pending_sign_in.mail_if_due(request, enrolment)
    return redirect("mfa:complete_activation")


def remember_next(request: HttpRequest, path: str) -> None:
    """Store the safe path to which the enrolment leads; forget an earlier one if it is blank."""
    request.session.pop(NEXT_PATH, None)
    if path:
        request.session[NEXT_PATH] = path


def find(request: HttpRequest) -> Challenge | None:
    """Return this browser's open enrolment, unless it belongs to another account than the signed-in one."""
    enrolment = activation.find(request.session.get(ENROLMENT))
    if enrolment is not None and request.user.is_authenticated and enrolment.user_id != request.user.pk:
        return None
    return enrolment


def forget(request: HttpRequest) -> None:
    """Forget the pending enrolment."""
    request.session.pop(ENROLMENT, None)


def waiting_proof(request: HttpRequest) -> EmailVerification | None:
    """Return the open email verification that the first factor in this browser waits for."""
    proof = verification.verification_of(request, EmailVerification.Purpose.CONFIRM_MAILBOX)
    stored = request.session.get(FIRST_FACTOR)
    if stored is None or proof is None or proof.user is None:
        return None
    pending = FirstFactor(**stored)
    if pending.proof != str(proof.pk) or (request.user.is_authenticated and request.user.pk != proof.user_id):
        return None
    return proof if constant_time_compare(pending.fingerprint, proof.user.get_session_auth_hash()) else None


def take_first_factor(request: HttpRequest) -> FirstFactor:
    """Return the enrolment that waited for the mailbox, and forget it."""
    verification.forget_verification(request)
    return FirstFactor(**request.session.pop(FIRST_FACTOR))
