"""The second way out for mail, over real SMTP conversations with two mail servers."""

from datetime import timedelta
from smtplib import SMTPRecipientsRefused

import pytest
import time_machine
from anymail.backends.test import EmailBackend as AnymailTestBackend
from anymail.exceptions import AnymailRecipientsRefused, AnymailRequestsAPIError
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts import mail_breaker, mail_refusals, mail_routes, outbox
from accounts.mail_connections import KeptConnection
from accounts.mail_routes import Route
from accounts.models import Mail, MailRoute
from tests import servers
from tests.servers import SmtpSink
from tests.statements import recorded

pytestmark = pytest.mark.django_db
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def first(settings):
    sink = servers.SmtpSink()
    settings.EMAIL_BACKEND = SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
    yield sink
    sink.close()


@pytest.fixture
def second(settings):
    sink = servers.SmtpSink()
    settings.EMAIL_FALLBACK_BACKEND = SMTP
    settings.EMAIL_FALLBACK_SMTP = {"host": "localhost", "port": sink.port, "username": "", "password": ""}
    settings.EMAIL_FALLBACK_AFTER = 1
    yield sink
    sink.close()


@pytest.fixture(autouse=True)
def a_fresh_process():
    mail_breaker.forget()
    yield
    mail_breaker.forget()


@pytest.fixture(autouse=True)
def a_plain_mail(monkeypatch):
    monkeypatch.setitem(
        outbox.COMPOSERS, "accounts.plain", lambda _mail: EmailMessage("Code 123456", "text", to=["dana@example.com"])
    )


@pytest.fixture
def over(first, second):
    kept = KeptConnection()
    yield kept
    kept.close_all()


def deliver(over=None, queue=outbox.OTP_QUEUE) -> Mail:
    mail = Mail.objects.create(task="accounts.plain", queue=queue)
    outbox.deliver(str(mail.pk), over=over)
    mail.refresh_from_db()
    return mail


def ids(sink) -> list[str]:
    return [str(mail["Message-ID"]) for mail in sink.mails]


def open_breaker(over):
    over.by(Route.PRIMARY).close()
    for _failure in range(mail_breaker.FAILURES):
        mail_breaker.failed("TimeoutError")


