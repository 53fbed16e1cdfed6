"""How long the outbox keeps mails, and what is kept of them."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts import housekeeping, mail_retention
from accounts.models import Mail
from accounts.tasks import forget_mails
from mfa.tests.factories import add_mode
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials

pytestmark = pytest.mark.django_db


def write(number=1, **columns):
    created_at = timezone.now() - settings.MAIL_KEPT_FOR - timedelta(minutes=1)
    rows = [Mail(**{"task": "accounts.plain", "created_at": created_at, **columns}) for _mail in range(number)]
    return Mail.objects.bulk_create(rows)


@pytest.mark.parametrize("state", ["sent", "dropped", "failed"])
def test_a_mail_is_deleted_after_thirty_days(state):
    write(state=state)
    write(state=state, created_at=timezone.now() - settings.MAIL_KEPT_FOR + timedelta(minutes=1))

    assert forget_mails() == 1

    assert Mail.objects.count() == 1


@pytest.mark.parametrize("state", ["queued", "sending"])
def test_one_that_is_still_to_be_sent_never_is(state):
    write(state=state)

    assert forget_mails() == 0


def test_many_are_deleted_in_batches_and_one_call_does_not_take_for_ever(monkeypatch):
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    monkeypatch.setattr(mail_retention, "MAX_BATCHES", 3)
    write(7, state="sent")

    assert [forget_mails(), forget_mails(), forget_mails()] == [6, 1, 0]


def test_what_an_app_needs_is_kept_in_the_transaction_that_deletes(monkeypatch):
    """If keeping fails, nothing is deleted."""

    def fail(_ids):
        raise ZeroDivisionError

    monkeypatch.setattr(mail_retention, "_KEPT_BY", [fail])
    write(state="sent")

    with pytest.raises(ZeroDivisionError):
        forget_mails()

    assert Mail.objects.count() == 1


def test_limits_of_mails_do_not_count_mails_of_the_outbox(client, dana, settings):
    """SR-17: deleting them gives nothing back."""
    add_mode(dana, "email")
    settings.OTP_MAILS_PER_HOUR = 4
    for _sign_in in range(4):
        give_credentials(client, "dana")
    Mail.objects.all().delete()

    give_credentials(client, "dana")

    assert not Mail.objects.exists()
    assert "We cannot send more codes for now." in text_of(client.get(OTP))
