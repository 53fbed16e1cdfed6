"""Keeps secrets that must be in an address out of the logs (SR-19)."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

# The command-line client and the invitation's link put them there; mail programs encode the signs, even twice.
SECRETS_IN_ADDRESSES = re.compile(
    r"""((?:/|%(?:25)*2F)(?:accept-invite|signin(?:/|%(?:25)*2F)mfa|not-me|undo)(?:/|%(?:25)*2F)
    |\?|%(?:25)*3F)[^\s'"]+""",
    re.IGNORECASE | re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """Return an address, or a sentence with one, without the parts that could be secret: every query is one."""
    return SECRETS_IN_ADDRESSES.sub(r"\1…", text)


def hide_secrets(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """Take secrets in addresses out of every value of a log line."""
    return {key: without_secrets(value) if isinstance(value, str) else value for key, value in event.items()}
