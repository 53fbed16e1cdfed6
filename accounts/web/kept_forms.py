"""Keeps what was typed into a form during a step-up."""

from django.http import HttpRequest

KEPT = "kept_form"  # of a session: {"path": path, "data": fields}
SECRETS = frozenset({"csrfmiddlewaretoken", "otp", "code"})
MAX_KEPT_CHARACTERS = 8 * 1024


def typed_fields(request: HttpRequest) -> dict[str, str]:
    """Return what was typed into a form, without passwords and codes."""
    data = request.POST.items()
    return {name: str(text) for name, text in data if name not in SECRETS and "password" not in name}


def keep_form(request: HttpRequest) -> None:
    """Keep what was typed into a form that now needs a new proof."""
    data = typed_fields(request)
    if sum(len(text) for text in data.values()) <= MAX_KEPT_CHARACTERS:
        request.session[KEPT] = {"path": request.path, "data": data}


def waits_at(request: HttpRequest, path: str) -> bool:
    """Return whether a form was sent to the page at ``path`` and did nothing yet: it waits for the proof."""
    return bool(request.session.get(KEPT, {}).get("path") == path.partition("?")[0])


def kept_form(request: HttpRequest, path: str = "") -> dict[str, str]:
    """Return, once, what was typed before the step-up into the form that posts to ``path``, by default this page."""
    kept = request.session.get(KEPT)
    if not kept or kept["path"] != (path or request.path) or request.method == "POST":
        return {}
    del request.session[KEPT]
    return dict(kept["data"])
