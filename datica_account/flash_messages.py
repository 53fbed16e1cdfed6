"""Storage of flash messages: a cookie with the portal's cookie prefix (SR-34), or the session for long messages."""

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class HostCookie(CookieStorage):
    """Django's message cookie, with a name that binds it to this host."""

    cookie_name = settings.MESSAGE_COOKIE_NAME


class Storage(FallbackStorage):
    """Django's default storage with ``HostCookie``."""

    storage_classes = (HostCookie, SessionStorage)
