"""A definition: JSON at rest, a frozen tree of typed conditions in memory."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from eventsapp.errors import Fault
from eventsapp.models import Workspace
from segments.conditions import Attribute, DidEvent, EventTime, Tagged, Where, read_where, types_named
from segments.histories import Aggregate, Sequence
from segments.reading import MOST_ID, Invalid, Node, Unreadable

__all__ = ["Definition", "Group", "Invalid", "TooMany", "all_of", "parse", "parse_where"]

VERSION = 1
DEEPEST = 5
MOST_CONDITIONS = 100


def all_of(*conditions: dict) -> dict:
    """Return the JSON of a definition for which all of these must hold; of none, for everybody."""
    return {"version": VERSION, "match": "all", "conditions": list(conditions)}


class TooMany(Invalid):
    """There are more conditions than may be asked at a time, those of segments within included."""

    def __init__(self):
        message = f"There are more than {MOST_CONDITIONS} conditions. Write fewer."
        super().__init__([Fault("parameter_invalid", message, "conditions")])


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

    def rows(self, path: str = "") -> Iterator[tuple[str, object]]:
        """Every condition and group within, with the path of its place, such as `conditions[0].conditions[1]`."""
        for place, condition in enumerate(self.conditions):
            here = f"{path}conditions[{place}]"
            yield here, condition
            if isinstance(condition, Group):
                yield from condition.rows(f"{here}.")

    def named(self, types) -> "Group":
        return replace(self, conditions=tuple(condition.named(types) for condition in self.conditions))

    def __str__(self):
        joint = " and " if self.match == "all" else " or "
        return joint.join(f"({part})" if isinstance(part, Group) else str(part) for part in self.conditions)


@dataclass(frozen=True)
class InSegment:
    """Belongs to a saved segment, or does not."""

    kind: ClassVar[str] = "segment"
    verbs: ClassVar[dict] = {"is in segment": {"op": "in"}, "is not in segment": {"op": "not_in"}}

    segment: int
    name: str
    op: str
    group: Group

    @property
    def negative(self) -> bool:
        return self.op == "not_in"

    def names(self):
        return [name for leaf in self.group.leaves() for name in leaf.names()]

    def named(self, types) -> "InSegment":
        return replace(self, group=self.group.named(types))

    def as_json(self) -> dict:
        return {"kind": self.kind, "segment": self.segment, "op": self.op}

    @staticmethod
    def choices(workspace: Workspace):
        return workspace.segments.active().values_list("pk", "name")

    def __str__(self):
        return f"{'not in' if self.negative else 'in'} segment “{self.name}”"


# By the `kind` of their JSON. Upper apps add theirs.
KINDS = {kind.kind: kind for kind in (DidEvent, EventTime, Aggregate, Sequence, Attribute, Tagged, InSegment)}


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


def parse(workspace: Workspace, data, *, of: int | None = None) -> Definition:
    """Return the definition in decoded JSON. Raises Invalid with every fault found.

    `of` is the id of the segment that is to have it, and must not contain itself.
    """
    root = _read(data, _Reader(workspace, frozenset() if of is None else frozenset({of})))
    types = types_named(workspace, {name.name for leaf in root.leaves() for name in leaf.names()})
    return Definition(workspace, root.named(types))


def unaskable(workspace: Workspace) -> list[tuple]:
    """Return the active segments that cannot be asked any more, each with its Invalid: [(segment, reason), …].

    What they refer to is looked up for all of them at once.
    """
    saved = {segment.pk: segment for segment in workspace.segments.active()}
    referring = [kind for kind in KINDS.values() if hasattr(kind, "choices") and kind is not InSegment]
    there = {kind.kind: dict(kind.choices(workspace)) for kind in referring} if saved else {}
    found = []
    for segment in saved.values():
        try:
            _read(segment.definition, _ReaderOfAll(workspace, frozenset(), saved, there))
        except Invalid as reason:
            found.append((segment, reason))
    return found


def _read(data, reader: "_Reader") -> Group:
    """Return the conditions in decoded JSON. Raises Invalid."""
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
            root = reader.group(top, depth=1)
    except Unreadable:
        pass
    if top.faults:
        raise Invalid(top.faults)
    return root


def parse_to_save(workspace: Workspace, data, *, of: int | None) -> Definition:
    """Return the definition in decoded JSON, if the segment `of` (None for a new one) may be saved with it; nobody else
    of the workspace can save one until this transaction ends. Raises Invalid."""
    # Two that are saved at once might each be read before it holds the other.
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    definition = parse(workspace, data, of=of)
    if definition.is_empty:
        message = "An empty filter is everyone. Add a condition before saving it as a segment."
        raise Invalid([Fault("parameter_invalid", message, "definition")])
    return definition


@dataclass(frozen=True)
class _Reader:
    """Reads groups of conditions; `above` are the segments inside of which it reads. How many conditions it may still
    read is `left`, in a list since the readers of segments within share it."""

    workspace: Workspace
    above: frozenset[int]
    left: list[int] = field(default_factory=lambda: [MOST_CONDITIONS], kw_only=True)

    def group(self, node: Node, *, depth: int) -> Group:
        if depth > DEEPEST:
            raise node.wrong(f"Groups are nested more than {DEEPEST} deep.")
        found = []
        match = node.at("match").choice(("all", "any"), default="all")
        for inner in node.at("conditions").items():
            self.count(inner)
            with inner.going_on():
                found.append(self.condition(inner, depth))
        return Group(match, tuple(found))

    def count(self, node: Node):
        """Counted before anything is read: a short list of segments may stand for very many conditions."""
        if not (isinstance(node.value, dict) and "conditions" in node.value):
            self.left[0] -= 1
        if self.left[0] < 0:
            raise TooMany()

    def condition(self, node: Node, depth: int):
        node.object()
        if "conditions" in node.value:
            return self.group(node.object({"match", "conditions"}), depth=depth + 1)
        kind = KINDS[node.at("kind").choice(KINDS)]
        return self.reference(node, depth) if kind is InSegment else kind.read(node, self.workspace)

    def reference(self, node: Node, depth: int) -> InSegment:
        """Read what a saved segment asks as if it were written here."""
        node.object({"kind", "segment", "op"})
        id, op = node.at("segment").integer(1, MOST_ID), node.at("op").choice(("in", "not_in"))
        saved = self.segment(id)
        if saved is None:
            raise node.at("segment").wrong(f"No segment here has the id {id}.")
        if id in self.above:
            raise node.at("segment").wrong(f"“{saved.name}” would contain itself.")
        inner, group = Node(saved.definition), None
        with inner.going_on():
            group = replace(self, above=self.above | {id}).group(inner, depth=depth + 1)
        if inner.faults:
            raise node.at("segment").wrong(f"“{saved.name}” cannot be asked: {inner.faults[0].message}")
        return InSegment(id, saved.name, op, group)

    def segment(self, id: int):
        return self.workspace.segments.active().filter(pk=id).first()


@dataclass(frozen=True)
class _ReaderOfAll(_Reader):
    """Reads all definitions of a workspace, to find what is wrong with them. It has the `saved` segments, by their id,
    and knows what is `there`: names by id, by kind of condition."""

    saved: dict
    there: dict[str, dict]

    def condition(self, node: Node, depth: int):
        match node.value:
            case {"kind": str(kind)} if isinstance(id := node.value.get(kind), int) and id in self.there.get(kind, ()):
                return node.value  # was fine when it was saved, and what it names is there
        return super().condition(node, depth)

    def segment(self, id: int):
        return self.saved.get(id)


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
