"""What factors and their surroundings hold of an account (``accounts.account_parts``). No secret is a part of it."""

from collections.abc import Iterable

from django.urls import reverse

from accounts import account_parts
from accounts.account_parts import Section, section
from accounts.models import SecurityEvent, User
from accounts.security_log import Kind
from mfa import recovery
from mfa.models import AssistedReset, Factor, Passkey, RememberedBrowser


class MfaPart(account_parts.AccountPart):
    """Modes, passkeys, recovery codes, remembered browsers and assisted resets."""

    def sections(self, user: User) -> Iterable[Section]:
        """Return what is known of a user."""
        yield section(
            "modes", Factor.objects.filter(user=user).order_by("created_at"),
            mode="mode", enabled_at="created_at", last_used_at="last_used_at",
        )  # fmt: skip
        yield section(
            "passkeys", Passkey.objects.filter(factor__user=user),
            name="name", added_at="created_at", last_used_at="last_used_at", last_ip_address="last_ip_address",
            last_browser="last_agent", authenticator_model="aaguid", is_synced="is_synced",
        )  # fmt: skip
        yield Section("recovery_codes", ("unused",), lambda: [(recovery.left(user),)])
        yield section(
            "remembered_browsers", RememberedBrowser.objects.filter(user=user).order_by("-created_at"),
            remembered_at="created_at", last_used_at="last_used_at", expires_at="expires_at", ip_address="ip_address",
            browser="agent",
        )  # fmt: skip
        yield section(
            "assisted_resets", AssistedReset.objects.filter(user=user).order_by("-created_at"),
            started_at="created_at", started_by="authority", reason="reason", confirmed_until="due_at",
            ended_at="ended_at",
        )  # fmt: skip

    def notice_context(self, event: SecurityEvent) -> dict[str, object]:
        """Return what the emails about recovery codes and copied passkeys say more, and where they lead."""
        if event.kind == Kind.PASSKEY_COPIED:
            return {"passkeys_path": reverse("mfa:passkeys")}
        if event.kind in (Kind.RECOVERY_CODE_USED, Kind.FEW_RECOVERY_CODES):
            return {"codes_left": recovery.left(event.user), "codes_path": reverse("mfa:recovery_codes")}
        return {}


account_parts.register(MfaPart())
