"""The sections of the help pages, read from the pages themselves: the search finds what readers see."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser

from django.template.loader import render_to_string
from django.utils.translation import get_language

# The templates by the names of their URLs, in the order in which a reader meets them.
PAGES = {
    "help_mfa": "help/mfa.html",
    "help_mfa_troubleshooting": "help/mfa_troubleshooting.html",
    "help_owners": "help/owners.html",
}
MAX_QUERY_LENGTH = 100
MAX_RESULTS = 10
EXCERPT_LENGTH = 220
LENGTH_BEFORE_WORD = 60  # of what an excerpt shows before the first word that was found


@dataclass
class Section:
    """A heading with an anchor, and the text below it."""

    page: str  # the name of its URL
    anchor: str
    heading: str = ""
    text: str = ""


@dataclass(frozen=True)
class Result:
    """A section that was found. Heading and excerpt are in pieces: of each, whether it is a word of the query."""

    section: Section
    heading: list[tuple[str, bool]]
    excerpt: list[tuple[str, bool]]


class _Reader(HTMLParser):
    """Reads the sections of a page. A section begins with an ``h2`` that has an id; the last ends with ``main``."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.sections: list[Section] = []
        self.is_over = self.is_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a section at its heading."""
        anchor = dict(attrs).get("id")
        if tag == "h2" and anchor:
            self.sections.append(Section(self.page, anchor))
            self.is_heading = True

    def handle_endtag(self, tag: str) -> None:
        """End a heading, or the last section."""
        self.is_heading = self.is_heading and tag != "h2"
        self.is_over = self.is_over or tag == "main"

    def handle_data(self, data: str) -> None:
        """Add to the heading or the text of the section that is read."""
        if not self.sections or self.is_over:
            return
        section, words = self.sections[-1], " ".join(data.split())
        if self.is_heading:
            section.heading += words
        elif words:
            gap = "" if words[0] in ".,:;)" or section.text.endswith("(") else " "
            section.text = f"{section.text}{gap}{words}".strip()


def find(query: str) -> list[Result]:
    """Return the sections that have the most words of a query, those with a word in their heading first."""
    words = list(dict.fromkeys(_folded(query[:MAX_QUERY_LENGTH]).split()))
    ranked = []
    for section in _sections(get_language() or ""):
        heading, text = _folded(section.heading), _folded(section.text)
        found = [word for word in words if word in heading or word in text]
        if found:
            ranked.append((len(found), sum(word in heading for word in found), section))
    most = max((count for count, _in_heading, _section in ranked), default=0)
    best = sorted((row for row in ranked if row[0] == most), key=lambda row: -row[1])
    return [_result(section, words) for _count, _in_heading, section in best[:MAX_RESULTS]]


# Kept as long as the process, as the templates are.
@lru_cache(maxsize=16)
def _sections(_language: str) -> list[Section]:
    """Return the sections of all pages in the language of this thread, as readers see them who are not signed in."""
    readers = []
    for page, template in PAGES.items():
        readers.append(_Reader(page))
        readers[-1].feed(render_to_string(template))
    return [section for reader in readers for section in reader.sections]


def _folded(text: str) -> str:
    """Return a text of the same length in small letters without accents."""
    return "".join(unicodedata.normalize("NFKD", letter)[0].lower()[0] for letter in text)


def _result(section: Section, words: list[str]) -> Result:
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))
    return Result(section, _pieces(section.heading, pattern), _pieces(_excerpt(section.text, pattern), pattern))


def _excerpt(text: str, pattern: re.Pattern[str]) -> str:
    """Return the part of a text around the first word that is found, cut between words."""
    found = pattern.search(_folded(text))
    start = max(found.start() - LENGTH_BEFORE_WORD, 0) if found else 0
    start = text.rfind(" ", 0, start) + 1
    if len(text) - start <= EXCERPT_LENGTH:
        return ("… " if start else "") + text[start:]
    end = text.rfind(" ", start + LENGTH_BEFORE_WORD, start + EXCERPT_LENGTH)
    return f"{'… ' if start else ''}{text[start:end]} …"


def _pieces(text: str, pattern: re.Pattern[str]) -> list[tuple[str, bool]]:
    """Split a text into what is a word of the query and what is not."""
    pieces, position = [], 0
    for found in pattern.finditer(_folded(text)):
        pieces += [(text[position : found.start()], False), (text[found.start() : found.end()], True)]
        position = found.end()
    return [piece for piece in [*pieces, (text[position:], False)] if piece[0]]
