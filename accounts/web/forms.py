"""Forms. They check the shape of the input; no form checks a password or sends anything."""

from typing import Any, cast

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError
from django.utils.functional import lazy
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts import time_zones
from accounts.identifiers import (
    MAX_USERNAME_LENGTH,
    USERNAME,
    is_compared_as_written,
    is_plain_line,
    is_username,
    key_of,
)
from accounts.models import User
from accounts.notices import Notice
from accounts.web.redirection import safe_path

MAX_PASSWORD_LENGTH = 1024  # SR-2
MAX_EMAIL_LENGTH = 254


def password_field(label: Any, *, new: bool = False) -> forms.CharField:
    """Return a password field. It strips nothing from the password."""
    return forms.CharField(
        label=label,
        strip=False,
        max_length=MAX_PASSWORD_LENGTH,
        widget=forms.PasswordInput({"autocomplete": "new-password" if new else "current-password"}),
    )


class CredentialsForm(forms.Form):
    """Username or email, and password."""

    identifier = forms.CharField(
        label=_("Username or Email"),
        max_length=MAX_EMAIL_LENGTH,
        widget=forms.TextInput(
            {
                "autocomplete": "username",
                "autocapitalize": "none",
                "spellcheck": "false",
                "placeholder": "jane.doe@company.com",
            }
        ),
    )
    password = password_field(_("Password"))


class SignInForm(CredentialsForm):
    """Credentials, and the path to open after the sign-in."""

    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Browsers list passkeys with the names that they fill in.
        self.fields["identifier"].widget.attrs["autocomplete"] = "username webauthn"

    def clean_next(self) -> str:
        """Return the path if it is one of this site, else an empty string (SR-9)."""
        return safe_path(self.cleaned_data["next"])


def _advice() -> SafeString:
    return format_html_join(" ", "{}", ((text,) for text in password_validators_help_texts() if text))


class NewPasswordForm(forms.Form):
    """A new password, typed twice, and checked by Django's validators for ``user`` if given."""

    password = password_field(_("New password"), new=True)
    password_confirm = password_field(_("Confirm new password"), new=True)

    def __init__(self, *args: Any, user: User | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["password"].help_text = lazy(_advice, str)()

    def clean(self) -> dict[str, object]:
        """Compare the two passwords and validate them."""
        cleaned = super().clean() or {}
        password, confirm = cleaned.get("password"), cleaned.get("password_confirm")
        if password and confirm and password != confirm:
            self.add_error("password_confirm", _("The two passwords do not match."))
        elif password:
            try:
                validate_password(password, self._user_for_validation(cleaned))
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned

    def _user_for_validation(self, _cleaned: dict[str, object]) -> User | None:
        return self.user


class EmailAddressField(forms.EmailField):
    """An email that will identify an account."""

    def __init__(self, label: Any) -> None:
        super().__init__(
            label=label,
            max_length=MAX_EMAIL_LENGTH,
            widget=forms.EmailInput({"autocomplete": "email", "placeholder": "jane.doe@company.com"}),
            error_messages={"invalid": _("Enter a valid email address.")},  # Django's has other words for "email"
        )

    def clean(self, value: Any) -> str:
        """Refuse an email that is not its mailbox's only spelling, or whose key is too long (SR-4)."""
        email = str(super().clean(value))
        if not is_compared_as_written(email):
            raise ValidationError(
                _("Type this email address in plain letters. As written, its mail would go to a different address.")
            )
        if len(key_of(email)) > MAX_EMAIL_LENGTH:
            raise ValidationError(_("This email address is too long."))
        return email


class EmailForm(forms.Form):
    """A new email."""

    email = EmailAddressField(_("New email address"))


class RegisterForm(NewPasswordForm):
    """A new account."""

    email = EmailAddressField(_("Email:"))
    password = password_field(_("Password:"), new=True)
    password_confirm = password_field(_("Confirm Password:"), new=True)
    field_order = ("email", "password", "password_confirm")

    def _user_for_validation(self, cleaned: dict[str, object]) -> User | None:
        return User(email=str(cleaned.get("email", "")))


class ChangePasswordForm(NewPasswordForm):
    """A new password, and the current one."""

    current_password = password_field(_("Current password"))
    field_order = ("current_password", "password", "password_confirm")


class EmailCodeField(forms.CharField):
    """A mailed code. Spaces, dashes and lower case do not matter."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Code from the email"),
            max_length=64,
            widget=forms.TextInput(
                {"autocomplete": "one-time-code", "autocapitalize": "characters", "spellcheck": "false"}
            ),
        )

    def to_python(self, value: object) -> str:
        """Return the code in the form in which it was created."""
        return "".join((super().to_python(value) or "").split()).replace("-", "").upper()


class EmailCodeForm(forms.Form):
    """The code that proves a mailbox."""

    code = EmailCodeField()


class ResetPasswordForm(NewPasswordForm):
    """The code that proves a mailbox, and a new password."""

    code = EmailCodeField()
    field_order = ("code", "password", "password_confirm")


class IdentifierForm(forms.Form):
    """The account whose password was forgotten."""

    identifier = forms.CharField(
        label=_("Username or Email"),
        max_length=MAX_EMAIL_LENGTH,
        widget=forms.TextInput({"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )


def validate_plain_line(text: str) -> None:
    """Refuse line breaks and control characters, because emails contain names (SR-48)."""
    if not is_plain_line(text):
        raise ValidationError(_("Use one line, without control characters."))


class ProfileForm(forms.Form):
    """The user's name and username."""

    name = forms.CharField(
        label=_("Name"),
        validators=[validate_plain_line],
        max_length=128,
        required=False,
        widget=forms.TextInput({"autocomplete": "name"}),
    )
    username = forms.RegexField(
        regex=USERNAME,
        label=_("Username"),
        max_length=MAX_USERNAME_LENGTH,
        required=False,
        help_text=_("Letters, digits and . + - _ only. You can sign in with it instead of your email address."),
        error_messages={"invalid": _("Use letters, digits and . + - _ only.")},
        widget=forms.TextInput({"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def clean_username(self) -> str:
        """Refuse a username whose key is too long or has other characters (SR-4)."""
        username = str(self.cleaned_data["username"])
        if not is_username(username):
            raise ValidationError(_("Use letters, digits and . + - _ only."))
        return username


class TimeZoneForm(forms.Form):
    """The time zone in which a user wants times."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        help_text=_("Pages and emails show times in this zone. Without a choice, they are in your browser's."),
        error_messages={"invalid_choice": time_zones.NoSuchTimeZone.message},
    )

    def __init__(self, *args: Any, of_browser: str = "", query: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first: list[tuple[object, object]] = [("", _("as in the browser"))]
        if of_browser not in {"", time_zones.UTC}:
            first.append((_("Time zone of this browser"), [time_zones.choice_of(of_browser)]))
        found = time_zones.choices(query) if query else []
        cast("forms.ChoiceField", self.fields["time_zone"]).choices = found or first + time_zones.choices()


class NoticesForm(forms.Form):
    """The optional mails that a user wants."""

    wanted = forms.MultipleChoiceField(
        label=_("Send me these emails"),
        choices=Notice.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "The first one is how you notice that someone signs in with your password from a browser of their own. "
            "Turn it off only if you look at your security log yourself."
        ),
    )
