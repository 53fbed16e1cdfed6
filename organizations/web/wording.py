"""How pages show members, and say in words what a policy does to them."""

from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.refusals import Refused
from organizations import policy_impact
from organizations.member_counts import Counts
from organizations.models import Membership, Organization
from organizations.policy_changes import OwnMfaIsOff
from organizations.policy_impact import Impact


def show_refusal(request: HttpRequest, organization: Organization, refused: Refused) -> HttpResponse:
    """Say why a policy was not changed, and lead an owner who lacks MFA to its activation."""
    messages.error(request, refused.text)
    return redirect(organization.activation_path if isinstance(refused, OwnMfaIsOff) else organization)


def state_in_words(modes: str) -> str:
    """Say which modes somebody has; ``modes`` as in ``Membership.modes``."""
    return " + ".join(modes.split()) or _("off")


def member_rows(organization: Organization, found: Iterable[Membership]) -> list[dict[str, object]]:
    """Give what lists show of members, which were loaded by ``overview.with_proofs``."""
    return [
        {
            "id": row.user_id,
            "email": row.user.email,
            "name": row.user.name,
            "role": row.get_role_display(),
            "mfa": state_in_words(row.modes),
            "meets": organization.is_met_by(row.modes.split()),
            "preferred": row.user.preferred_mode,
            "exempt_until": row.exempt_until if row.is_exempt else None,
            "exempt_reason": row.exempt_reason,
            "verified": row.verified_at,  # type: ignore[attr-defined]
            "last_login": row.user.last_login,
        }
        for row in found
    ]


def missing_in_words(counts: Counts) -> str:
    """Say how many do not meet the policy."""
    if not counts.missing:
        return _("All of its members meet this already.")
    text = ngettext(
        "%(missing)d of %(members)d members does not meet this yet and is asked for it at the next click.",
        "%(missing)d of %(members)d members do not meet this yet and are asked for it at their next click.",
        counts.missing,
    )
    return text % {"missing": counts.missing, "members": counts.asked}


def impact_in_words(impact: Impact) -> list[str]:
    """Say how many do not meet the policy, who they are, and who of them is signed in."""
    lines = [missing_in_words(impact.counts)]
    if impact.examples:
        lines.append(_("They are: %(names)s.") % {"names": _names(impact.examples, impact.counts.missing)})
        lines.append(signed_in_in_words(impact))
    return lines


def _names(names: list[str], total: int) -> str:
    shown = ", ".join(names[: policy_impact.EXAMPLES])
    more = total - min(len(names), policy_impact.EXAMPLES)
    return f"{shown} {_('and %(n)d more') % {'n': more}}" if more else shown


def signed_in_in_words(impact: Impact) -> str:
    """Say who is signed in right now without meeting the policy, and through which door."""
    if not impact.signed_in:
        return _("None of them is signed in right now.")
    doors = [
        (impact.browsers, _("in a browser: %(n)d")),
        (impact.command_lines, _("at the command line: %(n)d")),
        (impact.keys, _("at the command line with a key: %(n)d")),
    ]
    values = {
        "names": _names(impact.signed_in, len(impact.signed_in)),
        "doors": ", ".join(words % {"n": number} for number, words in doors if number),
    }
    if impact.is_partial:
        return _("Signed in right now, at least: %(names)s (%(doors)s).") % values
    return _("Signed in right now: %(names)s (%(doors)s).") % values


def consequences(organization: Organization, impact: Impact) -> list[str]:
    """Say what each of those who do not meet the policy will meet."""
    lines = []
    if number := impact.without_any:
        text = ngettext(
            "%(n)d has no mode: one page leads there to activate one, which takes about a minute.",
            "%(n)d have no mode: one page leads them to activate one, which takes about a minute.",
            number,
        )
        lines.append(text % {"n": number})
    if number := impact.with_another:
        text = ngettext(
            "%(n)d has only a mode that does not count, and is led to add this one: %(mode)s.",
            "%(n)d have only a mode that does not count, and are led to add this one: %(mode)s.",
            number,
        )
        lines.append(text % {"n": number, "mode": organization.accepted_modes})
    if impact.counts.missing:
        lines.append(
            _(
                "At the command line they still see the names of its environments. Every command about them is "
                "refused, also with a key and with sessions that are open now; the message says what to do."
            )
        )
    if number := impact.unverified:
        text = ngettext(
            "At least %(n)d has never verified the email address, and is asked for that first.",
            "At least %(n)d have never verified the email address, and are asked for that first.",
            number,
        )
        lines.append(text % {"n": number})
    if impact.has_more_invitations:
        text = _("More than %(n)d pending invitations can be accepted only with it.")
        lines.append(text % {"n": policy_impact.MAX_EXAMINED})
    elif number := impact.invitations:
        text = ngettext(
            "%(n)d pending invitation can be accepted only with it.",
            "%(n)d pending invitations can be accepted only with it.",
            number,
        )
        lines.append(text % {"n": number})
    if impact.counts.missing:
        lines.append(_("Nobody is signed out, and nobody is removed."))
        if not organization.mfa_required:
            lines.append(
                _("A mail tells them when the decision is five minutes old; what is taken back before is not told.")
            )
        lines.append(_("Their other organizations stay open to them, and anybody can leave this one instead."))
    return lines
