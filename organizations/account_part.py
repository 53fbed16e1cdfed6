"""What organizations hold of an account (``accounts.account_parts``)."""

from accounts import account_parts
from accounts.models import User
from organizations import departure


class OrganizationsPart(account_parts.AccountPart):
    """Memberships, invitations and the logs of organizations."""

    def check_deletion(self, user: User) -> None:
        """Raise ``LastOwner`` if an organization would have no owner left."""
        departure.check(user)

    def delete(self, user: User) -> None:
        """Leave every organization, and take the address out of their logs."""
        departure.leave_all(user)


account_parts.register(OrganizationsPart())
