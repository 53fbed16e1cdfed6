"""Pages for deleting the account, and for keeping it after all (SR-63)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import account_deletion
from accounts.models import User
from accounts.refusals import Refused
from accounts.templatetags.times import in_words
from accounts.web.access import AuthenticatedHttpRequest, memberships_of, needs_recent_proof, public
from accounts.web.origin import origin_of
from accounts.web.session import sign_out
from organizations import membership
from organizations.models import Membership, Role

MAX_ORGANIZATIONS_SHOWN = 20
MAX_OWNED_EXAMINED = 500


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs_recent_proof
def delete_account(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Say what deleting the account does, and let it be done after the waiting time."""
    if request.method == "POST":
        try:
            user = account_deletion.ask(request.user, origin_of(request))
        except Refused as refused:
            messages.error(request, refused.text)
            return redirect("accounts:delete_account")
        sign_out(request)
        messages.success(request, _asked_in_words(user))
        return redirect("accounts:login")
    user = request.user
    owned = Membership.objects.filter(user=user, role=Role.OWNER).select_related("organization")
    alone = membership.owned_alone(owned.order_by("organization__name", "pk")[:MAX_OWNED_EXAMINED])
    found = memberships_of(request)
    context = {
        "due_at": account_deletion.due_at(user),
        "alone": alone[:MAX_ORGANIZATIONS_SHOWN],
        "alone_more": len(alone) - MAX_ORGANIZATIONS_SHOWN,
        "memberships": found.rows[:MAX_ORGANIZATIONS_SHOWN],
        "has_more": len(found.rows) > MAX_ORGANIZATIONS_SHOWN,
        "refusal": account_deletion.StaffAccount.message if user.is_staff else "",
    }
    return render(request, "accounts/delete_account.html", context)


def _asked_in_words(user: User) -> str:
    return _(
        "You are signed out everywhere. Your account will be deleted on %(at)s. "
        "To keep it, sign in before then, or use the link in the email that we have sent you."
    ) % {"at": in_words(user.deletion_due_at)}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@public
def keep_account(request: HttpRequest, token: str) -> HttpResponse:
    """Offer to keep the account. The email about its deletion links here. Sign no one in."""
    user = account_deletion.find_pending(token)
    if user is None or (request.method == "POST" and not account_deletion.keep_by_mail(user, origin_of(request))):
        return render(request, "accounts/keep_account_over.html", status=404)
    if request.method == "POST":
        messages.success(request, _("Your account will not be deleted. You can sign in again."))
        return redirect("accounts:login")
    return render(request, "accounts/keep_account.html", {"due_at": user.deletion_due_at})
