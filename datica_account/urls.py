"""URLs of the portal."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts.web.access import all_check_access_themselves, public
from accounts.web.views.mail_reports import mail_reports
from datica_account.api import api
from datica_account.help import views as help_pages
from datica_account.views import change_password, metrics, passkey_endpoints, robots_txt, security_txt

json_endpoints = api.urls  # a property that builds new views at each access
all_check_access_themselves(json_endpoints[0])

handler500 = "datica_account.views.server_error"
urlpatterns = [
    path("", public(RedirectView.as_view(pattern_name="accounts:dashboard")), name="home"),
    path("account", include("accounts.web.urls")),
    path("", include("mfa.web.urls")),
    path("", include("organizations.web.urls")),
    path("", json_endpoints),
    path("hooks/mail/<slug:provider>/", mail_reports, name="mail_reports"),
    path("metrics", metrics, name="metrics"),
    path(".well-known/passkey-endpoints", passkey_endpoints, name="passkey_endpoints"),
    path(".well-known/change-password", change_password, name="change_password"),
    path(".well-known/security.txt", security_txt, name="security_txt"),
    path("robots.txt", robots_txt, name="robots_txt"),
    path("admin/", admin.site.urls),
    path("help/mfa", help_pages.guide, name="help_mfa"),
    path("help/mfa-troubleshooting", help_pages.troubleshooting, name="help_mfa_troubleshooting"),
    path("help/owners", help_pages.owners, name="help_owners"),
    path("help/search", help_pages.search, name="help_search"),
]
if settings.DEVELOPMENT_INBOX:
    urlpatterns.append(path("development/", include("datica_account.development")))
