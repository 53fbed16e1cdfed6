"""The address to which one mail returns if it cannot be delivered: a VERP address, signed so that none can be made up.

``bounces+<id of the mail>.<signature>@portal.example.com``, in small letters and digits: mail servers may fold case.
"""

import re
from base64 import b32decode, b32encode
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

SIGNATURE_BYTES = 10  # the local part of an address has at most 64 characters (RFC 5321 section 4.5.3.1.1)


def address_for(mail_id: UUID) -> str:
    """Return the address of a mail, or a blank one if ``BOUNCE_ADDRESS`` is not set."""
    if not settings.BOUNCE_ADDRESS:
        return ""
    local, _at, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    return f"{local}+{_base32(mail_id.bytes)}.{_signature(mail_id)}@{domain}"


def mail_at(text: str) -> UUID | None:
    """Return the id of the mail whose signed address occurs in a text, such as a header; None if there is none."""
    if not settings.BOUNCE_ADDRESS:
        return None
    local, _at, domain = map(re.escape, settings.BOUNCE_ADDRESS.lower().rpartition("@"))
    pattern = rf"(?<![\w.+-]){local}\+([a-z2-7]{{26}})\.([a-z2-7]{{16}})@{domain}(?!\.?[\w-])"
    for encoded, signature in re.findall(pattern, text.lower()):
        mail_id = UUID(bytes=b32decode(f"{encoded.upper()}======"))
        if constant_time_compare(signature, _signature(mail_id)):
            return mail_id
    return None


def _base32(octets: bytes) -> str:
    return b32encode(octets).decode().rstrip("=").lower()


def _signature(mail_id: UUID) -> str:
    mac = salted_hmac("accounts.bounces", mail_id.hex, algorithm="sha256").digest()
    return _base32(mac[:SIGNATURE_BYTES])
