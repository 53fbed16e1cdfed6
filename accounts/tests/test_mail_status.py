"""What operators are told of mail: by a command, on a page of the administration, and by /metrics."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts import delivery, mail_breaker, mail_gauges, mail_status, outbox
from accounts.models import Delivery, Mail, User
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from tests import servers
from tests.signing_in import give_credentials, sign_in
from tests.statements import recorded

pytestmark = pytest.mark.django_db
SMTP = "django.core.mail.backends.smtp.EmailBackend"
TOKEN = "a token of the operators"


@pytest.fixture(autouse=True)
def a_fresh_process():
    mail_breaker.forget()
    mail_gauges.forget()
    yield
    mail_breaker.forget()
    mail_gauges.forget()


def write(*, ago=0, took=None, **columns):
    created_at = timezone.now() - timedelta(seconds=ago)
    sent_at = None if took is None else created_at + timedelta(seconds=took)
    return Mail.objects.create(task="accounts.plain", created_at=created_at, sent_at=sent_at, **columns)


def told(capsys, *arguments) -> str:
    call_command("mail_status", *arguments)
    return capsys.readouterr().out


class TestCommand:
    def test_an_hour_in_which_all_went_well(self, capsys):
        for took in (1, 2, 3, 40):
            write(
                ago=600, took=took, state="sent", queue="otp", provider="mail.example.com", delivery=Delivery.DELIVERED
            )
        write(ago=7200, took=1, state="sent", queue="otp", provider="long.ago.example.com")
        write(ago=60, state="dropped", queue="celery")
        write(ago=5, state="queued", queue="bulk")

        out = told(capsys)

        assert "  otp      0 unsent, the oldest for 0 s" in out
        assert "  bulk     1 unsent, the oldest for 5 s" in out
        assert "  4 sent, delivered, by mail.example.com" in out
        assert "  1 dropped\n" in out
        assert "  otp      median 2.0, 95 % within 40.0, slowest 40.0 (4 mails)" in out
        assert "long.ago" not in out

    def test_a_code_that_waits_for_more_than_a_minute_is_an_error_for_cron(self, capsys):
        write(ago=75, state="queued", queue="otp")

        with pytest.raises(CommandError, match=r"The oldest unsent code has waited for 75 s."):
            told(capsys)

    def test_so_is_one_that_a_worker_took_and_did_not_send(self, capsys):
        write(ago=75, state="sending", queue="otp")

        with pytest.raises(CommandError, match="75 s"):
            told(capsys)

    def test_other_mail_may_wait(self, capsys):
        write(ago=3600, state="queued", queue="celery")

        assert "  celery   1 unsent, the oldest for 3600 s" in told(capsys)

    def test_mailboxes_at_which_mail_does_not_arrive_are_masked_newest_first(self, capsys):
        for number in range(mail_status.MAX_MAILBOXES_SHOWN + 3):
            failed_at = timezone.now() - timedelta(hours=number)
            UserFactory(
                email=f"{number}@clinic{number}.example.com", mailbox_failed_at=failed_at, mailbox_failure="full"
            )

        out = told(capsys)

        assert "Accounts at which mail does not arrive: 23" in out
        shown = re.findall(r"(\S+@clinic\d+)\.example\.com since .*: the mailbox is full", out)
        assert shown == [f"{str(number)[:1]}•••@clinic{number}" for number in range(20)]

    def test_the_breaker_is_told_with_what_opened_it(self, capsys, settings):
        assert "there is no second way out" in told(capsys)
        settings.EMAIL_FALLBACK_BACKEND = SMTP
        settings.EMAIL_FALLBACK_SMTP = {"host": "second.example.com"}
        for _failure in range(mail_breaker.FAILURES):
            mail_breaker.failed("SMTPConnectError 421")

        out = told(capsys)

        assert re.search(r"Circuit breaker of \S+: open\n  last failure: SMTPConnectError 421, ", out)

    def test_a_test_mail_goes_by_each_way_and_shows_what_each_server_answered(self, capsys, settings):
        first, second = servers.SmtpSink(), servers.SmtpSink()
        settings.EMAIL_BACKEND = settings.EMAIL_FALLBACK_BACKEND = SMTP
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", first.port
        settings.EMAIL_FALLBACK_SMTP = {"host": "localhost", "port": second.port, "username": "", "password": ""}
        second.answers["TEXT"] = "250 2.0.0 queued as 4F2"

        out = told(capsys, "--test", "operator@example.com")
        assert out == "primary (127.0.0.1): 250 kept\nfallback (localhost): 250 2.0.0 queued as 4F2\n"
        assert [str(mail["To"]) for mail in first.mails + second.mails] == ["operator@example.com"] * 2

        first.answers["RCPT"] = "550 5.7.1 relaying denied"
        with pytest.raises(CommandError, match=r"No mail went out by: primary."):
            told(capsys, "--test", "operator@example.com")
        out = capsys.readouterr().out
        assert "relaying denied" in out
        assert "queued as 4F2" in out
        first.close()
        second.close()

    def test_what_is_counted_and_sampled_is_bounded(self, monkeypatch, capsys):
        monkeypatch.setattr(mail_status, "MAX_COUNTED", 3)
        monkeypatch.setattr(mail_status, "SAMPLE", 4)
        for _mail in range(6):
            write(state="queued", queue="bulk")

        out = told(capsys)

        assert "3+ unsent" in out
        assert "Last hour (its newest 4 mails)" in out
        assert "  4 queued" in out


class TestAdministration:
    def test_staff_with_a_proven_factor_see_the_page(self, client, dana):
        User.objects.filter(pk=dana.pk).update(is_staff=True)
        UserFactory(email="sam@clinic.example.com", mailbox_failed_at=timezone.now(), mailbox_failure="no_mailbox")
        add_mode(dana, "authenticator")
        sign_in(client, dana)
        write(ago=75, state="queued", queue="otp")

        page = client.get("/admin/mail").content.decode()

        assert "The oldest unsent code has waited for 75 seconds." in page
        assert "s•••@clinic.example.com" in page
        assert "there is no such mailbox" in page
        assert "There is no second way out." in page
        assert "/admin/mail" in client.get("/admin/").content.decode()

    def test_others_do_not(self, client, dana):
        assert client.get("/admin/mail").status_code == 302
        sign_in(client, dana)
        assert client.get("/admin/mail").status_code == 302
        User.objects.filter(pk=dana.pk).update(is_staff=True)
        assert client.get("/admin/mail").status_code == 302


class TestGauges:
    @pytest.fixture
    def metrics(self, client, settings):
        settings.METRICS_TOKEN = TOKEN

        def get():
            return client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()

        return get

    def test_queues_and_breaker(self, metrics):
        with time_machine.travel(timezone.now(), tick=False):
            write(ago=75, state="sending", queue="otp")
            write(ago=5, state="queued", queue="otp")
            write(ago=99, state="sent", queue="otp")
            page = metrics()

        assert 'portal_mail_oldest_unsent_seconds{queue="otp"} 75.0' in page
        assert 'portal_mail_queue_length{queue="otp"} 2.0' in page
        assert 'portal_mail_queue_length{queue="bulk"} 0.0' in page
        assert 'portal_mail_breaker{state="closed"} 1.0' in page
        assert 'portal_mail_breaker{state="open"} 0.0' in page

    def test_they_are_kept_for_some_seconds(self, metrics):
        metrics()
        with recorded() as found:
            metrics()

        assert not [sent for sent in found.sent if "accounts_mail" in sent.sql]

    def test_several_processes_do_not_add_them_up(self, metrics, monkeypatch, tmp_path):
        write(state="queued", queue="otp")
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

        first = metrics()
        mail_gauges.forget()  # another process asks

        for page in (first, metrics()):
            assert page.count('portal_mail_queue_length{queue="otp"} 1.0') == 1
        assert list(tmp_path.iterdir()) == []

    def test_without_a_database_the_counters_still_come(self, metrics, monkeypatch):
        def away():
            raise DatabaseError

        monkeypatch.setattr(mail_status, "queues", away)

        page = metrics()

        assert "portal_outcomes_total" in page
        assert "portal_mail_queue_length" not in page

    def test_seconds_until_a_provider_accepts_are_counted_where_it_happens(
        self, metrics, client, dana_with_email, settings
    ):

        settings.EMAIL_HOST = "mail.example.com"
        give_credentials(client, "dana")
        outbox.send_here(Mail.objects.get())

        assert re.search(r'portal_mail_accepted_seconds_count\{provider="\w+",queue="otp"\} \d', metrics())

    def test_so_are_seconds_until_a_report_says_that_it_was_delivered(self, metrics):
        sent_at = timezone.now() - timedelta(seconds=20)
        mail = Mail.objects.create(task="accounts.plain", state="sent", sent_at=sent_at, provider="Some provider")

        for _report in range(2):
            delivery.note("", Delivery.DELIVERED, at=sent_at + timedelta(seconds=12), mail_id=str(mail.pk))

        page = metrics()
        assert 'portal_mail_delivered_seconds_count{provider="Some provider"} 1.0' in page
        assert 'portal_mail_delivered_seconds_sum{provider="Some provider"} 12.0' in page


@pytest.mark.postgresql
class TestPlans:
    """A million mails: each query of the status and the gauges goes by an index."""

    def test_no_query_reads_the_whole_table(self):
        with recorded() as found:
            mail_status.status()
        asked = [sent.sql for sent in found.sent if sent.sql.startswith("SELECT")]
        assert len(asked) == 10
        with transaction.atomic(), connection.cursor() as cursor:
            # The tables are empty here. These make PostgreSQL prefer what it prefers for large ones.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            used = set()
            for sql in asked:
                cursor.execute(f"EXPLAIN {sql}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
                assert "Seq Scan" not in plan, plan
                used |= set(re.findall(r"using (\w+)", plan))
        assert {"mail_unsent_by_age", "mail_by_age", "mailboxes_that_fail"} <= used

    def test_unsent_mails_are_found_by_their_index_even_by_a_prepared_statement(self):
        """Parameters in place of the index's constants made PostgreSQL read the table: 3 s at a million mails."""
        sql, parameters = outbox.unsent("otp").query.sql_with_params()

        assert "IN ('queued', 'sending')" in sql
        assert parameters == ("otp",)
