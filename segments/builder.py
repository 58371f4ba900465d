"""The builder as its template draws it: groups of rows, each a sentence, and the definition that they make."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from eventsapp.errors import Fault
from segments.definition import MOST_CONDITIONS, VERSION, Invalid, TooMany, parse
from segments.sentences import Control, Sentence, Writer

DRAWN = 2  # levels of groups that can be edited here; deeper ones are told and kept


@dataclass
class Row:
    """One condition, or a group of them. `place` is its path in the form, such as `conditions.0.conditions.1`."""

    place: str
    draft: dict
    sentence: Sentence | None = None
    group: "Rows | None" = None
    asked: str | None = None
    about: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.place.replace(".", "-")

    @property
    def is_inner(self) -> bool:
        return self.place.count("conditions") > 1

    @property
    def kept(self) -> str:
        """The JSON of what this page cannot say."""
        return json.dumps(self.draft["kept"])

    @property
    def is_unfinished(self) -> bool:
        return self.sentence is not None and self.sentence.condition is None

    def condition(self, asked: str) -> dict | None:
        """Its JSON, to be asked under the path `asked`; None while it is not finished, or a group of nothing."""
        if self.group:
            inner = self.group.finished(f"{asked}.")
            return {"match": self.group.match, "conditions": inner} if inner else None
        return self.sentence.condition if self.sentence else self.draft["kept"]


@dataclass
class Rows:
    """A group: its rows, and whether all or any of them must hold."""

    place: str
    match: str
    rows: list[Row]
    depth: int

    @property
    def id(self) -> str:
        return self.place.replace(".", "-")

    @property
    def prefix(self) -> str:
        return f"{self.place}." if self.place else ""

    def finished(self, path: str = "") -> list[dict]:
        """The JSON of the rows that are finished; each notes under which path, after that of the group, it is asked."""
        found = []
        for row in self.rows:
            here = f"{path}conditions[{len(found)}]"
            condition = row.condition(here)
            row.asked = here if condition else None
            if condition:
                found.append(condition)
        return found

    def all(self) -> Iterator[Row]:
        for row in self.rows:
            yield row
            if row.group:
                yield from row.group.all()


class Builder:
    """The rows of a draft, in which `focus` (a path that `drafts.act` returned) is gone on with; `definition` is the
    JSON of all that is finished."""

    def __init__(self, writer: Writer, draft: dict, focus: str | None = None):
        self.writer = writer
        self.root = self._rows(draft, "", 1)
        self.definition = {"version": VERSION, "match": self.root.match, "conditions": self.root.finished()}
        if focus is not None:
            focus_on(self.controls(), focus)

    def _rows(self, group: dict, place: str, depth: int) -> Rows:
        prefix = f"{place}." if place else ""
        rows = [self._row(row, f"{prefix}conditions.{n}", depth) for n, row in enumerate(group.get("conditions", ()))]
        return Rows(place, group.get("match") or "all", rows, depth)

    def _row(self, draft: dict, place: str, depth: int) -> Row:
        if "kept" in draft:
            return Row(place, draft)
        if "conditions" in draft and depth < DRAWN:
            return Row(place, draft, group=self._rows(draft, place, depth + 1))
        sentence = self.writer.sentence(draft, place) if "conditions" not in draft else None
        return Row(place, draft, sentence) if sentence else Row(place, {"kept": draft})

    def controls(self) -> list[Control]:
        return [control for row in self.root.all() if row.sentence for control in row.sentence.controls()]

    @property
    def is_finished(self) -> bool:
        """Whether it may be saved as it is."""
        return bool(self.definition["conditions"]) and not self.unfinished

    @property
    def unfinished(self) -> int:
        """How many rows are left out of the definition."""
        return sum(row.is_unfinished for row in self.root.all())

    @cached_property
    def shape(self) -> str:
        """Changes with whatever is not only text typed into a field: then the rows are drawn anew."""
        return shape_of(_shape_of(self.root))

    def tell(self, about: dict[str, dict]):
        """Note what the answer says of each row, by the path under which it was asked: count, words, hint."""
        for row in self.root.all():
            row.about = about.get(row.asked, {})

    def blame(self, faults: list[Fault]) -> list[str]:
        """Note the sentence of each fault at the row that has it; return those of no row."""
        loose = []
        for fault in faults:
            rows = [row for row in self.root.all() if row.asked and fault.field.startswith(row.asked)]
            if rows:
                rows[-1].about.setdefault("faults", []).append(fault.message)
            else:
                loose.append(fault.message)
        return loose


def focus_on(controls: list[Control], focus: str):
    """Mark the control with which to go on in the row at the path `focus`."""
    here = [one for one in controls if f"{one.row}.{one.path}.".lstrip(".").startswith(f"{focus}.")]
    fields = [control for control in here if control.options is None]
    for control in (fields or here)[:1]:
        control.is_focused = True


def _shape_of(rows: Rows) -> list:
    return [
        rows.match,
        [_shape_of(row.group) if row.group else _shape_of_sentence(row.sentence) for row in rows.rows],
    ]


def _shape_of_sentence(sentence: Sentence | None):
    return sentence and [
        (control.name, control.text if control.options or control.is_name else None) for control in sentence.controls()
    ]


def shape_of(shape) -> str:
    """A short name for how something is drawn: another when that is another."""
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


class Tests:
    """The metadata conditions of one event, for a form that has them at `path`."""

    def __init__(self, writer: Writer, tests: list[dict], event: str, path: str = "where"):
        self.wheres = writer.wheres(path, tests, event)
        self.keys = writer.keys(event)

    def controls(self) -> list[Control]:
        return list(Sentence([], [self.wheres]).controls())

    @property
    def shape(self) -> str:
        return shape_of([[key["key"] for key in self.keys], _shape_of_sentence(Sentence([], [self.wheres]))])


def draft_of(writer: Writer, definition: dict) -> dict:
    """Return a definition's canonical JSON as a draft: what no sentence can say is kept."""
    return _draft_of_group(writer, definition, 1)


