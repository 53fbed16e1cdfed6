"""What is known of a mail once it was sent, and how reports of it move its state: only forward (SR-61)."""

import pytest
from django.core.mail import EmailMessage

from accounts import outbox
from accounts.mail_connections import KeptConnection
from accounts.models import Delivery, Mail
from tests import servers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_plain_mail(monkeypatch):
    def compose(mail):
        return EmailMessage("subject", "Your code is 481 516.", to=["dana@example.com"])

    monkeypatch.setitem(outbox.COMPOSERS, "accounts.plain", compose)


@pytest.fixture
def sink(settings):
    sink = servers.SmtpSink()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
    yield sink
    sink.close()


def sent(*, over=None, **columns) -> Mail:
    mail = Mail.objects.create(task="accounts.plain", **columns)
    outbox.deliver(str(mail.pk), over=over)
    mail.refresh_from_db()
    return mail


def test_a_mail_that_was_sent_keeps_the_answer_of_the_mail_server(sink):
    mail = sent()

    assert (mail.delivery, mail.provider, mail.reply) == (Delivery.ACCEPTED, "127.0.0.1", "250 kept")
    assert mail.message_id == f"<{mail.pk}@testserver>" == sink.mails[0]["Message-ID"]
    assert mail.delivery_at == mail.sent_at is not None


def test_over_a_kept_connection_each_mail_keeps_its_own_answer(sink):
    over = KeptConnection()
    sink.reply = "250 2.0.0 Ok: queued as 4F2A"
    first = sent(over=over)
    sink.reply = "250 2.0.0 Ok: queued as 4F2B"
    second = sent(over=over)
    over.close()

    assert [mail.reply[-4:] for mail in (first, second)] == ["4F2A", "4F2B"]
    assert len(sink.connections) == 1


def test_what_a_mail_server_repeats_of_the_mail_is_not_kept(sink, monkeypatch):
    """SR-19."""
    code_in_one_word = EmailMessage("subject", "Your code is K7Q-F2M.", to=["dana@example.com"])
    monkeypatch.setitem(outbox.COMPOSERS, "accounts.plain", lambda _mail: code_in_one_word)
    sink.reply = f"250 2.1.5 <dana@example.com> K7Q-F2M {'x' * 300}"

    reply = sent().reply

    assert reply.startswith("250 2.1.5 … … xxx")
    assert len(reply) == 255


def test_a_mail_that_was_not_sent_has_learned_nothing(sink):
    sink.refusals_to_come = 1

    mail = sent()

    assert (mail.state, mail.delivery, mail.delivery_at, mail.message_id, mail.reply) == ("queued", 0, None, "", "")


def test_a_mail_through_a_provider_keeps_its_name_and_its_id(settings):
    settings.EMAIL_BACKEND = "anymail.backends.test.EmailBackend"

    mail = sent()

    assert (mail.provider, mail.message_id, mail.reply) == ("Test", "0", "")


def test_a_report_that_is_faster_than_the_row_stays(sink):
    """SR-61: the mail was delivered before this process wrote that it was accepted."""
    mail = sent()
    Mail.objects.update(state="queued", delivery=Delivery.DELIVERED, delivery_at="2026-01-01T00:00:00Z")

    outbox.deliver(str(mail.pk))

    mail.refresh_from_db()
    assert (mail.state, mail.delivery, mail.delivery_at.year) == ("sent", Delivery.DELIVERED, 2026)
