"""What is easily overlooked in a question, and the question that its asker may have meant."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

from segments.conditions import Attribute, DidEvent
from segments.definition import Definition, Group
from segments.engine import Answer
from segments.urlstate import encode


@dataclass(frozen=True)
class Hint:
    """A sentence about one row, the words of its remedy, and the definition (JSON) that this makes."""

    path: str
    words: str
    remedy: str
    definition: dict

    @property
    def q(self) -> str:
        """The definition, as a link to the people page has it."""
        return encode(self.definition)


def hints(definition: Definition) -> Iterator[Hint]:
    """Yield what its asker may not have thought of, at most one hint for each row."""
    yield from _in_group(definition, definition.root, "")


def _in_group(definition, group: Group, path: str) -> Iterator[Hint]:
    rows = [(f"{path}conditions[{place}]", row) for place, row in enumerate(group.conditions)]
    excluded = {row.comparison.op for _, row in rows if isinstance(row, Attribute) and row.field == "signed_up_at"}
    for here, row in rows:
        if isinstance(row, Group):
            yield from _in_group(definition, row, f"{here}.")
        elif _forgets_newcomers(row) and not (group.match == "all" and excluded & {"more_than_days_ago", "before"}):
            yield _newcomers(definition, here, row, group.match)
    if group.match == "any":
        yield from _matching_everyone(definition, rows)


def _forgets_newcomers(row) -> bool:
    return isinstance(row, DidEvent) and not row.did and bool(row.within and (row.within.last_days or row.within.since))


def _newcomers(definition, path: str, row: DidEvent, match: str) -> Hint:
    """Who signed up a week ago did not do it for 30 days, in a sense that few have in mind."""
    within = row.within
    if within.last_days:
        since, older = f"less than {within.last_days:,} days ago", ("more_than_days_ago", within.last_days)
    else:
        since, older = f"after {within.since}", ("before", within.since.isoformat())
    signed_up = {"kind": "attribute", "field": "signed_up_at", "op": older[0], "value": older[1]}
    words = f"Includes people who signed up {since}."
    data, place = _group_of(definition, path)
    if match == "all":
        place.group["conditions"].insert(place.index + 1, signed_up)
    else:
        both = {"match": "all", "conditions": [place.group["conditions"][place.index], signed_up]}
        place.group["conditions"][place.index] = both
    return Hint(path, words, "Exclude them", data)


def _matching_everyone(definition, rows) -> Iterator[Hint]:
    """“Is not A or is not B” holds for everybody: whoever is A is not B."""
    seen = {}
    for here, row in rows:
        if not isinstance(row, Attribute) or row.comparison.op not in ("is_not", "ne"):
            continue
        if seen.setdefault(row.field, row.comparison) != row.comparison:
            data, place = _group_of(definition, here)
            place.group["match"] = "all"
            yield Hint(here, "With another “is not” of the same, one of them always holds.", "Switch to “all”", data)


def widening(definition: Definition, answer: Answer) -> Hint | None:
    """When nobody matches all of several conditions: which of them leaves the fewest, and the question without it."""
    rows = {path: row for path, row in definition.root.rows() if path.count("[") == 1}
    if answer.count or definition.root.match != "all" or len(rows) < 2:
        return None
    path = min(rows, key=answer.row_counts.get)
    data, place = _group_of(definition, path)
    del place.group["conditions"][place.index]
    number = answer.row_counts[path]
    who = "Nobody" if not number else "One person" if number == 1 else f"Only {number:,} people"
    return Hint(path, f"{who} of {answer.everyone:,} match “{rows[path]}” alone.", "Leave it out", data)


@dataclass
class _Place:
    group: dict
    index: int


def _group_of(definition, path: str) -> tuple[dict, _Place]:
    """A copy of the definition's JSON, and in it the group and the place within that a path names."""
    data = deepcopy(definition.as_json())
    *above, last = [int(part.removeprefix("conditions[")[:-1]) for part in path.split(".")]
    group = data
    for index in above:
        group = group["conditions"][index]
    return data, _Place(group, last)
