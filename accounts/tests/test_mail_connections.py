"""A worker's connection to the mail server, over a real SMTP conversation."""

import threading

import pytest
from django.core.mail import EmailMessage

from accounts import mail_connections, outbox
from accounts.mail_connections import KeptConnection
from accounts.models import Mail
from tests import servers

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(settings):
    sink = servers.SmtpSink()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
    yield sink
    sink.close()


@pytest.fixture
def over(sink):
    kept = KeptConnection()
    yield kept
    kept.close()


@pytest.fixture(autouse=True)
def a_plain_mail(monkeypatch):
    def compose(mail):
        return EmailMessage("subject", "text", to=[f"{mail.about}@example.com"])

    monkeypatch.setitem(outbox.COMPOSERS, "accounts.plain", compose)


def deliver(over, about="dana"):
    mail = Mail.objects.create(task="accounts.plain", about=about)
    outbox.deliver(str(mail.pk), over=over)
    mail.refresh_from_db()
    return mail.state


def test_many_mails_share_a_connection(sink, over):
    assert [deliver(over) for _mail in range(3)] == [Mail.State.SENT] * 3

    assert len(sink.mails) == 3
    assert len(sink.connections) == 1


def test_one_that_the_server_has_ended_is_opened_again_and_no_try_is_lost(sink, over):
    deliver(over)
    sink.hang_up()

    assert deliver(over) == Mail.State.SENT

    assert len(sink.mails) == 2
    assert len(sink.connections) == 2


def test_one_that_was_idle_for_long_is_opened_again(sink, over, monkeypatch):
    deliver(over)
    monkeypatch.setattr(mail_connections, "MAX_IDLE_SECONDS", 0.0)

    deliver(over)

    assert len(sink.connections) == 2


def test_after_so_many_mails_a_new_one_is_opened(sink, over, monkeypatch):
    monkeypatch.setattr(mail_connections, "MAX_MAILS", 2)

    for _mail in range(5):
        deliver(over)

    assert len(sink.mails) == 5
    assert len(sink.connections) == 3


def test_a_mail_that_is_refused_waits_and_the_next_one_gets_a_new_connection(sink, over):
    sink.refusals_to_come = 1

    assert deliver(over) == Mail.State.QUEUED
    assert deliver(over) == Mail.State.SENT

    assert len(sink.connections) == 2


def test_a_server_that_is_away_loses_no_mail(sink, settings):
    settings.EMAIL_PORT = servers.free_port()

    assert deliver(KeptConnection()) == Mail.State.QUEUED


def test_each_thread_has_its_own(sink):
    found = []

    def note():
        found.append(mail_connections.of_this_thread())
        assert mail_connections.of_this_thread() is found[-1]

    threads = [threading.Thread(target=note) for _number in range(2)]
    for thread in threads:
        thread.start()
        thread.join()

    assert found[0] is not found[1]
