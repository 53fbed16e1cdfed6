"""What a person does in a browser, by the words that the pages show."""

import io
import re
import time

import pyotp
import zxingcpp
from PIL import Image
from playwright.sync_api import Page

from tests.stack import PASSWORD, Stack


class Person:
    """Somebody with a browser, a mailbox and perhaps a phone."""

    def __init__(self, page: Page, stack: Stack, address: str | None = None) -> None:
        self.page, self.stack = page, stack
        self.address = address or stack.somebody()
        self.phone: pyotp.TOTP | None = None
        self.last_code = ""

    def goes_to(self, path: str) -> None:
        self.page.goto(self.stack.url + path)

    def clicks(self, name: str, *, about: str | None = None) -> None:
        """Click a button by its name; ``about`` is what it is described by, where several have the name."""
        self.page.get_by_role("button", name=name, description=about, exact=True).click()
        self.page.wait_for_load_state()  # what is counted next is counted on a whole page

    def follows(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_load_state()

    def reads(self, words: str | re.Pattern[str]) -> None:
        self.page.get_by_text(words).locator("visible=true").first.wait_for()

    def gives_credentials(self, button: str = "Submit", identifier: str | None = None) -> None:
        self.page.get_by_label("Username or Email").fill(identifier or self.address)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.clicks(button)

    def types_code(self, code: str) -> None:
        self.page.get_by_label("One Time Password").fill(code)

    def activates_email(self) -> None:
        before = self.stack.codes_sent_to(self.address)
        self.goes_to("/account/mfa/activate")
        self.page.get_by_text("email", exact=True).click()
        self.gives_credentials("Activate")
        self.types_code(self.stack.wait_for_code(self.address, after=before))
        self.clicks("Complete MFA Activation")
        self.reads("Multi-factor Authentication successfully enabled!")

    def confirms_mailbox(self) -> None:
        """Enter the code that comes before the first mode in a browser that has not proven the mailbox."""
        self.reads("Confirm your email")
        self.page.get_by_label("Code from the email").fill(self.stack.wait_for_code(self.address))
        self.clicks("Continue")

    def scans_the_picture(self) -> str:
        picture = self.page.locator(".qr").screenshot()
        (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
        parsed = pyotp.parse_uri(found.text)
        assert isinstance(parsed, pyotp.TOTP)
        self.phone = parsed
        return found.text

    def reads_phone(self) -> str:
        """Read the app's code, waiting for the next one if this one was used."""
        assert self.phone
        while (code := self.phone.now()) == self.last_code:
            time.sleep(0.5)
        self.last_code = code
        return code

    def signs_in(self, path: str = "/account/login") -> None:
        before = self.stack.codes_sent_to(self.address)
        self.goes_to(path)
        self.gives_credentials()
        if "/login/otp" in self.page.url:
            if self.page.get_by_text("Multi-factor authentication type: email").count():
                self.types_code(self.stack.wait_for_code(self.address, after=before))
            else:
                self.types_code(self.reads_phone())
            self.clicks("Submit")
        self.page.get_by_role("button", name="Log Out").wait_for()
