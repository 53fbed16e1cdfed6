"""What pages tell a browser's authenticators of the passkeys of this site (WebAuthn 3 section 5.1.10, Signal API).

``static/js/passkeys.js`` hands it to the browser, if that has the methods: a removed passkey disappears from its lists,
and a changed name or address is shown there.
"""

from collections.abc import Iterable

from django.conf import settings
from webauthn.helpers import bytes_to_base64url

from accounts.models import User
from mfa import ceremonies, passkey_proofs
from mfa.models import Passkey

Signal = dict[str, str | list[str]]


def _of(user: User) -> Signal:
    return {"rpId": settings.RP_ID, "userId": bytes_to_base64url(passkey_proofs.user_handle(user))}


def accepted_credentials(user: User, passkeys: Iterable[Passkey]) -> Signal:
    """Return all credentials of a user that work, for ``signalAllAcceptedCredentials``."""
    ids = [bytes_to_base64url(bytes(passkey.credential_id)) for passkey in passkeys]
    return {**_of(user), "allAcceptedCredentialIds": ids}


def user_details(user: User) -> Signal:
    """Return address and name as they are now, for ``signalCurrentUserDetails``."""
    return {**_of(user), "name": user.email, "displayName": user.display_name}


def unknown_credential(credential: str) -> dict[str, str]:
    """Return the credential that the browser has just used, for ``signalUnknownCredential``."""
    return {"rpId": settings.RP_ID, "credentialId": bytes_to_base64url(ceremonies.credential_id_of(credential))}
