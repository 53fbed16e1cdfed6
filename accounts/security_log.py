"""The append-only log of an account's security events. The user is emailed about some of them (SR-53, SR-54)."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address as parse_ip_address
from ipaddress import ip_network

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from ua_parser import parse

from accounts import metrics, outbox
from accounts.housekeeping import delete_in_batches
from accounts.models import SecurityEvent, User


@dataclass(frozen=True)
class Origin:
    """Where a request came from: the client's IP address, ``User-Agent``, known-browser tokens and time zone."""

    ip_address: str | None = None
    agent: str = ""
    browser_tokens: tuple[str, ...] = ()  # secrets, from the known-browser cookie
    time_zone: str = ""  # its IANA name; blank if the client did not tell one that the portal knows

    def __repr__(self) -> str:
        return f"Origin({self.ip_address!r}, {self.agent!r})"

    @property
    def network(self) -> str:
        """The IPv4 address, or the /64 network of an IPv6 address, which one customer has.

        Requests without an IP address, which come through a Unix socket, share one name (SR-6).
        """
        if self.ip_address is None:
            return "unknown"
        ip_address = parse_ip_address(self.ip_address)
        return str(ip_network((ip_address, 64), strict=False)) if ip_address.version == 6 else str(ip_address)


@dataclass(frozen=True)
class Intervention:
    """Who acts on the account of another user, and why: staff in the administration, or an operator by a command."""

    actor: str
    reason: str


class Kind(models.TextChoices):
    """The kinds of events, with the labels that pages and emails show."""

    REGISTERED = "registered", _("Account registered")
    EMAIL_VERIFIED = "email_verified", _("Email address verified")
    SIGNED_IN = "signed_in", _("Signed in")
    NEW_BROWSER = "new_browser", _("Signed in with a new browser")
    SIGN_IN_REFUSED = "sign_in_refused", _("Wrong password")
    CODE_REFUSED = "code_refused", _("Wrong one-time password")
    CODES_REFUSED = "codes_refused", _("Too many wrong codes: no codes accepted for a while")
    PASSWORD_KNOWN = "password_known", _("Correct password, but no correct one-time password")
    PASSWORD_WITHDRAWN = "password_withdrawn", _("Password withdrawn: choose a new one")
    SIGNED_OUT = "signed_out", _("Signed out")
    PASSWORD_CHANGED = "password_changed", _("Password changed")
    PASSWORD_RESET = "password_reset", _("Password reset")
    EMAIL_CHANGED = "email_changed", _("Email address changed")
    EMAIL_CHANGE_UNDONE = "email_change_undone", _("Email address change undone")
    SESSION_ENDED = "session_ended", _("Session signed out from the account page")
    SESSIONS_ENDED = "sessions_ended", _("All other sessions signed out")
    KEY_ADDED = "key_added", _("SSH key added")
    KEY_REMOVED = "key_removed", _("SSH key removed")
    PROFILE_CHANGED = "profile_changed", _("Profile changed")
    MODE_ENABLED = "mode_enabled", _("Multi-factor authentication mode enabled")
    MODE_REPLACED = "mode_replaced", _("Multi-factor authentication mode replaced")
    MODE_DISABLED = "mode_disabled", _("Multi-factor authentication mode disabled")
    MODE_PREFERRED = "mode_preferred", _("Preferred mode changed")
    PASSKEY_ADDED = "passkey_added", _("Passkey added")
    PASSKEY_RENAMED = "passkey_renamed", _("Passkey renamed")
    PASSKEY_REMOVED = "passkey_removed", _("Passkey removed")
    PASSKEY_COPIED = "passkey_copied", _("Passkey refused: it may have been copied. Remove it and add a new one")
    RECOVERY_CODES_MADE = "recovery_codes_made", _("New recovery codes created")
    RECOVERY_CODE_USED = "recovery_code_used", _("Recovery code used")
    FEW_RECOVERY_CODES = "few_recovery_codes", _("Few recovery codes left: create new ones")
    BROWSER_REMEMBERED = "browser_remembered", _("Browser remembered: it needs no one-time password to sign in")
    BROWSER_FORGOTTEN = "browser_forgotten", _("Remembered browser forgotten")
    NOTICES_CHANGED = "notices_changed", _("Optional emails changed")
    DATA_EXPORTED = "data_exported", _("Copy of your data made")
    DELETION_ASKED = "deletion_asked", _("Deletion of the account requested")
    DELETION_UNDONE = "deletion_undone", _("Deletion of the account called off")
    DELETION_STOPPED = "deletion_stopped", _("Account not deleted: hand over your organizations first")
    ASSISTED_RESET_STARTED = "assisted_reset_started", _("Assisted reset started")
    ASSISTED_RESET_CONFIRMED = "assisted_reset_confirmed", _("Assisted reset confirmed: the waiting time has started")
    ASSISTED_RESET_CANCELLED = "assisted_reset_cancelled", _("Assisted reset cancelled")
    ASSISTED_RESET_USED = "assisted_reset_used", _("Signed in with the code of an assisted reset")
    UNLOCKED = "unlocked", _("Account unlocked: wrong tries and mail limits cleared")
    SIGNED_OUT_BY_STAFF = "signed_out_by_staff", _("All sessions signed out by staff")
    DISABLED = "disabled", _("Account disabled")
    ENABLED = "enabled", _("Account enabled")
    ADMINISTRATOR_MADE = "administrator_made", _("Made an administrator of the portal")
    SUPPORT_MADE = "support_made", _("Made support staff of the portal")
    STAFF_RIGHTS_REMOVED = "staff_rights_removed", _("Staff rights removed")


