"""Shapes of what is typed."""

from django import forms
from django.utils.translation import gettext_lazy as _


class OrganizationForm(forms.Form):
    """The name of an organization."""

    name = forms.CharField(label=_("Organization Name:"), max_length=128, label_suffix="")
