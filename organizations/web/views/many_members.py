"""Pages that act on many members at once: those chosen in the list, or all who match its search."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.identifiers import uuid_of
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.web import kept_forms, proofs
from accounts.web.access import AuthenticatedHttpRequest
from accounts.web.form_pages import refusals_on, render_form
from accounts.web.origin import origin_of
from organizations import bulk_exemptions, member_list, member_runs, reminders, removals
from organizations.bulk_exemptions import EXEMPTIONS
from organizations.member_runs import Work
from organizations.models import MANAGERS, OWNERS, MemberRun, Membership, Organization
from organizations.reminders import Answer
from organizations.removals import REMOVALS
from organizations.web.forms import ExemptionForm
from organizations.web.memberships import membership_of
from organizations.web.navigation import confirm_below, page_of
from organizations.web.wording import grouped, last_reminder_in_words, not_reminded_in_words

MAX_NAMED = 25


@dataclass(frozen=True)
class Choice:
    """The members to act on: ``users``, or all who match ``state`` and ``search`` of the list."""

    users: list[UUID]
    is_all: bool
    state: str
    search: str

    @classmethod
    def read(cls, data: Mapping[str, str], users: list[str]) -> "Choice":
        """Return the choice in a form. What is no id is left out."""
        is_all = "all" in data
        chosen = [user_id for user in users[: member_list.MAX_CHOSEN] if (user_id := uuid_of(user))]
        return cls([] if is_all else chosen, is_all, data.get("mfa", "all")[:64], data.get("q", "")[:254])

    def as_fields(self) -> dict[str, str]:
        """Return the hidden fields of a form that ``read`` understands."""
        who = {"all": "yes"} if self.is_all else {"users": " ".join(str(user) for user in self.users)}
        return {**who, "mfa": self.state, "q": self.search}

    def rows(self, organization: Organization) -> QuerySet[Membership]:
        """Return the members chosen."""
        if self.is_all:
            return member_list.matching(organization, state=self.state, search=self.search)
        return member_list.matching(organization).filter(user__in=self.users)

    def list_url(self, organization_id: UUID) -> str:
        """Return the URL of the list, with the search as it was."""
        query = {name: text for name, text in (("mfa", self.state), ("q", self.search)) if text not in ("", "all")}
        return reverse("organizations:members", args=[organization_id], query=query or None)


def _choice(request: HttpRequest, kept: Mapping[str, str] | None = None) -> Choice:
    """Return the choice of the list, of the confirmation, or of one that a step-up interrupted (``kept``)."""
    data: Mapping[str, str] = request.POST if request.method == "POST" else kept or {}
    users = [*request.POST.getlist("user"), *data.get("users", "").split()]
    return Choice.read(data, list(dict.fromkeys(users)))


@require_http_methods(["GET", "HEAD", "POST"])
def remove_many(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Remove the chosen members at once, or let a worker remove all who match; after a confirmation."""
    manager = membership_of(request, organization_id, roles=MANAGERS)
    choice = _choice(request, kept_forms.kept_form(request))
    if not choice.users and not choice.is_all:
        return _nothing_chosen(request, choice.list_url(organization_id))
    if "confirmed" not in request.POST:
        return _confirm(request, manager, choice)
    if not proofs.has_recent_proof(request):
        return proofs.ask_for_proof(request)
    try:
        return _remove(request, manager, choice)
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect(choice.list_url(organization_id))


def _nothing_chosen(request: HttpRequest, list_url: str) -> HttpResponse:
    if request.method == "POST":
        messages.warning(request, _("Choose at least one member."))
    return redirect(list_url)


def _remove(request: HttpRequest, manager: Membership, choice: Choice) -> HttpResponse:
    if choice.is_all:
        run = removals.start(manager, state=choice.state, search=choice.search, origin=origin_of(request))
        return redirect("organizations:removal", manager.organization_id, run.pk)
    removed = removals.remove_chosen(manager, choice.users, origin_of(request))
    text = ngettext("%(n)s member is removed.", "%(n)s members are removed.", removed) % {"n": grouped(removed)}
    if removed < len(choice.users):
        text += " " + _("You yourself, owners, and members above your role stay. Remove owners on their own page.")
    messages.success(request, text)
    return redirect(choice.list_url(manager.organization_id))


def _confirm(request: HttpRequest, manager: Membership, choice: Choice) -> HttpResponse:
    count, names = _in_words(manager.organization, choice)
    return confirm_below(
        request,
        manager,
        "members",
        icon="users",
        title=ngettext("Remove %(n)s member?", "Remove %(n)s members?", count) % {"n": grouped(count)},
        text=[
            names,
            _("They lose access to everything in this organization. To come back, they need a new invitation."),
            _("You yourself, owners, and members above your role stay. Remove owners on their own page."),
            _("No email is sent about it."),
        ],
        button=_("Remove these members"),
        button_class="danger",
        hidden={**choice.as_fields(), "confirmed": "yes"},
        action_url=request.path,
        cancel_url=choice.list_url(manager.organization_id),
    )