# Those that sign out all other sessions, which their mail says (SR-25).
ENDS_SESSIONS = frozenset(
    {Kind.MODE_ENABLED, Kind.MODE_REPLACED, Kind.MODE_DISABLED, Kind.PASSKEY_ADDED, Kind.PASSKEY_REMOVED}
)
NOTIFIED_BY_EMAIL = frozenset(
    {
        Kind.NEW_BROWSER,
        Kind.PASSWORD_KNOWN,
        Kind.PASSWORD_WITHDRAWN,
        Kind.PASSWORD_CHANGED,
        Kind.PASSWORD_RESET,
        Kind.EMAIL_CHANGED,
        Kind.EMAIL_CHANGE_UNDONE,
        Kind.MODE_ENABLED,
        Kind.MODE_REPLACED,
        Kind.MODE_DISABLED,
        Kind.MODE_PREFERRED,
        Kind.PASSKEY_ADDED,
        Kind.PASSKEY_REMOVED,
        Kind.PASSKEY_COPIED,
        Kind.RECOVERY_CODES_MADE,
        Kind.RECOVERY_CODE_USED,
        Kind.FEW_RECOVERY_CODES,
        Kind.BROWSER_REMEMBERED,
        Kind.ASSISTED_RESET_CONFIRMED,
        Kind.ASSISTED_RESET_CANCELLED,
        Kind.ASSISTED_RESET_USED,
        Kind.KEY_ADDED,
        Kind.KEY_REMOVED,
        Kind.UNLOCKED,
        Kind.SIGNED_OUT_BY_STAFF,
        Kind.DISABLED,
        Kind.ENABLED,
        Kind.ADMINISTRATOR_MADE,
        Kind.SUPPORT_MADE,
        Kind.STAFF_RIGHTS_REMOVED,
        Kind.NOTICES_CHANGED,
        Kind.DELETION_UNDONE,
        Kind.DELETION_STOPPED,
    }
)


def record(
    user: User,
    kind: Kind,
    origin: Origin,
    *,
    mode: str = "",
    factor_name: str = "",
    by: Intervention | None = None,
) -> SecurityEvent:
    """Record an event and queue the email to the user, if this kind has one.

    ``factor_name`` is that of a passkey. ``by``: not the user did it, but staff or an operator.
    """
    event = SecurityEvent.objects.create(
        user=user,
        kind=kind,
        mode=mode,
        factor_name=factor_name,
        ip_address=origin.ip_address,
        agent=origin.agent[:255],
        actor=by.actor[:254] if by else "",
        reason=by.reason[:500] if by else "",
    )
    metrics.count(kind, mode or "none")
    if kind in NOTIFIED_BY_EMAIL:
        outbox.post("accounts.security_notice", user=user, about=event.pk)
    return event


def kind_in_words(kind: str) -> str:
    """Return the label of a kind; one that an older release has written, as it is."""
    return str(Kind(kind).label) if kind in Kind.values else kind


# As the client's language, Go, names them.
SYSTEMS_OF_CLIENT = {"linux": "Linux", "darwin": "macOS", "windows": "Windows"}


def agent_in_words(agent: str) -> str:
    """Return a ``User-Agent`` in words: ``Firefox on Windows``, ``datica command line 4.4.1 on Linux``."""
    if client := re.match(r"datica-cli-([\w.]{1,20}) (\w{1,20})", agent):
        system = SYSTEMS_OF_CLIENT.get(client[2], client[2])
        return gettext("datica command line %(version)s on %(system)s") % {"version": client[1], "system": system}
    browser, system = _families(agent)
    if browser and system:
        return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or gettext("an unknown browser")


@lru_cache(maxsize=4096)
def _families(agent: str) -> tuple[str, str]:
    """Return the browser and the system of a ``User-Agent``. Cached: parsing an unknown one takes milliseconds."""
    parsed = parse(agent)
    return parsed.user_agent.family if parsed.user_agent else "", parsed.os.family if parsed.os else ""


def of_user(user: User, *, kind: str = "") -> QuerySet[SecurityEvent]:
    """Return the events of an account, newest first; ``kind`` is one of ``Kind``, or blank for all."""
    events = SecurityEvent.objects.filter(user=user).order_by("-at", "-pk")
    return events.filter(kind=kind) if kind else events


def forget_old() -> int:
    """Delete events older than ``SECURITY_LOG_RETENTION`` (SR-53). Return the number deleted."""
    return delete_in_batches(SecurityEvent.objects.filter(at__lt=timezone.now() - settings.SECURITY_LOG_RETENTION))
