"""Lists as CSV files."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import chain

from django.http import StreamingHttpResponse

from accounts.csv_cells import csv_cell


def csv_file(name: str, head: list[str], rows: Iterable[list[str]]) -> StreamingHttpResponse:
    """Return rows as a CSV file that is streamed, so that its size does not matter."""

    def lines() -> Iterator[str]:
        line = StringIO()
        writer = csv.writer(line)
        for cells in chain([head], rows):
            writer.writerow(map(csv_cell, cells))
            yield line.getvalue()
            line.seek(0)
            line.truncate()

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)
