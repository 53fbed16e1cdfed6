"""Lists as CSV files."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import chain

from django.http import StreamingHttpResponse

FORMULAS = frozenset("=+-@\t\r")


def csv_file(name: str, head: list[str], rows: Iterable[list[str]]) -> StreamingHttpResponse:
    """Return rows as a CSV file that is streamed, so that its size does not matter."""

    def lines() -> Iterator[str]:
        line = StringIO()
        writer = csv.writer(line)
        for cells in chain([head], rows):
            # A quote keeps a spreadsheet from running the cell as a formula.
            writer.writerow([f"'{cell}" if cell[:1] in FORMULAS else cell for cell in cells])
            yield line.getvalue()
            line.seek(0)
            line.truncate()

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)
