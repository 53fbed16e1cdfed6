"""What managers read first on an organization's page: its state in two sentences, and the next sensible step."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from organizations import policy
from organizations.member_counts import Counts
from organizations.models import Membership, Organization, Role
from organizations.policy_impact import Impact
from organizations.web.wording import grouped


@dataclass(frozen=True)
class State:
    """The state line. ``next`` names the step that ``next_url`` opens; both are blank if there is none."""

    policy: str
    members: str
    next: str = ""
    next_url: str = ""


def state_of(manager: Membership, impact: Impact) -> State:
    """Return the state line for an owner or admin. Only owners get a next step. No query."""
    organization, counts = manager.organization, impact.counts
    next_step, next_url = _next_step(manager, counts) if manager.role == Role.OWNER else ("", "")
    return State(_policy_in_words(organization), _members_in_words(organization, counts), next_step, next_url)


def _policy_in_words(organization: Organization) -> str:
    if organization.mfa_required:
        return _("MFA is required.")
    if organization.mfa_required_at:
        return _("MFA will be required from %(day)s.") % {"day": date_format(organization.mfa_required_at, "j F Y")}
    if organization.is_rehearsing:
        return _("MFA is not required. A rehearsal is running.")
    return _("MFA is not required.")


def _members_in_words(organization: Organization, counts: Counts) -> str:
    values = {"n": grouped(counts.missing), "members": grouped(counts.asked)}
    if not counts.missing:
        text = ngettext("%(members)s member has set it up.", "All %(members)s members have set it up.", counts.asked)
        return text % values
    if organization.accepted_modes:
        text = ngettext(
            "%(n)s of %(members)s members has no accepted mode.",
            "%(n)s of %(members)s members have no accepted mode.",
            counts.missing,
        )
    else:
        text = ngettext(
            "%(n)s of %(members)s members has not set it up.",
            "%(n)s of %(members)s members have not set it up.",
            counts.missing,
        )
    return text % values


def _next_step(owner: Membership, counts: Counts) -> tuple[str, str]:
    """Return what an owner would sensibly do next, and where."""
    organization = owner.organization
    if not policy.is_met(owner):
        return _("Set up MFA for your own account"), organization.activation_path_and_back
    if sum(counts.by_state.values()) == 1:
        return _("Invite members"), _page("invitations", organization)
    if not counts.missing:
        return ("", "") if organization.mfa_required_at else (_("Require MFA"), _page("require", organization))
    if organization.mfa_required_at:
        return _("Remind these members"), _page("compliance", organization)
    if organization.is_rehearsing:
        return _("See who would be blocked"), _page("rehearsal", organization)
    return _("Start with a rehearsal"), _page("rehearsal", organization)


def _page(view: str, organization: Organization) -> str:
    return reverse(f"organizations:{view}", args=[organization.pk])
