"""Error pages that Django asks for by name."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def bad_request(request: HttpRequest, _exception: Exception) -> HttpResponse:
    """Answer a request that no page of ours sent."""
    return render(request, "400.html", status=400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without its CSRF token: no cookies, or a page that was open for too long."""
    return render(request, "403_csrf.html", {"reason": reason}, status=403)
