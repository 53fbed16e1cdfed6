"""The catalogs below ``locale/``, and the texts of the code that they must hold. Needs no tools of gettext."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "mfa", "organizations", "datica_account")
LITERAL = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
CALL = re.compile(rf"\b(_|gettext|pgettext|ngettext|npgettext)\(\s*({LITERAL}(?:\s*,\s*{LITERAL})*)")
ARGUMENTS = {  # of a function: where its context, its text and its plural stand
    "_": (None, 0, None),
    "gettext": (None, 0, None),
    "pgettext": (0, 1, None),
    "ngettext": (None, 0, 1),
    "npgettext": (0, 1, 2),
}

Key = tuple[str, str, str]  # context, text, plural; blank for none


@dataclass
class Entry:
    """A text of a catalog and its translations: one, or one for each plural form."""

    msgctxt: str = ""
    msgid: str = ""
    msgid_plural: str = ""
    flags: str = ""
    forms: list[str] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """Return what the code looks the entry up by."""
        return self.msgctxt, self.msgid, self.msgid_plural


def read(language: str) -> list[Entry]:
    """Return the entries of a catalog, without its header."""
    entries, name = [Entry()], ""
    for line in (ROOT / "locale" / language / "LC_MESSAGES" / "django.po").read_text().splitlines():
        found = re.fullmatch(r'(?:(msgctxt|msgid|msgid_plural|msgstr)(?:\[\d\])? )?(".*")', line)
        if not found:
            assert not line or line.startswith("#"), line
            if not line:
                entries.append(Entry())
            entries[-1].flags += line.removeprefix("#,") if line.startswith("#,") else ""
            continue
        name, text = found[1] or name, ast.literal_eval(found[2])
        if name == "msgstr":
            forms = entries[-1].forms
            forms.append(text) if found[1] else forms.append(forms.pop() + text)
        else:
            setattr(entries[-1], name, getattr(entries[-1], name) + text)
    return [entry for entry in entries if entry.msgid]


def _key(name: str, texts: list[str]) -> Key:
    places = ARGUMENTS[name.removesuffix("_lazy")]
    return tuple("" if place is None else texts[place] for place in places)


def of_templates() -> Iterator[Key]:
    """Yield the texts of templates."""
    for file in sorted((ROOT / "templates").rglob("*.*")):
        for name, texts in CALL.findall(templatize(file.read_text(), origin=str(file))):
            yield _key(name, [ast.literal_eval(text) for text in re.findall(LITERAL, texts)])


def of_code() -> Iterator[Key]:
    """Yield the texts of Python modules."""
    for file in sorted(file for app in APPS for file in (ROOT / app).rglob("*.py") if "tests" not in file.parts):
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(getattr(node, "func", None), "id", "")
            if not isinstance(node, ast.Call) or name.removesuffix("_lazy") not in ARGUMENTS:
                continue
            texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            if texts and isinstance(texts[0], str):
                yield _key(name, texts)


def needed() -> set[Key]:
    """Return the texts that a catalog must hold. One with a plural also serves where it is used without."""
    found = {*of_templates(), *of_code()}
    with_plural = {(context, text) for context, text, plural in found if plural}
    return {key for key in found if key[2] or key[:2] not in with_plural}
