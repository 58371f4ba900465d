"""Questions about several events of one person together: what their values add up to, and what followed what."""

from dataclasses import dataclass, replace
from typing import ClassVar

from django.db.models import Avg, BigIntegerField, Case, Count, F, Max, Min, Q, Sum, Value, When, Window, WindowFrame
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from eventsapp.metadata import money_text
from eventsapp.models import Contact, Event, Workspace
from segments.comparisons import PRESENCE, Comparison, Money, number_test, read_comparison
from segments.conditions import EventName, Where, Within, matching, read_key, read_where, some, spoken_times
from segments.days import DAY, Clock
from segments.reading import MOST_DAYS, Node
from segments.values import InJson

FUNCTIONS = {"sum": Sum, "avg": Avg, "min": Min, "max": Max}
SPOKEN = {"sum": "sum", "avg": "average", "min": "lowest", "max": "highest"}


@dataclass(frozen=True)
class Aggregate:
    """What the values of a key add up to. Events without a number, or in another currency, do not count."""

    kind: ClassVar[str] = "aggregate"
    verbs: ClassVar[dict] = {f"{words} of": {"function": function} for function, words in SPOKEN.items()}

    event: EventName
    key: str
    function: str
    comparison: Comparison
    within: Within | None = None
    where: tuple[Where, ...] = ()

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "Aggregate":
        node.object({"kind", "event", "key", "function", "op", "value", "within", "where"})
        parts = {"event": EventName(""), "key": "", "function": "sum", "comparison": Comparison("known")}
        parts |= node.parts(event=EventName.read, key=read_key, function=lambda name: name.choice(FUNCTIONS))
        with node.going_on():
            parts["comparison"] = read_comparison(node, "number", money=True)
        return cls(**parts | node.parts_there(within=Within.read, where=read_where))

    @property
    def negative(self) -> bool:
        return self.comparison.negative

    def names(self):
        return [self.event]

    def named(self, types) -> "Aggregate":
        return replace(self, event=self.event.known_as(types))

    def contacts(self, clock: Clock, among=None):
        events = self._numbered(clock, among).order_by().values("contact_id")
        if self.comparison.op in PRESENCE:
            return events
        events = events.annotate(result=FUNCTIONS[self.function]("number"))
        op, value = self.comparison.positive_op, self.comparison.value
        return events.filter(number_test(op, _plain(value), F("result"))).values("contact_id")

    def facts(self, clock: Clock, contact: Contact) -> str:
        result = FUNCTIONS[self.function]("number")
        numbers = self._numbered(clock, [contact.pk]).aggregate(result=result, events=Count("created_at"))
        if not numbers["events"]:
            return f"no {self.key} of {self.event} to count"
        currency = _currency(self.comparison.value)
        plain = f"{numbers['result']:,.2f}".removesuffix(".00")
        result = money_text({"amount": numbers["result"], "currency": currency}) if currency else plain
        return f"{SPOKEN[self.function]} {result}, of {self.event} {spoken_times(numbers['events'])}"

    def _numbered(self, clock, among):
        events = matching(self.event, self.within, self.where, clock, among)
        return events.annotate(number=self._number()).filter(number__isnull=False)

    def _number(self):
        place, currency = InJson("metadata", self.key), _currency(self.comparison.value)
        amount, its_currency = place.money()
        if currency:
            return Case(When(Exact(its_currency, currency), then=amount))
        return Coalesce(place.number(), amount) if self.comparison.op in PRESENCE else place.number()

    def as_json(self) -> dict:
        data = {"kind": self.kind, "event": self.event.name, "key": self.key, "function": self.function}
        data |= self.comparison.as_json()
        if self.within:
            data["within"] = self.within.as_json()
        if self.where:
            data["where"] = [where.as_json() for where in self.where]
        return data

    def __str__(self):
        parts = [f"{SPOKEN[self.function]} of {self.key} of {self.event} {self.comparison}", str(self.within or "")]
        if self.where:
            parts.append("where " + " and ".join(str(where) for where in self.where))
        return " ".join(part for part in parts if part)


def _first(value):
    return value[0] if isinstance(value, tuple) else value


def _currency(value) -> str | None:
    return _first(value).currency if isinstance(_first(value), Money) else None


def _plain(value):
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return float(value.amount if isinstance(value, Money) else value)


