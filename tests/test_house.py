"""The rules of the house that no other tool keeps."""

import ast
import re
from pathlib import Path

import pytest

from tests import limits_table

ROOT = Path(__file__).resolve().parent.parent
LOOKED_FOR_HERE = {"admin", "apps", "tasks"}  # where Django and Celery look for them
DOMAIN = [
    file
    for app in ("accounts", "mfa", "organizations")
    for file in sorted([*(ROOT / app).glob("*.py"), *(ROOT / app / "modes").glob("*.py")])
    if file.stem not in LOOKED_FOR_HERE
]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def imports_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("file", DOMAIN, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_domain_modules_know_no_http(file):
    assert not [
        name for name in imports_of(file) if name.startswith(("django.http", "django.shortcuts", "django.views"))
    ]


@pytest.mark.parametrize("file", DOMAIN, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_functions_fit_on_a_screen(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
def test_pages_carry_no_inline_script_or_style(file):
    """SR-46: the policy would refuse them. Mail programs know no other styles."""
    if "emails" in file.parts:
        pytest.skip("a mail, not a page")
    text = file.read_text()

    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:", text)


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
def test_every_text_that_people_read_can_be_translated(file):
    text = file.read_text()
    text = re.sub(r"(?s)\{% blocktranslate.*?%\}.*?\{% endblocktranslate %\}", "", text)
    text = re.sub(r"\{#.*?#\}|\{% block \w+_class %\}.*?\{% endblock %\}", "", text)  # comments and CSS classes
    text = re.sub(r"(?s)\{[%{].*?[%}]\}|<(style|svg)[\s\S]*?</\1>|<[^>]*>", "", text)
    words = re.findall(r"[A-Za-z]{3,}", text)

    assert words == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
def test_lines_of_pages_fit_on_a_screen(file):
    if "emails" in file.parts:
        pytest.skip("a mail, not a page")

    assert [line for line in file.read_text().splitlines() if len(line) > 160] == []


def test_no_two_limits_share_a_count():
    """SR-57: a username that reads like a network must not reset the count of that network."""
    keys = [limit.key for _file, limit in limits_table.limits() if limit.key]

    assert len(keys) == len(set(keys))


def test_the_table_of_limits_is_the_one_of_the_code():
    """SR-57: `make limits` writes it."""
    assert limits_table.PAGE.read_text() == limits_table.page()
