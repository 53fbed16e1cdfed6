"""Pages of a list that are found by the place of their edge and not by offset, so that no page has to count."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A page of rows. The last one costs as much as the first."""

    rows: list[Row]
    next: str  # the place after which the next page begins; blank on the last page
    previous: str  # the place before which the previous page ends; blank on the first page


def cut(
    found: list[Row], limit: int, *, has_edge: bool, is_backwards: bool, place_of: Callable[[Row], str]
) -> Page[Row]:
    """Return a page of up to ``limit`` rows; one more in ``found`` shows that there is another page.

    ``has_edge``: it begins or ends at the place of another page. ``is_backwards``: it ends there, and ``found`` is in
    reverse order.
    """
    shown = found[:limit][::-1] if is_backwards else found[:limit]
    is_more = len(found) > limit
    return Page(
        rows=shown,
        next=place_of(shown[-1]) if shown and (is_more or is_backwards) else "",
        previous=place_of(shown[0]) if shown and (is_more if is_backwards else has_edge) else "",
    )
