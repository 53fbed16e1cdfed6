"""How many emails may be asked for on behalf of one mailbox: codes, password resets, notices (SR-17, SR-57).

The limit protects the mailbox from floods. Shares of it protect its owner: one network gets at most half, all unknown
places together get at most three quarters, and the rest is reserved for a known browser or network.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from accounts import throttles
from accounts.limits import Limit, Number, half, three_quarters
from accounts.refusals import Refused
from accounts.security_log import Origin
from accounts.throttles import Slot

WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class MailLimit:
    """The limit of one kind of email, with its shares."""

    total: Limit
    of_unknown_places: Limit
    of_network: Limit


def _shared(what: str, per: str, key: str, setting: str) -> MailLimit:
    def limit(tries: Number, whose: str, suffix: str) -> Limit:
        return Limit(what=what, per=f"{per}{whose}", key=f"{key}{suffix}", tries=tries, window=WINDOW)

    return MailLimit(
        total=limit(setting, "", ""),
        of_unknown_places=limit(three_quarters(setting), ", all unknown places together", "-unknown"),
        of_network=limit(half(setting), " and client network, outside known places", "-network"),
    )


# Asked for without any proof.
MAILBOX_CODES = _shared(
    "mails with codes that verify a mailbox", "purpose and mailbox", "mailbox-code", "EMAIL_VERIFICATION_MAILS_PER_HOUR"
)
# Asked for after a correct password.
ONE_TIME_PASSWORDS = _shared("mails with one-time passwords", "user", "one-time-password", "OTP_MAILS_PER_HOUR")
# That the email was entered for another account.
NOTICES = _shared("mails that an address is already used", "mailbox", "notice", "EMAIL_VERIFICATION_MAILS_PER_HOUR")


def take(limit: MailLimit, *mailbox: object, origin: Origin, is_known_place: bool) -> Refused | None:
    """Count an email to ``mailbox`` within the caller's transaction. If it must not be sent, return why.

    ``mailbox`` names the account or the email; ``is_known_place``: the user has signed in from there before.
    """
    return throttles.try_take(slots_at(limit, *mailbox, origin=origin, is_known_place=is_known_place))


def clear(limit: MailLimit, *mailbox: object) -> None:
    """Reset the counts of a mailbox, except those of single networks."""
    throttles.clear([limit.total.of(*mailbox), limit.of_unknown_places.of(*mailbox)])


def slots_of(limit: MailLimit, *mailbox: object, networks: Iterable[str]) -> list[Slot]:
    """Return the counts of a mailbox, and those of single networks for it."""
    of_networks = [limit.of_network.of(*mailbox, network) for network in networks]
    return [limit.total.of(*mailbox), limit.of_unknown_places.of(*mailbox), *of_networks]


def slots_at(limit: MailLimit, *mailbox: object, origin: Origin, is_known_place: bool) -> list[Slot]:
    """Return the counts of a mailbox that apply to a request."""
    if is_known_place:
        return [limit.total.of(*mailbox)]
    return slots_of(limit, *mailbox, networks=[origin.network])
