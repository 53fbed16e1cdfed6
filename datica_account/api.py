"""The API of all JSON endpoints: its error codes, its exception handlers and its OpenAPI document."""

from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe
from ninja import NinjaAPI, Swagger
from ninja.errors import AuthenticationError, HttpError, ValidationError

from accounts import locks, signin, ssh_keys, throttles
from accounts.api import endpoints as accounts_api
from accounts.refusals import Refused
from accounts.web.access import works_while_blocked
from mfa import challenges, code_refusals, modes
from organizations import environments, invitations, membership, policy, policy_changes
from organizations.api import authorization
from organizations.api import endpoints as organizations_api
from organizations.api import policy as policy_api

Kind = tuple[int, int, str | Promise]  # status, code, title

BAD_REQUEST: Kind = (400, 4000, gettext_lazy("Bad Request"))
SIGN_IN_FAILED: Kind = (401, 4011, gettext_lazy("Sign In Failed"))
WRONG_CODE: Kind = (401, 4012, gettext_lazy("Wrong One-Time Password"))
NOT_SIGNED_IN: Kind = (401, 4013, gettext_lazy("Not Signed In"))
SIGN_IN_OVER: Kind = (401, 4014, gettext_lazy("Sign In Expired"))
FORBIDDEN: Kind = (403, 4030, gettext_lazy("Not Allowed"))
MFA_MISSING: Kind = (403, 4031, gettext_lazy("Multi-Factor Authentication Required"))
IN_BROWSER: Kind = (403, 4032, gettext_lazy("Only In The Browser"))
NOT_FOUND: Kind = (404, 4040, gettext_lazy("Not Found"))
NO_SERVICES: Kind = (404, 4041, gettext_lazy("No Services Here"))
METHOD: Kind = (405, 4050, gettext_lazy("Method Not Allowed"))
CONFLICT: Kind = (409, 4090, gettext_lazy("Conflict"))
TOO_LARGE: Kind = (413, 4130, gettext_lazy("Too Large"))
TOO_MANY: Kind = (429, 4290, gettext_lazy("Too Many Requests"))
SERVER_ERROR: Kind = (500, 5000, gettext_lazy("Server Error"))
UNAVAILABLE: Kind = (503, 5030, gettext_lazy("Service Unavailable"))
ALL = (
    BAD_REQUEST, SIGN_IN_FAILED, WRONG_CODE, NOT_SIGNED_IN, SIGN_IN_OVER, FORBIDDEN, MFA_MISSING, IN_BROWSER,
    NOT_FOUND, NO_SERVICES, METHOD, CONFLICT, TOO_LARGE, TOO_MANY, SERVER_ERROR, UNAVAILABLE,
)  # fmt: skip

# Any other refusal is a bad request. One with a time to try again is always TOO_MANY.
REFUSALS: dict[type[Refused], Kind] = {
    signin.WrongCredentials: SIGN_IN_FAILED,
    ssh_keys.WrongKey: SIGN_IN_FAILED,
    ssh_keys.AccountNotNamed: SIGN_IN_FAILED,
    ssh_keys.ClockOff: SIGN_IN_FAILED,
    ssh_keys.SignatureUsed: SIGN_IN_FAILED,
    code_refusals.RefusedCode: WRONG_CODE,
    challenges.NotACode: WRONG_CODE,
    challenges.ChallengeOver: SIGN_IN_OVER,
    signin.SignInOver: SIGN_IN_OVER,
    locks.ChangedMeanwhile: NOT_SIGNED_IN,
    throttles.TooManyTries: TOO_MANY,
    throttles.NoMoreTries: TOO_MANY,
    challenges.TooManyFailures: TOO_MANY,
    challenges.TooManyMails: TOO_MANY,
    membership.OrganizationNotFound: NOT_FOUND,
    membership.NotAMember: NOT_FOUND,
    membership.RoleMissing: FORBIDDEN,
    membership.LastOwner: FORBIDDEN,
    policy.MfaMissing: MFA_MISSING,
    policy.ModeNotProved: MFA_MISSING,
    policy_changes.OwnMfaIsOff: FORBIDDEN,
    authorization.ProofTooOld: FORBIDDEN,
    membership.NewOwnerWithoutMfa: FORBIDDEN,
    environments.NoSuchEnvironment: NOT_FOUND,
    environments.NoServices: NO_SERVICES,
    environments.RenamedElsewhere: IN_BROWSER,
    invitations.NoSuchInvitation: NOT_FOUND,
    invitations.NotAnId: NOT_FOUND,
    invitations.InvitationOver: NOT_FOUND,
    invitations.AnotherEmail: FORBIDDEN,
    invitations.AlreadyMember: CONFLICT,
    ssh_keys.NoSuchKey: NOT_FOUND,
    ssh_keys.KeyExists: CONFLICT,
    ssh_keys.TooManyKeys: CONFLICT,
}

