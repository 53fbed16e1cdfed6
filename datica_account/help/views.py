"""The help pages: public, and open in every state of an account."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.templatetags.times import in_words
from accounts.web import pending_sign_in, proofs
from accounts.web.access import policy_status_of, public, works_during_assisted_reset, works_while_blocked
from accounts.web.origin import origin_of
from datica_account.help import sections
from mfa import assisted_reset, troubles
from mfa.troubles import Kind, Trouble
from mfa.web.prompt import settings_page

MAX_ORGANIZATIONS_SHOWN = 3
View = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True)
class Seen:
    """What the portal sees for an account, and the next step."""

    text: str
    next: str
    next_url: str
    mailed_at: datetime | None = None  # when the code was mailed that it is about


def _help_page(view: View) -> View:
    return require_safe(public(works_while_blocked(works_during_assisted_reset(view))))


@_help_page
def guide(request: HttpRequest) -> HttpResponse:
    """Show how to use MFA."""
    return render(request, "help/mfa.html")


@_help_page
def owners(request: HttpRequest) -> HttpResponse:
    """Show owners how to require MFA."""
    return render(request, "help/owners.html")


@_help_page
def troubleshooting(request: HttpRequest) -> HttpResponse:
    """Show what to do when something fails, beginning with what the portal sees for the reader's account."""
    seen = _seen(request)
    is_at_prompt = seen is not None and not request.user.is_authenticated  # a sign-in waits for a code
    prompt_url = reverse("mfa:otp_prompt") if is_at_prompt else ""
    return render(request, "help/mfa_troubleshooting.html", {"seen": seen, "prompt_url": prompt_url})


@_help_page
def search(request: HttpRequest) -> HttpResponse:
    """Show the sections of the help that match a query."""
    query = " ".join(request.GET.get("q", "").split())[: sections.MAX_QUERY_LENGTH]
    return render(request, "help/search.html", {"q": query, "results": sections.find(query)})


def _seen(request: HttpRequest) -> list[Seen] | None:
    """Return what the portal sees for the reader; None if it knows no reader whose password was right."""
    user = request.user
    if isinstance(user, User):
        if proofs.mode_of_session(request) == assisted_reset.MODE:
            return None  # nothing of the account is open until a new factor is there (SR-28)
        found = [_with_next_step(trouble, is_at_prompt=False) for trouble in troubles.of_user(user, origin_of(request))]
        return found + _of_organizations(request)
    challenge = pending_sign_in.find(request)
    if challenge is None:
        return None
    return [_with_next_step(one, is_at_prompt=True) for one in troubles.of_challenge(challenge, origin_of(request))]


def _with_next_step(trouble: Trouble, *, is_at_prompt: bool) -> Seen:
    words, url = (_steps_at_prompt() if is_at_prompt else _steps_of_user())[trouble.kind]
    return Seen(trouble.text, words, url, trouble.mailed_at)


def _steps_on_this_page() -> dict[Kind, tuple[str, str]]:
    return {
        Kind.CLOCK: (_("Set the clock of your phone"), "#wrong"),
        Kind.MAIL_LATE: (_("What the words for an email mean"), "#late"),
        Kind.MAIL_ARRIVED: (_("Look where your mailbox may have put it"), "#late"),
    }


def _steps_at_prompt() -> dict[Kind, tuple[str, str]]:
    in_another_way = _("Sign in in another way"), reverse("mfa:otp_prompt")
    return {
        **_steps_on_this_page(),
        Kind.CODES_REFUSED: (_("Use a recovery code"), reverse("mfa:otp_prompt", query={"recovery": ""})),
        **dict.fromkeys((Kind.MAILS_REFUSED, Kind.MAIL_LOST, Kind.MAILBOX), in_another_way),
    }


def _steps_of_user() -> dict[Kind, tuple[str, str]]:
    mend = _("Mend the mailbox, or change the address"), reverse("accounts:settings", fragment="email")
    return {
        **_steps_on_this_page(),
        Kind.CODES_REFUSED: (_("What to do after too many wrong codes"), "#many"),
        Kind.MAILS_REFUSED: (_("Add a second mode"), settings_page()),
        **dict.fromkeys((Kind.MAIL_LOST, Kind.MAILBOX), mend),
        Kind.NO_RECOVERY_CODES: (_("Make recovery codes"), reverse("mfa:recovery_codes")),
    }


def _of_organizations(request: HttpRequest) -> list[Seen]:
    """Return which organizations require what the account does not have. No query if it meets every policy."""
    status = policy_status_of(request)
    found = []
    for organization in [*status.blocking, *status.announcing][:MAX_ORGANIZATIONS_SHOWN]:
        at = organization.mfa_required_at
        values = {"name": organization.name, "at": in_words(at) if at else ""}
        if organization.mfa_required:
            text = _("%(name)s has required MFA since %(at)s, and your account does not meet this yet.") % values
        else:
            text = _("%(name)s requires MFA from %(at)s on, and your account does not meet this yet.") % values
        found.append(Seen(text, _("Activate MFA"), organization.activation_path))
    return found
