"""Passkey ceremonies (WebAuthn 3): what a browser is asked to sign, and the check of what it signed. No database.

The challenge of a ceremony is made from a secret of the server, so nothing is stored when a page asks for a passkey
(SR-58). It names its time and is bound to one purpose of one attempt; that it works once is the caller's to ensure.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest, digest
from typing import Any
from uuid import UUID

import webauthn
from django.conf import settings
from webauthn.helpers import (
    base64url_to_bytes,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

LIFETIME = timedelta(minutes=5)
NONCE_BYTES = 16
TIME_BYTES = 8
MAX_LENGTH = 16_000  # of the JSON of a credential: longer than any that a browser makes
MAX_ID_BYTES = 1023  # WebAuthn 3 section 4, "credential id"
# None is asked for; some authenticators vouch for themselves.
ATTESTATION_FORMATS = {AttestationFormat.NONE, AttestationFormat.PACKED}
# What py_webauthn raises for malformed input, besides its own exceptions. Their texts quote the input: not for logs.
MALFORMED = (WebAuthnException, ValueError, TypeError, LookupError, AttributeError, RecursionError)


class InvalidCredential(Exception):
    """A browser's answer is malformed, altered, too late, or not for this ceremony."""


@dataclass(frozen=True)
class Ceremony:
    """One purpose of one attempt. ``secret`` is the server's; ``purpose`` names what is proved, and for what row."""

    secret: bytes
    purpose: str

    def new_challenge(self, now: datetime) -> bytes:
        """Return a challenge of 56 bytes: a nonce of 128 bits, the time, and a mark that only the server can make."""
        head = secrets.token_bytes(NONCE_BYTES) + int(now.timestamp() * 1000).to_bytes(TIME_BYTES, "big")
        return head + self._mark(head)

    def _mark(self, head: bytes) -> bytes:
        return digest(self.secret, self.purpose.encode() + b"\0" + head, "sha256")

    def check(self, challenge: bytes, now: datetime) -> None:
        """Raise ``InvalidCredential`` unless this ceremony made ``challenge`` within the last ``LIFETIME``."""
        head, mark = challenge[: NONCE_BYTES + TIME_BYTES], challenge[NONCE_BYTES + TIME_BYTES :]
        if not compare_digest(self._mark(head), mark):
            raise InvalidCredential("challenge")
        age = now.timestamp() - int.from_bytes(head[NONCE_BYTES:], "big") / 1000
        if not -1 <= age <= LIFETIME.total_seconds():  # a second for the clocks of several servers
            raise InvalidCredential("expired")


def nonce_of(challenge: bytes) -> UUID:
    """Return the nonce of a challenge, as the id of the row that shows that it was used."""
    return UUID(bytes=challenge[:NONCE_BYTES])


@dataclass(frozen=True)
class Created:
    """A new credential, checked."""

    credential_id: bytes
    public_key: bytes  # COSE
    sign_count: int
    aaguid: UUID
    transports: list[str]
    can_sync: bool
    is_synced: bool
    user_verified: bool
    is_discoverable: bool  # unless the browser says that it is not


@dataclass(frozen=True)
class Signed:
    """What a checked signature says."""

    challenge: bytes
    sign_count: int
    can_sync: bool
    is_synced: bool
    user_verified: bool


def creation_options(
    challenge: bytes, *, user_handle: bytes, name: str, display_name: str, exclude: Iterable[tuple[bytes, list[str]]]
) -> dict[str, Any]:
    """Return the options for ``navigator.credentials.create``, as JSON. ``exclude``: the user's credentials."""
    options = webauthn.generate_registration_options(
        rp_id=settings.RP_ID,
        rp_name=settings.RP_NAME,
        user_id=user_handle,
        user_name=name,
        user_display_name=display_name,
        challenge=challenge,
        timeout=int(LIFETIME.total_seconds() * 1000),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=_descriptors(exclude),
    )
    return {**options_to_json_dict(options), "extensions": {"credProps": True}}