# The description of an error status that no endpoint has described.
BY_STATUS: dict[int, tuple[Kind, str | Promise]] = {
    400: (BAD_REQUEST, gettext_lazy("The request could not be read. Send JSON in UTF-8.")),
    403: (FORBIDDEN, gettext_lazy("This is not allowed.")),
    404: (NOT_FOUND, gettext_lazy("There is nothing at this URL.")),
    405: (METHOD, gettext_lazy("This URL does not support this method.")),
    413: (TOO_LARGE, gettext_lazy("The request is larger than 64 KB.")),
    500: (SERVER_ERROR, gettext_lazy("Something went wrong on our side. Nothing was changed. Try again later.")),
    503: (UNAVAILABLE, gettext_lazy("The portal cannot reach its database. Try again in a minute.")),
}


def error(kind: Kind, description: str | Promise) -> JsonResponse:
    """Return an error response in the format that the client reads."""
    status, code, title = kind
    response = JsonResponse({"title": str(title), "description": str(description), "code": code}, status=status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def error_of_status(status: int) -> JsonResponse:
    """Return the error response of a status that did not come from an endpoint."""
    kind, description = BY_STATUS.get(status) or BY_STATUS[500 if status >= 500 else 400]
    return error(kind, description)


def no_such_endpoint() -> JsonResponse:
    """Return the error of a URL that is no endpoint. The client's host or prefix is probably wrong."""
    response = error(
        NOT_FOUND,
        _(
            "There is nothing for the command line at this URL. Check AUTH_HOST and PAAS_HOST, and the prefixes "
            "AUTH_HOST_VERSION and PAAS_HOST_VERSION."
        ),
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _refused(_request: HttpRequest, refused: Refused) -> HttpResponse:
    kind = next((REFUSALS[cls] for cls in type(refused).__mro__ if cls in REFUSALS), BAD_REQUEST)
    description = refused.text
    if isinstance(refused, policy.MfaMissing):
        url = settings.SITE_URL + reverse("mfa:activate")
        description += " " + _("Activate it at %(url)s and sign in again.") % {"url": url}
    if isinstance(refused, policy.ModeNotProved):
        description += " " + _how_to_prove(refused)
    response = error(TOO_MANY if refused.retry_at else kind, description)
    if refused.retry_at:
        response.headers["Retry-After"] = str(refused.seconds_to_wait)
    return response


def _how_to_prove(refused: policy.ModeNotProved) -> str:
    """Return how to sign in with an accepted mode at the command line, where some modes cannot be typed."""
    values = {"mode": "", "url": settings.SITE_URL + reverse("mfa:cli_code")}
    typed = [name for name in refused.owned if modes.get(name).is_typed]
    if not typed:
        return _("Sign in again with a code from %(url)s.") % values
    text = _("Sign in again with it: make %(mode)s your preferred mode in the browser, or get a code at %(url)s.")
    return text % {**values, "mode": typed[0]}


def _invalid(_request: HttpRequest, invalid: ValidationError) -> HttpResponse:
    # Never repeat the input: it may contain a password.
    wrong = [f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}" for item in invalid.errors]
    return error(BAD_REQUEST, "; ".join(wrong[:5]) + ".")


def _not_signed_in(_request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return error(NOT_SIGNED_IN, _("Your session has ended. Please sign in again."))


def _http_error(_request: HttpRequest, raised: HttpError) -> HttpResponse:
    return error_of_status(raised.status_code)


def _not_found(_request: HttpRequest, _error: Http404) -> HttpResponse:
    return error_of_status(404)


def _description() -> str:
    rows = "\n".join(f"| {code} | {status} | {title} |" for status, code, title in ALL)
    return (
        "The endpoints of the `datica` command-line client. All except sign-in, sign-out and the list of pods need "
        "`Authorization: Bearer <sessionToken>`. Every error has a `title`, a `description` and a `code`.\n\n"
        f"| code | status | title |\n| --- | --- | --- |\n{rows}\n\n"
        "The portal manages accounts and organizations. Services, metrics, images and everything else below "
        "`/environments/{id}/` answer 4041. Renaming an environment answers 4032. If an organization's policy blocks "
        "the account, its environments are listed by id and name, and everything else about them answers 4031.\n"
    )


def _document(view: Any) -> Any:
    """Allow the document's viewer to show the images in its own style sheet, and let blocked users read it."""
    shown = csp_update({"img-src": ["data:"], "connect-src": ["'self'"]})(require_safe(view))
    return works_while_blocked(shown)


api = NinjaAPI(
    title=f"{settings.SITE_NAME} account API",
    version="1",
    description=_description(),
    docs=Swagger({"docExpansion": "list", "supportedSubmitMethods": []}),
    docs_url="/api/docs",
    openapi_url="/api/openapi.json",
    docs_decorator=_document,
    urls_namespace="api",
)
api.add_router("", accounts_api.router)
api.add_router("", organizations_api.router)
api.add_router("/api/v1", policy_api.router)
HANDLERS: dict[type[Exception], Any] = {
    Refused: _refused,
    ValidationError: _invalid,
    AuthenticationError: _not_signed_in,
    HttpError: _http_error,
    Http404: _not_found,
}
for exception, handler in HANDLERS.items():
    api.add_exception_handler(exception, handler)
