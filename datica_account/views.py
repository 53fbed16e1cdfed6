"""The error page that Django asks for by name."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without its CSRF token: no cookies, or a page that was open for too long."""
    return render(request, "403_csrf.html", {"reason": reason}, status=403)
