"""The text after a wrong code: how many tries are left, or what ended (SR-15)."""

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import ordinal
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from accounts.refusals import wait_in_words
from accounts.throttles import Slot
from mfa import code_failures, modes
from mfa.models import Challenge

ORDINALS: tuple[str | Promise, ...] = (
    pgettext_lazy("wrong code", "first"),
    pgettext_lazy("wrong code", "second"),
    pgettext_lazy("wrong code", "third"),
    pgettext_lazy("wrong code", "fourth"),
    pgettext_lazy("wrong code", "fifth"),
    pgettext_lazy("wrong code", "sixth"),
    pgettext_lazy("wrong code", "seventh"),
    pgettext_lazy("wrong code", "eighth"),
    pgettext_lazy("wrong code", "ninth"),
    pgettext_lazy("wrong code", "tenth"),
)
# What ended, and what to do next, by the purpose of the challenge.
ENDED: dict[str, tuple[str | Promise, str | Promise]] = {
    Challenge.Purpose.SIGN_IN: (
        gettext_lazy("That was the %(nth)s wrong code, so we ended this sign-in."),
        gettext_lazy("Sign in again to get a new code."),
    ),
    Challenge.Purpose.STEP_UP: (
        gettext_lazy("That was the %(nth)s wrong code, so we ended this prompt."),
        gettext_lazy("Confirm with a new code."),
    ),
    Challenge.Purpose.ENROLMENT: (
        gettext_lazy("That was the %(nth)s wrong code, so we ended this activation."),
        gettext_lazy("Start again to get a new code."),
    ),
}
# What to do next after a sign-in whose codes are not mailed: there is no new one to wait for.
SIGN_IN_AGAIN = gettext_lazy("To try again, sign in again.")


def left_in_words(challenge: Challenge, slot: Slot) -> str:
    """Return the text after a wrong code that was just counted for a challenge and on ``slot``."""
    refusal = code_failures.refusal_of(slot)
    blocked = ""
    if refusal and refusal.retry_at:
        text = _("For your safety, we accept no codes for a while.")
        blocked = f"{text} {wait_in_words(refusal.retry_at)} {way_out(challenge, slot)}".strip()
    if challenge.ended_at is not None:
        ended, next_step = ENDED[challenge.purpose]
        has_own_code = challenge.purpose == Challenge.Purpose.SIGN_IN and not modes.get(challenge.mode).is_mailed
        words = [str(ended) % {"nth": _nth(challenge.failures)}]
        words.append(blocked or str(SIGN_IN_AGAIN if has_own_code else next_step))
        if has_own_code and not blocked:
            words.append(_("At the prompt you can also use another type or a recovery code, and get help."))
        return " ".join(words)
    if blocked:
        return blocked
    # The nearer of two limits: of this challenge and of the account.
    number = min(settings.OTP_FAILURES_PER_CHALLENGE - challenge.failures, code_failures.left(slot))
    return ngettext("You have %(n)d try left.", "You have %(n)d tries left.", number) % {"n": number}


def way_out(challenge: Challenge, slot: Slot) -> str:
    """Return that a recovery code still works; blank if ``slot`` counts those too, or they do not help here."""
    if challenge.purpose == Challenge.Purpose.ENROLMENT or not code_failures.leaves_recovery_codes(slot):
        return ""
    return _("A recovery code still works.")


def _nth(number: int) -> str:
    return str(ORDINALS[number - 1]) if number <= len(ORDINALS) else str(ordinal(number))
