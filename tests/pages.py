"""What a page says, and which pages there are."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


def text_of(response: Any) -> str:
    """Return what a page says, without its tags."""
    page = re.sub(r"(?s)<(script|style|svg).*?</\1>", " ", response.content.decode())
    page = re.sub(r"</?time\b[^>]*>|<wbr>|<span class=\"whole\">([\d-]+)</span>", r"\1", page)  # within a sentence
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def text_without_tag(response: Any) -> str:
    """Return what a page says, but not when it was asked for and which tag its mail carries."""
    return re.sub(r"\b\d\d:\d\d:\d\d\b|(?<=the tag )[A-Z]\d", "…", text_of(response))


def views_of_pages() -> dict[str, Callable[..., Any]]:
    """Return the view of each URL that is neither JSON nor Django's own admin, by the name of the URL."""
    found = {}

    def walk(patterns: list[URLPattern | URLResolver], namespace: str = "") -> None:
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                found[f"{namespace}{pattern.name}"] = pattern.callback
            elif pattern.namespace not in {"admin", "api"}:
                walk(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else namespace)

    walk(get_resolver().url_patterns)
    return found
