"""Passkeys: a key in a phone, computer or security key, which signs for this site alone (WebAuthn 3)."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.security_log import Origin
from mfa import ceremonies, passkey_proofs
from mfa.code_refusals import CodeIsShown
from mfa.modes.base import Enrolled, Level, Mode
from mfa.passkey_proofs import RefusedPasskey, UnknownPasskey, ceremony_of

if TYPE_CHECKING:
    from mfa.models import Challenge, Factor


class Passkey(Mode):
    """The browser lets the user unlock a passkey. What it signs cannot be passed on by a false site."""

    name = passkey_proofs.MODE
    label = _("passkey")
    hint = _("fingerprint, face or PIN of your device; no code")
    icon = "fingerprint"
    way_in_words = _("a passkey")
    loss_in_words = _("the device with your passkey")
    absence_in_words = _("Passkey not at hand?")
    is_typed = False
    keeps_secret = False  # public keys only
    has_several = True
    level = Level.PHISHING_RESISTANT

    def activation_context(self, enrolment: "Challenge") -> dict[str, object]:
        """Return the options with which the browser makes a passkey."""
        user = enrolment.user
        options = ceremonies.creation_options(
            ceremony_of(enrolment).new_challenge(timezone.now()),
            user_handle=passkey_proofs.user_handle(user),
            name=user.email,
            display_name=user.display_name,
            exclude=passkey_proofs.credentials_of(user),
        )
        return {"passkey_options": json.dumps(options)}

    def prompt_context(self, challenge: "Challenge") -> dict[str, object]:
        """Return the options with which the browser asks for one of the user's passkeys. One query."""
        options = ceremonies.request_options(
            ceremony_of(challenge).new_challenge(timezone.now()),
            allow=passkey_proofs.credentials_of(challenge.user),
        )
        return {"passkey_options": json.dumps(options)}

    def enrol(self, enrolment: "Challenge", proof: str, *, now: datetime) -> Enrolled:
        """Check the passkey that the browser has made."""
        try:
            return Enrolled(passkey=ceremonies.check_creation(ceremony_of(enrolment), proof, now))
        except ceremonies.InvalidCredential as error:
            raise RefusedPasskey from error

    def spend(self, factor: "Factor", challenge: "Challenge", proof: str, *, origin: Origin, now: datetime) -> str:
        """Check what one of the factor's passkeys has signed; return the passkey's name."""
        if challenge.is_at_command_line:
            raise CodeIsShown
        passkey = factor.passkeys.filter(digest=passkey_proofs.digest_of_answer(proof)).first()
        if passkey is None:
            raise UnknownPasskey
        passkey.factor = factor
        passkey_proofs.spend(passkey, proof, ceremony_of(challenge), nameless=False, origin=origin, now=now)
        return passkey.name
