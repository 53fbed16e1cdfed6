"""One-time passwords: what a code is and when it matches. Pure functions, no database."""

import secrets
from base64 import b32encode
from datetime import datetime
from hmac import compare_digest

import pyotp

DIGITS = 6
STEP_SECONDS = 30  # RFC 6238 section 5.2, SR-10
STEP_TOLERANCE = 1  # SR-13
MAX_DRIFT = 2  # steps that a phone's clock may be off and still be followed (SR-13)
# How far off a code is recognised as right for another time, to say so; it is never accepted.
MAX_STEPS_RECOGNISED = 20


def new_secret() -> bytes:
    """Make a secret of 160 bits (RFC 4226 R6, SR-10)."""
    return secrets.token_bytes(20)


def base32(secret: bytes) -> str:
    """Write a secret as authenticator apps read it."""
    return b32encode(secret).decode()


def digits_of(typed: str) -> str | None:
    """Take out the blanks and dashes that people type between the digits; None if no six ASCII digits are left."""
    digits = "".join(typed.split()).replace("-", "")
    return digits if len(digits) == DIGITS and digits.isascii() and digits.isdigit() else None


def mailed_code(secret: bytes) -> str:
    """Give the code of a challenge's mails: an HOTP, so each mail of one challenge repeats it."""
    return pyotp.HOTP(base32(secret), digits=DIGITS).at(0)


def same(expected: str, typed: str) -> bool:
    """Compare in constant time; other scripts' digits are not digits (SR-16)."""
    return compare_digest(expected.encode(), typed.encode())


def step_at(now: datetime) -> int:
    """Give the number of the time step, counted from the epoch."""
    return int(now.timestamp()) // STEP_SECONDS


def matching_step(secret: bytes, otp: str, *, now: datetime, after: int, drift: int = 0) -> int | None:
    """Return the time step whose code ``otp`` is, if near enough to now and later than ``after``.

    Later than the last accepted step, not merely another code: else the one before it works again
    (RFC 6238 section 5.2, SR-11). ``drift``: how many steps the phone's clock was ahead last time (section 6). Steps
    around the server's own time count too: setting the phone's clock right locks no one out (SR-13).
    """
    current = step_at(now)
    first = min(current, current + drift) - STEP_TOLERANCE
    last = max(current, current + drift) + STEP_TOLERANCE
    return _first_match(secret, otp, range(max(first, after + 1), last + 1))


def drift_of(step: int, now: datetime) -> int:
    """Return how many steps ahead a phone's clock is that shows the code of ``step``, as far as it is followed."""
    return max(-MAX_DRIFT, min(MAX_DRIFT, step - step_at(now)))


def recognised_step(secret: bytes, otp: str, *, now: datetime) -> int | None:
    """Give the step of a code that is right for another time, so that a person can be told why it fails."""
    current = step_at(now)
    return _first_match(secret, otp, range(current - MAX_STEPS_RECOGNISED, current + MAX_STEPS_RECOGNISED + 1))


def _first_match(secret: bytes, otp: str, steps: range) -> int | None:
    codes = pyotp.HOTP(base32(secret), digits=DIGITS)
    # Every step is compared, found or not: the time taken must not tell which one matched.
    matches = [step for step in steps if same(codes.at(step), otp)]
    return matches[0] if matches else None


def provisioning_uri(secret: bytes, *, account: str, issuer: str) -> str:
    """Give the ``otpauth:`` address that an authenticator app reads from the QR code."""
    return pyotp.TOTP(base32(secret), digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(
        name=account, issuer_name=issuer
    )
