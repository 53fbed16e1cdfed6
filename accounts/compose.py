"""Composes a mail from its folder below ``templates/emails/``."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from accounts.identifiers import as_plain_line


def compose(folder: str, *, to: str, **context: object) -> EmailMultiAlternatives:
    """Render ``subject.txt``, ``body.txt`` and ``body.html`` of a folder.

    A line break in a name can add neither a header nor a paragraph: each text of ``context`` becomes one line (SR-48).
    """
    context = {name: as_plain_line(value) if isinstance(value, str) else value for name, value in context.items()}
    context |= {"site_name": settings.SITE_NAME, "site_url": settings.SITE_URL}
    subject = " ".join(render_to_string(f"emails/{folder}/subject.txt", context).split())
    message = EmailMultiAlternatives(subject, render_to_string(f"emails/{folder}/body.txt", context), to=[to])
    message.attach_alternative(render_to_string(f"emails/{folder}/body.html", context), "text/html")
    return message
