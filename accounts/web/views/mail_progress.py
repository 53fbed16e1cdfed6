"""What the page of a person who waits for a mail asks again and again."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import mail_progress
from accounts.web.access import public, reads_no_session


@never_cache
@require_safe
@public
@reads_no_session
def progress(request: HttpRequest, token: str) -> HttpResponse:
    """Return the line about the newest mail, as a part of a page. Raise ``Http404`` without a right token."""
    found = mail_progress.of_token(token)
    if found is None:
        raise Http404
    return render(request, "partials/_mail_progress.html", {"progress": found})
