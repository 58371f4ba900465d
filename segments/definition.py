"""A definition: JSON at rest, a frozen tree of typed conditions in memory."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from eventsapp.errors import Fault
from eventsapp.models import Workspace
from segments.conditions import Attribute, DidEvent, EventTime, Where, read_where, types_named
from segments.histories import Aggregate, Sequence
from segments.reading import Invalid, Node, Unreadable

__all__ = ["Definition", "Group", "Invalid", "parse", "parse_where"]

VERSION = 1
KINDS = {condition.kind: condition for condition in (DidEvent, EventTime, Aggregate, Sequence, Attribute)}
DEEPEST = 5
MOST_CONDITIONS = 100


@dataclass(frozen=True)
class Group:
    """Conditions of which all, or any, must hold."""

    match: str
    conditions: tuple

    def as_json(self) -> dict:
        return {"match": self.match, "conditions": [condition.as_json() for condition in self.conditions]}

    def leaves(self) -> Iterator:
        """Every condition of the tree that is not a group."""
        for condition in self.conditions:
            if isinstance(condition, Group):
                yield from condition.leaves()
            else:
                yield condition

    def named(self, types) -> "Group":
        return replace(self, conditions=tuple(condition.named(types) for condition in self.conditions))

    def __str__(self):
        joint = " and " if self.match == "all" else " or "
        return joint.join(f"({part})" if isinstance(part, Group) else str(part) for part in self.conditions)


@dataclass(frozen=True)
class Definition:
    """A checked question about the people of one workspace."""

    workspace: Workspace
    root: Group

    @property
    def conditions(self) -> tuple:
        return self.root.conditions

    @property
    def is_empty(self) -> bool:
        """An empty filter shows everybody; a segment is never saved empty."""
        return not self.conditions

    def as_json(self) -> dict:
        """The canonical form: no defaults, normalised event names."""
        return {"version": VERSION} | self.root.as_json()

    def events_named(self) -> list[str]:
        """The events that the question talks about, each once, in order."""
        return list(dict.fromkeys(name.name for leaf in self.root.leaves() for name in leaf.names()))

    def __str__(self):
        return "everyone" if self.is_empty else f"people who match: {self.root}"


def parse(workspace: Workspace, data) -> Definition:
    """Return the definition in decoded JSON. Raises Invalid with every fault found."""
    top = Node(data)
    root = Group("all", ())
    try:
        top.object({"version", "match", "conditions"})
        version = top.at("version")
        if version.value is not None and (isinstance(version.value, bool) or version.value != VERSION):
            raise version.wrong(f"Write {VERSION}, the only version there is.")
        if top.value.get("conditions") == []:
            top.at("match").choice(("all", "any"), default="all")
        else:
            root = _read_group(top, workspace, depth=1)
    except Unreadable:
        pass
    leaves = list(root.leaves())
    if len(leaves) > MOST_CONDITIONS and not top.faults:
        top.at("conditions").wrong(f"There are {len(leaves)} conditions. Write at most {MOST_CONDITIONS}.")
    if top.faults:
        raise Invalid(top.faults)
    types = types_named(workspace, {name.name for leaf in leaves for name in leaf.names()})
    return Definition(workspace, root.named(types))


def parse_to_save(workspace: Workspace, data) -> Definition:
    """Return the definition in decoded JSON, if a segment may be saved with it. Raises Invalid."""
    definition = parse(workspace, data)
    if definition.is_empty:
        message = "An empty filter is everyone. Add a condition before saving it as a segment."
        raise Invalid([Fault("parameter_invalid", message, "definition")])
    return definition


def _read_group(node: Node, workspace, *, depth) -> Group:
    if depth > DEEPEST:
        raise node.wrong(f"Groups are nested more than {DEEPEST} deep.")
    found = []
    match = node.at("match").choice(("all", "any"), default="all")
    for inner in node.at("conditions").items():
        with inner.going_on():
            inner.object()
            if "conditions" in inner.value:
                inner.object({"match", "conditions"})
                found.append(_read_group(inner, workspace, depth=depth + 1))
            else:
                found.append(KINDS[inner.at("kind").choice(KINDS)].read(inner, workspace))
    return Group(match, tuple(found))


def parse_where(data) -> tuple[Where, ...]:
    """Return a list of metadata conditions in decoded JSON; [] is none. Raises Invalid."""
    node = Node(data, "where")
    found = ()
    if data != []:
        with contextlib.suppress(Unreadable):
            found = read_where(node)
    if node.faults:
        raise Invalid(node.faults)
    return found
