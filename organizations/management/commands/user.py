"""Print the state of an account in words. It shows no secret and changes nothing."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.management import operators
from accounts.security_log import agent_in_words, kind_in_words
from mfa import modes
from mfa.management.wording import hold_in_words, time_in_words
from organizations import account_state
from organizations.account_state import AccountState


class Command(BaseCommand):
    """For operators: what the administration shows to support."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the account."""
        parser.add_argument("account", metavar="EMAIL", help="email or username of the account")

    def handle(self, *_args: Any, account: str, **_options: Any) -> None:
        """Print it."""
        state = account_state.of(operators.find_user(account), now=timezone.now())
        for part in (_account(state), _sign_in_methods(state), _access(state), _organizations(state), _events(state)):
            for line in part:
                self.stdout.write(line)


def _account(state: AccountState) -> Iterator[str]:
    user = state.user
    yield f"{user.email}: the account exists since {time_in_words(user.created_at)} and is {_activity(state)}."
    yield f"Name: {user.name or 'none'}. Username: {user.username or 'none'}."
    if user.email_verified_at:
        yield f"Email: verified {time_in_words(user.email_verified_at)}."
    else:
        yield "Email: not verified."
    if user.mailbox_failed_at:
        yield f"Mail does not arrive since {time_in_words(user.mailbox_failed_at)}: {user.mailbox_problem}."
    else:
        yield "Mail: none has come back."
    yield f"Last sign-in: {time_in_words(user.last_login)}."


def _activity(state: AccountState) -> str:
    user = state.user
    role = "an administrator" if user.is_staff and user.is_superuser else "support staff" if user.is_staff else ""
    return ("active" if user.is_active else "disabled") + (f", {role} of the portal" if role else "")


def _sign_in_methods(state: AccountState) -> Iterator[str]:
    if not state.factors:
        yield "Multi-factor authentication: off."
        return
    yield f"Multi-factor authentication: on, preferred mode {modes.get(state.user.preferred_mode).name}."
    for factor in state.factors:
        yield f"  {factor.mode}: last proved {time_in_words(factor.last_used_at)}"
    for passkey in state.passkeys:
        yield f"  passkey “{passkey.name}”: last used {time_in_words(passkey.last_used_at)}"
    yield f"  Recovery codes left: {state.recovery_codes}"


def _access(state: AccountState) -> Iterator[str]:
    yield f"Signed in: {state.sessions} browser sessions, {state.tokens} command-line tokens."
    if not state.holds:
        yield "Throttled: no, nothing is counted."
    for hold in state.holds:
        yield f"Throttled: {hold_in_words(hold)}"
    if state.reset:
        who = state.reset.started_by.email if state.reset.started_by else "a deleted account"
        until = f"its code is mailed {time_in_words(state.reset.due_at)}" if state.reset.due_at else "not confirmed yet"
        yield f"Assisted reset: started by {who}, {until}. Reason: {state.reset.reason}"
    else:
        yield "Assisted reset: none is pending."


def _organizations(state: AccountState) -> Iterator[str]:
    if not state.standings:
        yield "Organizations: none."
        return
    yield "Organizations:"
    for standing in state.standings:
        row = standing.membership
        yield f"  {row.organization.name}: {row.get_role_display()}, {standing.in_words}"
    if state.has_more_organizations:
        yield "  … and more"


def _events(state: AccountState) -> Iterator[str]:
    yield "Last events:"
    for event in state.events:
        what = kind_in_words(event.kind)
        mode = f" ({event.mode})" if event.mode else ""
        by = f", by {event.actor}: {event.reason}" if event.actor else ""
        yield f"  {time_in_words(event.at)}  {what}{mode}, {event.ip_address or '–'}, {agent_in_words(event.agent)}{by}"
    if not state.events:
        yield "  none"
