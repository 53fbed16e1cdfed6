"""Removal of secrets and addresses from log lines (SR-19)."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

# The command-line client and mailed links put secrets in URLs. Mail programs may percent-encode them, even twice.
SECRETS_IN_ADDRESSES = re.compile(
    r"""((?:/|%(?:25)*2F)(?:accept-invite|signin(?:/|%(?:25)*2F)mfa|not-me|undo)(?:/|%(?:25)*2F)
    |\?|%(?:25)*3F)[^\s'"]+""",
    re.IGNORECASE | re.VERBOSE,
)


# What quotes an exception: its message may quote what was typed.
EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+")
CODE = re.compile(r"\b\d{6}\b")


def without_secrets(text: str) -> str:
    """Return a text without the parts of its URLs that could be secret, such as every query string."""
    return SECRETS_IN_ADDRESSES.sub(r"\1…", text)


def hide_secrets(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """Remove secrets in URLs from every value of a log line, and addresses and codes from what an exception says."""
    hidden = {key: without_secrets(value) if isinstance(value, str) else value for key, value in event.items()}
    if isinstance(said := hidden.get("exception"), str):
        hidden["exception"] = CODE.sub("…", EMAIL.sub("…", said))
    return hidden
