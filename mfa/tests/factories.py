"""Factors, as an enrolment would leave them."""

import json

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.security_log import Origin
from mfa import ceremonies, codes, passkeys
from mfa.ceremonies import Ceremony
from mfa.models import Factor, Passkey
from mfa.passkey_proofs import user_handle
from tests.passkeys import SoftwareAuthenticator


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


def add_passkey(user: User, authenticator: SoftwareAuthenticator | None = None, **fields: object) -> Passkey:
    """Let an authenticator make a passkey of a user, who then has the mode enabled."""
    authenticator = authenticator or SoftwareAuthenticator(settings.RP_ORIGINS[0], settings.RP_ID)
    factor = Factor.objects.filter(user=user, mode="passkey").first() or add_mode(user, "passkey")
    ceremony, now = Ceremony(b"of a test", "enrolment"), timezone.now()
    options = ceremonies.creation_options(
        ceremony.new_challenge(now),
        user_handle=user_handle(user),
        name=user.email,
        display_name=user.display_name,
        exclude=(),
    )
    created = ceremonies.check_creation(ceremony, json.dumps(authenticator.register(options)), now)
    passkey = passkeys.add(factor, created, Origin(agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"))
    for name, value in fields.items():
        setattr(passkey, name, value)
    passkey.save()
    user.refresh_from_db()
    return passkey
