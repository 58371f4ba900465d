"""One class for each question staff can ask. It reads its JSON, compiles to one SELECT of contact ids, and speaks.

SQL is only asked the positive question: `contacts()` never holds an anti-join, and a condition that is `negative` has
its complement among people taken by whoever asks (segments.engine).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from django.db.models import Count, F, Max, Q

from eventsapp.attributes import CUSTOM
from eventsapp.incoming import MAX_KEY, MOST_COUNTED, normal_name
from eventsapp.metadata import kind_of, shown
from eventsapp.models import Contact, Event, EventSummary, EventType, Tagging, Workspace
from segments.comparisons import DATE, NUMBER, PRESENCE, Comparison, number_test, read_comparison
from segments.days import Clock, Span
from segments.reading import MOST_DAYS, MOST_ID, Node
from segments.values import Column, InJson, within

# Words with gaps: what is said of a question, and what the builder's row of it is made of.
COUNTED = {
    "gte": "at least {} times", "lte": "at most {} times", "gt": "more than {} times", "lt": "fewer than {} times",
    "eq": "exactly {} times", "ne": "not exactly {} times", "between": "between {} and {} times",
}  # fmt: skip
SPANS = {
    "last_days": "in the last {} days", "since": "since {}", "until": "until {}", "between": "between {} and {}",
}  # fmt: skip


@dataclass(frozen=True)
class EventName:
    """An event's normalised name with its type in this workspace; None when no such event came in yet."""

    name: str
    type: int | None = None

    @classmethod
    def read(cls, node: Node) -> "EventName":
        return cls(normal_name(node.text()))

    def known_as(self, types: dict[str, int]) -> "EventName":
        return replace(self, type=types.get(self.name))

    def __str__(self):
        return self.name


# The parts of an event condition ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Times:
    """How often: `op` with a number ≥ 1, or two for `between`."""

    op: str = "gte"
    value: int | tuple[int, int] = 1

    @classmethod
    def read(cls, node: Node) -> "Times":
        node.object({"op", "value"})
        op = node.at("op").choice(NUMBER)
        hint = " For nobody who ever did it, write did: false." if node.at("value").value == 0 else ""

        def times(node):
            return node.integer(2 if op == "lt" else 1, MOST_COUNTED, hint)

        value = node.at("value")
        return cls(op, value.pair(times) if op == "between" else times(value))

    @property
    def is_once(self) -> bool:
        return (self.op, self.value) == ("gte", 1)

    def test(self, number):
        """The test of an expression that counts events; whoever has none is never asked."""
        positive = number_test("eq" if self.op == "ne" else self.op, self.value, number)
        return ~positive if self.op == "ne" else positive

    def as_json(self) -> dict:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"op": self.op, "value": value}

    def __str__(self):
        if self.is_once:
            return ""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        words = COUNTED[self.op].format(*(f"{value:,}" for value in values))
        return words.replace("1 times", "once") if values == (1,) else words


@dataclass(frozen=True)
class Within:
    """When: the last n × 24 hours, or calendar days since and until, both included."""

    last_days: int | None = None
    since: object = None
    until: object = None

    @classmethod
    def read(cls, node: Node) -> "Within":
        node.object({"last_days", "since", "until"})
        if node.has("last_days"):
            if node.has("since") or node.has("until"):
                raise node.wrong("Write either last_days, or since and until.")
            return cls(last_days=node.at("last_days").integer(1, MOST_DAYS))
        since = node.at("since").date() if node.has("since") else None
        until = node.at("until").date() if node.has("until") else None
        if not since and not until:
            raise node.wrong('Write {"last_days": 30}, or since and until as days; leave it out for “ever”.')
        if since and until and since > until:
            raise node.at("since").wrong("since is after until.")
        return cls(since=since, until=until)

    def span(self, clock: Clock) -> Span:
        return clock.last_days(self.last_days) if self.last_days else clock.days(self.since, self.until)

    def as_json(self) -> dict:
        if self.last_days:
            return {"last_days": self.last_days}
        days = {"since": self.since, "until": self.until}
        return {side: day.isoformat() for side, day in days.items() if day}

    def __str__(self):
        if self.last_days:
            return SPANS["last_days"].format(f"{self.last_days:,}") if self.last_days > 1 else "in the last day"
        sides = [day for day in (self.since, self.until) if day]
        return SPANS["between" if len(sides) > 1 else "since" if self.since else "until"].format(*sides)


