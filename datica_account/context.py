"""Context of every page: the site's name."""

from django.conf import settings
from django.http import HttpRequest


def site(_request: HttpRequest) -> dict[str, object]:
    """Return the site's name, and whether to link to the development inbox."""
    return {"site_name": settings.SITE_NAME, "development_inbox": settings.DEVELOPMENT_INBOX}
