"""What only the pages of the administration need."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.security_log import kind_in_words

register = template.Library()
register.filter("kind_in_words", kind_in_words)


@register.simple_tag
def table_head(*columns: str) -> SafeString:
    """Draw the headings of a table."""
    headings = format_html_join("", '<th scope="col">{}</th>', ([column] for column in columns))
    return format_html("<thead><tr>{}</tr></thead>", headings)
