"""The sign-in by a passkey alone: it names the account, and stands for password and one-time password (SR-58).

Asking costs nothing that lasts: the ceremony is made from a secret of the browser that asks, and is in no row. A row is
written when it is used, under the id that the ceremony carries, so that none is used twice.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import metrics, throttles
from accounts.limits import Limit
from accounts.models import Channel
from accounts.refusals import counted
from accounts.security_log import Origin
from accounts.signin import Proof
from mfa import ceremonies, challenges, code_failures, passkey_proofs
from mfa.ceremonies import Ceremony
from mfa.models import Passkey

SALT = "mfa.passkey_sign_in"
REFUSED_FROM_NETWORK = Limit(
    what="refused passkeys at sign-in", per="client network", key="passkey-network",
    tries="IP_LOGIN_FAILURES", window="IP_LOGIN_FAILURE_WINDOW",
)  # fmt: skip


def _ceremony(browser_secret: str) -> Ceremony:
    return Ceremony(salted_hmac(SALT, browser_secret, algorithm="sha256").digest(), "sign_in without a name")


def options(browser_secret: str) -> dict[str, Any]:
    """Return the options of a ceremony for this browser. They name no account."""
    return ceremonies.request_options(_ceremony(browser_secret).new_challenge(timezone.now()), nameless=True)


def sign_in(credential: str, origin: Origin, *, browser_secret: str) -> challenges.Answer:
    """Finish the sign-in of the user who holds the passkey that signed ``credential``.

    Raises ``RefusedPasskey`` (counted for the network alone: no account is named by who sends it), ``TooManyTries``,
    ``ChallengeOver`` if the ceremony was used before, or ``SignInOver``.
    """
    slot = REFUSED_FROM_NETWORK.by_network(origin)
    if refusal := throttles.refusal_of([slot]):
        metrics.count_throttled(slot.step)
        metrics.count_sign_in(metrics.SignIn.THROTTLED, mode=passkey_proofs.MODE)
        raise refusal
    try:
        with counted():
            return _sign_in(credential, _ceremony(browser_secret), origin)
    except passkey_proofs.RefusedPasskey:
        with transaction.atomic():
            throttles.count([slot])
        metrics.count_sign_in(metrics.SignIn.WRONG_CODE, mode=passkey_proofs.MODE)
        raise


def _sign_in(credential: str, ceremony: Ceremony, origin: Origin) -> challenges.Answer:
    digest = passkey_proofs.digest_of_answer(credential)
    # PostgreSQL locks in the order of the list: the user first, as everywhere.
    rows = Passkey.objects.select_for_update(of=("factor__user", "self"), no_key=True).select_related("factor__user")
    passkey = next(iter(rows.filter(digest=digest)), None)
    if passkey is None:
        raise passkey_proofs.UnknownPasskey
    signed = passkey_proofs.spend(passkey, credential, ceremony, nameless=True, origin=origin, now=timezone.now())
    user = passkey.factor.user
    challenge = challenges.new_sign_in(user, passkey_proofs.MODE, channel=Channel.BROWSER, origin=origin)
    challenge.pk, challenge.ended_at = ceremonies.nonce_of(signed), timezone.now()
    try:
        with transaction.atomic():
            challenge.save(force_insert=True)
    except IntegrityError as error:
        raise challenges.ChallengeOver from error
    slot = code_failures.slot_of(user, challenge.known_place)
    read = challenges.read_factor(challenge, slot)
    if read.has_failures:
        code_failures.forgive(user, challenge.known_place)
    return challenges.finish(challenge, read, Proof(passkey_proofs.MODE, passkey.name), origin)
