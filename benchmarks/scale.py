"""Does the size of an organization matter? A million users on PostgreSQL; prints medians and their growth in one run.

Each owner page, `Require`, and the sign-in of a member, for organizations of 100, 10,000 and 100,000 members.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable

from django.test import Client

from tests import servers

USERS = int(os.environ.get("USERS", "1000000"))
SIZES = (100, 10_000, 100_000)
ROUNDS = 25
GOAL = 1.5


def main() -> int:
    with servers.postgresql() as url:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="datica_account.settings",
            DEVELOPMENT="1",
            DATABASE_URL=url,
            DATABASE_POOL="0",
            CELERY_BROKER_URL="memory://",
            EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
            LOG_LEVEL="ERROR",
        )
        import django

        django.setup()
        return measure()


def measure() -> int:
    import logging

    from django.core.management import call_command

    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)
    call_command("seed", users=USERS, sizes=SIZES)
    stages = [Stage(size) for size in SIZES]
    times: dict[str, dict[int, list[float]]] = {}
    for _round in range(ROUNDS):
        for stage in stages:
            for name, act in stage.acts().items():
                begun = time.perf_counter()
                act()
                times.setdefault(name, {}).setdefault(stage.size, []).append(time.perf_counter() - begun)
    worst = 0.0
    for name, by_size in times.items():
        medians = [statistics.median(by_size[size]) * 1000 for size in SIZES]
        growth = medians[-1] / medians[0]
        worst = max(worst, growth)
        print(f"{name:22}" + "".join(f"{median:9.1f} ms" for median in medians) + f"   growth {growth:.2f}")
    print(f"worst growth from {SIZES[0]} to {SIZES[-1]:,} members: {worst:.2f} (goal: at most {GOAL})")
    return int(worst > GOAL)


class Stage:
    """One organization, its owner in a browser, and a member who signs in."""

    def __init__(self, size: int) -> None:
        from organizations.models import Organization

        self.size = size
        self.organization = Organization.objects.get(name=f"Size {size}")
        self.page = self.organization.get_absolute_url()
        self.owner = Client()
        self.sign_in(self.owner, f"owner.{size}@example.com")

    def sign_in(self, client: Client, email: str) -> None:
        import pyotp
        from django.utils import timezone

        from accounts.models import User
        from mfa import code_failures, codes
        from mfa.models import Factor
        from organizations.management.commands.seed import PASSWORD

        factor = Factor.objects.get(user__email_key=email)
        Factor.objects.filter(pk=factor.pk).update(last_step=0)  # the same code may be used again and again
        code_failures.forgive(User.objects.get(email_key=email), "")
        client.post("/account/login", {"identifier": email, "password": PASSWORD})
        otp = pyotp.TOTP(codes.base32(factor.secret)).at(timezone.now())
        answer = client.post("/account/login/otp", {"otp": otp})
        assert answer.status_code == 302, answer.content

    def newcomer_is_stopped(self) -> None:
        """Sign a member in who has no MFA, and ask for the organization's page: the policy has to be asked."""
        from organizations.management.commands.seed import PASSWORD

        client = Client()
        client.post("/account/login", {"identifier": f"newcomer.{self.size}@example.com", "password": PASSWORD})
        assert client.get(self.page).url.endswith("/required")

    def get(self, path: str) -> Callable[[], None]:
        def act() -> None:
            assert self.owner.get(self.page + path).status_code == 200

        return act

    def require(self) -> None:
        assert self.owner.post(f"{self.page}/require").status_code == 302

    def member_signs_in(self) -> None:
        self.sign_in(Client(), f"member.{self.size}@example.com")

    def acts(self) -> dict[str, Callable[[], None]]:
        self.owner.post(f"{self.page}/stop-requiring")
        return {
            "organization": self.get(""),
            "member list": self.get("/members"),
            "member list, far": self.get("/members?after=person5"),
            "members without": self.get("/members?mfa=missing"),
            "search": self.get("/members?q=person10"),
            "preview of Require": self.get("/require"),
            "progress": self.get("/compliance"),
            "Require": self.require,
            "sign-in of a member": self.member_signs_in,
            "newcomer is stopped": self.newcomer_is_stopped,
        }


if __name__ == "__main__":
    sys.exit(main())
