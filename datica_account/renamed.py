"""Settings that have got another name: the old one works for one release."""

import os
import sys

# Since 0.1.0. To be removed with 0.2.0.
OLD_NAMES = {
    "ADDRESS_FAILURES": "IP_LOGIN_FAILURES",
    "ADDRESS_FAILURE_WINDOW": "IP_LOGIN_FAILURE_WINDOW",
    "ADDRESS_MAILS_PER_HOUR": "IP_MAILS_PER_HOUR",
    "EMAIL_CHANGE_UNDO_FOR": "EMAIL_CHANGE_UNDO_WINDOW",
    "MAILBOX_MAILS_PER_HOUR": "EMAIL_VERIFICATION_MAILS_PER_HOUR",
    "QUEUE_MAY_TAKE": "OUTBOX_REQUEUE_AFTER",
    "REMEMBER_BROWSER_FOR": "REMEMBERED_BROWSER_LIFETIME",
    "SECURITY_LOG_KEPT_FOR": "SECURITY_LOG_RETENTION",
    "SENDING_TAKES_AT_MOST": "OUTBOX_SEND_TIMEOUT",
    "SESSION_IDLE": "SESSION_IDLE_TIMEOUT",
    "TOKEN_IDLE": "TOKEN_IDLE_TIMEOUT",
}


def read_old_names() -> list[str]:
    """Let the environment hold what was set by an old name under the new one; return the old names that were used.

    What is set under the new name wins. Each old name is told on standard error.
    """
    used = [old for old in OLD_NAMES if old in os.environ]
    for old in used:
        os.environ.setdefault(OLD_NAMES[old], os.environ[old])
        sys.stderr.write(f"{old} is now called {OLD_NAMES[old]}. The old name works in this release only.\n")
    return used
