"""Create an administrator, or make an account one. Asks for what is missing, and for the code that it mails."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts import administrators, email_verification, profile
from accounts.email_verification import Purpose, VerificationOver, WrongCode
from accounts.identifiers import is_compared_as_written, is_plain_line, is_username, key_of
from accounts.management import operators
from accounts.models import EmailVerification, User
from accounts.refusals import Refused
from accounts.security_log import Origin

ORIGIN = Origin()
MAX_PASSWORD_LENGTH = 1024  # SR-2
AGAIN = "again"
MAX_WAITING_TRIED = 5  # each costs a password hash


class Later(Exception):
    """What is asked for is not typed now. Running the command again continues."""


class Command(BaseCommand):
    """No password is taken from the command line, where other users of the machine can read it."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what is known already."""
        parser.add_argument("email", nargs="?", metavar="EMAIL", help="email of the administrator")
        parser.add_argument("--name", help="may be empty")
        parser.add_argument("--username", help="to sign in with instead of the email; may be empty")
        parser.add_argument("--password-file", metavar="FILE", help="its first line is the password; - is the input")
        parser.add_argument(
            "--email-verified", action="store_true", help="mail no code: you know that the mailbox is the person's"
        )
        parser.add_argument("--promote", action="store_true", help="make an existing account an administrator, unasked")
        parser.add_argument(
            "--reason", default="Made an administrator by an operator", help="for the security log and the mails"
        )
        parser.add_argument("--no-input", action="store_false", dest="ask", help="ask for nothing: for provisioning")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create or promote the account, and say what comes next."""
        self.options = options
        self.by = operators.intervention(options["reason"])
        try:
            email = self._value("email", "Email", _check_email)
            user = User.objects.by_natural_key(email).first()
            user = self._existing(user) if user else self._new(email)
        except Later:
            self.stdout.write("Not finished. Run the command again, in a terminal, to continue.")
            return
        except Refused as refused:
            again = " Run the command again." if isinstance(refused, VerificationOver) else ""
            raise CommandError(refused.text + again) from None
        self._say_what_is_next(user)

    # --- an account that exists ---------------------------------------------------------------

    def _existing(self, user: User) -> User:
        if administrators.is_administrator(user) and user.is_active:
            self.stdout.write(f"{user.email} is an administrator already.")
            return user
        if not user.is_active:
            raise administrators.Disabled
        if not self.options["promote"] and not self._agrees(f"{user.email} has an account. Make it an administrator?"):
            raise CommandError("Nothing was changed.")
        if user.email_verified_at is None:
            user = self._confirm_mailbox(user)
        return administrators.make_administrator(user, ORIGIN, by=self.by)

    def _confirm_mailbox(self, user: User) -> User:
        if self.options["email_verified"]:
            raise CommandError("--email-verified is for new accounts. Run the command in a terminal to enter the code.")
        proof = _waiting(Purpose.CONFIRM_MAILBOX, user.email_key).filter(user=user).first()
        proof = proof or email_verification.ask_confirmation(user, ORIGIN)
        return self._ask_for_code(proof, lambda code: email_verification.confirm_mailbox(proof, code, ORIGIN))

    # --- a new account ------------------------------------------------------------------------

    def _new(self, email: str) -> User:
        if email_verification.is_kept_free(email):
            raise CommandError("Another account had this email lately and can still take it back.")
        name = self._value("name", "Name (may be empty)", _check_name)
        username = self._value("username", "Username (may be empty)", _check_username)
        password = self._password(User(email=email, name=name, username=username))
        user = self._register(email, password)
        if name or username:
            profile.change(user, name=name, username=username, origin=ORIGIN)
        return administrators.make_administrator(user, ORIGIN, by=self.by)

    def _register(self, email: str, password: str) -> User:
        if self.options["email_verified"]:
            email_verification.register(email, password, ORIGIN, proven=True)
            return User.objects.get_by_natural_key(email)
        proof = _begun(email, password) or email_verification.register(email, password, ORIGIN, proven=False)
        if proof is None:
            raise VerificationOver
        return self._ask_for_code(proof, lambda code: email_verification.complete_registration(proof, code, ORIGIN))

    # --- asking -------------------------------------------------------------------------------

    def _ask_for_code(self, proof: EmailVerification, use: Callable[[str], User]) -> User:
        mailbox, until = proof.email or proof.mailbox_key, f"{proof.expires_at:%Y-%m-%d %H:%M} UTC"
        if proof.mailed_at:
            self.stdout.write(f"A code was mailed to {mailbox}. It works until {until}. No mail? manage.py mail_status")
        else:
            self.stdout.write(f"{mailbox} gets no more codes for a while. One of the last hour works until {until}.")
        while True:
            typed = "".join(self._line(f"Code from the mail (“{AGAIN}” mails it again, empty ends): ").split())
            if not typed:
                raise Later
            try:
                if typed.lower() == AGAIN:
                    email_verification.resend(proof, ORIGIN)
                    self.stdout.write("The code was mailed again.")
                else:
                    return use(typed.replace("-", "").upper())
            except (WrongCode, email_verification.TooManyMails) as refused:
                self.stderr.write(refused.text)

    def _value(self, option: str, question: str, check: Callable[[str], str]) -> str:
        """Return the value of an option, or else ask until it is valid. Only the email is required."""
        given: str | None = self.options[option]
        if given is None and not self.options["ask"]:
            given = ""
        while given is None or (problem := check(given.strip())):
            if given is not None:
                if self.options[option] is not None or not self.options["ask"]:
                    raise CommandError(problem)
                self.stderr.write(problem)
            given = self._line(f"{question}: ")
        return given.strip()

    def _password(self, user: User) -> str:
        if source := self.options["password_file"]:
            password = _first_line(source)
            if problems := _problems_of_password(password, user):
                raise CommandError(" ".join(problems))
            return password
        if not self.options["ask"]:
            raise CommandError("--no-input needs --password-file.")
        while True:
            password = self._secret("Password: ")
            if problems := _problems_of_password(password, user):
                self.stderr.write(" ".join(problems))
            elif password != self._secret("Password again: "):
                self.stderr.write("The two passwords do not match.")
            else:
                return password

    def _agrees(self, question: str) -> bool:
        if not self.options["ask"]:
            raise CommandError("The account exists. --promote makes it an administrator.")
        return self._line(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

    def _line(self, question: str) -> str:
        if not self.options["ask"]:
            raise Later
        try:
            return input(question)
        except (EOFError, KeyboardInterrupt):
            raise Later from None

    def _secret(self, question: str) -> str:
        if not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask for the password without showing it: use --password-file.")
        try:
            return getpass(question)
        except (EOFError, KeyboardInterrupt):
            raise Later from None

    def _say_what_is_next(self, user: User) -> None:
        self.stdout.write(f"{user.email} is an administrator of {settings.SITE_NAME}.")
        administration = f"{settings.SITE_URL}{reverse('admin:index')}"
        if user.mfa_is_on:
            self.stdout.write(f"Sign in and open {administration}")
            return
        activation = f"{settings.SITE_URL}{reverse('mfa:activate')}"
        self.stdout.write("The administration needs multi-factor authentication. Activate it, then sign in:")
        self.stdout.write(f"  1. {activation}")
        self.stdout.write(f"  2. {administration}")


def _waiting(purpose: Purpose, mailbox_key: str) -> QuerySet[EmailVerification]:
    """Return the open verifications of a mailbox, newest first."""
    now = timezone.now()
    rows = EmailVerification.objects.filter(purpose=purpose, mailbox_key=mailbox_key, mailed_at__isnull=False)
    return rows.filter(ended_at=None, expires_at__gt=now).order_by("-mailed_at")


def _begun(email: str, password: str) -> EmailVerification | None:
    """Return the registration that this command has begun earlier: the one with this password.

    A registration of another person for the same mailbox has another password, which must not become the account's.
    """
    waiting = _waiting(Purpose.REGISTER, key_of(email))[:MAX_WAITING_TRIED]
    return next((proof for proof in waiting if check_password(password, proof.password)), None)


def _check_email(email: str) -> str:
    """Return what is wrong with an email; blank if nothing."""
    try:
        validate_email(email)
    except ValidationError:
        return "This is not an email address."
    return "" if is_compared_as_written(email) else "Type this email address in plain letters."


def _check_name(name: str) -> str:
    return "" if len(name) <= 128 and is_plain_line(name) else "Use one line of at most 128 characters."


def _check_username(username: str) -> str:
    if not is_username(username):
        return "Use at most 64 letters, digits and . + - _ only."
    taken = username and User.objects.filter(username_key=key_of(username)).exists()
    return "That username is taken." if taken else ""


def _problems_of_password(password: str, user: User) -> list[str]:
    if len(password) > MAX_PASSWORD_LENGTH:
        return [f"Use at most {MAX_PASSWORD_LENGTH} characters."]
    try:
        validate_password(password, user)
    except ValidationError as error:
        return list(error.messages)
    return []


def _first_line(source: str) -> str:
    """Return the first line of a file, or of the standard input."""
    try:
        text = sys.stdin.readline() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"The password cannot be read: {type(error).__name__}.") from None
    return text.split("\n", 1)[0].removesuffix("\r")
