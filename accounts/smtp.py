"""SMTP that fails early where another way is ready, and keeps what the server answered."""

import smtplib
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.mail.backends import smtp


class _Conversation(smtplib.SMTP):
    """Has the whole ``EMAIL_TIMEOUT`` for a mail's text: a server that checks it takes its time, and has it already."""

    reply = ""  # to the last mail

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Send the text of a mail, and keep the answer."""
        if self.sock:
            self.sock.settimeout(settings.EMAIL_TIMEOUT)
        code, text = super().data(msg)
        self.reply = f"{code} {text.decode(errors='replace')}"
        if self.sock:
            self.sock.settimeout(self.timeout)
        return code, text


class _ConversationOverTls(_Conversation, smtplib.SMTP_SSL):
    pass


class EmailBackend(smtp.EmailBackend):
    """Django's backend, whose ``timeout`` is for each step before a mail's text."""

    @cached_property
    def connection_class(self) -> type[smtplib.SMTP]:
        """Return the class of the connection."""
        return _ConversationOverTls if self.use_ssl else _Conversation

    @property
    def reply(self) -> str:
        """Return what the server answered to the last mail."""
        return getattr(self.connection, "reply", "")