def request_options(
    challenge: bytes, *, allow: Iterable[tuple[bytes, list[str]]] = (), nameless: bool = False
) -> dict[str, Any]:
    """Return the options for ``navigator.credentials.get``, as JSON. ``allow``: the credentials of a known account."""
    required, preferred = UserVerificationRequirement.REQUIRED, UserVerificationRequirement.PREFERRED
    options = webauthn.generate_authentication_options(
        rp_id=settings.RP_ID,
        challenge=challenge,
        timeout=int(LIFETIME.total_seconds() * 1000),
        allow_credentials=_descriptors(allow),
        user_verification=required if nameless else preferred,
    )
    return options_to_json_dict(options)


def _descriptors(credentials: Iterable[tuple[bytes, list[str]]]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(id=key, transports=[AuthenticatorTransport(name) for name in transports])
        for key, transports in credentials
    ]


def check_creation(ceremony: Ceremony, credential: str, now: datetime) -> Created:
    """Check a new credential (WebAuthn 3 section 7.1). Raise ``InvalidCredential``."""
    try:
        read = _as_object(credential)
        parsed = parse_registration_credential_json(read)
        challenge = _challenge_of(parsed.response.client_data_json)
        ceremony.check(challenge, now)
        verified = webauthn.verify_registration_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=settings.RP_ID,
            expected_origin=settings.RP_ORIGINS,
        )
        decoded_public_key_to_cryptography(decode_credential_public_key(verified.credential_public_key))
        transports = {transport.value for transport in parsed.response.transports or []}
        aaguid = UUID(verified.aaguid)
        is_discoverable = read.get("clientExtensionResults", {}).get("credProps", {}).get("rk", True) is not False
    except MALFORMED as error:
        raise InvalidCredential(type(error).__name__) from error
    if parsed.raw_id != verified.credential_id or len(parsed.raw_id) > MAX_ID_BYTES:
        raise InvalidCredential("credential id")
    if verified.fmt not in ATTESTATION_FORMATS:
        raise InvalidCredential("attestation")
    return Created(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=aaguid,
        transports=sorted(transports),
        can_sync=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        is_synced=verified.credential_backed_up,
        user_verified=verified.user_verified,
        is_discoverable=is_discoverable,
    )


def check_signature(
    ceremony: Ceremony, credential: str, *, public_key: bytes, user_handle: bytes, nameless: bool, now: datetime
) -> Signed:
    """Check a signature (WebAuthn 3 section 7.2), except for the counter. Raise ``InvalidCredential``.

    ``user_handle`` is that of the key's owner. ``nameless``: no password was asked for, so the authenticator must have
    verified its user, and the answer must name the account.
    """
    try:
        parsed = parse_authentication_credential_json(_as_object(credential))
        challenge = _challenge_of(parsed.response.client_data_json)
        ceremony.check(challenge, now)
        verified = webauthn.verify_authentication_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=settings.RP_ID,
            expected_origin=settings.RP_ORIGINS,
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=nameless,
        )
    except MALFORMED as error:
        raise InvalidCredential(type(error).__name__) from error
    handle = parsed.response.user_handle
    if (nameless or handle is not None) and not compare_digest(handle or b"", user_handle):
        raise InvalidCredential("user handle")
    return Signed(
        challenge=challenge,
        sign_count=verified.new_sign_count,
        can_sync=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        is_synced=verified.credential_backed_up,
        user_verified=verified.user_verified,
    )


def credential_id_of(credential: str) -> bytes:
    """Return the id of the credential that an answer names, before anything of it is checked."""
    try:
        return base64url_to_bytes(str(_as_object(credential)["rawId"]))
    except MALFORMED as error:
        raise InvalidCredential(type(error).__name__) from error


def _as_object(credential: str) -> dict[str, Any]:
    if len(credential) > MAX_LENGTH:
        raise InvalidCredential("too long")
    parsed = json.loads(credential)
    if not isinstance(parsed, dict):
        raise InvalidCredential("not an object")
    return parsed


def _challenge_of(client_data: bytes) -> bytes:
    """Return the challenge that was signed. Refuse a ceremony in a frame of another site."""
    parsed = parse_client_data_json(client_data)
    if parsed.cross_origin or json.loads(client_data).get("topOrigin"):
        raise InvalidCredential("cross-origin")
    return parsed.challenge
