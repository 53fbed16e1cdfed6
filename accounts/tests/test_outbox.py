"""No mail is lost, none is sent twice, none carries more than an id through the broker."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
import time_machine
from celery import current_app
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import housekeeping, outbox
from accounts.models import EmailVerification, Mail, Session, Throttle
from accounts.tests.factories import UserFactory
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.signing_in import OTP, give_credentials

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken_mail_server(monkeypatch):
    def refuse(_self, _messages):
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    return monkeypatch


def test_every_name_in_the_outbox_is_a_task(db, client, dana_with_email):
    current_app.loader.import_default_modules()
    give_credentials(client, "dana")

    assert Mail.objects.get().task in current_app.tasks


def test_the_broker_carries_only_the_id_of_the_mail(client, dana_with_email, django_capture_on_commit_callbacks):
    """SR-19, SR-50."""
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current_app, "send_task", lambda *args, **options: sent.append((args, options)))
        with django_capture_on_commit_callbacks(execute=True):
            give_credentials(client, "dana")

    row = Mail.objects.get()
    assert sent == [(("mfa.one_time_password", [str(row.pk)]), {"queue": "otp", "retry": False})]
    assert mailed_code() not in json.dumps(sent, default=str)


def test_without_the_broker_it_is_slower_but_nothing_is_lost(
    client, dana_with_email, django_capture_on_commit_callbacks
):
    def away(*_args, **_options):
        raise OperationalError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current_app, "send_task", away)
        with django_capture_on_commit_callbacks(execute=True):
            response = give_credentials(client, "dana")

    assert response.url == OTP
    assert len(mail.outbox) == 1
    assert Mail.objects.get().state == "sent"


def test_broker_and_mail_server_away_the_sign_in_goes_on_and_the_mail_waits(
    client, dana_with_email, broken_mail_server, django_capture_on_commit_callbacks
):
    def away(*_args, **_options):
        raise OperationalError

    broken_mail_server.setattr(current_app, "send_task", away)
    with django_capture_on_commit_callbacks(execute=True):
        response = give_credentials(client, "dana")

    assert response.url == OTP
    assert Mail.objects.get().state == "queued"


def test_a_mail_is_sent_once_however_often_it_is_queued(client, dana_with_email):
    give_credentials(client, "dana")
    row = Mail.objects.get()

    for _time in range(3):
        outbox.send_here(row)

    assert len(mail.outbox) == 1


def test_a_mail_that_another_worker_is_sending_is_left_to_it(client, dana_with_email):
    give_credentials(client, "dana")
    row = Mail.objects.get()
    Mail.objects.update(state="sending", due_at=timezone.now() + timedelta(minutes=1))

    outbox.send_here(row)

    assert mail.outbox == []


def test_a_refused_mail_is_tried_again_later_each_time(client, dana_with_email, broken_mail_server):
    give_credentials(client, "dana")
    row = Mail.objects.get()

    outbox.send_here(row)

    row.refresh_from_db()
    assert (row.state, row.tries) == ("queued", 1)
    assert row.due_at > timezone.now()
    pauses = [outbox.back_off(tries) for tries in range(1, 7)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= timedelta(minutes=20)


def test_after_the_last_try_it_is_given_up_and_marked(client, dana_with_email, broken_mail_server):
    give_credentials(client, "dana")
    row = Mail.objects.get()

    for _time in range(outbox.MAX_TRIES):
        outbox.send_here(row)

    row.refresh_from_db()
    assert row.state == "failed"


def test_the_sweep_queues_what_a_dead_worker_left(client, dana_with_email):
    give_credentials(client, "dana")
    Mail.objects.update(state="sending", due_at=timezone.now())
    sent = []

    with time_machine.travel(timezone.now() + timedelta(minutes=2)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(current_app, "send_task", lambda _task, ids, **_options: sent.append(ids))
        assert outbox.sweep() == 1
        outbox.send_here(Mail.objects.get())

    assert sent == [[str(Mail.objects.get().pk)]]
    assert len(mail.outbox) == 1


def test_what_nobody_can_compose_any_more_is_swept_once(client, dana_with_email):
    give_credentials(client, "dana")
    Mail.objects.update(task="test.gone", queue="celery")

    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert outbox.sweep() == 0

    assert Mail.objects.get().state == "failed"


def test_what_was_swept_stands_behind_the_others(client, dana_with_email, monkeypatch):
    """Mails whose tasks the broker loses again and again do not keep the sweep from the rest."""
    monkeypatch.setattr(outbox, "SWEEP_BATCH", 1)
    swept = []
    monkeypatch.setattr(current_app, "send_task", lambda _task, ids, **_options: swept.extend(ids))
    for _number in range(3):
        give_credentials(client, "dana")
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        for _time in range(3):
            outbox.sweep()

    assert len(set(swept)) == Mail.objects.filter(state="queued").count() > 1


def test_the_sweep_leaves_alone_what_is_probably_on_its_way(client, dana_with_email):
    give_credentials(client, "dana")

    assert outbox.sweep() == 0


class TestMailings:
    """What nobody waits for: many mails over one connection, never before a code."""

    @pytest.fixture
    def mailing(self, monkeypatch):
        monkeypatch.setitem(outbox.COMPOSERS, "test.news", lambda row: EmailMessage("news", "news", to=[row.about]))
        calls = []
        monkeypatch.setattr(current_app, "send_task", lambda task, *args, **_options: calls.append((task, *args)))
        outbox.post_in_bulk([Mail(task="test.news", about=f"p{number}@example.com") for number in range(50)])
        return calls

    def test_each_is_sent_once_and_the_broker_hears_of_none(self, mailing, django_capture_on_commit_callbacks):
        """SR-50."""
        with django_capture_on_commit_callbacks(execute=True):
            outbox.post_in_bulk([Mail(task="test.news", about="late@example.com")])
        outbox.send_bulk()
        outbox.send_bulk()

        assert sorted(message.to[0] for message in mail.outbox) == sorted(
            ["late@example.com", *(f"p{number}@example.com" for number in range(50))]
        )
        assert mailing == [("accounts.send_bulk",)]
        assert set(Mail.objects.values_list("state", "tries")) == {("sent", 1)}

    def test_they_share_one_connection(self, mailing, monkeypatch):
        opened = []
        monkeypatch.setattr(EmailBackend, "open", lambda self: opened.append(id(self)))
        outbox.send_bulk()

        assert len(set(opened)) == 1

    def test_a_turn_ends_and_the_rest_is_called_for(self, mailing, monkeypatch):
        monkeypatch.setattr(outbox, "BULK_TURN_SECONDS", -1)
        outbox.send_bulk()

        assert mail.outbox == []
        assert mailing == [("accounts.send_bulk",)]
        assert set(Mail.objects.values_list("state", "tries")) == {("queued", 0)}

    def test_a_mail_server_that_is_away_costs_no_try(self, mailing, monkeypatch):
        def refuse(_self):
            raise ConnectionRefusedError

        monkeypatch.setattr(EmailBackend, "open", refuse)
        for _time in range(outbox.MAX_TRIES + 1):
            outbox.send_bulk()
            Mail.objects.update(due_at=timezone.now())
        monkeypatch.undo()
        monkeypatch.setitem(outbox.COMPOSERS, "test.news", lambda row: EmailMessage("news", "news", to=[row.about]))
        outbox.send_bulk()

        assert len(mail.outbox) == 50

    def test_one_refused_address_holds_up_nobody(self, mailing, monkeypatch):
        real = EmailBackend.send_messages

        def refuse_one(self, messages):
            if messages[0].to == ["p7@example.com"]:
                raise ConnectionResetError
            return real(self, messages)

        monkeypatch.setattr(EmailBackend, "send_messages", refuse_one)
        outbox.send_bulk()

        assert len(mail.outbox) == 49
        assert Mail.objects.get(about="p7@example.com").state == "queued"

    def test_a_bug_in_one_mail_costs_that_mail_alone(self, mailing, monkeypatch):
        def compose(row):
            if row.about == "p7@example.com":
                raise ValueError
            return EmailMessage("news", "news", to=[row.about])

        monkeypatch.setitem(outbox.COMPOSERS, "test.news", compose)
        outbox.send_bulk()

        assert len(mail.outbox) == 49
        assert Mail.objects.get(about="p7@example.com").state == "queued"

    def test_a_kind_that_nobody_composes_any_more_costs_that_mail_alone(self, mailing):
        Mail.objects.filter(about="p7@example.com").update(task="test.gone")
        outbox.send_bulk()

        assert len(mail.outbox) == 49
        assert Mail.objects.get(about="p7@example.com").state == "queued"

    @pytest.mark.parametrize(("hours", "state"), [(23, "queued"), (25, "failed")])
    def test_a_server_that_refuses_is_waited_for_for_a_day(self, mailing, monkeypatch, hours, state):
        def refuse(_self, _messages):
            raise ConnectionRefusedError

        monkeypatch.setattr(EmailBackend, "send_messages", refuse)
        with time_machine.travel(timezone.now() + timedelta(hours=hours)):
            for _time in range(outbox.MAX_TRIES + 1):
                Mail.objects.filter(state="queued").update(due_at=timezone.now())
                outbox.send_bulk()

        assert set(Mail.objects.values_list("state", flat=True)) == {state}

    def test_what_a_dead_worker_took_is_taken_again(self, mailing):
        Mail.objects.update(state="sending", tries=1, due_at=timezone.now() + timedelta(minutes=3))
        outbox.send_bulk()
        assert mail.outbox == []

        with time_machine.travel(timezone.now() + timedelta(minutes=4)):
            outbox.sweep()
            assert mailing == [("accounts.send_bulk",)]
            outbox.send_bulk()

        assert len(mail.outbox) == 50

    def test_a_code_that_got_stuck_is_swept_before_any_mailing(self, mailing, client, dana_with_email, monkeypatch):
        """A hundred thousand older mails of a mailing stand in nobody's way."""
        monkeypatch.setattr(outbox, "SWEEP_BATCH", 1)
        give_credentials(client, "dana")

        with time_machine.travel(timezone.now() + timedelta(minutes=5)):
            outbox.sweep()

        code = Mail.objects.get(queue="otp")
        assert mailing == [("mfa.one_time_password", [str(code.pk)]), ("accounts.send_bulk",)]


