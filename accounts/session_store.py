"""Sessions in the database. Each row names its user and holds only a hash of the session key."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import VALID_KEY_CHARS, UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from accounts.models import Session, User

SIGNED_IN = "signed_in"  # the columns of ``SignedIn`` except ``last_used_at``, which every save sets
PROVED = "proved"  # of a session: the modes that it has proved; a session of an older release has only its last one
KEEP_UNTIL = "keep_until"  # of a session without a user: Unix time up to which it is needed
# How often the last use is written: a page view should rarely write to the database.
LAST_USED_INTERVAL = timedelta(minutes=1)
ROW_KEY_LENGTH = 40  # hexadecimal digits: the width of Django's column, 160 bits
COLUMNS = [field.attname for field in Session._meta.concrete_fields if not field.primary_key]


def row_key(session_key: str | None) -> str:
    """Return the key of a session's row: a hash of the cookie's value, so a stolen table opens no session (SR-34)."""
    return sha256(session_key.encode()).hexdigest()[:ROW_KEY_LENGTH] if session_key else ""


class SessionStore(DatabaseStore):
    """Django's database store with hashed keys, a user, an idle lifetime and a last use (SR-34).

    A request writes its session once, at its end: a new key waits until then.
    """

    _user: User | None = None
    _is_new = False  # the next save inserts a row …
    _replaces = ""  # … and deletes the one with this key

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the model of the rows."""
        return Session

    @property
    def is_read(self) -> bool:
        """Whether the row was looked for, and the database has answered."""
        return "_session_cache" in self.__dict__

    @property
    def user(self) -> User | None:
        """The user of the session, read together with it; None if it has none or has not been saved yet."""
        self.keys()  # reads the row, if it was not read yet
        return self._user

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
        """Return when a session without a user expires: when the verification that it waits for does (SR-57)."""
        earliest = timezone.now() + settings.CHALLENGE_LIFETIME
        return max(earliest, datetime.fromtimestamp(data.get(KEEP_UNTIL, 0), earliest.tzinfo))

    def cycle_key(self) -> None:
        """Set a new key. The save that stores it deletes the row of the old one."""
        self.keys()  # by the old key
        if not self._is_new:
            self._replaces = self.session_key or ""
        self._new_key()

    def _new_key(self) -> None:
        self._session_cache = dict(self.items())
        self._session_key = self._get_new_session_key()
        self._is_new = self.modified = True

    def _get_new_session_key(self) -> str:
        """Return a new key. It has 165 bits, so nothing needs to ask whether it is taken."""
        return get_random_string(32, VALID_KEY_CHARS)

    def create(self) -> None:
        """Insert the session under a new key."""
        self._new_key()
        self.save()

    def save(self, must_create: bool = False) -> None:
        """Write the session: one statement, or two if it has a new key.

        Raises ``UpdateError`` or ``SessionInterrupted`` if another request has ended it meanwhile: it stays ended.
        """
        if self.session_key is None:
            self._new_key()
        row = self.create_model_instance(dict(self.items()))
        if self._is_new or must_create:
            self._insert(row)
        elif not Session.objects.filter(pk=row.pk).update(**{column: getattr(row, column) for column in COLUMNS}):
            raise UpdateError

    def _insert(self, row: Session) -> None:
        if self._replaces:
            with transaction.atomic():
                if not self._delete_row(self._replaces):
                    raise SessionInterrupted("The session was ended by another request.")
                row.save(force_insert=True)
        else:
            row.save(force_insert=True)
        self._is_new, self._replaces = False, ""

    def exists(self, session_key: str) -> bool:
        """Return whether there is a session with this key."""
        return Session.objects.filter(pk=row_key(session_key)).exists()

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session with this key, or this one."""
        stored = None if self._is_new else self.session_key
        for key in (session_key or stored, self._replaces):
            if key:
                self._delete_row(key)
        self._is_new, self._replaces, self._user = False, "", None

    def _delete_row(self, session_key: str | None) -> int:
        # Nothing depends on a session: one statement, where ``delete`` would add a transaction.
        rows: Any = Session.objects.filter(pk=row_key(session_key))
        return int(rows._raw_delete(rows.db))

    def _get_session_from_db(self) -> Session | None:
        now = timezone.now()
        rows = Session.objects.select_related("user").filter(pk=row_key(self.session_key), expire_date__gt=now)
        row: Session | None = next(iter(rows), None)
        if row is None or (row.user_id and now - row.last_used_at > settings.SESSION_IDLE_TIMEOUT):
            if row is not None:
                row.delete()
            self._session_key = None
            return None
        if now - row.last_used_at > LAST_USED_INTERVAL:
            Session.objects.filter(pk=row.pk).update(last_used_at=now)
        self._user = row.user
        return row
