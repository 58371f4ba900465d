"""What staff are writing in the builder: the draft of a definition, as the fields of its form have it, and what its
buttons do to it.

A draft is a definition's JSON in which whatever cannot be read yet is the text that was typed. A row that the builder
has no sentence for is kept as `{"kept": …}`.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from copy import deepcopy

from segments.sentences import put, read_text
from segments.urlstate import read_json

BLANK = {
    "event": {"kind": "event", "did": True},
    "attribute": {"kind": "attribute"},
    "membership": {"kind": "segment", "op": "in"},
    "group": {"match": "any", "conditions": [{"kind": "event", "did": True}]},
}
_TEST = r"where\.\d{1,2}\.(key|op|value(\.[01])?)"
PLACES = re.compile(
    rf"(|event|key|field|op|span|value(\.[01])?|count\.(op|value(\.[01])?)|within\.(last_days|since|until)|within_days"
    rf"|segment|tag|message|{_TEST}|(first|then)\.(event|{_TEST}))\Z"
)
LONGEST_NAME = 200  # characters; with longer ones FIELD would be slow, and ours have at most 70 or so
FIELD = re.compile(r"(?P<row>(?:conditions\.\d{1,3}\.?)*)(?P<path>[a-z_.0-9]*)@(?P<kind>[a-z0-9-]+)\Z")


def read_form(fields: Iterable[tuple[str, str]]) -> dict:
    """Return the draft in the fields of the builder's form, in their order. What is none of its fields is left out."""
    tree: dict = {"match": "all", "conditions": {}}
    for name, text in fields:
        field = FIELD.match(name) if len(name) <= LONGEST_NAME else None
        if field is None:
            continue
        row = _row(tree, re.findall(r"\d+", field["row"]))
        if field["kind"] == "json":
            with suppress(ValueError):
                row["kept"] = read_json(text)
        elif field["path"] == "match":
            row["match"] = "any" if text == "any" else "all"
        elif PLACES.match(field["path"]):
            _note(row, field["path"], field["kind"], text)
    return _in_order(tree)


def said_in(tests: list[dict]) -> list[dict]:
    """Return drafts of metadata conditions as JSON to be checked: without what only their drawing needs."""
    return [{key: value for key, value in test.items() if key != "drawn"} for test in tests]


def _row(tree: dict, places: list[str]) -> dict:
    for place in places:
        tree = tree.setdefault("conditions", {}).setdefault(int(place), {})
    return tree


def _note(row: dict, path: str, kind: str, text: str):
    value = read_text(kind, text)
    if not path and value is None:
        return
    try:
        put(row, path, text if value is None else value)
        if kind.startswith("op-"):
            put(row, f"{path[:-2]}drawn", kind.removeprefix("op-"))
    except (AttributeError, TypeError, ValueError):
        # Two fields that cannot both be: no page of ours sends them.
        return


def _in_order(tree: dict) -> dict:
    if "conditions" in tree:
        rows = tree["conditions"]
        tree["conditions"] = [_in_order(rows[place]) for place in sorted(rows) if rows[place]]
    elif "kind" in tree or "field" in tree:
        _retold(tree)
    return tree


def _retold(row: dict):
    """What a row said with its old verb is said with its new one."""
    row.setdefault("kind", "attribute")
    if row["kind"] == "sequence":
        row.setdefault("first", {"event": row.get("event", ""), "where": row.get("where", [])})
    elif "first" in row:
        row.update(row.pop("first"))


# The buttons --------------------------------------------------------------------------------------------------------


def act(tree: dict, pressed: str) -> str | None:
    """Do to a draft what a pressed button says: `<act> <path of a row or group> <more>`. Return the path of the row in
    which its writer goes on, None when nothing was pressed or what it is about is not there."""
    name, _, rest = pressed.partition(" ")
    path, _, more = rest.partition(" ")
    try:
        return ACTS[name](tree, _places(path), more)
    except (LookupError, ValueError, TypeError, AttributeError):
        return None


def _places(path: str) -> list[int]:
    return [int(place) for place in path.split(".") if place not in ("conditions", "")]


def _path(places: list[int]) -> str:
    return ".".join(f"conditions.{place}" for place in places)


def _at(tree: dict, places: list[int]) -> dict:
    for place in places:
        tree = tree["conditions"][place]
    return tree


def _add(tree, places, kind):
    rows = _at(tree, places)["conditions"]
    rows.append(deepcopy(BLANK[kind]))
    inner = [0] if kind == "group" else []
    return _path([*places, len(rows) - 1, *inner])


def _remove(tree, places, _):
    *above, place = places
    rows = _at(tree, above)["conditions"]
    del rows[place]
    if above and not rows:
        return _remove(tree, above, "")
    return _path([*above, max(place - 1, 0)]) if rows else ""


def _copy(tree, places, _):
    *above, place = places
    rows = _at(tree, above)["conditions"]
    rows.insert(place + 1, deepcopy(rows[place]))
    return _path([*above, place + 1])


def _wrap(tree, places, _):
    *above, place = places
    outer = _at(tree, above)
    match = "any" if outer["match"] == "all" else "all"
    outer["conditions"][place] = {"match": match, "conditions": [outer["conditions"][place]]}
    return _path([*places, 0])


def _move_out(tree, places, _):
    *above, group, place = places
    row = _at(tree, [*above, group])["conditions"].pop(place)
    rows = _at(tree, above)["conditions"]
    rows.insert(group + 1, row)
    if not rows[group]["conditions"]:
        del rows[group]
        group -= 1
    return _path([*above, group + 1])


def _add_where(tree, places, where):
    *step, _ = where.split(".")
    inside = _at(tree, places)
    for key in step:
        inside = inside.setdefault(key, {})
    inside.setdefault("where", []).append({})
    return f"{_path(places)}.{where}.{len(inside['where']) - 1}".lstrip(".")


def _remove_where(tree, places, which):
    *step, _, place = which.split(".")
    inside = _at(tree, places)
    for key in step:
        inside = inside[key]
    del inside["where"][int(place)]
    return _path(places)


ACTS = {
    "add": _add, "remove": _remove, "copy": _copy, "wrap": _wrap, "out": _move_out,
    "where": _add_where, "unwhere": _remove_where,
}  # fmt: skip
