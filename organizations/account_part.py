"""What organizations hold of an account (``accounts.account_parts``)."""

from collections.abc import Iterable

from accounts import account_parts
from accounts.account_parts import Section, section
from accounts.models import User
from organizations import departure, membership
from organizations.models import Invitation, OrganizationEvent, RehearsalHit


class OrganizationsPart(account_parts.AccountPart):
    """Memberships, invitations and the logs of organizations."""

    def sections(self, user: User) -> Iterable[Section]:
        """Return what is known of a user. Whom an act was about is others' data, and no part of it."""
        yield section(
            "memberships", membership.of_user(user),
            organization="organization__name", role="role", joined_at="created_at", exempt_until="exempt_until",
            exempt_because="exempt_reason",
        )  # fmt: skip
        yield section(
            "invitations_to_me", Invitation.objects.filter(email_key=user.email_key).order_by("-created_at"),
            organization="organization__name", role="role", sent_at="created_at", expires_at="expires_at",
            accepted_at="accepted_at", withdrawn_at="revoked_at",
        )  # fmt: skip
        yield section(
            "acts_in_organizations", OrganizationEvent.objects.filter(actor=user).order_by("-at", "-pk"),
            at="at", organization="organization__name", kind="kind", ip_address="ip_address", browser="agent",
        )  # fmt: skip
        yield section(
            "rehearsals_of_policies", RehearsalHit.objects.filter(user=user).order_by("-last_at"),
            organization="organization__name", channel="channel", count="count", first_at="first_at",
            last_at="last_at", ip_address="ip_address",
        )  # fmt: skip

    def check_deletion(self, user: User) -> None:
        """Raise ``LastOwner`` if an organization would have no owner left."""
        departure.check(user)

    def delete(self, user: User) -> None:
        """Leave every organization, and take the address out of their logs."""
        departure.leave_all(user)


account_parts.register(OrganizationsPart())
