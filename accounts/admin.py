"""The admin pages of accounts, and what all admin pages share. They show no secret of a user.

Whatever is done here asks for a reason. The reason is kept in the history of the object and in the security log of the
account or organization (SR-52, SR-53).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.functions import Reverse
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import administrators
from accounts.identifiers import key_of
from accounts.models import User
from accounts.refusals import Refused
from accounts.security_log import Intervention, Origin
from accounts.templatetags.times import short_moment
from accounts.web.form_pages import bound
from accounts.web.forms import validate_plain_line
from accounts.web.kept_forms import kept_form
from accounts.web.origin import origin_of
from mfa import assisted_reset, interventions, unlocking
from organizations import account_state
from organizations.account_state import AccountState

if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Model]
    AnyPaginator = Paginator[Any]
else:  # no subscript at run time
    AnyModelForm = forms.ModelForm
    AnyPaginator = Paginator

MAX_LISTED = 1000  # rows that a list counts and pages through; a search finds the rest
MAX_FOUND = 200  # rows that a search returns
PER_PAGE = 50


class ReasonField(forms.CharField):
    """Why staff do something."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=gettext_lazy("Reason"),
            validators=[validate_plain_line],
            max_length=200,
            help_text=gettext_lazy(
                "How you know that the right person asks for it, or your ticket. It stands in the security log, which "
                "the user or the owners of the organization read."
            ),
            widget=forms.TextInput({"autocomplete": "off", "class": "vTextField"}),
            **kwargs,
        )


class ReasonForm(forms.Form):
    """The reason of an act."""

    reason = ReasonField()


class ReasonModelForm(AnyModelForm):
    """An object, and why it is added or changed."""

    reason = ReasonField()


class CappedPaginator(AnyPaginator):
    """Counts no further than ``MAX_LISTED``: a list of a million rows costs as much as one of a thousand."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows that can be paged through."""
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by()[:MAX_LISTED].count()


def column(name: str, label: Any) -> Callable[[Any], Any]:
    """Return a column of a list: a field under a label of its own, and moments as all pages show them."""

    @admin.display(description=label)
    def shown(row: Any) -> Any:
        value = getattr(row, name)
        return short_moment(value) if isinstance(value, datetime) else value

    return shown


@dataclass(frozen=True)
class Request:
    """An act that staff have confirmed."""

    staff: User
    origin: Origin
    values: dict[str, Any]

    @property
    def reason(self) -> str:
        """Why they do it."""
        return str(self.values["reason"])

    @property
    def by(self) -> Intervention:
        """Who does it, and why, for the security log of an account."""
        return Intervention(self.staff.email, self.reason)


@dataclass(frozen=True)
class Act:
    """Something that staff can do to an object, on a page of its own that asks for the reason.

    ``permission`` is blank if only administrators may do it. ``do`` returns what happened, in words.
    """

    name: str
    label: str | Promise
    text: str | Promise
    permission: str
    do: Callable[[Any, Request], str]
    is_offered: Callable[[Any], bool] = lambda _state: True
    form: type[ReasonForm] = ReasonForm
    is_dangerous: bool = False


class PortalModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no subscript at run time
    """A list that stays fast, and acts with a reason instead of bulk actions and deletions."""

    acts: tuple[Act, ...] = ()
    actions = None
    paginator = CappedPaginator
    list_per_page = PER_PAGE
    list_max_show_all = 0
    sortable_by = ()  # the order is that of an index
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count whole tables
    change_form_template = "admin/change_form_with_acts.html"

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:  # type: ignore[override]  # the stubs know no ``request``
        """Return whether the list offers this filter: others would let staff guess any column (SR-52)."""
        del value, request
        return lookup.split("__", maxsplit=1)[0] in self.list_filter

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Return False: a deletion is an act, which asks for the reason."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs, with that of the acts."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        return [path("<str:object_id>/act/<slug:name>/", view, name=name), *super().get_urls()]

    def may(self, request: HttpRequest, act: Act, obj: Model) -> bool:
        """Return whether the staff may do this. Only administrators act on other staff, and no one on themselves."""
        staff = cast("User", request.user)
        if isinstance(obj, User) and (obj.pk == staff.pk or (obj.is_staff and not staff.is_superuser)):
            return False
        return staff.is_superuser or (bool(act.permission) and staff.has_perm(act.permission))

    def acts_for(self, request: HttpRequest, obj: Model, state: Any) -> list[tuple[Act, str]]:
        """Return the acts that a page offers, with their URLs."""
        url = f"admin:{self.opts.app_label}_{self.opts.model_name}_act"
        offered = [act for act in self.acts if act.is_offered(state) and self.may(request, act, obj)]
        return [(act, reverse(url, args=[obj.pk, act.name])) for act in offered]

    def act_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Ask for the reason of an act, then do and log it."""
        obj: Model | None = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        act = next((act for act in self.acts if act.name == name), None)
        if act is None or not self.has_view_permission(request, obj) or not self.may(request, act, obj):
            raise PermissionDenied
        form = bound(request, act.form, initial=kept_form(request))
        if form.is_valid() and self._do(request, act, obj, form.cleaned_data):
            return redirect(self._url_after(obj))
        context = {
            **self.admin_site.each_context(request),
            "title": act.label,
            "opts": self.opts,
            "object": obj,
            "act": act,
            "form": form,
        }
        return TemplateResponse(request, "admin/act.html", context, status=400 if request.method == "POST" else 200)

    def _do(self, request: HttpRequest, act: Act, obj: Model, values: dict[str, Any]) -> bool:
        """Do and log an act. Return False, and show why, if it is refused."""
        confirmed = Request(cast("User", request.user), origin_of(request), values)
        try:
            with transaction.atomic():
                self.log_change(request, obj, f"{act.label}: {confirmed.reason}")
                text = act.do(obj, confirmed)
        except Refused as refused:
            messages.error(request, refused.text)
            return False
        messages.success(request, text)
        return True

    def _url_after(self, obj: Model) -> str:
        """Return the object's page, or the list if it is gone."""
        url = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        exists = obj._meta.model._default_manager.filter(pk=obj.pk).exists() if obj.pk else False
        return reverse(f"{url}_change", args=[obj.pk]) if exists else reverse(f"{url}_changelist")

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Return the reason and the changed fields, for the history."""
        fields = ", ".join(sorted({*form.changed_data} - {"reason"}))
        del request, formsets, add
        return f"{form.cleaned_data['reason']} ({fields})"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Show or take the form, with the acts on the object."""
        obj = self.get_object(request, object_id) if object_id else None
        acts = self.acts_for(request, obj, obj) if obj else []
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), "acts": acts})


