"""Context of every page: the site's name and languages, and where to reach its administrators."""

from django.conf import settings
from django.http import HttpRequest


def site(_request: HttpRequest) -> dict[str, object]:
    """Return the site's name, languages and support contact, and whether to link to the development inbox."""
    contact = settings.SUPPORT_CONTACT
    return {
        "site_name": settings.SITE_NAME,
        "languages": settings.LANGUAGES,
        "support_contact": contact,
        "support_url": contact if "://" in contact else f"mailto:{contact}",
        "development_inbox": settings.DEVELOPMENT_INBOX,
    }
