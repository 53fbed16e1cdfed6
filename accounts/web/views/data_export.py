"""Pages for the copy of one's own data (SR-63)."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import data_export
from accounts.refusals import Refused
from accounts.web.access import AuthenticatedHttpRequest, needs_recent_proof
from accounts.web.origin import origin_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def data(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Say what the copy contains, let a worker build it, and show how far it is."""
    if request.method == "POST":
        try:
            data_export.ask(request.user, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
        return redirect("accounts:data")
    return render(request, "accounts/data.html", {"export": data_export.latest(request.user)})


@never_cache
@require_safe
def progress(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Return the line about the latest copy, as a part of a page. Raise ``Http404`` if there is none."""
    export = data_export.latest(request.user)
    if export is None:
        raise Http404
    return render(request, "partials/_data_progress.html", {"export": export})


@never_cache
@require_safe
@needs_recent_proof
def download(request: AuthenticatedHttpRequest, export_id: UUID) -> HttpResponse:
    """Return the archive. Raise ``Http404`` if this user has none with this id, or no more."""
    content = data_export.read(request.user, export_id)
    if content is None:
        raise Http404
    headers = {"Content-Disposition": 'attachment; filename="my-data.zip"'}
    return HttpResponse(content, content_type="application/zip", headers=headers)
