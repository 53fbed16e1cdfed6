"""Parts that pages are made of."""

import pytest
from django import forms
from django.forms.renderers import TemplatesSetting
from django.template import engines
from django.utils.html import escape

from datica_account.form_renderer import INPUTS, FormRenderer

WIDGETS = [
    forms.TextInput,
    forms.EmailInput,
    forms.PasswordInput,
    forms.HiddenInput,
    forms.NumberInput,
    forms.DateInput,
]
ATTRIBUTES = {"id": "id_x", "required": True, "autofocus": False, "title": 'a "quoted" <b>', "maxlength": 6}


def rendered(template: str, **context: object) -> str:
    return engines["django"].from_string(template).render(context)


def test_what_is_rendered_once_sees_nothing_of_the_page():
    page = engines["django"].from_string("{% load once %}{% once %}[{{ user }}{{ csrf_token }}]{% endonce %}{{ user }}")

    assert page.render({"user": "dana", "csrf_token": "secret"}) == "[]dana"
    assert page.render({"user": "sam"}) == "[]sam"


def test_what_is_rendered_once_is_rendered_once_for_each_language(settings):
    from django.utils import translation

    page = engines["django"].from_string(
        "{% load i18n once %}{% once %}{% get_current_language as l %}{{ l }}{% endonce %}"
    )
    found = []
    for language in ("en", "de", "en"):
        with translation.override(language):
            found.append(page.render({}))

    assert found == ["en", "de", "en"]


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.__name__)
@pytest.mark.parametrize("value", [None, "", "plain", '<script>"', 7])
def test_an_input_is_what_django_would_draw(widget, value):
    """SR-48: values are escaped."""
    drawn = widget(attrs=ATTRIBUTES)

    ours = drawn.render("name", value, renderer=FormRenderer())
    theirs = drawn.render("name", value, renderer=TemplatesSetting())

    assert drawn.template_name in INPUTS
    assert ours == theirs.strip()


def test_an_icon_is_drawn():
    svg = rendered('{% load page %}{% icon "lock" %}{% icon "lock" %}')

    assert svg.count("<svg") == 2
    assert escape(svg) != svg