def _in_words(organization: Organization, choice: Choice) -> tuple[int, str]:
    """Return the number of the members chosen, and the emails of the first."""
    rows = choice.rows(organization)
    count = rows.count()
    named = list(rows.order_by("email_key").values_list("user__email", flat=True)[:MAX_NAMED])
    more = count - len(named)
    return count, ", ".join(named) + (" " + _("and %(n)s more") % {"n": grouped(more)} if more else "")


@require_http_methods(["GET", "HEAD", "POST"])
def exempt_many(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Exempt the chosen members at once, or let a worker exempt all who match; after a page with the reason and end."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    kept = kept_forms.kept_form(request)
    choice = _choice(request, kept)
    if not choice.users and not choice.is_all:
        return _nothing_chosen(request, choice.list_url(organization_id))
    if "confirmed" not in request.POST:
        return _ask_why(request, owner, choice, ExemptionForm(initial=kept))
    form = ExemptionForm(request.POST)
    if not form.is_valid():
        return _ask_why(request, owner, choice, form)
    if not proofs.has_recent_proof(request):
        return proofs.ask_for_proof(request)
    with refusals_on(request, form):
        return _exempt(request, owner, choice, form)
    return _ask_why(request, owner, choice, form)


def _ask_why(request: HttpRequest, owner: Membership, choice: Choice, form: ExemptionForm) -> HttpResponse:
    count, names = _in_words(owner.organization, choice)
    hidden = {**choice.as_fields(), "confirmed": "yes"}
    context = {
        **page_of(owner, "members", is_below=True),
        "count": count,
        "names": names,
        "hidden": hidden,
        "cancel_url": choice.list_url(owner.organization_id),
    }
    return render_form(request, "organizations/exempt_many.html", form, **context)


def _exempt(request: HttpRequest, owner: Membership, choice: Choice, form: ExemptionForm) -> HttpResponse:
    reason, until, origin = form.cleaned_data["reason"], form.ends_at, origin_of(request)
    if choice.is_all:
        run = bulk_exemptions.start(
            owner, state=choice.state, search=choice.search, reason=reason, until=until, origin=origin
        )
        return redirect("organizations:exemption_run", owner.organization_id, run.pk)
    number = bulk_exemptions.exempt_chosen(owner, choice.users, reason=reason, until=until, origin=origin)
    text = ngettext("%(n)s member is now exempt.", "%(n)s members are now exempt.", number) % {"n": grouped(number)}
    if number < len(choice.users):
        text += " " + _("Owners, admins, and members with the same exemption are not changed.")
    messages.success(request, text)
    return redirect(choice.list_url(owner.organization_id))


@require_http_methods(["GET", "HEAD", "POST"])
def remind(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Remind all members who do not meet the policy, at most once a day; after a confirmation."""
    owner = membership_of(request, organization_id, roles=OWNERS)
    progress_url = reverse("organizations:compliance", args=[organization_id])
    if request.method != "POST":
        if reminders.history_of(owner.organization).again_at:
            messages.warning(request, reminders.RemindedLately.message)
            return redirect(progress_url)
        numbers = Counter(reminders.preview(owner.organization))
        numbers[Answer.MAILED] += numbers.pop(Answer.LATELY, 0)  # the limit on chosen members is not one on this
        del numbers[Answer.READY]
        return _confirm_reminder(request, owner, "compliance", numbers, cancel_url=progress_url, hidden={})
    try:
        reminders.start(owner, origin_of(request))
    except Refused as refused:
        messages.warning(request, refused.text)
    else:
        messages.success(request, _("We are sending the reminders."))
    return redirect(progress_url)


@require_POST
def remind_many(request: AuthenticatedHttpRequest, organization_id: UUID) -> HttpResponse:
    """Remind the chosen members, or all who match, if they do not meet the policy; after a confirmation.

    Each is reminded at most once a day.
    """
    owner = membership_of(request, organization_id, roles=OWNERS)
    choice = _choice(request)
    list_url = choice.list_url(organization_id)
    if not choice.users and not choice.is_all:
        return _nothing_chosen(request, list_url)
    if "confirmed" not in request.POST:
        hidden = {**choice.as_fields(), "confirmed": "yes"}
        return _confirm_reminder(request, owner, "members", _preview(owner, choice), cancel_url=list_url, hidden=hidden)
    try:
        number = _remind(owner, choice, origin_of(request))
    except Refused as refused:
        messages.error(request, refused.text)
        return redirect(list_url)
    if not number:
        return _no_reminder(request, _preview(owner, choice), list_url)
    text = ngettext("We are reminding %(n)s member.", "We are reminding %(n)s members.", number)
    messages.success(request, text % {"n": grouped(number)})
    return redirect(list_url)


def _preview(owner: Membership, choice: Choice) -> dict[str, int]:
    if choice.is_all:
        return reminders.preview(owner.organization, state=choice.state, search=choice.search)
    return reminders.preview(owner.organization, users=choice.users)


def _no_reminder(request: HttpRequest, numbers: Mapping[str, int], back_url: str) -> HttpResponse:
    messages.warning(request, " ".join([_("No reminder was sent."), not_reminded_in_words(numbers)]))
    return redirect(back_url)


def _confirm_reminder(
    request: HttpRequest, owner: Membership, view: str, numbers: Mapping[str, int], *,
    cancel_url: str, hidden: Mapping[str, str],
) -> HttpResponse:  # fmt: skip
    """Ask for confirmation of a reminder that ``reminders.preview`` describes, or say that it would mail no one."""
    number = numbers.get(Answer.MAILED, 0)
    if not number:
        return _no_reminder(request, numbers, cancel_url)
    if owner.organization.mfa_required_at:
        mailed = ngettext(
            "%(n)s member does not meet the policy and gets an email that says what to do.",
            "%(n)s members do not meet the policy and get an email that says what to do.",
            number,
        )
    else:
        mailed = ngettext(
            "%(n)s member has no accepted mode and gets an email that says what to do.",
            "%(n)s members have no accepted mode and get an email that says what to do.",
            number,
        )
    lines = [mailed % {"n": grouped(number)}, not_reminded_in_words(numbers)]
    lines.append(last_reminder_in_words(reminders.history_of(owner.organization).last))
    lines.append(_("Members can turn reminders off."))
    return confirm_below(
        request,
        owner,
        view,
        icon="mail",
        title=ngettext("Remind %(n)s member?", "Remind %(n)s members?", number) % {"n": grouped(number)},
        text=[line for line in lines if line],
        button=_("Send the reminders"),
        button_class="action",
        hidden=hidden,
        action_url=request.path,
        cancel_url=cancel_url,
    )


def _remind(owner: Membership, choice: Choice, origin: Origin) -> int:
    if choice.is_all:
        return reminders.start_matching(owner, state=choice.state, search=choice.search, origin=origin)
    return reminders.remind_chosen(owner, choice.users, origin)


# --- How far a run has got -------------------------------------------------------------------------


@dataclass(frozen=True)
class RunPages:
    """The pages of one kind of run: who may open them, and the line that says how far it has got."""

    work: Work[Any]
    title: Promise
    line: str  # a template
    page: str  # names of views
    progress: str
    stop: str

    def of(
        self, request: AuthenticatedHttpRequest, organization_id: UUID, run_id: UUID
    ) -> tuple[Membership, MemberRun]:
        """Return the reader's membership and the run. Raise ``Http404``."""
        manager = membership_of(request, organization_id, roles=self.work.roles)
        run: MemberRun | None = member_runs.find(self.work, manager.organization, run_id)
        if run is None:
            raise Http404
        return manager, run


REMOVAL = RunPages(
    REMOVALS, gettext_lazy("Removing members"), "partials/_removal_progress.html",
    "organizations:removal", "organizations:removal_progress", "organizations:stop_removal",
)  # fmt: skip
EXEMPTION = RunPages(
    EXEMPTIONS, gettext_lazy("Exempting members"), "partials/_exemption_progress.html",
    "organizations:exemption_run", "organizations:exemption_run_progress", "organizations:stop_exemption_run",
)  # fmt: skip


@never_cache
@require_safe
def run_page(request: AuthenticatedHttpRequest, organization_id: UUID, run_id: UUID, pages: RunPages) -> HttpResponse:
    """Show how far a run has got."""
    manager, run = pages.of(request, organization_id, run_id)
    context = {**page_of(manager, "members", is_below=True), "run": run, "pages": pages}
    return render(request, "organizations/member_run.html", context)


@never_cache
@require_safe
def run_progress(
    request: AuthenticatedHttpRequest, organization_id: UUID, run_id: UUID, pages: RunPages
) -> HttpResponse:
    """Return the line of a run's progress, which the script of its page asks for."""
    _manager, run = pages.of(request, organization_id, run_id)
    return render(request, pages.line, {"run": run})


@require_POST
def stop_run(request: AuthenticatedHttpRequest, organization_id: UUID, run_id: UUID, pages: RunPages) -> HttpResponse:
    """Stop a run. What it has done stays."""
    manager, run = pages.of(request, organization_id, run_id)
    member_runs.stop(pages.work, manager.organization, run.pk)
    return redirect(pages.page, organization_id, run_id)
