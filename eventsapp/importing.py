"""History from files: CSV and JSONL of any size, in constant memory, through the real ingest. Fires no message."""

import csv
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from eventsapp.cells import other_length, rows_in, value_in
from eventsapp.incoming import read_event
from eventsapp.ingest import ingest
from eventsapp.models import Source, Workspace

BATCH = 5_000
OWN = ("event_name", "created_at", "user_id", "email", "id", "uuid")


@dataclass
class Report:
    """What became of a file's rows; `first_refused` are (line number, sentence) of the first ones."""

    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    first_refused: list[tuple[int, str]] = field(default_factory=list)


def import_file(
    workspace: Workspace, path: Path, *, rejected: Path, progress: Callable[[int], None] = lambda position: None
) -> Report:
    """Store the events in a .csv or .jsonl file; return what became of them.

    Running it again is harmless: what is there falls away. Rows that cannot be stored are written to `rejected`, one
    JSON object a line with line, error and row. `progress` hears the position in the file, in bytes.
    Raises ValueError for another kind of file or one that is not UTF-8.
    """
    read = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path.name} is neither .csv nor .jsonl.")
    report = Report()
    try:
        with path.open("rb") as raw, rejected.open("w") as bad:
            rows = read(raw)
            for batch, position in ahead(lambda: (_read_batch(rows), raw.tell())):
                _store(workspace, batch, report, bad)
                progress(position)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8: {error}.") from error
    except csv.Error as error:
        message = (
            f"{path.name} breaks off after {report.stored + report.duplicates:,} events: {error}. Is a quote left open?"
        )
        raise ValueError(message) from error
    if not report.refused:
        rejected.unlink()
    return report


def ahead(read: Callable[[], tuple[list, int]]) -> Iterator[tuple[list, int]]:
    """Yield what `read` returns until its list is empty; it reads on while the database stores what was yielded."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        reading = reader.submit(read)
        while (found := reading.result())[0]:
            reading = reader.submit(read)
            yield found


def _read_batch(rows) -> list[tuple]:
    """Return the next (line number, row, event or None, what is wrong with it or None)."""
    batch = []
    for line, row, problem in islice(rows, BATCH):
        event = None if problem else read_event(row)
        if isinstance(event, list):
            event, problem = None, " ".join(fault.message for fault in event)
        batch.append((line, row, event, problem))
    return batch


def _store(workspace, batch, report, bad):
    good = []
    for line, row, event, problem in batch:
        if problem:
            _refuse(report, bad, line, problem, row)
        else:
            good.append((line, row, event))
    outcomes = ingest(workspace, [event for _, _, event in good], source=Source.IMPORT)
    for (line, row, _), outcome in zip(good, outcomes, strict=True):
        if outcome.fault:
            _refuse(report, bad, line, outcome.fault.message, row)
        elif outcome.duplicate:
            report.duplicates += 1
        else:
            report.stored += 1


def _refuse(report, bad, line, sentence, row):
    report.refused += 1
    if len(report.first_refused) < 20:
        report.first_refused.append((line, sentence))
    bad.write(json.dumps({"line": line, "error": sentence, "row": row}, ensure_ascii=False) + "\n")


def _json_rows(raw) -> Iterator[tuple[int, object, str | None]]:
    """Yield (line number, event, problem) of each line that is not blank."""
    for number, line in enumerate(raw, start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
            # A line of a file of rejected rows stands for its row, so that a mended file can be imported as it is.
            rejected = isinstance(row, dict) and row.keys() == {"line", "error", "row"}
            yield number, row["row"] if rejected else row, None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield number, line.decode(errors="replace").rstrip("\n"), f"The line is not JSON: {error}."


def _csv_rows(raw) -> Iterator[tuple[int, object, str | None]]:
    """Yield (line number, event, problem) of each row after the header."""
    rows = rows_in(raw)
    _, header = next(rows, (0, []))
    if not header:
        return
    missing = {"event_name", "created_at"} - set(header)
    if missing:
        raise ValueError(f"The first line must name the columns; {', '.join(sorted(missing))} is missing.")
    for line, cells in rows:
        row, problem = dict(zip(header, cells, strict=False)), other_length(cells, header)
        yield line, row if problem else event_in(row), problem


def event_in(row: dict[str, str]) -> dict:
    """Return the event in a CSV row: its own columns by name, every other one as metadata.

    An empty cell is absent; a JSON number without leading zeros is a number, true and false are booleans; x_amount with
    x_currency is the monetary amount x; anything else is a text.
    """
    cells = {column: cell for column, cell in row.items() if cell != ""}
    event = {column: cells.pop(column) for column in OWN if column in cells}
    if "created_at" in event:
        event["created_at"] = value_in(event["created_at"])
    metadata = {}
    for column, cell in cells.items():
        name = column.removesuffix("_amount")
        if name != column and f"{name}_currency" in cells and isinstance(amount := value_in(cell), int):
            metadata[name] = {"amount": amount, "currency": cells[f"{name}_currency"]}
        elif not (column.endswith("_currency") and f"{column.removesuffix('_currency')}_amount" in cells):
            metadata[column] = value_in(cell)
    return event | ({"metadata": metadata} if metadata else {})
