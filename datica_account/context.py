"""Context of every page: the site's name and languages."""

from django.conf import settings
from django.http import HttpRequest


def site(_request: HttpRequest) -> dict[str, object]:
    """Return the site's name and languages, and whether to link to the development inbox."""
    return {
        "site_name": settings.SITE_NAME,
        "languages": settings.LANGUAGES,
        "development_inbox": settings.DEVELOPMENT_INBOX,
    }