# What followed what -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """An event with its metadata, as one of a sequence."""

    event: EventName
    where: tuple[Where, ...] = ()

    @classmethod
    def read(cls, node: Node) -> "Step":
        node.object({"event", "where"})
        return cls(**{"event": EventName("")} | node.parts(event=EventName.read) | node.parts_there(where=read_where))

    def test(self, clock: Clock) -> Q:
        test = Q(type=self.event.type)
        for where in self.where:
            test &= Q(where.test(clock))
        return test

    def as_json(self) -> dict:
        return {"event": self.event.name} | ({"where": [where.as_json() for where in self.where]} if self.where else {})

    def __str__(self):
        where = " and ".join(str(where) for where in self.where)
        return f"{self.event} where {where}" if where else str(self.event)


class StrictlyLater(WindowFrame):
    """Rows whose order is at least one second above this row's. Both databases take an offset, which Django does not
    write for PostgreSQL."""

    def __init__(self):
        super().__init__(start=Value(None), end=Value(None))

    def as_sql(self, compiler, connection):
        return "RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING", []


@dataclass(frozen=True)
class Sequence:
    """Did something and then, within some days, another thing; or did the first and let the days pass without."""

    kind: ClassVar[str] = "sequence"
    verbs: ClassVar[dict] = {"did this, then that": {"did": True}, "did this, but not that": {"did": False}}
    negative: ClassVar[bool] = False  # who did not do the first is in neither

    first: Step
    then: Step
    within_days: int
    did: bool = True

    @classmethod
    def read(cls, node: Node, workspace: Workspace) -> "Sequence":
        node.object({"kind", "first", "then", "did", "within_days"})
        parts = {"first": Step(EventName("")), "then": Step(EventName("")), "within_days": 1}
        return cls(
            **parts
            | node.parts(
                first=Step.read,
                then=Step.read,
                did=lambda did: did.boolean(default=True),
                within_days=lambda days: days.integer(1, MOST_DAYS),
            )
        )

    def names(self):
        return [self.first.event, self.then.event]

    def named(self, types) -> "Sequence":
        first, then = (replace(step, event=step.event.known_as(types)) for step in (self.first, self.then))
        return replace(self, first=first, then=then)

    def contacts(self, clock: Clock, among=None):
        """One pass over the events of both steps: each first knows the earliest `then` that is strictly later."""
        span, asked = self.within_days * DAY, self.first.test(clock)
        if not self.did:
            asked &= Q(created_at__lt=clock.now - span)
        # As one expression: what is filtered beside a window is filtered before it, and would take the `then`s away.
        seconds = Coalesce(self._later(clock) - F("created_at"), Value(span + 1), output_field=BigIntegerField())
        seconds = Case(When(asked, then=seconds), output_field=BigIntegerField())
        events = self._steps(among).annotate(seconds=seconds)
        found = events.filter(seconds__lte=span) if self.did else events.filter(seconds__gt=span)
        return found.values("contact_id")

    def _steps(self, among):
        types = [event.type for event in self.names() if event.type is not None]
        return some(Event.objects.filter(type__in=types), among).order_by()

    def _later(self, clock) -> Window:
        return Window(
            Min(Case(When(self.then.test(clock), then=F("created_at")))),
            partition_by="contact_id",
            order_by="created_at",
            frame=StrictlyLater(),
        )

    def facts(self, clock: Clock, contact: Contact) -> str:
        asked = Case(When(self.first.test(clock), then=F("created_at")))
        rows = self._steps([contact.pk]).annotate(first=asked, later=self._later(clock)).values_list("first", "later")
        firsts = [(first, later) for first, later in rows.order_by("created_at") if first is not None]
        if not firsts:
            return f"{self.first.event} never"
        span = self.within_days * DAY
        in_time = [1 for first, later in firsts if later is not None and later - first <= span]
        words = f"{self.first.event} {spoken_times(len(firsts))}, last one {clock.spoken(firsts[-1][0])}"
        days = "a day" if self.within_days == 1 else f"{self.within_days:,} days"
        return f"{words}; followed by {self.then.event} within {days}: {len(in_time):,} of {len(firsts):,}"

    def as_json(self) -> dict:
        data = {"kind": self.kind, "first": self.first.as_json(), "then": self.then.as_json(), "did": self.did}
        return data | {"within_days": self.within_days}

    def __str__(self):
        days = "a day" if self.within_days == 1 else f"{self.within_days:,} days"
        if self.did:
            return f"did {self.first} and then {self.then} within {days}"
        return f"did {self.first} and then, for {days}, not {self.then}"
