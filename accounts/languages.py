"""The languages of pages and mails: which there are, and which one a user has chosen."""

from django.conf import settings
from django.utils.translation import get_language, gettext_lazy, override

from accounts.models import User
from accounts.refusals import Refused


class NoSuchLanguage(Refused):
    """The portal has no such language."""

    message = gettext_lazy("This language is not available.")


def known(code: str) -> str:
    """Return the code if it is one of the portal's languages, else an empty string."""
    return code if code in dict(settings.LANGUAGES) else ""


def active() -> str:
    """Return the language of the page that is being answered, or the portal's default."""
    return known(get_language() or "") or settings.LANGUAGE_CODE


def of_newcomer() -> str:
    """Return the language to store for an account that is created on this page; blank for the portal's default."""
    return "" if active() == settings.LANGUAGE_CODE else active()


def of_mail(user: User | None, *, is_awaited: bool) -> str:
    """Return the language of a mail to ``user``: the chosen one; blank for the portal's default.

    A mail that the reader of this page waits for, or that goes to an address without an account, is in the page's.
    """
    if user is not None and user.language:
        return user.language
    return active() if user is None or is_awaited else ""


def of(user: User | None) -> override:
    """Return a context in which texts are in the language of a user, such as what is stored for them to read.

    None: the portal's default, for logs, which people of several languages read.
    """
    return override((known(user.language) if user else "") or settings.LANGUAGE_CODE)


def choose(user: User, code: str) -> None:
    """Store the language in which a user wants pages and mails; blank: none. Raises ``NoSuchLanguage``."""
    if code and not known(code):
        raise NoSuchLanguage
    User.objects.filter(pk=user.pk).update(language=code)
    user.language = code
