"""Cells of CSV files."""

FORMULAS = frozenset("=+-@\t\r")


def csv_cell(value: object) -> str:
    """Return the text of a cell. A quote keeps a spreadsheet from running it as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in FORMULAS else text
