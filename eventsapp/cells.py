"""CSV files of others and our own: their rows, what a cell says, and how a value is written as one."""

import csv
import re
from collections.abc import Iterable, Iterator

LONGEST_NUMBER = 30  # characters; what is longer is a code, not a quantity
# A JSON number: no leading zeros, so that codes such as 007 stay texts.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\Z")
SEPARATORS = ",;\t"
BOM = "\ufeff"  # without it Excel takes UTF-8 for something else
# Spreadsheets take a cell that begins so for a formula.
RISKY = ("=", "+", "-", "@", "\t", "\r")


def rows_in(raw: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of each row that is not blank, the header too. Cells are separated by what the first
    line has most of: commas, semicolons or tabs. Raises UnicodeDecodeError for what is not UTF-8, and csv.Error."""
    lines = (line.decode("utf-8-sig" if place == 0 else "utf-8") for place, line in enumerate(raw))
    first = next(lines, "")
    reader = csv.reader(_put_back(first, lines), delimiter=max(SEPARATORS, key=first.count))
    return ((reader.line_num, cells) for cells in reader if cells)


def _put_back(first: str, others: Iterator[str]) -> Iterator[str]:
    yield first
    yield from others


def other_length(cells: list[str], header: list[str]) -> str | None:
    """Say that a row is not as long as the header, if it is not."""
    if len(cells) != len(header):
        return f"The row has {len(cells)} cells, the header {len(header)}."


def value_in(cell: str) -> str | int | float | bool:
    """Return what a cell says: a JSON number without leading zeros is a number, true and false are booleans."""
    if cell in ("true", "false"):
        return cell == "true"
    if not NUMBER.match(cell) or len(cell) > LONGEST_NUMBER:
        return cell
    return float(cell) if any(mark in cell for mark in ".eE") else int(cell)


class Line:
    """What csv writes into: it hands each line back."""

    def write(self, line: str) -> str:
        return line


def safe(value) -> str:
    """A value as a cell that no spreadsheet runs: a text that could be a formula begins with an apostrophe."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str() if value.startswith(RISKY):
            return f"'{value}"
    return str(value)


def bare(cell: str) -> str:
    """Return a cell as it was before it was made `safe`, without blanks around it."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(RISKY) else cell
