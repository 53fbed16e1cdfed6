"""Mails that came back by plain SMTP: to a signed address of one mail, read by ``manage.py take_bounce`` (SR-61)."""

import io
import re
from textwrap import dedent
from uuid import UUID, uuid4

import pytest
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.db import OperationalError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts import bounce_addresses, bounces, delivery, outbox
from accounts.models import Delivery, Mail
from tests import servers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bounce_address(settings):
    settings.BOUNCE_ADDRESS = "bounces@portal.example.com"


@pytest.fixture
def mail(dana):
    mailbox = delivery.mailbox_of(dana.email)
    return Mail.objects.create(task="accounts.plain", user=dana, state="sent", delivery=1, mailbox=mailbox)


def notification(to="", *, action="failed", status="5.1.1", diagnostic="", headers="") -> bytes:
    """Write what a mail server sends back (RFC 3464)."""
    text = f"""\
        Return-Path: <>
        {headers or f"Delivered-To: {to}"}
        From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
        To: {to}
        Subject: Undelivered Mail Returned to Sender
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status; boundary="part"

        --part
        Content-Type: text/plain

        I'm sorry to have to inform you that your message could not be delivered.

        --part
        Content-Type: message/delivery-status

        Reporting-MTA: dns; mail.example.com
        Arrival-Date: Thu,  1 Jan 2026 12:00:00 +0000 (UTC)

        Final-Recipient: rfc822; dana@example.com
        Action: {action}
        Status: {status}
        Diagnostic-Code: {diagnostic or f"smtp; 550 {status} refused"}

        --part
        Content-Type: message/rfc822

        From: Datica <no-reply@example.com>
        Subject: Your code

        481 516

        --part--
        """
    return dedent(text).encode()


def everything():
    return list(Mail.objects.order_by("pk").values())


def test_each_mail_leaves_with_an_address_of_its_own_and_the_senders_name(settings, monkeypatch):
    sink = servers.SmtpSink()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
    monkeypatch.setitem(
        outbox.COMPOSERS, "accounts.plain", lambda _mail: EmailMessage("subject", "text", to=["dana@example.com"])
    )
    mails = [Mail.objects.create(task="accounts.plain") for _number in range(2)]

    for mail in mails:
        outbox.deliver(str(mail.pk))
    sink.close()

    assert [bounce_addresses.mail_at(sender) for sender in sink.senders] == [mail.pk for mail in mails]
    assert all(re.fullmatch(r"bounces\+[a-z2-7.]{43}@portal\.example\.com", sender) for sender in sink.senders)
    assert {str(received["From"]) for received in sink.mails} == {"Datica <no-reply@example.com>"}


def test_without_a_bounce_address_mail_returns_to_its_sender(settings, monkeypatch, mail):
    settings.BOUNCE_ADDRESS = ""

    assert bounce_addresses.address_for(mail.pk) == ""
    with pytest.raises(bounces.NotSigned):
        bounces.take(notification("bounces+x@portal.example.com"))


@pytest.mark.parametrize(
    ("status", "reason"),
    [("5.1.1", "no_mailbox"), ("5.1.10", "no_mailbox"), ("5.2.1", "no_mailbox"), ("4.2.2", "full"), ("5.2.2", "full"),
     ("5.7.1", "blocked"), ("5.7.26", "blocked"), ("5.4.4", "unreachable"), ("4.4.7", "unreachable"),
     ("5.0.0", "other")],
)  # fmt: skip
def test_a_returned_mail_says_why_and_marks_the_mailbox(mail, dana, status, reason):
    assert bounces.take(notification(bounce_addresses.address_for(mail.pk), status=status))

    mail.refresh_from_db()
    dana.refresh_from_db()
    assert (mail.delivery, mail.delivery_reason, dana.mailbox_failure) == (Delivery.BOUNCED, reason, reason)


def test_the_more_exact_of_two_codes_counts(mail):
    bounces.take(
        notification(bounce_addresses.address_for(mail.pk), status="5.0.0", diagnostic="smtp; 552 5.2.2 over quota")
    )

    mail.refresh_from_db()
    assert mail.delivery_reason == "full"


def test_a_mail_that_is_held_back_is_told_before_it_is_delivered(mail, dana):
    to = bounce_addresses.address_for(mail.pk)

    bounces.take(notification(to, action="delayed", status="4.4.1"))
    mail.refresh_from_db()
    assert (mail.delivery, mail.delivery_reason) == (Delivery.DEFERRED, "unreachable")

    bounces.take(notification(to, action="delivered", status="2.0.0"))
    mail.refresh_from_db()
    assert (mail.delivery, mail.delivery_reason) == (Delivery.DELIVERED, "")


@pytest.mark.parametrize("action", ["relayed", "expanded", "", "lost", "f\u00e4iled"])
def test_an_action_that_tells_nothing_changes_nothing(mail, action):
    before = everything()

    assert not bounces.take(notification(bounce_addresses.address_for(mail.pk), action=action))

    assert everything() == before


@pytest.mark.parametrize("header", bounces.ADDRESS_HEADERS)
def test_the_address_is_found_where_mail_servers_write_it(mail, header):
    address = bounce_addresses.address_for(mail.pk)

    assert bounces.take(notification("postmaster@example.com", headers=f"{header}: {address.upper()}"))


