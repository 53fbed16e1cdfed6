"""A passkey authenticator in software: it makes keys and signs as a browser with a phone or a security key does."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ES256 = -7
PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, KEY_INCLUDED = 0x01, 0x04, 0x08, 0x10, 0x40
CLIENT_DATA = {"type", "challenge", "origin", "crossOrigin", "topOrigin"}
ALTERABLE = CLIENT_DATA | {"rp_id_hash", "up", "uv", "be", "bs", "counter", "user_handle", "credential_id"}


class AlreadyRegistered(Exception):
    """The authenticator holds one of the keys that the options exclude."""


class NoKey(Exception):
    """The authenticator holds none of the keys that the options allow."""


class WrongSite(Exception):
    """The options name another site than the browser's."""


@dataclass
class SoftwareKey:
    """One passkey: what the authenticator keeps of it."""

    user_handle: bytes
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    private_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    sign_count: int = 0

    def cose_key(self) -> bytes:
        """Return the public key as authenticators write it (RFC 9053)."""
        numbers = self.private_key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cbor2.dumps({1: 2, 3: ES256, -1: 1, -2: x, -3: y})

    def spki(self) -> bytes:
        """Return the public key as browsers hand it to scripts."""
        return self.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass
class SoftwareAuthenticator:
    """A browser at ``origin`` together with the authenticator that its user holds.

    A synced passkey is backup eligible, backed up and reports a counter of 0 for ever: ``counter_step`` 0. A security
    key is neither, and counts.

    ``altered`` of ``register`` and ``sign`` changes single fields before anything is signed: ``type``, ``challenge``
    (bytes), ``origin``, ``crossOrigin`` and ``topOrigin`` of the client data; ``rp_id_hash``, ``counter`` and the
    flags ``up``, ``uv``, ``be`` and ``bs`` of the authenticator data; ``user_handle`` and ``credential_id`` (bytes; a
    ``user_handle`` of None is left out).
    """

    origin: str
    rp_id: str
    verifies_user: bool = True
    present: bool = True
    counter_step: int = 0
    backup_eligible: bool = True
    backed_up: bool = True
    aaguid: bytes = bytes(16)
    transports: tuple[str, ...] = ("hybrid", "internal")
    keys: list[SoftwareKey] = field(default_factory=list)

    def register(self, options: dict[str, Any], **altered: Any) -> dict[str, Any]:
        """Make a key, as ``navigator.credentials.create()`` does, and return its ``toJSON()``."""
        check_names(altered)
        self.check_site(options["rp"].get("id"))
        excluded = {unbase64url(each["id"]) for each in options.get("excludeCredentials", [])}
        if any(key.credential_id in excluded for key in self.keys):
            raise AlreadyRegistered
        key = SoftwareKey(altered.get("user_handle", unbase64url(options["user"]["id"])))
        key.credential_id = altered.get("credential_id", key.credential_id)
        self.keys.append(key)

        client_data = self.client_data("webauthn.create", options["challenge"], altered)
        key_data = self.aaguid + len(key.credential_id).to_bytes(2, "big") + key.credential_id + key.cose_key()
        authenticator_data = self.authenticator_data(key, altered, key_data)
        attestation = {"fmt": "none", "attStmt": {}, "authData": authenticator_data}
        response = {
            "clientDataJSON": base64url(client_data),
            "attestationObject": base64url(cbor2.dumps(attestation)),
            "authenticatorData": base64url(authenticator_data),
            "transports": list(self.transports),
            "publicKey": base64url(key.spki()),
            "publicKeyAlgorithm": ES256,
        }
        extensions = {"credProps": {"rk": True}} if options.get("extensions", {}).get("credProps") else {}
        return self.credential(key.credential_id, response, extensions)

    def sign(self, options: dict[str, Any], key: SoftwareKey | None = None, **altered: Any) -> dict[str, Any]:
        """Sign a challenge, as ``navigator.credentials.get()`` does, and return its ``toJSON()``.

        The newest key that the options allow signs, or ``key``, whatever they allow.
        """
        check_names(altered)
        self.check_site(options.get("rpId"))
        key = key or self.key_for(options)
        key.sign_count += self.counter_step

        client_data = self.client_data("webauthn.get", options["challenge"], altered)
        authenticator_data = self.authenticator_data(key, altered)
        signed = authenticator_data + sha256(client_data).digest()
        user_handle = altered.get("user_handle", key.user_handle)
        response = {
            "clientDataJSON": base64url(client_data),
            "authenticatorData": base64url(authenticator_data),
            "signature": base64url(key.private_key.sign(signed, ec.ECDSA(SHA256()))),
        }
        if user_handle is not None:
            response["userHandle"] = base64url(user_handle)
        return self.credential(altered.get("credential_id", key.credential_id), response, {})

    def key_for(self, options: dict[str, Any]) -> SoftwareKey:
        """Return the newest key that the options allow."""
        allowed = {unbase64url(each["id"]) for each in options.get("allowCredentials", [])}
        for key in reversed(self.keys):
            if not allowed or key.credential_id in allowed:
                return key
        raise NoKey

    def check_site(self, rp_id: str | None) -> None:
        """Refuse options of another site, as browsers do; options that name none mean the browser's."""
        if rp_id not in {None, self.rp_id}:
            raise WrongSite(rp_id)

    def client_data(self, ceremony: str, challenge: str, altered: dict[str, Any]) -> bytes:
        """Return what the browser says of the ceremony."""
        said = {"type": ceremony, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        said |= {name: value for name, value in altered.items() if name in CLIENT_DATA}
        if "challenge" in altered:
            said["challenge"] = base64url(altered["challenge"])
        return json.dumps(said, separators=(",", ":")).encode()

    def authenticator_data(self, key: SoftwareKey, altered: dict[str, Any], key_data: bytes = b"") -> bytes:
        """Return what the authenticator says of the ceremony."""
        flags = {
            PRESENT: altered.get("up", self.present),
            VERIFIED: altered.get("uv", self.verifies_user),
            BACKUP_ELIGIBLE: altered.get("be", self.backup_eligible),
            BACKED_UP: altered.get("bs", self.backed_up),
            KEY_INCLUDED: bool(key_data),
        }
        flags_byte = bytes([sum(flag for flag, is_set in flags.items() if is_set)])
        rp_id_hash: bytes = altered.get("rp_id_hash", sha256(self.rp_id.encode()).digest())
        counter: int = altered.get("counter", key.sign_count)
        return rp_id_hash + flags_byte + counter.to_bytes(4, "big") + key_data

    def credential(self, credential_id: bytes, response: dict[str, Any], extensions: dict[str, Any]) -> dict[str, Any]:
        """Return a credential as the browser's ``toJSON()`` writes it."""
        return {
            "id": base64url(credential_id),
            "rawId": base64url(credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform" if "internal" in self.transports else "cross-platform",
            "clientExtensionResults": extensions,
            "response": response,
        }


def tampered(response: dict[str, Any], field: str, position: int = -1) -> dict[str, Any]:
    """Return a copy of a response with one byte of one field changed after the signing: its last, or another."""
    copy = deepcopy(response)
    holder = copy if field in copy else copy["response"]
    value = bytearray(unbase64url(holder[field]))
    value[position] ^= 0x01
    holder[field] = base64url(bytes(value))
    return copy


def check_names(altered: dict[str, Any]) -> None:
    """Refuse a misspelt alteration, which would leave a test without its point."""
    if unknown := altered.keys() - ALTERABLE:
        raise TypeError(f"no such field: {', '.join(sorted(unknown))}")


def base64url(value: bytes) -> str:
    """Return bytes as WebAuthn's JSON has them: base64url without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """Return the bytes of a base64url text without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
