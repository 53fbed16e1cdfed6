"""What every page knows of the site."""

from django.conf import settings
from django.http import HttpRequest


def site(_request: HttpRequest) -> dict[str, object]:
    """Name the site, and say whether there is a development inbox to link to."""
    return {"site_name": settings.SITE_NAME, "development_inbox": settings.DEVELOPMENT_INBOX}
