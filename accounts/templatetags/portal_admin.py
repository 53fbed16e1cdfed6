"""What the pages of the administration show of an event."""

from django import template

from accounts.security_log import agent_in_words, kind_in_words

register = template.Library()
register.filter("agent_in_words", agent_in_words)
register.filter("kind_in_words", kind_in_words)
