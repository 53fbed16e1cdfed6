"""Factors, as an enrolment would leave them."""

from accounts.models import User
from mfa import codes
from mfa.models import Factor


def add_mode(user: User, mode: str, *, prefer: bool = False) -> Factor:
    """Give a user an enabled mode."""
    factor = Factor(user=user, mode=mode, name=mode)
    if mode == "authenticator":
        factor.secret = codes.new_secret()
    factor.save()
    if prefer or not user.preferred_mode:
        user.preferred_mode = mode
        user.save(update_fields=["preferred_mode"])
    return factor