@dataclass(frozen=True)
class Where:
    """One test of an event's metadata. All of a condition's must hold on the same event."""

    key: str
    comparison: Comparison

    @classmethod
    def read(cls, node: Node) -> "Where":
        node.object({"key", "op", "value"})
        key = read_key(node.at("key"))
        return cls(key, read_json_comparison(node, key, "_date", money=True))

    def test(self, clock: Clock):
        """A conditional expression about a model with `metadata` and `terms`: Event or HandOver."""
        return self.comparison.test(InJson("metadata", self.key), clock)

    def as_json(self) -> dict:
        return {"key": self.key} | self.comparison.as_json()

    def __str__(self):
        return f"{self.key} {self.comparison}"


def read_key(node: Node) -> str:
    """Read a key of metadata."""
    key = node.text(MAX_KEY)
    if '"' in key or "\\" in key:
        raise node.wrong("No metadata key holds a quote or a backslash.")
    return key


def read_json_comparison(node: Node, key: str, date_suffix: str, *, money: bool = False) -> Comparison:
    """Read a comparison of a value in JSON: a key with the suffix of dates takes date and text operators, no other
    takes a date's."""
    op = node.at("op").value
    only_dates = [op for op in DATE if op not in NUMBER]
    if key.endswith(date_suffix):
        if op in DATE or op in PRESENCE:
            return read_comparison(node, "date")
        if op in NUMBER:
            raise node.at("op").wrong(f"“{key}” is a date. Write one of: {', '.join(DATE)}.")
    elif op in only_dates:
        raise node.at("op").wrong(f"Only keys that end in {date_suffix} are dates. Write another operator.")
    return read_comparison(node, None, money=money)


# The questions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DidEvent:
    """Did, or did not do, something: how often, when, with which metadata."""

    kind: ClassVar[str] = "event"
    verbs: ClassVar[dict] = {"did": {"did": True}, "did not do": {"did": False}}

    event: EventName
    did: bool = True
    count: Times = Times()
    within: Within | None = None
    where: tuple[Where, ...] = ()

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "DidEvent":
        node.object({"kind", "event", "did", "count", "within", "where"})
        parts = {"event": EventName("")}
        parts |= node.parts(event=EventName.read, did=lambda did: did.boolean(default=True))
        if node.has("count"):
            with node.going_on():
                if parts.get("did") is False:
                    raise node.at("count").wrong("“did: false” takes no count: it means never. Leave the count out.")
                parts["count"] = Times.read(node.at("count"))
        return cls(**parts | node.parts_there(within=Within.read, where=read_where))

    @property
    def negative(self) -> bool:
        return not self.did

    def names(self):
        return [self.event]

    def named(self, types) -> "DidEvent":
        return replace(self, event=self.event.known_as(types))

    def contacts(self, clock: Clock, among=None):
        """Those who did it as often as asked. Without window and metadata the summaries know; else the events do."""
        if not self.within and not self.where:
            summaries = EventSummary.objects.filter(type=self.event.type).with_totals()
            return some(summaries, among).filter(total__gte=1).filter(self.count.test(F("total"))).values("contact_id")
        events = self._events(clock, among).order_by().values("contact_id")
        if self.count.is_once:
            return events  # who did it twice is in a set once
        return events.annotate(times=Count("created_at")).filter(self.count.test(F("times"))).values("contact_id")

    def _events(self, clock, among):
        return matching(self.event, self.within, self.where, clock, among)

    def facts(self, clock: Clock, contact: Contact) -> str:
        if self.within or self.where:
            numbers = self._events(clock, [contact.pk]).aggregate(times=Count("created_at"), last=Max("created_at"))
            times, last = numbers["times"], numbers["last"]
        else:
            summary = summary_of(contact, self.event)
            times, last = (summary.total, summary.last) if summary else (0, None)
        if not times:
            return f"{self.event} never" + (", as it is asked for here" if self.within or self.where else "")
        needs = f", needs {self.count}" if self.did and not self.count.is_once else ""
        return f"{self.event} {spoken_times(times)}{needs}; last one {clock.spoken(last)}"

    def as_json(self) -> dict:
        data = {"kind": self.kind, "event": self.event.name, "did": self.did}
        if not self.count.is_once:
            data["count"] = self.count.as_json()
        if self.within:
            data["within"] = self.within.as_json()
        if self.where:
            data["where"] = [where.as_json() for where in self.where]
        return data

    def __str__(self):
        verb = "did" if self.did else "did not do"
        parts = [verb, str(self.event), str(self.count), str(self.within or "")]
        if self.where:
            parts.append("where " + " and ".join(str(where) for where in self.where))
        return " ".join(part for part in parts if part)


