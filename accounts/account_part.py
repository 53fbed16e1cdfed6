"""What accounts hold of an account (``accounts.account_parts``). Codes, keys, hashes and tokens are no part of it."""

from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Case, CharField, Value, When

from accounts import account_parts, security_log
from accounts.account_parts import Section, section
from accounts.models import DataExport, Delivery, EmailChange, KnownBrowser, Mail, PublicKey, Session, Token, User

DELIVERY = Case(*[When(delivery=one.value, then=Value(one.name.lower())) for one in Delivery], output_field=CharField())


class AccountsPart(account_parts.AccountPart):
    """The account itself, where it is signed in, its keys, mails and security log."""

    def sections(self, user: User) -> Iterable[Section]:
        """Return what is known of a user."""
        signed_in = {
            "signed_in_at": "created_at", "last_used_at": "last_used_at", "verified_by": "mode",
            "passkey": "factor_name", "ip_address": "ip_address", "browser": "agent",
        }  # fmt: skip
        yield section(
            "account", User.objects.filter(pk=user.pk),
            id="id", email="email", email_verified_at="email_verified_at", username="username", name="name",
            enabled_modes="enabled_modes", preferred_mode="preferred_mode", created_at="created_at",
            last_sign_in_at="last_login", mail_returned_at="mailbox_failed_at", mail_returned_because="mailbox_failure",
            is_staff="is_staff", emails_turned_off="muted_notices",
            language="language", time_zone="time_zone", time_zone_of_last_browser="last_time_zone",
        )  # fmt: skip
        yield section(
            "sessions", Session.objects.filter(user=user).order_by("-created_at"),
            **signed_in, expires_at="expire_date",
        )  # fmt: skip
        yield section(
            "command_line_sessions", Token.objects.filter(user=user).order_by("-created_at"),
            **signed_in, by_ssh_key="by_key", expires_at="expires_at",
        )  # fmt: skip
        yield section(
            "ssh_keys", PublicKey.objects.filter(user=user).order_by("created_at"),
            name="name", sha256_fingerprint="fingerprint", public_key="text", created_at="created_at",
            last_used_at="last_used_at",
        )  # fmt: skip
        yield section(
            "known_browsers", KnownBrowser.objects.filter(user=user).order_by("-last_used_at"),
            last_used_at="last_used_at", mailbox_proven_at="mailbox_proven_at", factor_proven_at="factor_proven_at",
        )  # fmt: skip
        yield section(
            "email_changes", EmailChange.objects.filter(user=user).order_by("-at"),
            changed_at="at", earlier_email="old_email", undone_at="undone_at",
        )  # fmt: skip
        yield section(
            "emails_to_me", Mail.objects.filter(user=user).annotate(delivery_name=DELIVERY).order_by("-created_at"),
            kind="task", written_at="created_at", state="state", sent_at="sent_at", delivery="delivery_name",
            delivery_told_at="delivery_at", delivery_reason="delivery_reason",
        )  # fmt: skip
        yield section(
            "security_log", security_log.of_user(user),
            at="at", kind="kind", mode="mode", passkey="factor_name", ip_address="ip_address", browser="agent",
            done_by="actor", reason="reason",
        )  # fmt: skip
        yield section(
            "copies_of_my_data", DataExport.objects.filter(user=user).order_by("-created_at"),
            asked_at="created_at", ip_address="ip_address", browser="agent",
        )  # fmt: skip

    def delete(self, user: User) -> None:
        """Take the address out of the administration's log, which stays (SR-52)."""
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))
        entries.update(object_repr="deleted account")


account_parts.register(AccountsPart())