class PageAdmin(PortalModelAdmin):
    """An object whose page shows its state in words, in place of a form."""

    page_template: str

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Return False: the portal's own ways create it."""
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Return False: there is no form, only acts."""
        return False

    def has_view_permission(self, request: HttpRequest, _obj: Any = None) -> bool:
        """Return whether the staff may look."""
        return bool(cast("User", request.user).has_perm(f"{self.opts.app_label}.view_{self.opts.model_name}"))

    def state_of(self, request: HttpRequest, obj: Any) -> Any:
        """Return what the page shows."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the page."""
        del form_url, extra_context
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        state = self.state_of(request, obj)
        context = {
            **self.admin_site.each_context(request),
            "title": str(obj),
            "opts": self.opts,
            "object": obj,
            "state": state,
            "acts": self.acts_for(request, obj, state),
        }
        return TemplateResponse(request, self.page_template, context)

    def warn_if_many(self, request: HttpRequest, number: int) -> None:
        """Say that a search found more than it shows."""
        if number >= MAX_FOUND:
            messages.warning(request, _("There are many, and perhaps not all are shown. Type more of it."))


# --- acts on an account ---------------------------------------------------------------------------


class NothingHeld(Refused):
    """There is nothing to clear."""

    message = gettext_lazy("Nothing is counted against this account, so nothing was changed.")


class NotEndedByUnlocking(Refused):
    """Only a password reset helps (SR-5)."""

    message = gettext_lazy("Only a password reset ends this block: there were too many wrong passwords in a row.")


class NotPending(Refused):
    """The reset was ended meanwhile."""

    message = gettext_lazy("There is no pending assisted reset.")


def _unlock(user: User, request: Request) -> str:
    result = unlocking.unlock(user, request.origin, by=request.by)
    if not result.cleared:
        raise NotEndedByUnlocking if result.remaining else NothingHeld
    what = ", ".join(str(hold.what) for hold in result.cleared)
    if result.remaining:
        return _("Cleared: %(what)s. Still blocked by wrong passwords, until the password is reset.") % {"what": what}
    if result.was_blocked:
        return _("The account is unlocked. Cleared: %(what)s.") % {"what": what}
    return _("Nothing blocked this account. Cleared: %(what)s.") % {"what": what}


def _sign_out(user: User, request: Request) -> str:
    interventions.sign_out(user, request.origin, by=request.by)
    return _("All sessions of this account are signed out.")


def _disable(user: User, request: Request) -> str:
    interventions.set_active(user, request.origin, is_active=False, by=request.by)
    return _("The account is disabled.")


def _enable(user: User, request: Request) -> str:
    interventions.set_active(user, request.origin, is_active=True, by=request.by)
    return _("The account is enabled.")


def _start_reset(user: User, request: Request) -> str:
    authority = _("staff of the portal")
    assisted_reset.start(user, by=request.staff, authority=authority, reason=request.reason, origin=request.origin)
    return _("The reset is started. We emailed the account to confirm it.")


def _withdraw_reset(user: User, request: Request) -> str:
    if assisted_reset.open_of(user) is None:
        raise NotPending
    assisted_reset.cancel(user, request.origin, by=request.by)
    return _("The reset is withdrawn.")


def _make_administrator(user: User, request: Request) -> str:
    administrators.make_administrator(user, request.origin, by=request.by)
    return _("The account is an administrator.")


