"""How forms are drawn: every field by ``templates/forms/field.html``."""

from django.forms.renderers import TemplatesSetting


class FormRenderer(TemplatesSetting):
    """Draws fields by a template of ours, and widgets by Django's."""

    field_template_name = "forms/field.html"
