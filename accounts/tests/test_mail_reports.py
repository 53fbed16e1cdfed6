"""Providers report what became of our mails. Only signed reports count, and they only move a mail forward (SR-61)."""

import json
from functools import partial

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts import delivery
from accounts.models import Delivery, Mail, Session, User
from accounts.tests.providers import AT, PROVIDERS, SECRET, Sent, basic
from datica_account import mail_providers
from tests.signing_in import sign_in

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid"),
]
EVERY = pytest.mark.parametrize("name", sorted(PROVIDERS))
TOLD = [(name, state) for name, provider in PROVIDERS.items() for state in provider.events]


@pytest.fixture(autouse=True)
def all_switched_on(settings, monkeypatch):
    settings.MAIL_REPORT_PROVIDERS = list(PROVIDERS)
    # Without the package boto3, which confirms subscriptions, Anymail's view cannot be made.
    monkeypatch.setattr("anymail.webhooks.amazon_ses._get_anymail_boto3_params", lambda **_names: ({}, {}))


def a_mail(user, provider, **columns) -> Mail:
    values = {"task": "mfa.one_time_password", "user": user, "state": "sent", "delivery": Delivery.ACCEPTED,
              "sent_at": "2026-01-01T12:00:00Z", "message_id": provider.mail_key,
              "mailbox": delivery.mailbox_of(user.email)}  # fmt: skip
    return Mail.objects.create(**(values | columns))


def post(client, name: str, sent: Sent, **headers):
    return client.post(
        f"/hooks/mail/{name}/", sent.body, content_type=sent.content_type, headers={**sent.headers, **headers}
    )


@pytest.fixture
def report(client, settings, dana):
    """Let a provider report one event of a mail."""

    def tell(name, state, *, mail_id="", message_id="", forged=False):
        provider = PROVIDERS[name]
        settings.ANYMAIL = provider.anymail
        message_id = message_id or provider.mail_key
        return post(client, name, provider.report(provider.events[state], message_id, mail_id, forged))

    return tell


def everything():
    return list(Mail.objects.order_by("pk").values()), list(User.objects.values())


def test_every_provider_that_anymail_has_is_told_of_here():
    from anymail.urls import urlpatterns

    reporting = {str(pattern.name).removesuffix("_tracking_webhook") for pattern in urlpatterns}
    known = {name for name in reporting if not name.endswith("_webhook")} - {"sendinblue"}  # the old name of Brevo

    assert known == set(PROVIDERS) == set(mail_providers.SIGNATURE_KEYS)


@pytest.mark.parametrize(("name", "state"), TOLD)
def test_a_report_tells_what_became_of_a_mail(report, dana, name, state):
    mail = a_mail(dana, PROVIDERS[name], delivery=Delivery.UNKNOWN)

    assert report(name, state).status_code == 200

    mail.refresh_from_db()
    assert Delivery(mail.delivery).name.lower() == state
    assert abs((mail.delivery_at - AT).total_seconds()) < 1


@EVERY
def test_a_returned_mail_says_why_and_marks_the_mailbox(report, dana, name):
    mail = a_mail(dana, PROVIDERS[name])

    report(name, "bounced")

    mail.refresh_from_db()
    dana.refresh_from_db()
    reason = "other" if name == "postal" else "no_mailbox"  # its event of a bounce gives none
    assert (mail.delivery_reason, dana.mailbox_failure) == (reason, reason)


@EVERY
def test_our_own_id_in_the_metadata_finds_a_mail_whose_row_does_not_name_the_providers_yet(report, dana, name):
    if not PROVIDERS[name].has_metadata:
        pytest.skip("has no metadata")
    mail = a_mail(dana, PROVIDERS[name], message_id="", delivery=Delivery.UNKNOWN)

    report(name, "bounced", mail_id=str(mail.pk))

    mail.refresh_from_db()
    assert mail.delivery == Delivery.BOUNCED


@pytest.mark.parametrize(("name", "state"), TOLD)
def test_a_forged_report_changes_nothing(report, dana, name, state):
    """SR-61."""
    mail = a_mail(dana, PROVIDERS[name], delivery=Delivery.UNKNOWN)
    before = everything()

    assert 400 <= report(name, state, mail_id=str(mail.pk), forged=True).status_code < 500

    assert everything() == before


@EVERY
def test_a_report_without_any_signature_changes_nothing(client, settings, dana, name):
    """SR-61."""
    provider = PROVIDERS[name]
    settings.ANYMAIL = provider.anymail
    a_mail(dana, provider)
    before = everything()
    sent = provider.report(provider.events["bounced"], provider.mail_key, "", False)
    if name in {"mailgun", "unisender_go"}:  # they sign within the body
        sent = Sent(sent.body.replace(b'"signature"', b'"s"').replace(b'"auth"', b'"a"'))

    response = post(client, name, Sent(sent.body, {}, sent.content_type))

    assert 400 <= response.status_code < 500
    assert everything() == before


@EVERY
def test_a_report_that_comes_late_or_twice_changes_nothing(report, dana, name):
    """SR-61."""
    a_mail(dana, PROVIDERS[name])
    last = "complained" if "complained" in PROVIDERS[name].events else "bounced"
    report(name, last)
    before = everything()

    for state in PROVIDERS[name].events:
        assert report(name, state).status_code == 200

    assert everything() == before


