"""What is known of a mail once it was sent, and how reports of it move its state: only forward (SR-61)."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from accounts import delivery, email_change, metrics, outbox
from accounts.delivery_reasons import reason_in
from accounts.mail_connections import KeptConnection
from accounts.models import Delivery, DeliveryReason, Mail, User
from accounts.tests.factories import UserFactory
from tests import servers
from tests.signing_in import sign_in

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


@pytest.mark.parametrize("told", [Delivery.BOUNCED, Delivery.DELIVERED])
def test_a_report_that_comes_while_the_mail_is_sent_tells_of_the_mailbox_too(dana, sink, monkeypatch, told):
    """The provider's report is faster than the row, which does not say yet to which mailbox the mail goes."""
    before = timezone.now() - timedelta(days=1)
    marked_before = before if told == Delivery.DELIVERED else None
    User.objects.update(mailbox_failed_at=marked_before, mailbox_failure="full" if marked_before else "")

    class Reported(EmailMessage):
        def send(self, fail_silently=False):
            done = super().send(fail_silently)
            delivery.note("", told, at=timezone.now(), reason=DeliveryReason.NO_MAILBOX, mail_id=str(mail.pk))
            return done

    monkeypatch.setitem(
        outbox.COMPOSERS, "accounts.plain", lambda _mail: Reported("subject", "text", to=["dana@example.com"])
    )
    mail = Mail.objects.create(task="accounts.plain", user=dana)

    outbox.deliver(str(mail.pk))

    mail.refresh_from_db()
    assert (mail.state, mail.delivery, mail.provider) == ("sent", told, "127.0.0.1")
    assert mark_of(dana)[1] == ("no_mailbox" if told == Delivery.BOUNCED else "")


def test_so_does_one_that_was_read_before_the_mail_was_noted_as_sent(dana, sink):
    mail = Mail.objects.create(task="accounts.plain", user=dana)
    read_before = Mail.objects.get()
    outbox.deliver(str(mail.pk))

    assert delivery._move(read_before, Delivery.BOUNCED, timezone.now(), DeliveryReason.FULL)

    assert mark_of(dana)[1] == "full"


# --- Reports --------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAILURES = {Delivery.FAILED, Delivery.BOUNCED, Delivery.COMPLAINED}


def a_sent_mail(user, **columns) -> Mail:
    mailbox = delivery.mailbox_of(user.email) if user else ""
    values = {"task": "mfa.one_time_password", "state": "sent", "sent_at": NOW, "mailbox": mailbox, "delivery": 1}
    mail = Mail.objects.create(user=user, **(values | columns))
    Mail.objects.filter(pk=mail.pk).update(message_id=f"<{mail.pk}@example.com>")
    mail.refresh_from_db()
    return mail


def report(mail, state, *, minute=1, reason="") -> bool:
    return delivery.note(mail.message_id, state, at=NOW + timedelta(minutes=minute), reason=reason)


def state_of(mail) -> tuple:
    mail.refresh_from_db()
    return Delivery(mail.delivery), mail.delivery_reason


def mark_of(user) -> tuple:
    user.refresh_from_db()
    return user.mailbox_failed_at, user.mailbox_failure


def test_a_report_moves_the_mail_forward_and_says_when_and_why(dana):
    mail = a_sent_mail(dana)

    assert report(mail, Delivery.DEFERRED, minute=1, reason=DeliveryReason.FULL)
    assert report(mail, Delivery.DELIVERED, minute=9)

    assert state_of(mail) == (Delivery.DELIVERED, "")
    assert mail.delivery_at == NOW + timedelta(minutes=9)


def test_a_report_that_comes_late_or_twice_does_nothing(dana):
    """SR-61."""
    mail = a_sent_mail(dana)
    report(mail, Delivery.BOUNCED, minute=5, reason=DeliveryReason.NO_MAILBOX)
    before = Mail.objects.values().get(), User.objects.values().get()

    told = [report(mail, state, minute=8) for state in Delivery if state <= Delivery.BOUNCED]

    assert told == [False] * len(told)
    assert (Mail.objects.values().get(), User.objects.values().get()) == before


