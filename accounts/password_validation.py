"""A check of new passwords besides Django's own; ``AUTH_PASSWORD_VALIDATORS`` names it."""

from django.contrib.auth.hashers import check_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User


class NotWithdrawnValidator:
    """Refuses a password that its user has withdrawn because an attacker knows it."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ``ValidationError`` for the withdrawn password. Nothing is hashed for users who have withdrawn none."""
        if user and user.withdrawn_password and check_password(password, user.withdrawn_password):
            raise ValidationError(
                _("Choose another password: this one was withdrawn because someone else knows it."),
                code="password_withdrawn",
            )

    def get_help_text(self) -> str:
        """Return nothing: the rule concerns hardly anyone."""
        return ""
