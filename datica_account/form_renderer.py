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

SELECT = "django/forms/widgets/select.html"  # includes two others for each option


class FormRenderer(TemplatesSetting):
    """Draws fields by a template of ours, and widgets as Django does, but inputs and lists without templates."""

    field_template_name = "forms/field.html"

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> SafeString:
        """Return the HTML of a form, a field or a widget."""
        draw = _input if template_name in INPUTS else _select if template_name == SELECT else None
        if draw:
            return mark_safe(draw(context["widget"]))  # noqa: S308  (escaped)
        return cast("SafeString", super().render(template_name, context, request))


def _input(widget: dict[str, Any]) -> str:
    """Return an ``<input>``, as Django's template writes it."""
    attributes = {"type": widget["type"], "name": widget["name"], "value": widget["value"], **widget["attrs"]}
    return f"<input{_attributes(attributes)}>"


def _select(widget: dict[str, Any]) -> str:
    """Return a ``<select>``, as Django's template writes it."""
    parts = [f'<select name="{escape(widget["name"])}"{_attributes(widget["attrs"])}>']
    for group, options, _index in widget["optgroups"]:
        if group:
            parts.append(f'<optgroup label="{escape(group)}">')
        for option in options:
            attributes = _attributes({"value": str(option["value"]), **option["attrs"]})
            parts.append(f"<option{attributes}>{escape(option['label'])}</option>")
        if group:
            parts.append("</optgroup>")
    return "\n".join([*parts, "</select>"])


def _attributes(values: dict[str, Any]) -> str:
    return "".join(map(_attribute, values, values.values()))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