def test_a_report_of_an_unknown_mail_does_nothing(dana):
    """SR-61."""
    mail = a_sent_mail(dana, delivery=0)
    Mail.objects.create(task="accounts.plain")  # has no message id

    for message_id in ("", "<unknown@example.com>", "0" * 300):
        for mail_id in ("", "no id", str(uuid4())):
            assert not delivery.note(message_id, Delivery.BOUNCED, at=NOW, mail_id=mail_id)

    assert state_of(mail) == (Delivery.UNKNOWN, "")
    assert mark_of(dana) == (None, "")


def test_a_report_finds_its_mail_by_our_own_id_too(dana):
    mail = a_sent_mail(dana)

    assert delivery.note("<another@example.com>", Delivery.DELIVERED, at=NOW, mail_id=str(mail.pk))

    assert state_of(mail) == (Delivery.DELIVERED, "")


def test_no_report_is_from_before_the_mail_or_from_tomorrow(dana):
    early, late = a_sent_mail(dana), a_sent_mail(dana)

    report(early, Delivery.DELIVERED, minute=-60)
    delivery.note(late.message_id, Delivery.DELIVERED, at=timezone.now() + timedelta(days=2))

    early.refresh_from_db()
    late.refresh_from_db()
    assert early.delivery_at == early.sent_at
    assert late.delivery_at <= timezone.now()


def test_a_returned_mail_marks_the_mailbox_and_a_later_delivery_clears_it(dana):
    returned, arrived = a_sent_mail(dana), a_sent_mail(dana)

    report(returned, Delivery.BOUNCED, minute=2, reason=DeliveryReason.FULL)
    assert mark_of(dana) == (NOW + timedelta(minutes=2), "full")

    report(arrived, Delivery.DELIVERED, minute=3)
    assert mark_of(dana) == (None, "")


def test_a_delivery_of_before_clears_nothing_and_a_failure_of_before_marks_nothing(dana):
    first, second, third = (a_sent_mail(dana) for _number in range(3))

    report(second, Delivery.FAILED, minute=5)
    report(first, Delivery.DELIVERED, minute=4)
    assert mark_of(dana) == (NOW + timedelta(minutes=5), "other")

    report(third, Delivery.DELIVERED, minute=7)
    report(a_sent_mail(dana), Delivery.BOUNCED, minute=6)
    assert mark_of(dana) == (None, "")


def test_a_mail_to_another_address_of_the_account_says_nothing_of_its_mailbox(dana):
    """A code to a new address that is mistyped, or a mail that was sent before the address was changed."""
    mail = a_sent_mail(dana, mailbox=delivery.mailbox_of("dnaa@example.com"))

    assert report(mail, Delivery.BOUNCED, reason=DeliveryReason.NO_MAILBOX)

    assert state_of(mail) == (Delivery.BOUNCED, "no_mailbox")
    assert mark_of(dana) == (None, "")


def test_a_change_of_address_clears_the_mark(client, dana):
    report(a_sent_mail(dana), Delivery.BOUNCED)
    dana.refresh_from_db()

    email_change._set_email(dana, "dana@example.net")

    assert mark_of(dana) == (None, "")


def test_a_code_that_came_back_clears_the_mark(client, dana_with_email):
    """Plain SMTP has no reports of deliveries: a code of a mail proves that it arrived."""
    User.objects.update(mailbox_failed_at=NOW, mailbox_failure="full")

    sign_in(client, dana_with_email)

    assert mark_of(dana_with_email) == (None, "")


def test_another_code_clears_nothing(client, dana_with_app):
    User.objects.update(mailbox_failed_at=NOW, mailbox_failure="full")

    sign_in(client, dana_with_app)

    assert mark_of(dana_with_app) == (NOW, "full")


def test_a_mail_without_an_account_is_reported_on_too():
    mail = a_sent_mail(None)

    assert report(mail, Delivery.BOUNCED, reason=DeliveryReason.NO_MAILBOX)

    assert state_of(mail) == (Delivery.BOUNCED, "no_mailbox")


