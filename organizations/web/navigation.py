"""The navigation of an organization's pages: its sections, as far as the member's role may open them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Unpack
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.web.confirmation import Confirmation, confirm
from organizations.models import EVERYBODY, MANAGERS, OWNERS, Membership, Role


@dataclass(frozen=True)
class Page:
    """A page that the navigation names, and the roles that may open it."""

    view: str
    label: Promise
    roles: frozenset[Role]


@dataclass(frozen=True)
class Section:
    """A section: one page, or several with one label."""

    label: Promise
    pages: tuple[Page, ...]


def _one(view: str, label: Promise, roles: frozenset[Role]) -> Section:
    return Section(label, (Page(view, label, roles),))


SECTIONS = (
    _one("organization", _("Overview"), EVERYBODY),
    _one("members", _("Members"), MANAGERS),
    _one("invitations", _("Invites"), MANAGERS),
    Section(
        _("Rules"),
        (
            Page("policy", _("Accepted modes and start date"), OWNERS),
            Page("rehearsal", _("Rehearsal"), MANAGERS),
            Page("exemptions", _("Exemptions"), MANAGERS),
        ),
    ),
    _one("compliance", _("Progress"), MANAGERS),
    _one("environments", _("Environments"), EVERYBODY),
    _one("log", _("Security log"), MANAGERS),
    _one("settings", _("Settings"), OWNERS),
)


@dataclass(frozen=True)
class Link:
    """A link of the navigation. ``current`` is its ``aria-current``: "page", "true" on a page below it, or blank."""

    label: str
    url: str
    current: str


@dataclass(frozen=True)
class Navigation:
    """What the partial shows: the organization's name, the sections, and the pages of the current section."""

    name: str
    links: list[Link]
    below: list[Link]
    deletion_at: datetime | None
    settings_url: str  # where an owner undoes a deletion; blank for others
    is_for_managers: bool  # "?" opens the help for owners


def page_of(member: Membership, view: str, *, is_below: bool = False) -> dict[str, object]:
    """Return the context of an organization's page: ``organization`` and ``nav``.

    ``view`` is the name of the page in ``SECTIONS``; ``is_below`` is for a page that is reached from it.
    """
    organization, links, below = member.organization, [], []
    for section in SECTIONS:
        pages = [page for page in section.pages if member.role in page.roles]
        if not pages:
            continue
        is_here = view in {page.view for page in pages}
        is_page = is_here and len(pages) == 1 and not is_below
        current = "page" if is_page else "true" if is_here else ""
        links.append(Link(str(section.label), _url(pages[0], organization.pk), current))
        if is_here and len(pages) > 1:
            below = [
                Link(str(page.label), _url(page, organization.pk), "page" if page.view == view else "")
                for page in pages
            ]
    settings_url = reverse("organizations:settings", args=[organization.pk]) if member.role in OWNERS else ""
    is_for_managers = member.role in MANAGERS
    nav = Navigation(organization.name, links, below, organization.deletion_at, settings_url, is_for_managers)
    return {"organization": organization, "nav": nav}


def confirm_below(request: HttpRequest, member: Membership, view: str, **page: Unpack[Confirmation]) -> HttpResponse:
    """Render a confirmation with the navigation of the organization; ``view`` is the page from which it is reached."""
    page["nav"] = page_of(member, view, is_below=True)["nav"]
    return confirm(request, **page)


def _url(page: Page, organization_id: UUID) -> str:
    return reverse(f"organizations:{page.view}", args=[organization_id])