@EVERY
def test_a_report_of_an_unknown_mail_is_taken_and_changes_nothing(report, dana, name):
    """Another program may send through the same account: an error would be repeated for days."""
    a_mail(dana, PROVIDERS[name], message_id="<another>")
    before = everything()

    assert report(name, "bounced").status_code == 200

    assert everything() == before


@EVERY
def test_a_provider_that_is_not_switched_on_has_no_address(report, settings, dana, name):
    settings.MAIL_REPORT_PROVIDERS = [other for other in PROVIDERS if other != name]
    a_mail(dana, PROVIDERS[name])
    before = everything()

    response = report(name, "bounced")

    assert (response.status_code, response.content) == (404, b"404 Not Found\n")
    assert everything() == before


def test_a_batch_is_taken_in_any_order(client, settings, dana):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    mails = [a_mail(dana, PROVIDERS["sparkpost"], message_id=f"6583{number}") for number in range(3)]
    batch = []
    for mail in mails:
        for event in ("bounce", "injection", "delivery", "delay"):
            batch += json.loads(PROVIDERS["sparkpost"].report(event, mail.message_id, "", False).body)

    assert post(client, "sparkpost", Sent(json.dumps(batch).encode(), basic(False))).status_code == 200

    assert set(Mail.objects.values_list("delivery", flat=True)) == {Delivery.BOUNCED}


def test_a_batch_with_one_event_that_cannot_be_read_is_refused_as_a_whole(client, settings, dana):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    a_mail(dana, PROVIDERS["sparkpost"])
    batch = json.loads(PROVIDERS["sparkpost"].report("bounce", PROVIDERS["sparkpost"].mail_key, "", False).body)
    before = everything()

    response = post(client, "sparkpost", Sent(json.dumps([*batch, {"msys": 1}]).encode(), basic(False)))

    assert (response.status_code, response.content) == (400, b"400 Bad Request\n")
    assert everything() == before


@EVERY
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"[[]]", b'"x"', b"1e999", b"[" * 100_000, b"\xff\xfe", b'{"a":', b"a=%00"]
)
def test_nonsense_is_refused_and_never_an_error(client, settings, dana, name, body):
    settings.ANYMAIL = PROVIDERS[name].anymail
    a_mail(dana, PROVIDERS[name])
    before = everything()

    for content_type in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = post(client, name, Sent(body, basic(False), content_type))
        assert response.status_code < 500

    assert everything() == before


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANY_JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner))


def mutated(value, draw):
    """Return a JSON value with one part of it replaced."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: mutated(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        return [mutated(value[0], draw), *value[1:]]
    return draw(ANY_JSON)


@pytest.mark.parametrize("name", ["brevo", "mailjet", "postmark", "resend", "sparkpost"])
@given(data=st.data())
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_report_of_a_provider_that_errs_breaks_anything(client, settings, dana, name, data):
    """With the right secret and any body, a mail's state moves forward or nothing happens."""
    provider = PROVIDERS[name]
    settings.ANYMAIL = provider.anymail
    mail = a_mail(dana, provider)
    event = data.draw(st.sampled_from(sorted(provider.events.values())))
    body = json.loads(provider.report(event, provider.mail_key, str(mail.pk), False).body)

    response = post(client, name, Sent(json.dumps(mutated(body, data.draw)).encode(), basic(False)))

    assert response.status_code in {200, 400}
    mail.refresh_from_db()
    assert mail.delivery >= Delivery.ACCEPTED
    mail.delete()


def test_more_than_a_megabyte_is_refused_before_it_is_read(client, settings):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}

    response = post(client, "postmark", Sent(b" " * 1_000_001, basic(False)))

    assert (response.status_code, response.content) == (413, b"413 Request Entity Too Large\n")


def test_a_batch_may_be_larger_than_a_form(client, settings, dana):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}
    mail = a_mail(dana, PROVIDERS["sparkpost"])
    body = PROVIDERS["sparkpost"].report("delivery", mail.message_id, "", False).body

    assert post(client, "sparkpost", Sent(body + b" " * 900_000, basic(False))).status_code == 200

    mail.refresh_from_db()
    assert mail.delivery == Delivery.DELIVERED


def test_a_report_needs_no_csrf_token_and_reads_no_session(client, report, dana, django_assert_max_num_queries):
    """Nor does a session of a user who reports by hand get a cookie, a page or a redirect."""
    sign_in(client, dana)
    client.handler.enforce_csrf_checks = True
    a_mail(dana, PROVIDERS["postmark"])
    seen = Session.objects.values().get()

    with django_assert_max_num_queries(6):  # the mail, the transaction, the user, the mail's state
        response = report("postmark", "delivered")

    assert (response.status_code, response.content, response.cookies) == (200, b"", {})
    assert Session.objects.values().get() == seen
    assert response.headers["Cache-Control"] == "no-store"