def matching(name: EventName, window: Within | None, wheres: tuple[Where, ...], clock: Clock, among=None):
    """The events of this name, of these contacts, within the window, whose metadata are as asked."""
    events = some(Event.objects.filter(type=name.type), among)
    if window:
        events = events.filter(within(F("created_at"), window.span(clock)))
    for where in wheres:
        events = events.filter(where.test(clock))
    return events


def summary_of(contact: Contact, name: EventName) -> EventSummary | None:
    """How often somebody did it ever, imported history included."""
    return EventSummary.objects.filter(contact=contact, type=name.type).with_totals().filter(total__gte=1).first()


def spoken_times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def read_where(node: Node) -> tuple[Where, ...]:
    """Read a list of metadata conditions; each fault is noted. An absent list is none."""
    found = []
    for inner in node.items():
        with inner.going_on():
            found.append(Where.read(inner))
    return tuple(found)


@dataclass(frozen=True)
class EventTime:
    """When somebody did something for the first or the last time, imported history included."""

    kind: ClassVar[str] = "event_time"
    verbs: ClassVar[dict] = {"first did": {"occurrence": "first"}, "last did": {"occurrence": "last"}}

    event: EventName
    occurrence: str
    comparison: Comparison

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "EventTime":
        node.object({"kind", "event", "occurrence", "op", "value"})
        return cls(
            EventName.read(node.at("event")),
            node.at("occurrence").choice(["first", "last"]),
            read_comparison(node, "date"),
        )

    @property
    def negative(self) -> bool:
        return self.comparison.negative

    def names(self):
        return [self.event]

    def named(self, types) -> "EventTime":
        return replace(self, event=self.event.known_as(types))

    def contacts(self, clock: Clock, among=None):
        summaries = some(EventSummary.objects.filter(type=self.event.type).with_totals(), among)
        place = Column(self.occurrence, "date")
        return summaries.filter(self.comparison.positive_test(place, clock)).values("contact_id")

    def facts(self, clock: Clock, contact: Contact) -> str:
        summary = summary_of(contact, self.event)
        seconds = summary and getattr(summary, self.occurrence)
        return f"{self.occurrence} {self.event} {clock.spoken(seconds)}" if seconds else f"{self.event} never"

    def as_json(self) -> dict:
        time = {"kind": self.kind, "event": self.event.name, "occurrence": self.occurrence}
        return time | self.comparison.as_json()

    def __str__(self):
        if self.comparison.op in PRESENCE:
            return f"{self.occurrence} {self.event} {self.comparison}"
        return f"{self.occurrence} did {self.event} {self.comparison}"


# Fields every contact has: the column that holds it, as comparisons see it, and its kind.
FIELDS = {
    "name": Column("name_folded", "text"),
    "email": Column("email_folded", "text"),
    "user_id": Column("external_id_folded", "text"),
    "role": Column("role", "text"),
    "unsubscribed_from_emails": Column("unsubscribed_from_emails", "boolean"),
    "created_at": Column("created_at", "date"),
    "signed_up_at": Column("signed_up_at", "date"),
    "last_seen_at": Column("last_seen_at", "date"),
}


