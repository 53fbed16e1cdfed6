"""Where the messages of the next page wait: in a cookie named as all of ours are (SR-34), long ones in the session."""

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class HostCookie(CookieStorage):
    """Django's cookie of messages under the name that binds it to this host."""

    cookie_name = settings.MESSAGE_COOKIE_NAME


class Storage(FallbackStorage):
    """Django's default with that cookie."""

    storage_classes = (HostCookie, SessionStorage)
