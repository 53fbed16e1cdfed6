"""A tag for what is the same on every page."""

from django.template import Context, Library, Node
from django.template.base import NodeList, Parser, Token
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = Library()


class OnceNode(Node):
    """Rendered when it is first shown in a language, then repeated by this process."""

    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist
        self.rendered: dict[str | None, SafeString] = {}

    def render(self, context: Context) -> SafeString:
        """Return the text. It sees no variables, so nothing of one user's page can be in it."""
        language = get_language()
        if language not in self.rendered:
            self.rendered[language] = self.nodelist.render(context.new())
        return self.rendered[language]


@register.tag
def once(parser: Parser, _token: Token) -> OnceNode:
    """Render what stands between ``once`` and ``endonce`` once for each language: links, icons, fixed words."""
    nodelist = parser.parse(("endonce",))
    parser.delete_first_token()
    return OnceNode(nodelist)
