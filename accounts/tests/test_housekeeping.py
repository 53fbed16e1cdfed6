"""What has expired is deleted at its moment and not before (SR-21): an open row is never lost to a clean-up."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import housekeeping
from accounts.models import (
    EmailChange,
    EmailVerification,
    KnownBrowser,
    Session,
    Throttle,
    Token,
    UsedNonce,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
A_MOMENT = timedelta(microseconds=1)


@pytest.fixture
def now():
    """Let the clock stand still."""
    moment = timezone.now()
    with time_machine.travel(moment, tick=False):
        yield moment


# What makes a row, the column that decides, and how long ago its moment may lie.
KINDS = {
    "session": (lambda _user: Session(session_key="key", session_data=""), "expire_date", timedelta()),
    "token": (lambda user: Token(user=user, digest="digest", credential_fingerprint="mark"), "expires_at", timedelta()),
    "nonce": (lambda _user: UsedNonce(digest="digest"), "expires_at", timedelta()),
    "email verification": (lambda user: EmailVerification(user=user, purpose="register"), "expires_at", HOUR),
    "known browser": (lambda user: KnownBrowser(user=user, digest="digest"), "last_used_at", 400 * DAY),
    "tries": (lambda _user: Throttle(digest="digest", in_a_row=0), "last_at", DAY),
    "one failure": (lambda _user: Throttle(digest="digest", in_a_row=1), "last_at", 30 * DAY),
    "four failures": (lambda _user: Throttle(digest="digest", in_a_row=4), "last_at", 30 * DAY),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_kept_until_its_moment_and_deleted_just_after(dana, now, kind):
    """SR-21."""
    make, column, kept_for = KINDS[kind]
    row = make(dana)
    setattr(row, column, now - kept_for)
    row.save()

    assert housekeeping.forget_expired() == 0
    assert type(row).objects.count() == 1

    setattr(row, column, now - kept_for - A_MOMENT)
    row.save()

    assert housekeeping.forget_expired() == 1
    assert not type(row).objects.exists()


def test_a_change_of_email_is_kept_while_it_can_be_undone_and_an_hour_longer(dana, now, settings):
    """SR-29."""
    settings.EMAIL_CHANGE_UNDO_WINDOW = 2 * DAY
    change = EmailChange.objects.create(
        user=dana, old_email="a@example.com", old_email_key="a", at=now - 2 * DAY - HOUR
    )

    assert housekeeping.forget_expired() == 0

    EmailChange.objects.filter(pk=change.pk).update(at=now - 2 * DAY - HOUR - A_MOMENT)

    assert housekeeping.forget_expired() == 1
    assert not EmailChange.objects.exists()


@pytest.mark.django_db
def test_a_long_row_of_failures_is_never_deleted(now):
    """SR-5: waiting a month buys no new tries."""
    Throttle.objects.create(digest="digest", in_a_row=5, last_at=now - 4000 * DAY)

    assert housekeeping.forget_expired() == 0
    assert Throttle.objects.exists()


def test_every_kind_is_counted(dana, now):
    for make, column, kept_for in KINDS.values():
        row = make(dana)
        if isinstance(row, Throttle):
            row.digest = f"{row.in_a_row} in a row"
        setattr(row, column, now - kept_for - A_MOMENT)
        row.save()

    assert housekeeping.forget_expired() == len(KINDS)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.django_db
def test_many_rows_go_in_batches(now, monkeypatch, count, django_assert_num_queries):
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    UsedNonce.objects.bulk_create(UsedNonce(digest=str(number), expires_at=now - DAY) for number in range(count))
    batches = -(-count // 2)

    with django_assert_num_queries(2 * batches + 1):  # each batch is read and deleted; the last reading finds none
        assert housekeeping.delete_in_batches(UsedNonce.objects.filter(expires_at__lt=now)) == count

    assert not UsedNonce.objects.exists()


def test_a_batch_is_a_thousand_rows():
    assert housekeeping.BATCH == 1000
