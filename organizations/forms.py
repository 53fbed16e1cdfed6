"""Shapes of what is typed."""

from django import forms
from django.utils.translation import gettext_lazy as _

from organizations import environments
from organizations.models import NAME_IN_COMMANDS


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

    name = forms.CharField(label=_("Organization Name:"), max_length=128, label_suffix="")


class ReasonForm(forms.Form):
    """Why something is done; others will read it."""

    reason = forms.CharField(
        label=_("Reason"),
        label_suffix="",
        max_length=200,
        help_text=_("The member and the security log will show it."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )
