"""Authenticators that Chromium makes up: a phone and a security key, which their user touches or does not.

https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import CDPSession, Page

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


# Chromium touches an authenticator, or not, at the moment at which a ceremony begins. Autofill begins one by itself, at
# some time after the page is loaded: a test must say which of the two it touches for.
ASK_TEST = """
for (const name of ["get", "create"]) {
  const original = CredentialsContainer.prototype[name];
  CredentialsContainer.prototype[name] = async function (options) {
    await window.ceremonyBegins(options.mediation === "conditional");
    return original.call(this, options);
  };
}
"""


class VirtualAuthenticator:
    """One authenticator of one page. Its user touches it only where a test says so, as people do."""

    def __init__(self, page: Page, session: CDPSession, options: dict[str, Any]) -> None:
        self._page, self._session = page, session
        options = {"protocol": "ctap2", "automaticPresenceSimulation": False, **options}
        self._id = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
        self._touched, self._chosen = False, False

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
        """Touch it when a button of the page asks for it."""
        self._touched = True
        yield
        self._touched = False

    @contextmanager
    def chosen_from_autofill(self) -> Iterator[None]:
        """Choose its passkey from the list of a field, and touch it. Chromium takes the first by itself."""
        self._chosen = True
        yield
        self._chosen = False

    def begin(self, *, is_autofill: bool) -> None:
        """Touch it for the ceremony that begins now, or do not."""
        self._tell("setAutomaticPresenceSimulation", enabled=self._chosen if is_autofill else self._touched)


class Authenticators:
    """What a person holds in front of a page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._all: list[VirtualAuthenticator] = []
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable", {"enableUI": False})
        page.expose_function("ceremonyBegins", self._begin)
        page.add_init_script(ASK_TEST)

    def _begin(self, is_autofill: bool) -> None:
        for authenticator in self._all:
            authenticator.begin(is_autofill=is_autofill)

    def _add(self, options: dict[str, Any]) -> VirtualAuthenticator:
        self._all.append(VirtualAuthenticator(self._page, self._session, options))
        return self._all[-1]

    def phone(self) -> VirtualAuthenticator:
        """Add the device that the browser runs on."""
        return self._add(PHONE)

    def security_key(self) -> VirtualAuthenticator:
        """Plug in a security key."""
        return self._add(SECURITY_KEY)
