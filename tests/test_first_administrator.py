"""From an empty terminal to the administration, with the real command, a real mail and a real browser."""

import os
import pty
import subprocess
import sys
import time

import pytest

from tests.people import Person
from tests.stack import PASSWORD, ROOT

pytestmark = pytest.mark.browser

ADDRESS = "root@example.com"


class Terminal:
    """A command that runs in a terminal of its own."""

    def __init__(self, *arguments, environment):
        self._own, theirs = pty.openpty()
        command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def reads(self, words):
        """Read on until these words are shown."""
        deadline = time.monotonic() + 60
        while words not in self.shown:
            assert time.monotonic() < deadline, self.shown
            try:
                self.shown += os.read(self._own, 4096).decode()
            except OSError:  # Linux: the command has ended
                assert words in self.shown
        _before, self.shown = self.shown.split(words, 1)

    def types(self, text):
        os.write(self._own, f"{text}\n".encode())

    def ends(self):
        everything = self.shown
        try:
            while more := os.read(self._own, 4096).decode():
                everything += more
        except OSError:
            pass
        os.close(self._own)
        assert self._process.wait(30) == 0, everything
        return everything


def test_the_first_administrator_comes_from_the_terminal_into_the_administration(browser_window, small):
    """SR-52."""
    terminal = Terminal("create_administrator", environment=small.environment)
    terminal.reads("Email: ")
    terminal.types(ADDRESS)
    terminal.reads("Name (may be empty): ")
    terminal.types("Root")
    terminal.reads("Username (may be empty): ")
    terminal.types("")
    terminal.reads("Password: ")
    terminal.types(PASSWORD)
    terminal.reads("Password again: ")
    terminal.types(PASSWORD)
    terminal.reads("empty ends): ")
    terminal.types(small.wait_for_code(ADDRESS))
    told = terminal.ends()

    assert PASSWORD not in told
    assert f"{small.url}/account/mfa/activate" in told
    person = Person(browser_window(), small, ADDRESS)
    person.goes_to("/account/mfa/activate")
    person.page.get_by_text("authenticator", exact=True).click()
    person.gives_credentials("Activate")
    person.confirms_mailbox()
    person.scans_the_picture()
    person.types_code(person.reads_phone())
    person.clicks("Complete MFA Activation")
    person.signs_in("/account/login?next=/admin/")
    person.goes_to("/admin/")
    person.reads("Administration")
    person.goes_to(f"/admin/accounts/user/?q={ADDRESS}")
    person.follows(ADDRESS)
    person.reads("administrator of the portal")
