"""Django's SMTP backend, which also keeps what the mail server answered to the last mail."""

import smtplib
from typing import Any

from django.core.mail.backends import smtp


class _KeepsReply(smtplib.SMTP):
    last_reply = ""

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Send the text of a mail. Keep the answer: ``sendmail`` does not return it."""
        code, text = super().data(msg)
        self.last_reply = f"{code} {text.decode('ascii', 'replace')}"
        return code, text


class _KeepsReplyOverTLS(_KeepsReply, smtplib.SMTP_SSL):
    """The same where TLS begins before SMTP."""


class EmailBackend(smtp.EmailBackend):
    """Sends by SMTP and keeps the answer to the last mail."""

    _reply_before_close = ""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """The class of the connection."""
        return _KeepsReplyOverTLS if self.use_ssl else _KeepsReply

    @property
    def last_reply(self) -> str:
        """The mail server's answer to the last mail that it accepted, such as ``250 2.0.0 Ok: queued as 4F2``."""
        return self.connection.last_reply if isinstance(self.connection, _KeepsReply) else self._reply_before_close

    def close(self) -> None:
        """Close the connection."""
        self._reply_before_close = self.last_reply
        super().close()