@dataclass(frozen=True)
class Attribute:
    """What is known about a person: a field every contact has, or a custom attribute."""

    kind: ClassVar[str] = "attribute"

    workspace: int
    field: str
    comparison: Comparison

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "Attribute":
        node.object({"kind", "field", "op", "value"})
        field = node.at("field").text(len(CUSTOM) + MAX_KEY)
        if field in FIELDS:
            return cls(workspace.pk, field, read_comparison(node, FIELDS[field].kind))
        key = field.removeprefix(CUSTOM)
        if key == field or not key or '"' in key or "\\" in key:
            raise node.at("field").wrong(f"Write one of: {', '.join(FIELDS)}; or {CUSTOM}… with the attribute's name.")
        return cls(workspace.pk, field, read_json_comparison(node, key, "_at"))

    @property
    def negative(self) -> bool:
        return self.comparison.negative

    @property
    def label(self) -> str:
        return self.field.removeprefix(CUSTOM)

    def names(self):
        return []

    def named(self, types) -> "Attribute":
        return self

    def contacts(self, clock: Clock, among=None):
        place = FIELDS.get(self.field) or InJson("custom_attributes", self.label)
        contacts = Contact.objects.filter(workspace=self.workspace)
        if among is not None:
            contacts = contacts.filter(pk__in=among)
        return contacts.filter(self.comparison.positive_test(place, clock)).values("pk")

    def facts(self, clock: Clock, contact: Contact) -> str:
        if self.field in FIELDS:
            value = getattr(contact, "external_id" if self.field == "user_id" else self.field)
            kind = "nothing" if value is None else FIELDS[self.field].kind
        else:
            value = contact.custom_attributes.get(self.label)
            kind = kind_of(self.label, value, date_suffix="_at")
        if kind in ("nothing", "date"):
            return f"{self.label} is {clock.spoken(value) if value is not None else 'unknown'}"
        return f"{self.label} is “{shown(kind, value, clock.zone)}”"

    def as_json(self) -> dict:
        return {"kind": self.kind, "field": self.field} | self.comparison.as_json()

    def __str__(self):
        return f"{self.label} {self.comparison}"


@dataclass(frozen=True)
class Tagged:
    """Has a tag, or has it not."""

    kind: ClassVar[str] = "tag"
    verbs: ClassVar[dict] = {"has tag": {"op": "has"}, "has not tag": {"op": "has_not"}}

    tag: int
    name: str
    op: str

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "Tagged":
        node.object({"kind", "tag", "op"})
        id, op = node.at("tag").integer(1, MOST_ID), node.at("op").choice(("has", "has_not"))
        tag = workspace.tags.filter(pk=id).first()
        if tag is None:
            raise node.at("tag").wrong(f"No tag here has the id {id}.")
        return cls(id, tag.name, op)

    @property
    def negative(self) -> bool:
        return self.op == "has_not"

    def names(self):
        return []

    def named(self, types) -> "Tagged":
        return self

    def contacts(self, clock: Clock, among=None):
        return some(Tagging.objects.filter(tag=self.tag), among).values("contact_id")

    def facts(self, clock: Clock, contact: Contact) -> str:
        has = Tagging.objects.filter(tag=self.tag, contact=contact).exists()
        return f"tagged “{self.name}”" if has else f"not tagged “{self.name}”"

    def as_json(self) -> dict:
        return {"kind": self.kind, "tag": self.tag, "op": self.op}

    @staticmethod
    def choices(workspace: Workspace):
        return workspace.tags.values_list("pk", "name")

    def __str__(self):
        return f"{'not tagged' if self.negative else 'tagged'} “{self.name}”"


def some(rows, among):
    """Rows of these contacts, None for all."""
    return rows if among is None else rows.filter(contact_id__in=among)


def types_named(workspace: Workspace, names: set[str]) -> dict[str, int]:
    """Return the event types of these normalised names, by name."""
    if not names:
        return {}
    return dict(EventType.objects.filter(Q(workspace=workspace) & Q(name__in=names)).values_list("name", "pk"))