def test_a_name_cannot_add_a_header_or_markup_to_a_mail(client, another_browser):
    """SR-48."""
    from accounts.compose import compose

    message = compose("security_notice", to="a@example.com", what="x\r\nBcc: thief@example.com", event=None)

    assert "\n" not in message.subject
    assert message.message()["Bcc"] is None


def test_html_mail_escapes_what_people_chose():
    """SR-48."""
    from accounts.compose import compose

    message = compose("security_notice", to="a@example.com", what="<script>alert(1)</script>", event=None)

    assert "<script>" not in message.alternatives[0][0]


def test_only_urls_of_the_portal_become_links():
    """SR-48: what people chose leads nowhere, even if it looks like the portal."""
    from accounts.compose import compose

    event = SimpleNamespace(actor="sam", reason="see http://testserver.example/x and http://bad.example/ now", at=None)
    message = compose(
        "security_notice", to="a@example.com", what="x", event=event, reset_path="/account/password/reset"
    )
    html = str(message.alternatives[0].content)

    assert '<a href="http://testserver/account/password/reset">http://testserver/account/password/reset</a>' in html
    assert html.count("<a ") == 1


def test_links_in_mail_come_from_the_setting_not_from_the_request(client, settings):
    """SR-47."""
    settings.SITE_URL = "https://portal.example.com"
    settings.ALLOWED_HOSTS = ["*"]
    UserFactory(email="taken@example.com")
    fields = {"email": "taken@example.com", "password": "long enough for us", "password_confirm": "long enough for us"}

    client.post("/account/register", fields, headers={"host": "evil.example"})

    assert "https://portal.example.com/account/password/reset" in read_mail()[0].body
    assert "evil" not in read_mail()[0].body


def test_what_expired_is_forgotten_in_batches(client, dana_with_email, monkeypatch):
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    for _number in range(3):
        give_credentials(client, f"unknown{_number}")
    client.post("/account/password/reset", {"identifier": "dana"})

    with time_machine.travel(timezone.now() + timedelta(days=30)):
        rows = (Session, EmailVerification, Throttle)
        expired = sum(model.objects.count() for model in rows)
        assert housekeeping.forget_expired() == expired

    assert not any(model.objects.exists() for model in rows)
