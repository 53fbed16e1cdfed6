"""Forms. They check the shape of the input; no form checks a code or sends anything."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from accounts.web.forms import CredentialsForm, EmailCodeField, password_field
from accounts.web.redirection import safe_path
from mfa import ceremonies, challenges, modes

NO_PASSKEY = _("Your browser has sent no passkey. Try again, or use another way.")


class OneTimePasswordInput(forms.TextInput):
    """An input with a numeric keyboard and autofill of codes. Never shows what was typed before."""

    def __init__(self) -> None:
        super().__init__(
            {"inputmode": "numeric", "autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false"}
        )

    def format_value(self, _value: Any) -> None:
        """Return None, so that the code is not shown again."""


class OneTimePasswordField(forms.CharField):
    """Six ASCII digits. Spaces and dashes between them are removed (SR-16)."""

    widget = OneTimePasswordInput

    def __init__(self) -> None:
        six_digits = RegexValidator(r"\A[0-9]{6}\Z", _("Enter the six digits of the code."))
        super().__init__(label=_("One Time Password"), max_length=64, validators=[six_digits])
        self.widget.attrs.pop("maxlength", None)  # a pasted code with spaces must fit

    def to_python(self, value: object) -> str:
        """Remove spaces and dashes."""
        return "".join((super().to_python(value) or "").split()).replace("-", "")


class OtpOrRecoveryCodeField(OneTimePasswordField):
    """A one-time password or a recovery code."""

    default_error_messages = {"invalid": _("Enter the six digits of the code.")}  # noqa: RUF012  # as Django has it

    def __init__(self) -> None:
        super().__init__()
        self.validators = []  # a recovery code has no six digits

    def to_python(self, value: object) -> str:
        """Return the code without spaces and dashes. Refuse a text that is neither kind of code."""
        typed = forms.CharField.to_python(self, value) or ""
        if not typed:
            return ""
        try:
            return challenges.normalize_code(typed)
        except challenges.NotACode:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class OtpForm(forms.Form):
    """A one-time password or a recovery code."""

    otp: forms.Field = OtpOrRecoveryCodeField()
    remember = forms.BooleanField(required=False)

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
            field.help_text = _("Each of your recovery codes works once.")
            field.error_messages["invalid"] = _("Enter a recovery code as it was shown to you.")
            field.widget.attrs |= {"inputmode": "text", "autocomplete": "off", "autocapitalize": "characters"}


class PasskeyField(forms.CharField):
    """What the browser signed with a passkey, or the passkey that it made: JSON that a script put here."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(max_length=ceremonies.MAX_LENGTH, error_messages={"required": NO_PASSKEY})

    def to_python(self, value: object) -> str:
        """Return the JSON."""
        text = super().to_python(value) or ""
        if text and not is_passkey(text):
            raise forms.ValidationError(NO_PASSKEY, code="invalid")
        return text


def is_passkey(text: str) -> bool:
    """Return whether a posted proof is what a browser signed, not a typed code."""
    return text.startswith("{")


class PasskeyForm(OtpForm):
    """What the browser signed with a passkey."""

    otp = PasskeyField()


class RecoveryCodeForm(forms.Form):
    """One of the new recovery codes, to confirm that they were saved."""

    code = forms.CharField(
        label=_("Type one of them back"),
        max_length=64,
        widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )


class PasswordForm(forms.Form):
    """The password of a signed-in user, and the path to open next."""

    password = password_field(_("Password"))
    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)


class StepUpForm(OtpForm):
    """A one-time password, and the path to open next."""

    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)

    def __init__(self, *args: Any, only_modes: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A recovery code proves no mode, so it would be used up in vain (SR-60).
        if only_modes and isinstance(self.fields["otp"], OtpOrRecoveryCodeField):
            self.fields["otp"] = OneTimePasswordField()

    def clean_next(self) -> str:
        """Return the path if it is one of this site, else an empty string (SR-9)."""
        return safe_path(self.cleaned_data["next"])


class StepUpByPasskeyForm(StepUpForm):
    """What the browser signed with a passkey, and the path to open next."""

    otp = PasskeyField()


class ModeSelect(forms.RadioSelect):
    """Radio buttons whose names are those of the modes, and whose descriptions are the words beside them."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the option, tied to the words that ``templates/mfa/activate.html`` writes."""
        option = super().create_option(name, value, *args, **kwargs)
        option["attrs"] |= {"aria-labelledby": f"name-{value}", "aria-describedby": f"way-{value}"}
        return option


class ActivateForm(CredentialsForm):
    """The mode to enable, and the credentials of the account."""

    type = forms.ChoiceField(
        label=_("Multi-Factor Authentication Type"),
        choices=lambda: [(mode.name, mode.label) for mode in modes.ALL.values()],
        widget=ModeSelect,
        error_messages={"required": _("Choose how you want to receive one-time passwords.")},
    )
    field_order = ("type", "identifier", "password")

    def __init__(self, *args: Any, is_proven: bool = False, **kwargs: Any) -> None:
        """``is_proven``: this session has proved itself within ``STEP_UP_LIFETIME``, so the password may be blank."""
        super().__init__(*args, **kwargs)
        if is_proven:
            self.fields["password"].required = False
            self.fields["password"].help_text = _("You have just typed it. You can leave this blank.")


class ConfirmResetForm(forms.Form):
    """The account of an assisted reset, and the mailed code that confirms it."""

    identifier = CredentialsForm.base_fields["identifier"]
    code = EmailCodeField()


class CompleteActivationForm(OtpForm):
    """The first one-time password of a new mode."""

    set_as_preferred = forms.BooleanField(label=_("Set as preferred:"), required=False, initial=True)


class CompletePasskeyForm(CompleteActivationForm):
    """A new passkey."""

    otp = PasskeyField()


class PasskeyNameForm(forms.Form):
    """The name of a passkey."""

    name = forms.CharField(label=_("Name of the passkey"), max_length=64)