def _make_support(user: User, request: Request) -> str:
    administrators.make_support(user, request.origin, by=request.by)
    return _("The account is support staff.")


def _remove_rights(user: User, request: Request) -> str:
    administrators.remove_rights(user, request.origin, by=request.by)
    return _("The account has no staff rights any more.")


ACTS_ON_ACCOUNTS = (
    Act(
        "unlock",
        gettext_lazy("Unlock"),
        gettext_lazy("Clears wrong tries and mail limits. The user gets an email about it."),
        "accounts.unlock_user",
        _unlock,
        lambda state: bool(state.holds),
    ),
    Act(
        "sign-out",
        gettext_lazy("End all sessions"),
        gettext_lazy(
            "Signs the user out everywhere, in browsers and at the command line, and forgets remembered "
            "browsers. The password and the factors stay. The user gets an email about it."
        ),
        "accounts.sign_out_user",
        _sign_out,
        lambda state: state.is_anywhere_signed_in,
    ),
    Act(
        "start-reset",
        gettext_lazy("Start an assisted reset"),
        gettext_lazy(
            "For a user who has lost every factor and every recovery code. First make sure who asks: not by "
            "email alone. The user confirms with a code that we email, waits, and gets a second code that "
            "replaces the factor once. Any sign-in with a factor cancels the reset."
        ),
        "mfa.add_assistedreset",
        _start_reset,
        lambda state: state.user.mfa_is_on and state.user.is_active and state.reset is None,
    ),
    Act(
        "withdraw-reset",
        gettext_lazy("Withdraw the assisted reset"),
        gettext_lazy("Its codes work no longer. The user gets an email about it."),
        "mfa.add_assistedreset",
        _withdraw_reset,
        lambda state: state.reset is not None,
    ),
    Act(
        "disable",
        gettext_lazy("Disable the account"),
        gettext_lazy("Signs the user out everywhere. No one can sign in to the account until it is enabled again."),
        "accounts.disable_user",
        _disable,
        lambda state: state.user.is_active,
        is_dangerous=True,
    ),
    Act(
        "enable",
        gettext_lazy("Enable the account"),
        gettext_lazy("The user can sign in again, with the same password and factors."),
        "accounts.disable_user",
        _enable,
        lambda state: not state.user.is_active,
    ),
    Act(
        "make-support",
        gettext_lazy("Make support staff"),
        gettext_lazy(
            "Lets the user look at all accounts and organizations, and unlock accounts. All administrators "
            "get an email about it."
        ),
        "",
        _make_support,
        lambda state: state.user.is_active and (not state.user.is_staff or state.user.is_superuser),
    ),
    Act(
        "make-administrator",
        gettext_lazy("Make an administrator"),
        gettext_lazy("Lets the user do everything in this administration. All administrators get an email about it."),
        "",
        _make_administrator,
        lambda state: state.user.is_active and not administrators.is_administrator(state.user),
        is_dangerous=True,
    ),
    Act(
        "remove-rights",
        gettext_lazy("Remove staff rights"),
        gettext_lazy("The user can no longer open this administration. The account stays."),
        "",
        _remove_rights,
        lambda state: state.user.is_staff,
        is_dangerous=True,
    ),
)


def _some_keys(rows: "QuerySet[Any]") -> list[UUID]:
    """Return the keys of some rows. In no order: PostgreSQL would read all that sorts before the first match."""
    return list(rows.order_by().values_list("pk", flat=True)[:MAX_FOUND])


# Rights are given by acts on an account, which ask for a reason.
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(PageAdmin):
    """Lets staff find an account, see its state, and help its user."""

    acts = ACTS_ON_ACCOUNTS
    page_template = "admin/person.html"
    list_display = (
        "email",
        "username",
        "name",
        "is_active",
        "is_staff",
        column("last_login", gettext_lazy("Last sign-in")),
    )
    list_filter = ("is_active", "is_staff")
    ordering = ("email_key",)
    search_fields = ("email_key",)
    search_help_text = gettext_lazy(
        "The beginning of an email or username. With @ first, the end of an email: @clinic.example.com"
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return the accounts without their passwords."""
        del request
        return User.objects.defer("password", "withdrawn_password").order_by("email_key")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Find by the beginning of an email or username, or by the end of an email: each has an index."""
        key = key_of(search_term)
        if not key:
            return queryset, False
        if key.startswith("@"):
            reversed_emails = queryset.alias(reversed=Reverse("email_key"))
            keys = set(_some_keys(reversed_emails.filter(reversed__startswith=key[::-1])))
        else:
            keys = {
                *_some_keys(queryset.filter(email_key__startswith=key)),
                *_some_keys(queryset.filter(username_key__startswith=key)),
            }
        self.warn_if_many(request, len(keys))
        return queryset.filter(pk__in=keys), False

    def state_of(self, request: HttpRequest, obj: User) -> AccountState:
        """Return the state of an account."""
        del request
        return account_state.of(obj, now=timezone.now())
