"""Authenticators that Chromium makes up: a phone and a security key, which their user touches or does not.

https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import CDPSession, Page, Route

# Of the device that the browser runs on: it knows its user, and syncs its passkeys.
PHONE = {
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "defaultBackupEligibility": True,
    "defaultBackupState": True,
}
# Without a PIN. Chromium makes no resident key on one.
SECURITY_KEY = {"transport": "usb", "hasResidentKey": False, "hasUserVerification": False}


class VirtualAuthenticator:
    """One authenticator of one page. Its user touches it only where a test says so, as people do."""

    def __init__(self, page: Page, session: CDPSession, options: dict[str, Any]) -> None:
        self._page, self._session = page, session
        options = {"protocol": "ctap2", "automaticPresenceSimulation": False, **options}
        self._id = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def _tell(self, method: str, **parameters: Any) -> Any:
        return self._session.send(f"WebAuthn.{method}", {"authenticatorId": self._id, **parameters})

    def credentials(self) -> list[dict[str, Any]]:
        """Return the passkeys that it holds."""
        return list(self._tell("getCredentials")["credentials"])

    def waits_until_it_holds(self, number: int) -> None:
        """Wait until the page has told it which of its passkeys work."""
        deadline = time.monotonic() + 10
        while len(held := self.credentials()) != number:
            assert time.monotonic() < deadline, held
            self._page.wait_for_timeout(50)

    def verifies(self, *, right: bool) -> None:
        """Take the next fingerprints for those of the user, or not."""
        self._tell("setUserVerified", isUserVerified=right)

    @contextmanager
    def touched(self) -> Iterator[None]:
        """Touch it until the browser posts what it signed: the next page may offer passkeys by autofill."""
        self._page.route("**", self._let_go)
        self._tell("setAutomaticPresenceSimulation", enabled=True)
        try:
            yield
        finally:
            self._tell("setAutomaticPresenceSimulation", enabled=False)
            self._page.unroute("**", self._let_go)

    def _let_go(self, route: Route) -> None:
        if route.request.method == "POST":
            self._tell("setAutomaticPresenceSimulation", enabled=False)
        route.continue_()


class Authenticators:
    """What a person holds in front of a page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable", {"enableUI": False})

    def phone(self) -> VirtualAuthenticator:
        """Add the device that the browser runs on."""
        return VirtualAuthenticator(self._page, self._session, PHONE)

    def security_key(self) -> VirtualAuthenticator:
        """Plug in a security key."""
        return VirtualAuthenticator(self._page, self._session, SECURITY_KEY)
