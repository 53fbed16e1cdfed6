"""The choice of a language, in the footer of each page and in the account settings."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import languages
from accounts.models import User
from accounts.web.access import public
from accounts.web.languages import keep_in_browser
from accounts.web.redirection import safe_path


@public
@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keep the chosen language in the browser and, for a signed-in user, in the account; blank: none is chosen."""
    code = request.POST.get("language")
    if code is None or (code and not languages.known(code)):
        return render(request, "400.html", status=400)
    if isinstance(request.user, User):
        languages.choose(request.user, code)
        with languages.of(request.user):
            messages.success(request, _("Pages and emails now come in this language."))
    response = redirect(safe_path(request.POST.get("next")) or settings.LOGIN_REDIRECT_URL)
    keep_in_browser(response, code)
    return response
