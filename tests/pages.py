"""What a page says."""

import re
from html import unescape
from typing import Any


def text_of(response: Any) -> str:
    """Return what a page says, without its tags."""
    page = re.sub(r"(?s)<(script|style|svg).*?</\1>", " ", response.content.decode())
    page = re.sub(r"</?time\b[^>]*>", "", page)  # stands within a sentence
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
