"""Shapes of what is typed. No form checks a code or sends anything."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from accounts.web.forms import CredentialsForm, EmailCodeField, password_field
from accounts.web.redirection import safe_path
from mfa import challenges, modes


class OneTimePasswordInput(forms.TextInput):
    """Numeric keyboard, filled in by phones from mail or app; never echoes what was typed."""

    def __init__(self) -> None:
        super().__init__(
            {"inputmode": "numeric", "autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false"}
        )

    def format_value(self, _value: Any) -> None:
        """Show nothing."""


class OneTimePasswordField(forms.CharField):
    """Six ASCII digits; spaces and dashes that came with typing or pasting go (SR-16)."""

    widget = OneTimePasswordInput

    def __init__(self) -> None:
        six_digits = RegexValidator(r"\A[0-9]{6}\Z", _("Enter the six digits of the code."))
        super().__init__(label=_("One Time Password"), label_suffix="", max_length=64, validators=[six_digits])
        self.widget.attrs.pop("maxlength", None)  # a pasted code with blanks around it must fit

    def to_python(self, value: object) -> str:
        """Take out what people type between the digits."""
        return "".join((super().to_python(value) or "").split()).replace("-", "")


class OtpOrRecoveryCodeField(OneTimePasswordField):
    """A one-time password, or a recovery code in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.validators = []  # the six digits are not all that fits

    def to_python(self, value: object) -> str:
        """Take out what people type between the signs; refuse what can be neither."""
        typed = forms.CharField.to_python(self, value) or ""
        if not typed:
            return ""
        try:
            return challenges.as_typed(typed)
        except challenges.NotACode:
            raise forms.ValidationError(_("Enter the six digits of the code.")) from None


class OtpForm(forms.Form):
    """A one-time password, or a recovery code."""

    otp = OtpOrRecoveryCodeField()
    remember = forms.BooleanField(required=False, label_suffix="")

    def __init__(self, *args: Any, recovery: bool = False, may_remember: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if may_remember:
            days = settings.REMEMBERED_BROWSER_LIFETIME.days
            self.fields["remember"].label = _("Remember this browser for %(n)d days") % {"n": days}
        else:
            del self.fields["remember"]
        if recovery:  # letters need the whole keyboard
            field = self.fields["otp"]
            field.label = _("Recovery code")
            field.widget.attrs |= {"inputmode": "text", "autocomplete": "off", "autocapitalize": "characters"}


class RecoveryCodeForm(forms.Form):
    """One of the recovery codes, typed back."""

    code = forms.CharField(
        label=_("Type one of them back"),
        label_suffix="",
        max_length=64,
        widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )


class PasswordForm(forms.Form):
    """The password of somebody signed in, and where to go on."""

    password = password_field(_("Password"))
    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)


class StepUpForm(OtpForm):
    """A one-time password, and where to go on."""

    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)

    def clean_next(self) -> str:
        """Keep only a path of this site."""
        return safe_path(self.cleaned_data["next"])


class ActivateForm(CredentialsForm):
    """Which mode to enable, and whose."""

    type = forms.ChoiceField(
        label=_("Multi-Factor Authentication Type"),
        choices=lambda: [(mode.name, mode.label) for mode in modes.ALL.values()],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose how you want to receive one-time passwords.")},
    )
    field_order = ("type", "identifier", "password")


class ConfirmResetForm(forms.Form):
    """The code of a mail that asks to confirm an assisted reset, and whose account it is."""

    identifier = CredentialsForm.base_fields["identifier"]
    code = EmailCodeField()


class CompleteActivationForm(OtpForm):
    """The first one-time password of a new mode."""

    set_as_preferred = forms.BooleanField(label=_("Set as preferred:"), label_suffix="", required=False, initial=True)