TROUBLE = {
    "greets with 421": ("HELO", "421 4.3.2 closing"),
    "greets with 554": ("HELO", "554 no service here"),
    "hangs up": ("HELO", SmtpSink.HANGS_UP),
    "never answers": ("HELO", SmtpSink.IS_SILENT),
    "is silent at the sender": ("MAIL", SmtpSink.IS_SILENT),
    "is over its quota": ("MAIL", "452 4.5.3 too many today"),
    "refuses us": ("MAIL", "550 5.7.1 not from you"),
    "holds the recipient back": ("RCPT", "450 4.2.0 greylisted"),
    "ends at the recipient": ("RCPT", "421 4.7.0 too fast"),
    "blocks us at the recipient": ("RCPT", "550 5.7.1 your address is on a list"),
    "takes no text": ("DATA", "554 5.5.1 no"),
    "refuses the text": ("TEXT", "554 5.6.0 no"),
    "cannot keep the text": ("TEXT", "451 4.3.0 disk"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_code_goes_out_by_the_second_one_in_the_same_attempt(over, first, second, trouble):
    step, answer = TROUBLE[trouble]
    first.answers[step] = answer

    mail = deliver(over)

    assert (mail.state, mail.tries, mail.provider) == ("sent", 1, "localhost")
    assert first.mails == []
    assert ids(second) == [f"<{mail.pk}@testserver>"]
    assert timezone.now() - mail.created_at < timedelta(seconds=5)


def test_so_it_does_if_the_first_one_cannot_be_reached(first, second, settings):
    settings.EMAIL_PORT = servers.free_port()

    assert deliver().state == "sent"

    assert len(second.mails) == 1


def test_and_it_does_so_from_a_web_process_that_keeps_no_connection(first, second):
    first.answers["HELO"] = "421 closing"

    assert deliver().state == "sent"

    assert len(second.mails) == 1


def test_while_the_first_one_works_the_second_one_hears_nothing_and_nothing_more_is_asked_of_the_database(over, second):
    with recorded() as alone:
        mail = deliver(over)

    assert mail.provider == "127.0.0.1"
    assert second.connections == []
    assert not [sent for sent in alone.sent if "mailroute" in sent.sql]
    assert not MailRoute.objects.exists()


def test_a_lost_connection_after_the_text_is_ambiguous_and_the_code_goes_out_twice_under_one_message_id(
    over, first, second
):
    first.answers["TEXT"] = SmtpSink.HANGS_UP

    mail = deliver(over)

    assert ids(first) == ids(second) == [f"<{mail.pk}@testserver>"]
    assert mail.tries == 1


def test_a_server_that_checks_the_text_for_long_is_waited_for(over, first, second, settings, monkeypatch):
    settings.EMAIL_TIMEOUT = 20
    keep = first.keep

    def slowly(text):
        import time

        time.sleep(2)  # longer than EMAIL_FALLBACK_AFTER
        keep(text)

    monkeypatch.setattr(first, "keep", slowly)

    assert deliver(over).provider == "127.0.0.1"
    assert second.mails == []


REFUSED = {
    "unknown": ("RCPT", "550 5.1.1 no such user", "no_mailbox"),
    "unknown, in old words": ("RCPT", "550 no such user", "no_mailbox"),
    "disabled": ("RCPT", "550 5.2.1 disabled", "no_mailbox"),
    "full": ("RCPT", "552 5.2.2 over quota", "full"),
    "unknown, after the text": ("TEXT", "550 5.1.1 no such user", "no_mailbox"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("queue", [outbox.OTP_QUEUE, outbox.DEFAULT_QUEUE])
def test_a_mailbox_that_takes_none_is_asked_once_and_by_one_way(over, first, second, case, queue):
    step, answer, reason = REFUSED[case]
    first.answers[step] = answer

    mail = deliver(over, queue)

    assert (mail.state, mail.tries) == ("failed", 1)
    assert (mail.delivery, mail.delivery_reason) == (4, reason)
    assert second.connections == []
    assert mail_breaker.state_of(mail_breaker.row()) == "closed"


def test_without_a_second_one_a_mailbox_that_takes_none_is_asked_once_too(first):
    first.answers["RCPT"] = "550 5.1.1 no such user"

    assert deliver().state == "failed"


def test_what_the_second_one_says_of_the_mailbox_counts_too(over, first, second):
    first.answers["HELO"] = "421 closing"
    second.answers["RCPT"] = "550 5.1.1 no such user"

    assert deliver(over).state == "failed"


def test_if_both_fail_the_code_waits_for_its_next_try(over, first, second):
    first.answers["HELO"] = second.answers["HELO"] = "421 closing"

    mail = deliver(over)

    assert (mail.state, mail.tries) == ("queued", 1)
    assert mail.due_at > timezone.now()


def test_a_mail_that_is_no_code_waits_for_the_first_one(over, first, second):
    first.answers["HELO"] = "421 closing"

    assert deliver(over, outbox.DEFAULT_QUEUE).state == "queued"

    assert second.connections == []


def test_a_mailbox_that_takes_none_is_marked_at_its_account(over, first, dana):
    first.answers["RCPT"] = "550 5.1.1 no such user"
    mail = Mail.objects.create(task="accounts.plain", user=dana, queue=outbox.OTP_QUEUE)

    outbox.deliver(str(mail.pk), over=over)

    dana.refresh_from_db()
    assert dana.mailbox_failed_at
    assert dana.mailbox_failure == "no_mailbox"


def test_what_names_a_mail_to_the_first_one_is_not_told_to_a_provider_of_anymail(first, settings, monkeypatch):
    """A returned mail's address on the envelope is for SMTP alone, metadata for the provider."""
    sent = []
    post = AnymailTestBackend.post_to_esp

    def note(backend, payload, message):
        sent.append(message)
        return post(backend, payload, message)

    monkeypatch.setattr(AnymailTestBackend, "post_to_esp", note)
    settings.BOUNCE_ADDRESS = "bounces@portal.example.com"
    settings.EMAIL_FALLBACK_BACKEND = "anymail.backends.test.EmailBackend"
    settings.EMAIL_FALLBACK_SMTP = {}
    first.answers["RCPT"] = "450 4.2.0 greylisted"

    mail = deliver()

    assert first.senders[0].startswith("bounces+")
    (message,) = sent
    assert (message.from_email, message.metadata) == (settings.DEFAULT_FROM_EMAIL, {"mail_id": str(mail.pk)})
    assert "From" not in message.extra_headers
    assert mail.provider == "Test"


def test_a_fault_of_ours_is_not_tried_elsewhere(over, first, second, monkeypatch):
    broken = EmailMessage("one\nline", "text", to=["dana@example.com"])  # Django refuses such a subject
    monkeypatch.setitem(outbox.COMPOSERS, "accounts.plain", lambda _mail: broken)

    assert deliver(over).state == "queued"

    assert second.connections == []
    assert not MailRoute.objects.exists()


class TestBreaker:
    def test_it_opens_after_some_failures_and_the_first_one_is_left_alone(self, over, first, second):
        first.answers["MAIL"] = "451 4.3.0 trouble"
        for _mail in range(mail_breaker.FAILURES):
            deliver(over)
        asked = len(first.connections)

        assert deliver(over).provider == "localhost"
        assert deliver(over, outbox.DEFAULT_QUEUE).provider == "localhost"

        assert len(first.connections) == asked
        route = mail_breaker.row()
        assert (mail_breaker.state_of(route), route.error) == ("open", "SMTPSenderRefused 451")

    def test_while_it_is_open_mails_cost_no_statement_more(self, over, first, second):
        open_breaker(over)
        with recorded() as found:
            deliver(over)

        assert not [sent for sent in found.sent if "mailroute" in sent.sql]

    def test_another_process_learns_of_it_from_its_first_failure(self, over, first, second):
        open_breaker(over)
        mail_breaker.forget()
        first.answers["HELO"] = "421 closing"
        deliver(over)

        assert mail_breaker.is_open()

    def test_greylisting_of_one_mailbox_does_not_open_it(self, over, first, second):
        first.answers["RCPT"] = "450 4.2.0 greylisted"
        for _mail in range(mail_breaker.FAILURES + 1):
            deliver(over)

        assert mail_breaker.state_of(mail_breaker.row()) == "closed"

    def test_a_success_between_failures_keeps_it_closed(self, over, first, second):
        for _time in range(mail_breaker.FAILURES):
            first.refusals_to_come = 1
            deliver(over)
            deliver(over)

        assert mail_breaker.state_of(mail_breaker.row()) == "closed"

    def test_failures_that_lie_far_apart_do_not_add_up(self, over):
        for hour in range(mail_breaker.FAILURES):
            with time_machine.travel(timezone.now() + timedelta(hours=hour)):
                mail_breaker.failed("TimeoutError")

        assert mail_breaker.state_of(mail_breaker.row()) == "closed"

    def test_after_the_pause_one_mail_probes_and_closes_it(self, over, first, second):
        open_breaker(over)
        with time_machine.travel(timezone.now() + mail_breaker.PAUSE):
            assert deliver(over).provider == "127.0.0.1"

            assert mail_breaker.state_of(mail_breaker.row()) == "closed"
            assert deliver(over).provider == "127.0.0.1"
        assert second.connections == []

    def test_while_one_process_probes_the_others_go_the_second_way(self, over):
        open_breaker(over)
        with time_machine.travel(timezone.now() + mail_breaker.PAUSE, tick=False):
            assert mail_breaker.lets_through()
            assert mail_breaker.state_of(mail_breaker.row()) == "half-open"

            assert not mail_breaker.lets_through()

    def test_a_probe_that_fails_costs_one_code_a_moment_and_opens_it_again(self, over, first, second):
        open_breaker(over)
        first.answers["HELO"] = "421 closing"
        with time_machine.travel(timezone.now() + mail_breaker.PAUSE):
            assert deliver(over).provider == "localhost"

            assert mail_breaker.state_of(mail_breaker.row()) == "open"
            assert not mail_breaker.lets_through()

    def test_a_process_sees_that_another_one_has_closed_it(self, over):
        open_breaker(over)
        MailRoute.objects.update(open_until=None)
        with time_machine.travel(timezone.now() + mail_breaker.PAUSE):
            assert mail_breaker.lets_through()

        assert not mail_breaker.is_open()

    def test_a_code_whose_second_way_fails_meanwhile_tries_the_first_one(self, over, first, second):
        open_breaker(over)
        second.answers["HELO"] = "421 closing"

        assert deliver(over).provider == "127.0.0.1"

        assert mail_breaker.state_of(mail_breaker.row()) == "closed"

    def test_bulk_mail_goes_by_the_second_one_while_it_is_open(self, over, first, second, settings):
        first.answers["HELO"] = "421 closing"
        outbox.post_in_bulk([Mail(task="accounts.plain") for _mail in range(3)])
        outbox.send_bulk()
        assert second.mails == []
        open_breaker(over)
        Mail.objects.update(due_at=timezone.now())

        outbox.send_bulk()

        assert len(second.mails) == 3

    def test_without_a_second_one_there_is_no_breaker(self, first):
        first.answers["HELO"] = "421 closing"
        for _mail in range(mail_breaker.FAILURES + 1):
            deliver()

        assert not MailRoute.objects.exists()


def test_a_provider_of_anymail_can_be_the_second_one(settings):
    settings.EMAIL_FALLBACK_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "token"}

    assert mail_routes.provider_of(Route.FALLBACK) == "Postmark"
    assert mail_routes.connect(Route.FALLBACK).esp_name == "Postmark"


def test_what_a_provider_of_anymail_refuses_is_about_the_mailbox_or_not():
    class Answer:
        status_code, reason = 401, "Unauthorized"

    assert mail_refusals.reason_of(AnymailRecipientsRefused()) == "suppressed"
    assert mail_refusals.reason_of(AnymailRequestsAPIError(response=Answer())) is None
    assert mail_refusals.in_short(AnymailRequestsAPIError(response=Answer())) == "AnymailRequestsAPIError 401"


def test_what_is_logged_of_an_error_does_not_quote_it():
    """SR-19."""
    error = SMTPRecipientsRefused({"dana@example.com": (550, b"code 123456 for dana@example.com")})

    assert mail_refusals.in_short(error) == "SMTPRecipientsRefused 550"