def test_a_mail_that_is_held_back_does_not_mark_the_mailbox(dana):
    report(a_sent_mail(dana), Delivery.DEFERRED, reason=DeliveryReason.FULL)

    assert mark_of(dana) == (None, "")


def test_reports_are_counted_and_logged_without_an_address(dana):
    """SR-55, SR-61."""
    mail = a_sent_mail(dana)
    counted = [
        metrics.OUTCOMES.labels(delivery.STEP, outcome) for outcome in ("bounced", "nothing new", "unknown mail")
    ]
    before = [counter._value.get() for counter in counted]

    with capture_logs() as logs:
        report(mail, Delivery.BOUNCED, reason=DeliveryReason.FULL)
        report(mail, Delivery.BOUNCED)
        delivery.note("<unknown>", Delivery.BOUNCED, at=NOW)

    assert [counter._value.get() for counter in counted] == [number + 1 for number in before]
    assert [(line["event"], line["state"], line["reason"]) for line in logs] == [("delivery.noted", "bounced", "full")]
    assert dana.email not in str(logs)


EVENTS = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(list(Delivery)), st.integers(0, 30)), max_size=12)


@given(events=EVENTS, order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_in_any_order_and_number_end_in_the_state_of_their_maximum(db, events, order):
    """SR-61."""
    User.objects.all().delete()
    dana = UserFactory()
    mails = [a_sent_mail(dana, delivery=0) for _number in range(2)]
    events = events + order.sample(events, len(events) // 2)
    order.shuffle(events)

    for place, state, minute in events:
        report(mails[place], state, minute=minute)

    reached = [max((state for at, state, _minute in events if at == place), default=0) for place in (0, 1)]
    assert [state_of(mail)[0] for mail in mails] == reached
    # Only what happened last counts for the mailbox.
    if not FAILURES & set(reached):
        assert mark_of(dana) == (None, "")
    if set(reached) <= FAILURES:
        assert mark_of(dana)[0] is not None


@pytest.mark.parametrize("failure", sorted(FAILURES))
@pytest.mark.parametrize(("delivered_at", "failed_at"), [(1, 2), (2, 1), (1, 1)])
def test_the_mark_is_the_same_in_either_order(dana, failure, delivered_at, failed_at):
    marks = []
    for delivered_first in (True, False):
        User.objects.update(mailbox_failed_at=None, mailbox_failure="")
        Mail.objects.all().delete()
        jobs = [
            partial(report, a_sent_mail(dana), Delivery.DELIVERED, minute=delivered_at),
            partial(report, a_sent_mail(dana), failure, minute=failed_at),
        ]
        for job in jobs if delivered_first else reversed(jobs):
            job()
        marks.append(mark_of(dana))

    assert marks[0] == marks[1]
    assert (marks[0][0] is None) == (delivered_at > failed_at)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("smtp; 550 5.1.1 <dana@example.com>: Recipient address rejected: User unknown", "no_mailbox"),
        ("550-5.1.1 The email account that you tried to reach does not exist.", "no_mailbox"),
        ("452 4.2.2 The recipient's inbox is out of storage space", "full"),
        ("552 5.2.2 Mailbox full", "full"),
        ("550 5.7.1 Message rejected due to local policy", "blocked"),
        ("5.4.4 unable to look up host", "unreachable"),
        ("550 5.1.2 Bad destination host", "unreachable"),
        ("5.0.0 smtp; 550 5.2.1 mailbox disabled", "no_mailbox"),
        ("Transient: MailboxFull", "full"),
        ("user unknown", "no_mailbox"),
        ("550 Message contains spam", "spam"),
        ("421 from 5.1.1.20: try later", None),  # an IP address
        ("connect to mx.example.com[192.0.2.1]:25: Connection timed out", "unreachable"),
        ("5.6.0 no idea", None),
        ("", None),
    ],
)
def test_an_answer_is_told_in_our_words(answer, reason):
    assert reason_in(answer) == reason
