"""The first administrator, and the next ones: ``manage.py create_administrator``."""

import builtins
import io
import sys
from getpass import getuser

import pytest
from django.core.management import CommandError, call_command

from accounts import administrators
from accounts.management.commands import create_administrator
from accounts.models import EmailVerification, SecurityEvent, User
from accounts.security_log import Intervention, Origin
from accounts.tests.factories import PASSWORD, UserFactory
from mfa.tests.factories import add_mode
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import is_signed_in, sign_in

pytestmark = pytest.mark.django_db

BY = Intervention("operator root at the command line", "First of all")


class Terminal:
    """A terminal that types what the story says, and keeps what it was asked and told."""

    def __init__(self, monkeypatch, capsys):
        self.capsys, self.typed, self.hidden = capsys, [], []
        monkeypatch.setattr(builtins, "input", self.line)
        monkeypatch.setattr(create_administrator, "getpass", self.secret)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def line(self, question):
        sys.stdout.write(f"{question}\n")
        if not self.typed:
            raise EOFError
        answer = self.typed.pop(0)
        return answer() if callable(answer) else answer

    def secret(self, question):
        sys.stdout.write(f"{question}\n")
        return self.hidden.pop(0)

    def run(self, *arguments, typed=(), hidden=()):
        self.typed, self.hidden = list(typed), list(hidden)
        call_command("create_administrator", *arguments)
        told = self.capsys.readouterr()
        return told.out + told.err


@pytest.fixture
def terminal(monkeypatch, capsys):
    return Terminal(monkeypatch, capsys)


def code_from_mail():
    return read_mail()[-1].body.split(" is your")[0].split()[-1]


def events_of(user):
    return list(SecurityEvent.objects.filter(user=user).order_by("pk").values_list("kind", flat=True))


class TestANewAccount:
    def test_the_operator_is_asked_for_everything_and_led_to_mfa(self, terminal, settings):
        """SR-52: nothing but the code of the mail and a password that the validators accept makes the account."""
        told = terminal.run(
            typed=["no address", "root@example.com", "Root", "a@b", "root", code_from_mail],
            hidden=["short", PASSWORD, "another", PASSWORD, PASSWORD],
        )

        user = User.objects.get()
        assert (user.email, user.name, user.username) == ("root@example.com", "Root", "root")
        assert administrators.is_administrator(user)
        assert user.check_password(PASSWORD)
        for words in (
            "This is not an email address.",
            "letters, digits and . + - _ only",
            "The two passwords do not match.",
            "too short",
            "A code was mailed to root@example.com. It works until",
            "root@example.com is an administrator",
            f"{settings.SITE_URL}/account/mfa/activate",
            f"{settings.SITE_URL}/admin/",
        ):
            assert words in told
        assert PASSWORD not in told
        assert events_of(user) == ["registered", "email_verified", "profile_changed", "administrator_made"]
        assert SecurityEvent.objects.get(kind="administrator_made").actor == f"operator {getuser()} at the command line"

    def test_the_administration_opens_with_mfa_only(self, terminal, client):
        """SR-52."""
        terminal.run("root@example.com", typed=["", "", code_from_mail], hidden=[PASSWORD, PASSWORD])
        user = User.objects.get()
        sign_in(client, user)
        assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/account/mfa/activate"
        add_mode(user, "authenticator")

        client.logout()
        sign_in(client, user)

        assert client.get("/admin/").status_code == 200

    def test_a_wrong_code_may_be_typed_again_and_mailed_again(self, terminal, settings):
        settings.OTP_MAIL_PAUSE = settings.OTP_MAIL_PAUSE * 0

        told = terminal.run(
            "root@example.com", typed=["", "", "wrong", "again", code_from_mail], hidden=[PASSWORD, PASSWORD]
        )

        assert "That code is wrong." in told
        assert "The code was mailed again." in told
        assert administrators.administrators().count() == 1

    def test_after_five_wrong_codes_it_ends_and_says_how_to_go_on(self, terminal):
        with pytest.raises(CommandError, match="Run the command again"):
            terminal.run("root@example.com", typed=["", "", *["wrong"] * 5], hidden=[PASSWORD, PASSWORD])

        assert not User.objects.exists()

    def test_the_command_continues_when_it_is_run_again(self, terminal):
        told = terminal.run("root@example.com", typed=["", "", ""], hidden=[PASSWORD, PASSWORD])
        assert "Run the command again, in a terminal, to continue." in told
        assert not User.objects.exists()

        terminal.run("root@example.com", typed=["", "", code_from_mail], hidden=[PASSWORD, PASSWORD])

        assert EmailVerification.objects.count() == 1
        assert len([mail for mail in read_mail() if " is your" in mail.body]) == 1
        assert administrators.administrators().count() == 1

    def test_a_registration_of_another_person_is_not_continued(self, terminal, client):
        """An attacker registers the address first: their password must not become the administrator's."""
        form = {"email": "root@example.com", "password": "the attacker's", "password_confirm": "the attacker's"}
        client.post("/account/register", form)

        terminal.run("root@example.com", typed=["", "", code_from_mail], hidden=[PASSWORD, PASSWORD])

        assert User.objects.get().check_password(PASSWORD)

    def test_a_mailbox_that_gets_no_more_mail_is_named(self, terminal, client, settings):
        """SR-57: others have used up its limit; the codes of their mails work."""
        settings.EMAIL_VERIFICATION_MAILS_PER_HOUR = 1
        form = {"email": "root@example.com", "password": "the attacker's", "password_confirm": "the attacker's"}
        client.post("/account/register", form)

        told = terminal.run("root@example.com", typed=["", "", code_from_mail], hidden=[PASSWORD, PASSWORD])

        assert "root@example.com gets no more codes for a while. One of the last hour works" in told
        assert User.objects.get().check_password(PASSWORD)

    def test_ctrl_c_ends_it_without_a_fuss(self, terminal):
        def interrupt():
            raise KeyboardInterrupt

        assert "Not finished. Run the command again" in terminal.run(typed=[interrupt])

    def test_an_address_that_its_former_account_can_take_back_is_refused(self, terminal, dana):
        from accounts.models import EmailChange

        EmailChange.objects.create(user=dana, old_email="root@example.com", old_email_key="root@example.com")

        with pytest.raises(CommandError, match="can still take it back"):
            terminal.run("root@example.com")


