"""Addresses of the portal."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import admin
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView

from datica_account.api import api
from datica_account.views import metrics
from organizations.policy import works_without_mfa


def help_page(template: str) -> Callable[..., HttpResponseBase]:
    """Make the view of a help page, open to everybody at any time."""
    return works_without_mfa(TemplateView.as_view(template_name=template))


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="accounts:dashboard"), name="home"),
    path("account", include("accounts.urls")),
    path("", include("mfa.urls")),
    path("", include("organizations.urls")),
    path("", api.urls),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("help/mfa", help_page("help/mfa.html"), name="help_mfa"),
    path("help/mfa-troubleshooting", help_page("help/mfa_troubleshooting.html"), name="help_mfa_troubleshooting"),
]
if settings.DEVELOPMENT_INBOX:
    urlpatterns.append(path("development/", include("datica_account.development")))
