"""Sessions in the database. Each row names its user and holds only a hash of the session key."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import transaction
from django.utils import timezone

from accounts.models import Session

SIGNED_IN = "signed_in"  # the columns of ``SignedIn`` except ``last_used_at``, which every save sets
KEEP_UNTIL = "keep_until"  # of a session without a user: Unix time up to which it is needed
# How often the last use is written: a page view should rarely write to the database.
LAST_USED_INTERVAL = timedelta(minutes=1)
ROW_KEY_LENGTH = 40  # hexadecimal digits: the width of Django's column, 160 bits


def row_key(session_key: str | None) -> str:
    """Return the key of a session's row: a hash of the cookie's value, so a stolen table opens no session (SR-34)."""
    return sha256(session_key.encode()).hexdigest()[:ROW_KEY_LENGTH] if session_key else ""


class SessionStore(DatabaseStore):
    """Django's database store with hashed keys, a user, an idle lifetime and a last use (SR-34)."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the model of the rows."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Return the row, with the columns that the sign-in wrote into the session."""
        row = cast("Session", super().create_model_instance(data))
        row.session_key = row_key(self.session_key)
        row.user_id = data.get(SESSION_KEY)
        if row.user_id is None:
            row.expire_date = self._needed_until(data)
        for column, value in data.get(SIGNED_IN, {}).items():
            setattr(row, column, value)
        return row

    def _needed_until(self, data: dict[str, Any]) -> datetime:
        """Return when a session without a user expires: when the challenge that it waits for does (SR-57)."""
        earliest = timezone.now() + settings.CHALLENGE_LIFETIME
        return max(earliest, datetime.fromtimestamp(data.get(KEEP_UNTIL, 0), earliest.tzinfo))

    def cycle_key(self) -> None:
        """Set a new key. Raise ``SessionInterrupted`` if the session was ended meanwhile: it must stay ended."""
        data, key = self._session, self.session_key  # type: ignore[attr-defined]  # a property of Django's class
        with transaction.atomic():
            if key and not self._delete_row(key):
                raise SessionInterrupted("The session was ended by another request.")
            self.create()
        self._session_cache = data

    def exists(self, session_key: str) -> bool:
        """Return whether there is a session with this key."""
        return Session.objects.filter(pk=row_key(session_key)).exists()

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session with this key, or this one."""
        self._delete_row(session_key or self.session_key)

    def _delete_row(self, session_key: str | None) -> int:
        deleted, _rows = Session.objects.filter(pk=row_key(session_key)).delete()
        return deleted

    def _get_session_from_db(self) -> Session | None:
        now = timezone.now()
        row: Session | None = Session.objects.filter(pk=row_key(self.session_key), expire_date__gt=now).first()
        if row is None or (row.user_id and now - row.last_used_at > settings.SESSION_IDLE_TIMEOUT):
            if row is not None:
                row.delete()
            self._session_key = None
            return None
        if now - row.last_used_at > LAST_USED_INTERVAL:
            Session.objects.filter(pk=row.pk).update(last_used_at=now)
        return row
