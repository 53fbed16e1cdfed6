"""Forms of organizations, members, invitations and policies."""

import codecs
import re
from datetime import UTC, date, datetime, time
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.web.forms import validate_plain_line
from organizations import accepted_modes, environments, event_list
from organizations.member_counts import Counts
from organizations.models import NAME_IN_COMMANDS, EventKind, Organization, Role
from organizations.policy_changes import ChangedMeanwhile
from organizations.web.wording import missing_of_in_words


class RenameEnvironmentForm(forms.Form):
    """The name of an environment."""

    name = forms.RegexField(
        regex=NAME_IN_COMMANDS,
        label=_("Name"),
        max_length=64,
        help_text=_("Use only letters, digits and . _ - because users type this name on command lines."),
        error_messages={"invalid": _("Use only letters, digits and . _ - and begin with a letter or digit.")},
        widget=forms.TextInput({"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )


class EnvironmentForm(RenameEnvironmentForm):
    """A new environment."""

    pod = forms.ModelChoiceField(
        queryset=environments.pods(),
        label=_("Pod"),
        empty_label=None,
        help_text=_("Where the environment runs."),
    )


class OrganizationForm(forms.Form):
    """The name of an organization."""

    name = forms.CharField(label=_("Organization Name:"), max_length=128, validators=[validate_plain_line])


class ReasonForm(forms.Form):
    """The reason of an action, which others will read."""

    reason = forms.CharField(
        label=_("Reason"),
        validators=[validate_plain_line],
        max_length=200,
        help_text=_("The member will see this reason. It also appears in the security log."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class PolicyForm(forms.Form):
    """The start date of the policy, the accepted modes, and whether browsers may be remembered."""

    required_from = forms.DateField(
        label=_("Required from (UTC)"),
        required=False,
        help_text=_(
            "The requirement starts when this day begins. Until then members see how many days are left. Leave the "
            "field empty to require nothing."
        ),
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    counting = forms.ChoiceField()  # made in ``__init__``
    remembering_forbidden = forms.BooleanField(
        label=_("Ask for a one-time password at every sign-in, also in remembered browsers"),
        required=False,
    )

    # The policy that the page showed: another owner may have changed it since.
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, organization: Organization, counts: Counts, **kwargs: Any) -> None:
        at = organization.mfa_required_at
        forbidden = "forbidden" if organization.remembering_forbidden else "allowed"
        self.current = f"{at.isoformat() if at else 'never'} {organization.accepted_modes or 'any'} {forbidden}"
        # A form that was kept during a step-up keeps the policy that its page showed.
        kwargs["initial"] = {"seen": self.current, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        # Before the owner saves, each choice says how many members it would block.
        self.fields["counting"] = forms.ChoiceField(
            label=_("Accepted modes"),
            choices=[
                (value, f"{label}. {missing_of_in_words(counts, value)}")
                for value, label in accepted_modes.explained_choices()
            ],
            required=False,
            widget=forms.RadioSelect,
            help_text=_(
                "Members must enable an accepted mode, and use it when they open this organization. They can still "
                "sign in to their account with any mode that they have."
            ),
        )
        self.was = at.date() if at else None
        if organization.mfa_required:  # the start date is in the past and does not change
            del self.fields["required_from"]

    def clean_required_from(self) -> Any:
        """Return the day. Refuse one in the past."""
        day = self.cleaned_data["required_from"]
        if day and day < timezone.now().date() and day != self.was:
            raise forms.ValidationError(_("This day is in the past. Choose today or a later day."))
        return day

    def clean(self) -> dict[str, Any]:
        """Refuse the form if another owner has changed the policy since the page was shown."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("seen", "") != self.current:
            raise forms.ValidationError(str(ChangedMeanwhile.message))
        return cleaned


class RehearsalForm(forms.Form):
    """The length of a rehearsal."""

    days = forms.TypedChoiceField(
        label=_("Rehearse for"),
        coerce=int,
        choices=[(0, _("no rehearsal")), (3, _("3 days")), (7, _("7 days")), (14, _("14 days")), (30, _("30 days"))],
        initial=7,
    )


class RoleForm(forms.Form):
    """A role up to the rank of ``at_most``."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)

    def __init__(self, *args: Any, at_most: Role, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, role.label) for role in Role if role.rank <= at_most.rank]
        self.fields["role"] = forms.ChoiceField(
            label=_("Role"),
            choices=choices,
            help_text=_("Admins also manage members and invites. Owners also decide about the rules and other owners."),
        )


class InviteForm(RoleForm):
    """The emails to invite, typed, pasted or in a file."""

    email = forms.CharField(
        label=_("Email:"),
        required=False,
        max_length=1_000_000,
        help_text=_("Enter one email, or paste a list."),
        widget=forms.Textarea({"rows": 3, "autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    file = forms.FileField(
        label=_("Or a CSV file with emails"),
        required=False,
        widget=forms.ClearableFileInput({"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    field_order = ("email", "file", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {"role": Role.MEMBER, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["role"].required = False

    def clean_file(self) -> str:
        """Return the text of the file, decoded as spreadsheets write it: UTF-16 or UTF-8."""
        sent = self.cleaned_data["file"]
        content = sent.read() if sent else b""
        encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        return str(content, encoding, errors="replace")  # an email with a replaced character is refused later

    def clean_role(self) -> Role:
        """Return the role, or member if none was chosen."""
        return Role(self.cleaned_data["role"] or Role.MEMBER)

    def clean(self) -> dict[str, Any]:
        """Add ``emails``: every word with an @ in the typed text and the file. Other columns are ignored."""
        cleaned = super().clean() or self.cleaned_data
        text = f"{cleaned.get('email', '')}\n{cleaned.get('file', '')}"
        words = [word.strip("<>\"'") for word in re.split(r"[\s,;]+", text)]
        cleaned["emails"] = [word for word in words if "@" in word]
        if not cleaned["emails"]:
            self.add_error("email", _("This is not an email address."))
        return cleaned


class ExemptionForm(ReasonForm):
    """The reason and the end of a service account's exemption."""

    until = forms.DateField(
        label=_("Until (UTC)"),
        help_text=_("The exemption ends when this day begins."),
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )

    def clean_until(self) -> Any:
        """Return the day. Refuse one that is not within the next year."""
        until = self.cleaned_data["until"]
        if not 0 < (until - timezone.now().date()).days <= 366:
            raise forms.ValidationError(_("Choose a day within the next year."))
        return until

    @property
    def ends_at(self) -> datetime:
        """Return when the exemption ends: as the day begins in UTC."""
        return datetime.combine(self.cleaned_data["until"], time(), UTC)


def _kind_choices() -> list[tuple[str, str]]:
    kinds = sorted(((kind.value, str(kind.label)) for kind in EventKind), key=lambda choice: choice[1])
    return [("", str(_("all events"))), *kinds]


class LogFilterForm(forms.Form):
    """What to show of an organization's security log. A field that is wrong or blank does not limit it."""

    kind = forms.ChoiceField(label=_("Event"), choices=_kind_choices, required=False)
    person = forms.CharField(
        label=_("By or about"),
        required=False,
        max_length=254,
        widget=forms.TextInput(
            {"placeholder": _("Any part of an email"), "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    since = forms.DateField(
        label=_("From (UTC)"), required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        label=_("To (UTC)"), required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )

    def clean_until(self) -> Any:
        """Return the last day. Refuse the end of the calendar, after which no day begins."""
        until = self.cleaned_data["until"]
        if until == date.max:
            raise forms.ValidationError(_("Choose an earlier day."))
        return until

    @property
    def chosen(self) -> event_list.Filter:
        """Return the filter."""
        self.is_valid()
        data = self.cleaned_data
        return event_list.Filter(
            kind=data.get("kind", ""),
            person=data.get("person", ""),
            first_day=data.get("since"),
            last_day=data.get("until"),
        )
