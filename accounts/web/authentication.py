"""Who makes a request, and whether a factor has proven it: without a query besides the one that reads the session."""

from functools import partial
from typing import Any, cast

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth import middleware as django_auth
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp import login as otp_login
from django_otp.middleware import is_verified
from django_otp.models import Device

from accounts.models import User
from mfa.models import Factor

FACTOR_MODE = "factor_mode"  # of a session: the mode of the factor that django-otp's key names


def user_of(request: HttpRequest) -> User | AnonymousUser:
    """Return the user of the request's session, if the session still carries the user's fingerprint (SR-25).

    Does what ``django.contrib.auth.get_user`` does, with the user that was read together with the session.
    """
    session: Any = request.session  # of our own store
    user: User | None = session.user
    if user is None or not user.is_active or SESSION_KEY not in session:
        return AnonymousUser()
    fingerprint = session.get(HASH_SESSION_KEY, "")
    if constant_time_compare(fingerprint, user.get_session_auth_hash()):
        return user
    # After a rotation of SECRET_KEY, sessions that were signed with an old key go on.
    if any(constant_time_compare(fingerprint, old) for old in user.get_session_auth_fallback_hash()):
        session.cycle_key()
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        return user
    session.flush()
    return AnonymousUser()


def _with_factor(request: HttpRequest) -> Any:
    """Return the user of the request, with what django-otp's middleware adds to it.

    A factor is there if its mode is among the user's enabled ones: no query.
    """
    user: Any = user_of(request)
    user.otp_device = _factor_of(request, user) if isinstance(user, User) else None
    user.is_verified = partial(is_verified, user)
    return user


def _factor_of(request: HttpRequest, user: User) -> Any:
    """Return the factor that has proven the session, read when it is looked at; None if it is no longer there."""
    session = request.session
    device_id, mode = session.get(DEVICE_ID_SESSION_KEY), session.get(FACTOR_MODE)
    if device_id is None:
        return None
    if mode in user.modes:
        return SimpleLazyObject(partial(Device.from_persistent_id, device_id))
    factor: Any = Device.from_persistent_id(device_id) if mode is None else None  # a session of an older release
    if factor is None or factor.user_id != user.pk:
        del session[DEVICE_ID_SESSION_KEY]
        return None
    return factor


class AuthenticationMiddleware(django_auth.AuthenticationMiddleware):
    """Set ``request.user``, which is read when it is first used."""

    def process_request(self, request: HttpRequest) -> None:
        """Set the user."""
        request.user = cast("Any", SimpleLazyObject(partial(_with_factor, request)))


def note_factor(request: HttpRequest, factor: Factor) -> None:
    """Record the factor that has proven this session."""
    otp_login(request, factor)
    request.session[FACTOR_MODE] = factor.mode
