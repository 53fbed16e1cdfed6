"""Sessions in the database, each row naming its user and telling how it was made."""

from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone

from accounts.models import Session

SIGNED_IN = "signed_in"  # the columns of ``SignedIn`` but the last use, which every save is
# A use is noted once in so long: "last used" needs no more, and reading a page should rarely write.
NOTE_USE_AFTER = timedelta(minutes=1)


class SessionStore(DatabaseStore):
    """Django's database store with a user, an idle lifetime and a last use (SR-34)."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Name the model of the rows."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Fill the columns from what the sign-in wrote into the session."""
        row = cast("Session", super().create_model_instance(data))
        row.user_id = data.get(SESSION_KEY)
        for column, value in data.get(SIGNED_IN, {}).items():
            setattr(row, column, value)
        return row

    def _get_session_from_db(self) -> Session | None:
        row: Session | None = super()._get_session_from_db()  # type: ignore[misc]  # Django's stubs do not know it
        if row is None:
            return None
        now = timezone.now()
        if row.user_id and now - row.last_used_at > settings.SESSION_IDLE:
            self.delete(row.session_key)
            self._session_key = None
            return None
        if now - row.last_used_at > NOTE_USE_AFTER:
            Session.objects.filter(pk=row.pk).update(last_used_at=now)
        return row
