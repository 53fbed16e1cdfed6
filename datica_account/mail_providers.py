"""Which of Anymail's providers may report at ``/hooks/mail/<provider>/``, and what proves that a report is theirs."""

import re
from collections.abc import Mapping
from importlib.util import find_spec

BACKEND = re.compile(r"anymail\.backends\.(\w+)\.EmailBackend")
SHARED = "WEBHOOK_SECRET"
# Keys of ANYMAIL with which Anymail checks signatures; one of them is enough.
SIGNATURE_KEYS: Mapping[str, tuple[str, ...]] = {
    "amazon_ses": (),
    "brevo": (),
    "mailersend": ("MAILERSEND_SIGNING_SECRET",),
    "mailgun": ("MAILGUN_WEBHOOK_SIGNING_KEY", "MAILGUN_API_KEY"),
    "mailjet": (),
    "mailtrap": ("MAILTRAP_TRACKING_SECRET",),
    "mandrill": ("MANDRILL_WEBHOOK_KEY",),
    "postal": ("POSTAL_WEBHOOK_KEY",),
    "postmark": (),
    "resend": ("RESEND_SIGNING_SECRET",),
    "sendgrid": ("SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY",),
    "sparkpost": (),
    "unisender_go": ("UNISENDER_GO_API_KEY",),
}
# Anymail's views of these always check a signature, so a shared secret does not replace the key.
ALWAYS_SIGNED = frozenset({"mailersend", "mailgun", "mandrill", "postal", "unisender_go"})


def problem_of(provider: str, anymail: object) -> str:
    """Return why reports of a provider could not be taken with these settings of Anymail; blank if they can."""
    if provider not in SIGNATURE_KEYS:
        return f"names a provider that does not report. These do: {', '.join(SIGNATURE_KEYS)}."
    values = anymail if isinstance(anymail, dict) else {}
    keys = SIGNATURE_KEYS[provider] if provider in ALWAYS_SIGNED else (*SIGNATURE_KEYS[provider], SHARED)
    if not any(key in values for key in keys):
        return f"names {provider}, but ANYMAIL has no {' or '.join(keys)}: its reports could be forged."
    for key in (*SIGNATURE_KEYS[provider], SHARED):
        # Anymail would take a blank one for a key: what is signed with it can be signed by anyone.
        if key in values and not _is_secret(key, values[key]):
            return f"names {provider}, but {key} of ANYMAIL is {'not user:password' if key == SHARED else 'blank'}."
    package = _package_of(provider, values)
    return f"names {provider}, which needs the package {package}." if package and find_spec(package) is None else ""


def _is_secret(key: str, value: object) -> bool:
    texts = value if key == SHARED and isinstance(value, list) else [value]
    is_pair = re.compile(r"[^:]+:.+" if key == SHARED else r"(?s).+")
    return bool(texts) and all(isinstance(text, str) and is_pair.fullmatch(text) for text in texts)


def _package_of(provider: str, values: Mapping[str, object]) -> str:
    """Return the package that Anymail needs to take the reports of a provider and does not install itself."""
    if provider == "amazon_ses":
        return "boto3"
    return "svix" if provider == "resend" and values.get("RESEND_SIGNING_SECRET") else ""


def default(email_backend: str, anymail: object) -> list[str]:
    """Return the provider that sends the mail, if it is one of Anymail's and its reports can be checked."""
    found = BACKEND.fullmatch(email_backend)
    return [found[1]] if found and not problem_of(found[1], anymail) else []
