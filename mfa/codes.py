"""One-time passwords: creating and matching codes. Pure functions, no database."""

import secrets
from base64 import b32encode
from datetime import datetime
from hmac import compare_digest

import pyotp

DIGITS = 6
STEP_SECONDS = 30  # RFC 6238 section 5.2, SR-10
STEP_TOLERANCE = 1  # SR-13
MAX_DRIFT = 2  # steps by which a phone's clock may be off and still be followed (SR-13)
# Steps by which a code may be off and still be recognised, for the message only: it is never accepted.
MAX_STEPS_RECOGNISED = 20


def new_secret() -> bytes:
    """Return a new secret of 160 bits (RFC 4226 R6, SR-10)."""
    return secrets.token_bytes(20)


def base32(secret: bytes) -> str:
    """Return a secret in base32, as authenticator apps read it."""
    return b32encode(secret).decode()


def digits_of(typed: str) -> str | None:
    """Return the six ASCII digits of a code typed with spaces or dashes; None if there are not six."""
    digits = "".join(typed.split()).replace("-", "")
    return digits if len(digits) == DIGITS and digits.isascii() and digits.isdigit() else None


def mailed_code(secret: bytes) -> str:
    """Return the mailed code of a challenge: an HOTP (RFC 4226), the same in each of its emails."""
    return pyotp.HOTP(base32(secret), digits=DIGITS).at(0)


def shown_code(secret: bytes) -> str:
    """Return the code of a challenge that a page shows: another one than its mailed code."""
    return pyotp.HOTP(base32(secret), digits=DIGITS).at(1)


def same(expected: str, typed: str) -> bool:
    """Return whether two codes are equal, in constant time. Digits of other scripts are not equal (SR-16)."""
    return compare_digest(expected.encode(), typed.encode())


def step_at(now: datetime) -> int:
    """Return the number of the time step, counted from the Unix epoch."""
    return int(now.timestamp()) // STEP_SECONDS


def matching_step(secret: bytes, otp: str, *, now: datetime, after: int, drift: int = 0) -> int | None:
    """Return the time step of ``otp``, if it is near enough to ``now`` and later than ``after``, else None.

    ``after`` is the last accepted step, so that no earlier code works again (RFC 6238 section 5.2, SR-11). ``drift``:
    how many steps the phone's clock was ahead last time (section 6). Steps around the server's time count too, so that
    correcting the phone's clock locks no user out (SR-13).
    """
    current = step_at(now)
    first = min(current, current + drift) - STEP_TOLERANCE
    last = max(current, current + drift) + STEP_TOLERANCE
    return _first_match(secret, otp, range(max(first, after + 1), last + 1))


def drift_of(step: int, now: datetime) -> int:
    """Return how many steps ahead the phone that shows the code of ``step`` is, at most ``MAX_DRIFT`` either way."""
    return max(-MAX_DRIFT, min(MAX_DRIFT, step - step_at(now)))


def recognised_step(secret: bytes, otp: str, *, now: datetime) -> int | None:
    """Return the step of a code that is right for another time, for a message that says so; else None."""
    current = step_at(now)
    return _first_match(secret, otp, range(current - MAX_STEPS_RECOGNISED, current + MAX_STEPS_RECOGNISED + 1))


def _first_match(secret: bytes, otp: str, steps: range) -> int | None:
    codes = pyotp.HOTP(base32(secret), digits=DIGITS)
    # Compare every step, so that the time taken does not reveal which one matched.
    matches = [step for step in steps if same(codes.at(step), otp)]
    return matches[0] if matches else None


def provisioning_uri(secret: bytes, *, account: str, issuer: str) -> str:
    """Return the ``otpauth:`` URI that an authenticator app reads from the QR code."""
    return pyotp.TOTP(base32(secret), digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(
        name=account, issuer_name=issuer
    )
