"""Shapes of what is typed."""

import codecs
import re
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.web.forms import validate_plain_line
from organizations import accepted_modes, environments
from organizations.models import NAME_IN_COMMANDS, Organization, Role
from organizations.policy_changes import ChangedMeanwhile


class RenameEnvironmentForm(forms.Form):
    """The name of an environment."""

    name = forms.RegexField(
        regex=NAME_IN_COMMANDS,
        label=_("Name"),
        label_suffix="",
        max_length=64,
        help_text=_("Letters, digits and . _ - only: it is typed on command lines."),
        error_messages={"invalid": _("Use letters, digits and . _ - only, beginning with a letter or digit.")},
        widget=forms.TextInput({"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )


class EnvironmentForm(RenameEnvironmentForm):
    """A new environment."""

    pod = forms.ModelChoiceField(
        queryset=environments.pods(),
        label=_("Pod"),
        label_suffix="",
        empty_label=None,
        help_text=_("Where it runs. Staff add pods in the administration."),
    )


class OrganizationForm(forms.Form):
    """The name of an organization."""

    name = forms.CharField(
        label=_("Organization Name:"), max_length=128, label_suffix="", validators=[validate_plain_line]
    )


class ReasonForm(forms.Form):
    """Why something is done; others will read it."""

    reason = forms.CharField(
        label=_("Reason"),
        validators=[validate_plain_line],
        label_suffix="",
        max_length=200,
        help_text=_("The member and the security log will show it."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class PolicyForm(forms.Form):
    """From when MFA is required, what counts, whether browsers may be remembered."""

    required_from = forms.DateField(
        label=_("Required from (UTC)"),
        label_suffix="",
        required=False,
        help_text=_(
            "Holds from the beginning of this day; until then members see how many days are left. Empty: not required."
        ),
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    counting = forms.ChoiceField(
        label=_("Modes that count"),
        label_suffix="",
        choices=accepted_modes.choices,
        required=False,
        widget=forms.Select,
    )
    remembering_forbidden = forms.BooleanField(
        label=_("Ask for a one-time password at every sign-in: no remembered browsers"), required=False, label_suffix=""
    )

    # What the page showed: another owner may have changed it since.
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        at = organization.mfa_required_at
        forbidden = "forbidden" if organization.remembering_forbidden else "allowed"
        self.current = f"{at.isoformat() if at else 'never'} {organization.accepted_modes or 'any'} {forbidden}"
        # What was kept through a proof was typed on the page of then.
        kwargs["initial"] = {"seen": self.current, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["counting"].help_text = _(
            "Members must have such a mode enabled. Whoever has others too may sign in with any of them."
        )
        self.was = at.date() if at else None
        if organization.mfa_required:  # since when it holds is history
            del self.fields["required_from"]

    def clean_required_from(self) -> Any:
        """Refuse a day that is over: nothing can be required in the past."""
        day = self.cleaned_data["required_from"]
        if day and day < timezone.now().date() and day != self.was:
            raise forms.ValidationError(_("This day is over. Choose today, or one that is to come."))
        return day

    def clean(self) -> dict[str, Any]:
        """Refuse what was filled in on a page that another owner has made old."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("seen", "") != self.current:
            raise forms.ValidationError(str(ChangedMeanwhile.message))
        return cleaned


class RehearsalForm(forms.Form):
    """For how long it is only noted whom the policy would stop."""

    days = forms.TypedChoiceField(
        label=_("Rehearse for"),
        label_suffix="",
        coerce=int,
        choices=[(0, _("no rehearsal")), (3, _("3 days")), (7, _("7 days")), (14, _("14 days")), (30, _("30 days"))],
        initial=7,
    )


class RoleForm(forms.Form):
    """A role, none above ``at_most``."""

    role = forms.ChoiceField(label=_("Role"), label_suffix="", choices=Role.choices)

    def __init__(self, *args: Any, at_most: Role, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["role"]
        field.choices = [(value, label) for value, label in Role.choices if Role(value).rank <= at_most.rank]  # type: ignore[attr-defined]


class InviteForm(RoleForm):
    """Whom to invite: one address, or a pasted list."""

    email = forms.CharField(
        label=_("Email:"),
        label_suffix="",
        required=False,
        max_length=1_000_000,
        help_text=_("One address, or many: paste a list."),
        widget=forms.Textarea({"rows": 3, "autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    file = forms.FileField(
        label=_("Or a file with addresses (CSV)"),
        label_suffix="",
        required=False,
        widget=forms.ClearableFileInput({"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    field_order = ("email", "file", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {"role": Role.MEMBER, **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.fields["role"].required = False

    def clean_file(self) -> str:
        """Read the text of the file, in whichever way a spreadsheet has written it."""
        sent = self.cleaned_data["file"]
        content = sent.read() if sent else b""
        encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        return str(content, encoding, errors="replace")  # an address that is spoilt by this is refused by itself

    def clean_role(self) -> Role:
        """Fall back to the least."""
        return Role(self.cleaned_data["role"] or Role.MEMBER)

    def clean(self) -> dict[str, Any]:
        """Take the addresses, ``emails``, out of whatever was pasted or sent; other columns are left aside."""
        cleaned = super().clean() or self.cleaned_data
        text = f"{cleaned.get('email', '')}\n{cleaned.get('file', '')}"
        words = [word.strip("<>\"'") for word in re.split(r"[\s,;]+", text)]
        cleaned["emails"] = [word for word in words if "@" in word]
        if not cleaned["emails"]:
            self.add_error("email", _("This is not an email address."))
        return cleaned


class ExemptionForm(ReasonForm):
    """Why, and until when, the policy spares a service account."""

    until = forms.DateField(
        label=_("Until (UTC)"),
        label_suffix="",
        help_text=_("It ends when this day begins."),
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )

    def clean_until(self) -> Any:
        """Refuse a day that is over, or more than a year away."""
        until = self.cleaned_data["until"]
        if not 0 < (until - timezone.now().date()).days <= 366:
            raise forms.ValidationError(_("Give a day within the next year."))
        return until
