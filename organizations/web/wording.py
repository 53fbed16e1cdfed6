"""Rows of members and sentences about a policy's impact, as pages show them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.refusals import Refused
from accounts.templatetags import times
from mfa import modes
from organizations import accepted_modes, member_list, policy_impact, reminders
from organizations.member_counts import Counts
from organizations.models import Membership, Organization, Reminder
from organizations.policy_changes import OwnMfaIsOff
from organizations.policy_impact import Impact
from organizations.reminders import Answer


def grouped(number: int) -> str:
    """Return a whole number with its thousands grouped, as in 3,000."""
    return str(number_format(number, force_grouping=True))


def show_refusal(request: HttpRequest, organization: Organization, refused: Refused) -> HttpResponse:
    """Show why a policy was not changed. Redirect an owner without MFA to its activation and back."""
    messages.error(request, refused.text)
    return redirect(organization.activation_path_and_back if isinstance(refused, OwnMfaIsOff) else organization)


def state_in_words(enabled: str) -> str:
    """Return the label of a value of ``Membership.modes``."""
    return " + ".join(modes.label(mode) for mode in enabled.split()) or _("off")


@dataclass(frozen=True)
class MemberRow:
    """A row in a list of members."""

    id: UUID
    email: str
    name: str
    role: str
    mfa: str
    meets: bool  # the policy
    preferred: str
    exempt_until: datetime | None
    exempt_reason: str
    mailbox_problem: str  # why mail does not arrive, or blank
    verified: datetime | None  # when a factor was last proved
    last_login: datetime | None


def member_rows(organization: Organization, found: Iterable[Membership]) -> list[MemberRow]:
    """Return the rows of memberships, which ``member_list`` has loaded."""
    return [
        MemberRow(
            id=row.user_id,
            email=row.user.email,
            name=row.user.name,
            role=row.get_role_display(),
            mfa=state_in_words(row.modes),
            meets=organization.is_met_by(row.modes.split()),
            preferred=row.user.preferred_mode,
            exempt_until=row.exempt_until if row.is_exempt else None,
            exempt_reason=row.exempt_reason,
            mailbox_problem=row.user.mailbox_problem,
            verified=member_list.verified_at(row),
            last_login=row.user.last_login,
        )
        for row in found
    ]


def missing_in_words(counts: Counts, *, is_required: bool) -> str:
    """Return a sentence with the number of members who do not meet the policy, and what that means or would mean."""
    if not counts.missing:
        return _("All members already meet this policy.")
    if is_required:
        text = ngettext(
            "%(missing)s of %(members)s members does not meet this policy yet. The organization is closed to this "
            "member until they do.",
            "%(missing)s of %(members)s members do not meet this policy yet. The organization is closed to these "
            "members until they do.",
            counts.missing,
        )
    else:
        text = ngettext(
            "%(missing)s of %(members)s members does not meet this policy yet. The organization will be closed to "
            "this member until they do.",
            "%(missing)s of %(members)s members do not meet this policy yet. The organization will be closed to these "
            "members until they do.",
            counts.missing,
        )
    return text % {"missing": grouped(counts.missing), "members": grouped(counts.asked)}


def mails_in_words() -> str:
    """Return a sentence about the emails that follow a change of the policy, and how to prevent them."""
    minutes = int(reminders.SETTLING_TIME.total_seconds() // 60)
    text = _("We email these members in %(minutes)d minutes. If you undo this before, no member is emailed.")
    return text % {"minutes": minutes}


def policy_mails_in_words() -> str:
    """Return sentences for before a policy is saved: who is emailed, and when."""
    text = _(
        "If MFA is required now or from a date, we email the members who do not meet the policy %(minutes)d minutes "
        "after you save it. If you undo the change before, no member is emailed."
    )
    return text % {"minutes": int(reminders.SETTLING_TIME.total_seconds() // 60)}


def not_reminded_in_words(numbers: Mapping[str, int]) -> str:
    """Return a sentence with the number of members whom a reminder leaves out, and why; blank if there are none."""
    labels = {
        Answer.READY: _("meet the policy already: %(n)s"),
        Answer.EXEMPT: _("exempt: %(n)s"),
        Answer.DISABLED: _("account disabled: %(n)s"),
        Answer.UNREACHABLE: _("mail does not arrive: %(n)s"),
        Answer.MUTED: _("reminders turned off: %(n)s"),
        Answer.LATELY: _("chosen for a reminder within the last day: %(n)s"),
    }
    reasons = [words % {"n": grouped(numbers[answer])} for answer, words in labels.items() if numbers.get(answer)]
    if not reasons:
        return ""
    count = sum(numbers.get(answer, 0) for answer in labels)
    text = ngettext("%(n)s member gets no email (%(reasons)s).", "%(n)s members get no email (%(reasons)s).", count)
    return text % {"n": grouped(count), "reasons": ", ".join(reasons)}


def last_reminder_in_words(last: Reminder | None) -> str:
    """Return a sentence that says when members were last reminded or told of a change, and how many of them."""
    if last is None:
        return _("No reminder was sent before.")
    if last.kind in reminders.TELLS_CHANGE:
        text = ngettext(
            "The last change was mailed at %(at)s to %(n)s member.",
            "The last change was mailed at %(at)s to %(n)s members.",
            last.mails,
        )
        return text % {"at": times.in_words(last.starts_at), "n": grouped(last.mails)}
    text = ngettext("Last reminder: %(at)s, to %(n)s member.", "Last reminder: %(at)s, to %(n)s members.", last.mails)
    return text % {"at": times.in_words(last.created_at), "n": grouped(last.mails)}


def missing_of_in_words(counts: Counts, accepted: str) -> str:
    """Return a sentence with the number of members who have none of these modes."""
    number = counts.missing_of(accepted)
    text = ngettext("%(n)s member does not meet this yet.", "%(n)s members do not meet this yet.", number)
    return text % {"n": grouped(number)}


def announced_in_words(organization: Organization, starts_at: datetime, counts: Counts) -> str:
    """Return sentences for after a start date was saved: from when, who does not meet it, who is emailed."""
    day = date_format(starts_at, "j F Y")
    done = _("Multi-factor authentication will be required from %(day)s.") % {"day": day}
    if not counts.missing:
        return f"{done} {missing_in_words(counts, is_required=False)}"
    missing = missing_of_in_words(counts, organization.accepted_modes)
    return f"{done} {missing} {mails_in_words()} {take_back_in_words()}"


def take_back_in_words() -> str:
    """Return a sentence that says how a requirement is taken back."""
    return _("To undo it, select “Stop requiring”.")


def told_in_words() -> str:
    """Return a sentence about the emails that follow when a requirement is taken back."""
    return _("We email the members who were told about the requirement.")


def not_required_in_words(organization: Organization, *, held: bool) -> str:
    """Return what the page says after a requirement was taken back. ``held`` is whether it was in force."""
    if held:
        lines = [
            _("Multi-factor authentication is no longer required."),
            _("An earlier start date or rehearsal does not come back: set it again if you need it."),
        ]
    else:
        lines = [_("The start date is cancelled.")]
    was_told = reminders.has_told_members(organization)
    lines.append(told_in_words() if was_told else _("No member was emailed about the requirement."))
    return " ".join(lines)


def impact_in_words(impact: Impact) -> list[str]:
    """Return sentences for before a policy holds: who does not meet it, and who of them is signed in."""
    lines = [missing_in_words(impact.counts, is_required=False)]
    if impact.examples:
        names = _names(impact.examples, impact.counts.missing)
        lines.append(_("Members who do not meet this policy: %(names)s.") % {"names": names})
        lines.append(signed_in_in_words(impact))
    return [line for line in lines if line]


def _names(names: list[str], total: int) -> str:
    shown = ", ".join(names[: policy_impact.EXAMPLES])
    more = total - min(len(names), policy_impact.EXAMPLES)
    rest = _("and %(n)s more") % {"n": grouped(more)}
    return f"{shown} {rest}" if more else shown


def signed_in_in_words(impact: Impact) -> str:
    """Return a sentence with the missing members who are signed in, and their channels."""
    if not impact.signed_in and impact.is_partial:
        return ""  # the others were not examined
    if not impact.signed_in:
        return _("None of these members is signed in right now.")
    channels = [
        (impact.browsers, _("in a browser: %(n)s")),
        (impact.command_lines, _("at the command line: %(n)s")),
        (impact.keys, _("at the command line with a key: %(n)s")),
    ]
    values = {
        "names": _names(impact.signed_in, len(impact.signed_in)),
        "channels": ", ".join(words % {"n": grouped(number)} for number, words in channels if number),
    }
    if impact.is_partial:
        return _("Signed in right now, at least: %(names)s (%(channels)s).") % values
    return _("Signed in right now: %(names)s (%(channels)s).") % values


def consequences(organization: Organization, impact: Impact) -> list[str]:
    """Return sentences about what the policy means for the members who do not meet it."""
    lines = []
    if number := impact.without_any:
        text = ngettext(
            "%(n)s member has no mode yet. Activating one takes about a minute.",
            "%(n)s members have no mode yet. Activating one takes about a minute.",
            number,
        )
        lines.append(text % {"n": grouped(number)})
    if number := impact.with_another:
        text = ngettext(
            "%(n)s member has only a mode that is not accepted and must add an accepted one: %(modes)s.",
            "%(n)s members have only a mode that is not accepted and must add an accepted one: %(modes)s.",
            number,
        )
        lines.append(text % {"n": grouped(number), "modes": accepted_modes.in_words(organization.accepted_modes)})
    if impact.counts.missing:
        lines.append(
            _(
                "At the command line these members still see the names of the environments. Every other command is "
                "refused, also with a key or an open session. The message says what to do."
            )
        )
    if number := impact.unverified:
        text = ngettext(
            "At least %(n)s member has not verified their email and must do that first.",
            "At least %(n)s members have not verified their email and must do that first.",
            number,
        )
        lines.append(text % {"n": grouped(number)})
    if number := impact.not_reached:
        text = ngettext(
            "Mail does not arrive for at least %(n)s member, who gets no reminder.",
            "Mail does not arrive for at least %(n)s members, who get no reminder.",
            number,
        )
        lines.append(text % {"n": grouped(number)})
    if impact.has_more_invitations:
        text = _("More than %(n)s pending invitations can be accepted only with multi-factor authentication.")
        lines.append(text % {"n": grouped(policy_impact.MAX_EXAMINED)})
    elif number := impact.invitations:
        text = ngettext(
            "%(n)s pending invitation can be accepted only with multi-factor authentication.",
            "%(n)s pending invitations can be accepted only with multi-factor authentication.",
            number,
        )
        lines.append(text % {"n": grouped(number)})
    if impact.counts.missing:
        lines.append(_("No one is signed out or removed."))
        if not organization.mfa_required_at:
            lines.append(mails_in_words())
        lines.append(_("Their other organizations stay open. Members can also leave this organization instead."))
    return lines
