"""How settings are read from the environment, and from files that it names (``NAME_FILE``)."""

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from environs import FileAwareEnv

# The usual port of each scheme, and the options with which Django's SMTP backend speaks it (RFC 8314).
MAIL_SCHEMES: dict[str, tuple[int, dict[str, bool]]] = {
    "smtp": (25, {"use_tls": False, "use_ssl": False}),
    "submission": (587, {"use_tls": True, "use_ssl": False}),
    "smtps": (465, {"use_tls": False, "use_ssl": True}),
}
MAIL_QUERIES = {
    "": {},
    "tls=1": {"use_tls": True, "use_ssl": False},
    "ssl=1": {"use_tls": False, "use_ssl": True},
}


class SettingsEnv(FileAwareEnv):
    """Reads ``NAME``, or the file that ``NAME_FILE`` names, without the white space around it.

    Wrong values and unreadable files are collected: ``datica_account.refusal`` names all of them at once.
    """

    def __init__(self) -> None:
        super().__init__(eager=False, strip_whitespace=True)
        self.file_problems: dict[str, str] = {}

    def _get_value(self, env_key: str, default: Any) -> Any:
        file_key = f"{env_key}{self.file_suffix}"
        if env_key in os.environ and os.environ.get(file_key):
            self.file_problems[env_key] = f"is set twice, by {file_key}, too. Set one of them."
            return os.environ[env_key]
        try:
            return super()._get_value(env_key, default)
        except (OSError, ValueError):  # also a file that is not text
            self.file_problems[env_key] = f"cannot be read from the file that {file_key} names."
            return default


def mail_server(url: str) -> dict[str, Any]:
    """Return the options of Django's SMTP backend for an address such as ``smtp://host:25``; empty if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return {}
    if parts.scheme not in MAIL_SCHEMES or parts.query not in MAIL_QUERIES or not parts.hostname:
        return {}
    usual_port, options = MAIL_SCHEMES[parts.scheme]
    return {
        "host": parts.hostname,
        "port": port or usual_port,
        # Not None, for which Django would take the name and password of the first mail server.
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        **options,
        **MAIL_QUERIES[parts.query],
    }
