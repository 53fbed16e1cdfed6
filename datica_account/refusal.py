"""One refusal of a start, which names every setting that is missing or wrong."""

import sys
from collections.abc import Mapping
from typing import cast

from environs.exceptions import EnvValidationError

from datica_account.environment import SettingsEnv

# gunicorn takes it for "no worker can start" and ends; after any other code it would start workers for ever.
EXIT_CODE = 3
NOT_SET = "Environment variable not set."
HINTS = {
    "SECRET_KEY": "50 or more random characters that no one else knows",
    "ENCRYPTION_KEYS": "one or more keys, comma-separated, of 32 or more random characters each",
    "SITE_URL": "the address at which people reach the portal, such as https://portal.example.com",
    "ALLOWED_HOSTS": "the names of the portal's hosts, comma-separated, such as portal.example.com",
    "DATABASE_URL": "postgres://user:password@host/name or sqlite:////path",
    "CELERY_BROKER_URL": "redis://host/0 or filesystem://",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend or a backend of Anymail",
    "EMAIL_URL": "smtp://host:25 or submission://user:password@host:587",
    "DEFAULT_FROM_EMAIL": "the sender of every mail, such as Datica <no-reply@example.com>",
    "TRUSTED_PROXIES": "networks such as 10.0.0.0/8, or unix for the proxy at a Unix socket, comma-separated",
    "ORGANIZATION_CREATION": "everybody, staff or nobody",
    "API_PREFIXES": "paths, comma-separated, with a slash in front and none behind, such as /v2",
    "LOG_LEVEL": "DEBUG, INFO, WARNING, ERROR or CRITICAL",
}


class Problems:
    """What is wrong with the settings. No value is repeated: it may be a secret."""

    def __init__(self, env: SettingsEnv) -> None:
        """Begin with what could not be read from the environment."""
        self._found: dict[str, str] = dict(env.file_problems)
        try:
            env.seal()
        except EnvValidationError as error:
            by_name = cast("Mapping[str, list[str]]", error.error_messages)
            for name, messages in by_name.items():
                self.add(name, "is not set." if messages[0] == NOT_SET else f"is wrong: {messages[0]}")

    def add(self, name: str, problem: str) -> None:
        """Note a problem; further ones of the same variable follow from the first."""
        self._found.setdefault(name, problem)

    def refuse(self) -> None:
        """End the process if there are any, with a line for each. Raise ``SystemExit``."""
        if not self._found:
            return
        lines = [f"  {name} {problem}{self._hint(name)}" for name, problem in self._found.items()]
        title = "The portal cannot start. These settings are missing or wrong:"
        more = "The table in README.md explains every setting. DEVELOPMENT=1 brings defaults for one person's machine."
        sys.stderr.write("\n".join([title, *lines, more]) + "\n")
        sys.exit(EXIT_CODE)

    @staticmethod
    def _hint(name: str) -> str:
        return f" Set it to {HINTS[name]}." if name in HINTS else ""
