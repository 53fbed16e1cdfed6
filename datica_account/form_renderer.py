"""How forms are drawn: every field by ``templates/forms/field.html``."""

from typing import Any, cast

from django.forms.renderers import TemplatesSetting
from django.http import HttpRequest
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

# Django's templates of widgets that are one ``<input>``. Each includes two others.
INPUTS = frozenset(
    f"django/forms/widgets/{kind}.html" for kind in ("text", "email", "password", "hidden", "number", "date", "input")
)


class FormRenderer(TemplatesSetting):
    """Draws fields by a template of ours, and widgets as Django does, but inputs without templates."""

    field_template_name = "forms/field.html"

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> SafeString:
        """Return the HTML of a form, a field or a widget."""
        if template_name in INPUTS:
            return _input(context["widget"])
        return cast("SafeString", super().render(template_name, context, request))


def _input(widget: dict[str, Any]) -> SafeString:
    """Return an ``<input>``, as Django's template writes it."""
    attributes = {"type": widget["type"], "name": widget["name"], "value": widget["value"], **widget["attrs"]}
    return mark_safe(f"<input{''.join(map(_attribute, attributes, attributes.values()))}>")  # noqa: S308  (escaped)


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
