"""Does the time of an answer tell who has an account? Prints ratios of medians in one run; 1.00 tells nothing (SR-3).

Real Argon2, real views, a database of its own in memory. Kinds of names take turns, so that what slows the machine
slows all of them.
"""

import logging
import os
import statistics
import sys
import time

os.environ.update(
    DJANGO_SETTINGS_MODULE="datica_account.settings",
    DEVELOPMENT="1",
    DATABASE_URL="sqlite:///:memory:",
    CELERY_BROKER_URL="memory://",
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    LOG_LEVEL="ERROR",
    PASSWORD_FAILURES_FREE="1000000",
    PASSWORD_FAILURES_IN_A_ROW="2000000",
    IP_LOGIN_FAILURES="1000000",
    IP_MAILS_PER_HOUR="1000000",
)

import django

django.setup()

from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import User
from mfa.models import Factor

ROUNDS = 60
PASSWORD = "a quiet harbour at dawn"
NEW = "a new harbour by noon"


def people() -> dict[str, str]:
    """Make one account of each kind; gives what is typed as its name."""
    made = {}
    for kind in ("without MFA", "with MFA", "disabled"):
        email = f"{kind.replace(' ', '.').lower()}@example.com"
        user = User.objects.create_user(email, PASSWORD, email_verified_at=timezone.now())
        made[kind] = email
        if kind == "with MFA":
            Factor.objects.create(user=user, mode="email", name="email")
            User.objects.filter(pk=user.pk).update(preferred_mode="email")
        if kind == "disabled":
            User.objects.filter(pk=user.pk).update(is_active=False)
    return {"unknown": "nobody.at.all@example.com", **made}


def doors(name: str, number: int) -> dict[str, tuple[str, dict[str, str], str]]:
    """Give the requests whose time must not depend on whose name it is."""
    fresh = name.replace("@", f".{number}@") if name.startswith("nobody") else name
    wrong = {"identifier": name, "password": "wrong"}
    return {
        "sign-in": ("/account/login", wrong, "form"),
        "activation": ("/account/mfa/activate", {**wrong, "type": "email"}, "form"),
        "command line": ("/auth/signin", wrong, "json"),
        "reset": ("/account/password/reset", {"identifier": name}, "form"),
        "registration": ("/account/register", {"email": fresh, "password": NEW, "password_confirm": NEW}, "form"),
    }


def seconds(address: str, fields: dict[str, str], kind: str) -> float:
    """Time one request of a new browser."""
    client = Client()
    started = time.perf_counter()
    if kind == "json":
        client.post(address, fields, content_type="application/json")
    else:
        client.post(address, fields)
    return time.perf_counter() - started


def main() -> int:
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)
    names = people()
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS):
        for kind, name in names.items():
            for door, request in doors(name, number).items():
                times.setdefault((door, kind), []).append(seconds(*request))
    worst = 0.0
    for door in doors("", 0):
        base = statistics.median(times[door, "unknown"])
        row = []
        for kind in list(names)[1:]:
            ratio = statistics.median(times[door, kind]) / base
            worst = max(worst, abs(ratio - 1))
            row.append(f"{kind} {ratio:.3f}")
        print(f"{door:14} unknown {base * 1000:6.1f} ms   {'   '.join(row)}")
    print(f"worst difference: {worst:.1%} (goal: 5 %)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
