"""Lists as CSV files."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import chain

from django.http import StreamingHttpResponse
from django.utils import translation

from accounts.csv_cells import csv_cell


def csv_file(name: str, head: list[str], rows: Iterable[list[str]]) -> StreamingHttpResponse:
    """Return rows as a CSV file that is streamed, so that its size does not matter, in the language of the page."""
    language = translation.get_language()

    def lines() -> Iterator[str]:
        line = StringIO()
        writer = csv.writer(line)
        left = iter(chain([head], rows))
        while True:
            with translation.override(language):
                cells = next(left, None)
            if cells is None:
                return
            writer.writerow(map(csv_cell, cells))
            yield line.getvalue()
            line.seek(0)
            line.truncate()

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)