def _draft_of_group(writer: Writer, group: dict, depth: int) -> dict:
    rows = [_draft_of_row(writer, row, depth) for row in group["conditions"]]
    return {"match": group["match"], "conditions": rows}


def _draft_of_row(writer: Writer, row: dict, depth: int) -> dict:
    if "conditions" in row:
        return _draft_of_group(writer, row, depth + 1) if depth < DRAWN else {"kept": row}
    sentence = writer.sentence(row)
    return row if sentence and sentence.condition == row else {"kept": row}


def draft_of_refused(writer: Writer, definition: dict) -> dict:
    """Return as a draft a definition's JSON that cannot be asked: whichever rows can be are drawn, the others are kept,
    and can be removed."""
    try:
        parse(writer.workspace, definition)
    except TooMany:
        return _unread(definition)
    except Invalid:
        pass
    return _draft_of_refused_group(writer, definition, 1)


def _unread(definition: dict) -> dict:
    """Too many rows to look at each, or even to draw: the last ones are one group, which says the same."""
    match, rows = "any" if definition.get("match") == "any" else "all", definition["conditions"]
    if rest := rows[MOST_CONDITIONS:]:
        rows = [*rows[:MOST_CONDITIONS], {"match": match, "conditions": rest}]
    return {"match": match, "conditions": [{"kept": row} for row in rows]}


def _draft_of_refused_group(writer: Writer, group: dict, depth: int) -> dict:
    match = "any" if group.get("match") == "any" else "all"
    return {"match": match, "conditions": [_draft_of_refused_row(writer, row, depth) for row in group["conditions"]]}


def _draft_of_refused_row(writer: Writer, row, depth: int) -> dict:
    try:
        asked = parse(writer.workspace, {"conditions": [row]}).as_json()["conditions"]
    except Invalid:
        if depth < DRAWN and isinstance(row, dict) and row.get("conditions") and isinstance(row["conditions"], list):
            return _draft_of_refused_group(writer, row, depth + 1)
        return {"kept": row}
    return _draft_of_row(writer, asked[0], depth)
