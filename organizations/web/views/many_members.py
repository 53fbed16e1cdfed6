"""Pages that act on many members at once: those chosen in the list, or all who match its search."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.identifiers import uuid_of
from accounts.refusals import Refused
from accounts.web import kept_forms, proofs
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.confirmation import confirm
from accounts.web.origin import origin_of
from organizations import member_list, reminders, removals
from organizations.models import MANAGERS, OWNERS, Membership, Removal
from organizations.web.memberships import membership_of
from organizations.web.navigation import page_of

MAX_CHOSEN = 100
MAX_NAMED = 25


@dataclass(frozen=True)
class Choice:
    """The members to act on: ``users``, or all who match ``state`` and ``search``."""

    users: list[UUID]
    is_all: bool
    state: str
    search: str

    @classmethod
    def read(cls, data: Mapping[str, str], users: list[str]) -> "Choice":
        """Return the choice in a form. What is no id is left out."""
        if "all" in data:
            return cls(users=[], is_all=True, state=data.get("mfa", "all")[:64], search=data.get("q", "")[:254])
        chosen = [user_id for user in users[:MAX_CHOSEN] if (user_id := uuid_of(user))]
        return cls(users=chosen, is_all=False, state="all", search="")


def _choice(request: HttpRequest) -> Choice:
    """Return the choice of the list, of the confirmation, or of one that a step-up interrupted."""
    data: Mapping[str, str] = request.POST if request.method == "POST" else kept_forms.kept_form(request)
    users = request.POST.getlist("user") or data.get("users", "").split()
    return Choice.read(data, users)


@require_http_methods(["GET", "HEAD", "POST"])
def remove_many(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Remove the chosen members at once, or let a worker remove all who match; after a confirmation."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    choice = _choice(request)
    if not choice.users and not choice.is_all:
        if request.method == "POST":
            messages.warning(request, _("Choose at least one member."))
        return redirect("organizations:members", organization_id)
    if "confirmed" not in request.POST:
        return _confirm(request, manager, choice)
    if not proofs.has_recent_proof(request):
        return proofs.ask_for_proof(request)
    try:
        return _remove(request, manager, choice)
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect("organizations:members", organization_id)


def _remove(request: HttpRequest, manager: Membership, choice: Choice) -> HttpResponse:
    if choice.is_all:
        found = removals.start(manager, state=choice.state, search=choice.search, origin=origin_of(request))
        return redirect("organizations:removal", manager.organization_id, found.pk)
    removed = removals.remove_chosen(manager, choice.users, origin_of(request))
    text = ngettext("%(n)d member is removed.", "%(n)d members are removed.", removed) % {"n": removed}
    if removed < len(choice.users):
        text += " " + _("You yourself, owners, and members above your role stay. Remove owners on their own page.")
    messages.success(request, text)
    return redirect("organizations:members", manager.organization_id)


def _confirm(request: HttpRequest, manager: Membership, choice: Choice) -> HttpResponse:
    organization = manager.organization
    rows = member_list.matching(organization, state=choice.state, search=choice.search)
    if not choice.is_all:
        rows = rows.filter(user__in=choice.users)
    count = rows.count()
    named = list(rows.order_by("email_key").values_list("user__email", flat=True)[:MAX_NAMED])
    more = count - len(named)
    names = ", ".join(named) + (" " + _("and %(n)d more") % {"n": more} if more else "")
    hidden = {"users": " ".join(str(user) for user in choice.users), "confirmed": "yes"}
    if choice.is_all:
        hidden = {"all": "yes", "mfa": choice.state, "q": choice.search, "confirmed": "yes"}
    return confirm(
        request,
        icon="users",
        title=ngettext("Remove %(n)d member?", "Remove %(n)d members?", count) % {"n": count},
        text=[
            names,
            _("They lose access to everything in this organization. To come back, they need a new invitation."),
            _("You yourself, owners, and members above your role stay. Remove owners on their own page."),
        ],
        button=_("Remove these members"),
        button_class="danger",
        hidden=hidden,
        action_url=request.path,
        cancel_url=reverse("organizations:members", args=[organization.pk]),
    )


@require_POST
def remind_many(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Remind the chosen members who do not meet the policy, each at most once a day."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    try:
        number = reminders.remind_chosen(owner, _choice(request).users, origin_of(request))
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect("organizations:members", organization_id)
    if number:
        text = ngettext("We are reminding %(n)d member.", "We are reminding %(n)d members.", number)
        messages.success(request, text % {"n": number})
    else:
        messages.warning(
            request, _("No reminder was sent. The members you choose must lack MFA, and each is reminded once a day.")
        )
    return redirect("organizations:members", organization_id)


def _removal(request: AuthenticatedHttpRequest, organization_id: UUID, removal_id: UUID) -> tuple[Membership, Removal]:
    manager = membership_of(request, organization_id, roles=MANAGERS)
    found = removals.find(manager.organization, removal_id)
    if found is None:
        raise Http404
    return manager, found


@never_cache
@require_safe
def removal(request: AuthenticatedHttpRequest, organization_id: UUID, removal_id: UUID) -> HttpResponse:
    """Show how far a removal has got."""
    manager, found = _removal(request, organization_id, removal_id)
    context = {**page_of(manager, "members", is_below=True), "removal": found}
    return render(request, "organizations/removal.html", context)


@never_cache
@require_safe
def removal_progress(request: AuthenticatedHttpRequest, organization_id: UUID, removal_id: UUID) -> HttpResponse:
    """Return the line of a removal's progress, which the script of its page asks for."""
    _manager, found = _removal(request, organization_id, removal_id)
    return render(request, "partials/_removal_progress.html", {"removal": found})


@require_POST
def stop_removal(request: AuthenticatedHttpRequest, organization_id: UUID, removal_id: UUID) -> HttpResponse:
    """Stop a removal. Who is removed stays removed."""
    manager, found = _removal(request, organization_id, removal_id)
    removals.stop(manager.organization, found.pk)
    return redirect("organizations:removal", organization_id, removal_id)