def test_the_address_that_the_mail_server_gives_counts_alone(mail):
    """SR-61: whatever the headers say."""
    address = bounce_addresses.address_for(mail.pk)
    with pytest.raises(bounces.NotSigned):
        bounces.take(notification(address), address="bounces@portal.example.com")

    assert bounces.take(notification("postmaster@example.com"), address=address)


def forgeries(mail_id: UUID) -> list[str]:
    address = bounce_addresses.address_for(mail_id)
    local, domain = address.split("@")
    name, signature = local.split(".")
    another = bounce_addresses.address_for(uuid4())
    return [
        "bounces@portal.example.com",
        "",
        f"{name}@{domain}",
        f"{name}.@{domain}",
        f"{name}.{signature[:-1]}{'b' if signature[-1] == 'a' else 'a'}@{domain}",
        f"{name}.{'a' * 16}@{domain}",
        f"{name}.{another.split('@')[0].split('.')[1]}@{domain}",
        f"{local}@example.net",
        f"{local}@{domain}.example.net",
        f"{local}@xportal.example.com",
        f"x{address}",
        f"{mail_id}@{domain}",
    ]


@pytest.mark.parametrize("number", range(12))
def test_a_forged_notification_changes_nothing(mail, number):
    """SR-61."""
    before = everything()

    with pytest.raises(bounces.NotSigned):
        bounces.take(notification(forgeries(mail.pk)[number]))

    assert everything() == before


def test_an_address_that_another_key_has_signed_is_forged(mail, settings):
    """SR-61."""
    address = bounce_addresses.address_for(mail.pk)
    settings.SECRET_KEY = "another" * 9

    with pytest.raises(bounces.NotSigned):
        bounces.take(notification(address))


def test_a_notification_of_a_mail_that_is_gone_or_that_comes_twice_changes_nothing(mail):
    """SR-61."""
    assert not bounces.take(notification(bounce_addresses.address_for(uuid4())))

    to = bounce_addresses.address_for(mail.pk)
    bounces.take(notification(to))
    before = everything()
    assert not bounces.take(notification(to, action="delayed"))
    assert not bounces.take(notification(to))
    assert everything() == before


def test_an_automatic_answer_is_no_notification(mail):
    """A user on holiday has received the mail. Refusing the answer would only send another mail."""
    before = everything()
    answer = f"To: {bounce_addresses.address_for(mail.pk)}\nAuto-Submitted: auto-replied\n\nI am away."

    assert not bounces.take(answer.encode())
    assert not bounces.take(b"To: bounces@portal.example.com\n\nBuy now: status 5.1.1, action: failed")

    assert everything() == before


@given(junk=st.binary(max_size=300), cut=st.integers(0, 900))
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_returned_mail_breaks_anything(mail, junk, cut):
    whole = notification(bounce_addresses.address_for(mail.pk))

    for returned in (junk, whole[:cut] + junk + whole[cut:], whole[:cut]):
        try:
            bounces.take(returned)
        except bounces.NotSigned:
            assert returned != whole


@given(mail_id=st.uuids(), junk=st.text(max_size=60))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_address_names_its_mail_and_no_other_text_does(settings, mail_id, junk):
    address = bounce_addresses.address_for(mail_id)

    assert len(address.split("@")[0]) <= 64
    assert bounce_addresses.mail_at(f"Delivered-To: <{address.upper()}>\n") == mail_id
    assert bounce_addresses.mail_at(junk) is None


# --- manage.py take_bounce ------------------------------------------------------------------------


@pytest.fixture
def pipe(monkeypatch):
    said: list[str] = []

    def into(returned: bytes, *arguments: str) -> int:
        """Pipe a mail into the command as a mail server does; return the exit code."""
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(returned)))
        try:
            call_command("take_bounce", *arguments)
        except CommandError as error:
            said.append(str(error))
            return error.returncode
        return 0

    yield into
    assert "dana" not in str(said)


def test_the_command_reads_one_mail_from_the_mail_server(pipe, mail):
    assert pipe(notification(bounce_addresses.address_for(mail.pk))) == 0

    mail.refresh_from_db()
    assert mail.delivery == Delivery.BOUNCED


def test_the_command_takes_the_address_of_the_envelope(pipe, mail):
    assert pipe(notification("postmaster@example.com"), bounce_addresses.address_for(mail.pk)) == 0

    mail.refresh_from_db()
    assert mail.delivery == Delivery.BOUNCED


def test_a_forged_one_is_refused_with_a_code_that_mail_servers_know(pipe, mail):
    assert pipe(notification("bounces+x@portal.example.com")) == 65


def test_what_is_no_notification_is_taken_and_forgotten(pipe):
    """An error would make the mail server write to the address that a spammer names as the sender."""
    assert pipe(b"From: spam@example.com\n\nBuy now") == 0
    assert pipe(b"") == 0


def test_without_the_database_the_mail_server_keeps_the_mail_and_tries_again(pipe, mail, monkeypatch):
    def away(*_args, **_options):
        raise OperationalError("connection to dana's database failed")

    monkeypatch.setattr(delivery, "note", away)

    assert pipe(notification(bounce_addresses.address_for(mail.pk))) == 75


def test_a_long_one_is_read_as_far_as_its_report(pipe, mail):
    returned = notification(bounce_addresses.address_for(mail.pk)).replace(b"481 516", b"x" * 2_000_000)

    assert pipe(returned) == 0

    mail.refresh_from_db()
    assert mail.delivery == Delivery.BOUNCED
