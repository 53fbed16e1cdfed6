"""What was typed into a form is kept while its user proves a factor."""

from django.http import HttpRequest

KEPT = "kept_form"  # {"path": path, "data": fields}: what was typed before a proof was asked for
SECRETS = frozenset({"csrfmiddlewaretoken", "otp", "code"})
MAX_KEPT_CHARACTERS = 8 * 1024


def typed_fields(request: HttpRequest) -> dict[str, str]:
    """Give what was typed into a form; never a password or a code."""
    data = request.POST.items()
    return {name: str(text) for name, text in data if name not in SECRETS and "password" not in name}


def keep_form(request: HttpRequest) -> None:
    """Keep what was typed into a form whose proof has grown stale."""
    data = typed_fields(request)
    if data and sum(len(text) for text in data.values()) <= MAX_KEPT_CHARACTERS:
        request.session[KEPT] = {"path": request.path, "data": data}


def kept_form(request: HttpRequest, path: str = "") -> dict[str, str]:
    """Give, once, what was typed into this page's form, which is sent to ``path`` or here, before the proof."""
    kept = request.session.get(KEPT)
    if not kept or kept["path"] != (path or request.path) or request.method == "POST":
        return {}
    del request.session[KEPT]
    return dict(kept["data"])
