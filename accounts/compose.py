"""Composes a mail from its folder below ``templates/emails/``."""

import re
import secrets
from functools import cache
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from accounts.identifiers import as_plain_line


class _Email(EmailMultiAlternatives):
    def message(self, *args: Any, **kwargs: Any) -> Any:
        """Return the MIME message with a boundary that cannot occur in its parts.

        Without one, Python searches the parts for each that it makes up, with a regular expression that it compiles
        for every mail: a third of the time that encoding a mail takes.
        """
        message = super().message(*args, **kwargs)
        message.set_param("boundary", secrets.token_hex(16))
        return message


def _with_links(html: str) -> str:
    """Make each bare URL of this portal a link. No other: a name or a reason may hold one that we do not vouch for."""
    return _own_url(settings.SITE_URL).sub(r'<a href="\g<0>">\g<0></a>', html)


@cache
def _own_url(site: str) -> re.Pattern[str]:
    # Behind a quotation mark or a ">" it is the target or the text of a link already.
    return re.compile(rf"""(?<=[\s(]){re.escape(site)}/[^\s<>"')]*[^\s<>"').,]""")


def compose(folder: str, *, to: str, **context: object) -> EmailMultiAlternatives:
    """Render ``subject.txt``, ``body.txt`` and ``body.html`` of a folder.

    A line break in a name can add neither a header nor a paragraph: each text of ``context`` becomes one line (SR-48).
    """
    context = {name: as_plain_line(value) if isinstance(value, str) else value for name, value in context.items()}
    context |= {"site_name": settings.SITE_NAME, "site_url": settings.SITE_URL}
    # Only ASCII: a space that keeps a French colon beside its word stays one.
    subject = re.sub(r"\s+", " ", render_to_string(f"emails/{folder}/subject.txt", context).strip(), flags=re.ASCII)
    message = _Email(subject, render_to_string(f"emails/{folder}/body.txt", context), to=[to])
    html = _with_links(render_to_string(f"emails/{folder}/body.html", context))
    message.attach_alternative(html, "text/html")
    return message