def test_other_methods_are_refused_without_a_page(client, settings):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}

    response = client.get("/hooks/mail/postmark/")

    assert (response.status_code, response.content) == (405, b"405 Method Not Allowed\n")
    assert response.headers["Allow"] == "POST, HEAD, OPTIONS"


def test_amazon_is_asked_for_the_secret_as_it_wants_to_be_asked(client, settings):
    settings.ANYMAIL = {"WEBHOOK_SECRET": SECRET}

    response = client.post("/hooks/mail/amazon_ses/", b"{}", content_type="text/plain")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic")


def test_where_the_database_is_away_the_provider_is_to_try_again(client, report, dana, monkeypatch):
    """A report must not be lost: only what can never be read is refused."""
    a_mail(dana, PROVIDERS["postmark"])
    client.raise_request_exception = False

    def away(*_args, **_options):
        raise OperationalError

    monkeypatch.setattr(delivery, "note", away)

    response = report("postmark", "delivered")

    assert (response.status_code, response.content) == (503, b"503 Service Unavailable\n")


def test_what_is_refused_is_logged_without_its_text(client, settings, dana, caplog):
    """SR-19: Anymail's own messages quote the body and the secret in the address."""
    settings.ANYMAIL = PROVIDERS["mandrill"].anymail
    sent = PROVIDERS["mandrill"].report("hard_bounce", "x", "", True)

    post(client, "mandrill", sent, Authorization=basic(False)["Authorization"])

    assert "RefusedReport" in caplog.text
    assert SECRET not in caplog.text
    assert dana.email not in caplog.text


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"reject_reason": "bounced"}, "suppressed"),
        ({"reject_reason": "unsubscribed"}, "suppressed"),
        ({"reject_reason": "invalid"}, "no_mailbox"),
        ({"reject_reason": "other"}, "other"),
        ({"event_type": "bounced", "reject_reason": "spam"}, "spam"),
        ({"event_type": "bounced", "reject_reason": "blocked"}, "blocked"),
        ({"event_type": "bounced", "reject_reason": "timed_out"}, "unreachable"),
        ({"event_type": "bounced", "mta_response": "452 4.2.2 over quota"}, "full"),
        ({"event_type": "complained"}, "spam"),
        ({"event_type": "deferred"}, "other"),
    ],
)
def test_why_a_provider_gave_up_is_told_in_our_words(dana, event, reason):
    from anymail.signals import AnymailTrackingEvent, tracking

    mail = a_mail(dana, PROVIDERS["postmark"])
    values = {"event_type": "rejected", "message_id": mail.message_id} | event

    tracking.send(sender=None, event=AnymailTrackingEvent(**values), esp_name="Postmark")

    mail.refresh_from_db()
    assert mail.delivery_reason == reason


@pytest.mark.parametrize("event", ["opened", "clicked", "unsubscribed", "autoresponded", "unknown", "inbound"])
def test_other_events_tell_nothing_of_the_delivery(dana, event):
    from anymail.signals import AnymailTrackingEvent, tracking

    a_mail(dana, PROVIDERS["postmark"])
    before = everything()

    tracking.send(
        sender=None,
        event=AnymailTrackingEvent(event_type=event, message_id=PROVIDERS["postmark"].mail_key),
        esp_name="Postmark",
    )

    assert everything() == before


# --- Which providers are switched on --------------------------------------------------------------

problem_of_postmark = partial(mail_providers.problem_of, "postmark")


@EVERY
def test_with_its_secret_a_provider_may_report_and_without_it_may_not(name):
    """SR-61: where a report could be forged, there is no address for it."""
    backend = f"anymail.backends.{name}.EmailBackend"
    is_installed = name != "amazon_ses"

    assert mail_providers.default(backend, PROVIDERS[name].anymail) == ([name] if is_installed else [])
    assert mail_providers.default(backend, {}) == []
    assert "could be forged" in mail_providers.problem_of(name, {})


@pytest.mark.parametrize("secret", ["", [], [""], ["user:password", ""], "no-colon", ":x", "x:", None, 7, {}])
def test_a_secret_that_anyone_could_send_is_none(secret):
    """SR-61: Anymail would compare a blank one with the blank of a request that has none."""
    assert "WEBHOOK_SECRET" in problem_of_postmark({"WEBHOOK_SECRET": secret})
    assert not problem_of_postmark({"WEBHOOK_SECRET": "user:password"})
    assert not problem_of_postmark({"WEBHOOK_SECRET": ["old:password", "new:password"]})


def test_a_blank_signing_key_is_none():
    """SR-61: Anymail would sign with the blank key, though the other one is set."""
    keys = {"MAILGUN_WEBHOOK_SIGNING_KEY": "", "MAILGUN_API_KEY": "key"}

    assert "blank" in mail_providers.problem_of("mailgun", keys)


def test_plain_smtp_and_unknown_names_have_no_reports():
    assert mail_providers.default("django.core.mail.backends.smtp.EmailBackend", {"WEBHOOK_SECRET": SECRET}) == []
    assert "does not report" in mail_providers.problem_of("test", {"WEBHOOK_SECRET": SECRET})
    assert "svix" in mail_providers.problem_of("resend", {"RESEND_SIGNING_SECRET": "whsec_x"})