class TestAProvisioningTool:
    def test_it_gives_the_password_in_a_file(self, terminal, tmp_path):
        """No password is in the arguments, which every user of the machine can read."""
        file = tmp_path / "password"
        file.write_text(f"{PASSWORD}\n")

        terminal.run("root@example.com", "--no-input", "--email-verified", "--username=root", f"--password-file={file}")

        user = User.objects.get()
        assert administrators.is_administrator(user)
        assert user.check_password(PASSWORD)
        assert user.username == "root"
        assert not [mail for mail in read_mail() if " is your" in mail.body]

    def test_or_at_the_standard_input(self, terminal, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))

        terminal.run("root@example.com", "--no-input", "--email-verified", "--password-file=-")

        assert User.objects.get().check_password(PASSWORD)

    def test_without_a_known_mailbox_the_code_is_typed_later(self, terminal, tmp_path):
        file = tmp_path / "password"
        file.write_text(PASSWORD)

        told = terminal.run("root@example.com", "--no-input", f"--password-file={file}")

        assert "Run the command again" in told
        assert not User.objects.exists()
        assert len(read_mail()) == 1

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((), "not an email address"),
            (("root@example.com",), "needs --password-file"),
            (("root@example.com", "--password-file=/nowhere/at/all"), "cannot be read"),
            (("root@example.com", "--username=a@b"), "letters, digits"),
            (("root@example.com", "--name=a\nb"), "one line"),
            (("\u017fam@example.com",), "plain letters"),
        ],
    )
    def test_what_is_missing_or_wrong_is_named(self, terminal, arguments, words):
        with pytest.raises(CommandError, match=words):
            terminal.run(*arguments, "--no-input")

        assert not User.objects.exists()

    def test_a_weak_password_is_refused(self, terminal, tmp_path):
        """SR-2."""
        file = tmp_path / "password"
        file.write_text("password")

        with pytest.raises(CommandError, match="too common"):
            terminal.run("root@example.com", "--no-input", "--email-verified", f"--password-file={file}")


class TestAnAccountThatExists:
    def test_it_is_promoted_after_a_question(self, terminal, dana, client):
        sign_in(client, dana)
        with pytest.raises(CommandError, match="Nothing was changed"):
            terminal.run("dana@example.com", typed=[""])
        assert not administrators.administrators()

        terminal.run("dana@example.com", typed=["y"])

        dana.refresh_from_db()
        assert administrators.is_administrator(dana)
        assert not is_signed_in(client)
        assert "Made an administrator" in read_mail()[-1].subject

    def test_a_provisioning_tool_says_that_it_means_it(self, terminal, dana):
        with pytest.raises(CommandError, match="--promote"):
            terminal.run("dana@example.com", "--no-input")

        terminal.run("dana@example.com", "--no-input", "--promote")
        told = terminal.run("dana@example.com", "--no-input", "--promote")

        assert "is an administrator already" in told
        assert events_of(dana) == ["administrator_made"]

    def test_the_mailbox_is_proven_first(self, terminal):
        user = UserFactory(email="late@example.com", email_verified_at=None)

        terminal.run("late@example.com", typed=["y", code_from_mail])

        user.refresh_from_db()
        assert user.email_verified_at
        assert administrators.is_administrator(user)

    def test_a_disabled_account_is_not_promoted(self, terminal):
        UserFactory(email="gone@example.com", is_active=False)

        with pytest.raises(CommandError, match="disabled"):
            terminal.run("gone@example.com", "--promote")

    def test_all_administrators_are_told(self, terminal, dana, sam):
        """SR-54."""
        administrators.make_administrator(sam, Origin(), by=BY)

        terminal.run("dana@example.com", "--promote", "--reason=Sam is away")

        told = next(mail for mail in read_mail() if mail.to == ["sam@example.com"] and "Dana@" in mail.body)
        assert "Made an administrator of the portal (Dana@example.com)" in told.body
        assert "Reason: Sam is away" in told.body


def test_the_last_administrator_stays_one(dana):
    administrators.make_administrator(dana, Origin(), by=BY)

    with pytest.raises(administrators.LastAdministrator):
        administrators.remove_rights(dana, Origin(), by=BY)
    with pytest.raises(administrators.LastAdministrator):
        administrators.make_support(dana, Origin(), by=BY)


def test_the_user_reads_who_did_it_and_why(client, dana):
    """SR-53."""
    administrators.make_administrator(dana, Origin(), by=BY)
    sign_in(client, dana)

    page = text_of(client.get("/account/security-log"))

    assert "Made an administrator of the portal By operator root at the command line: First of all" in page
