"""What a rule would have done: a look at the last days before it goes live."""

from dataclasses import dataclass

from django.db.models import Count, IntegerField, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from eventsapp.models import Event, EventType, Workspace
from segments.conditions import EventName, Within, matching
from segments.days import Clock
from segments.definition import parse, parse_where
from segments.engine import answer, everyone, one_moment

DAYS = 7


@dataclass(frozen=True)
class Promise:
    """Of how many events in the last days how many would have triggered, and how many people may get it now."""

    events: int
    triggering: int
    people: int

    @property
    def per_day(self) -> int:
        return round(self.triggering / DAYS)


def promise_of(workspace: Workspace, found: dict, definition: dict | None) -> Promise:
    """Count, at one moment, what a rule would have met whose trigger is as `drafting.read_rule` found it. Raises
    TooSlow."""
    with one_moment() as now:
        type = EventType.objects.filter(workspace=workspace, name=found["event"]).first()
        name, clock = EventName(found["event"], type and type.pk), Clock(now, workspace.zone)
        window = Within(last_days=DAYS)
        events = matching(name, window, (), clock)
        triggering = matching(name, window, parse_where(found["where"]), clock)
        if found["nth"]:
            triggering = triggering.alias(nth=_number()).filter(nth=found["nth"])
        people = everyone(workspace) if definition is None else answer(parse(workspace, definition), now).ids
        return Promise(events.count(), triggering.count(), len(people))


def _number():
    """Which of its person's events of its type one is, by the time when they happened."""
    earlier = Q(created_at__lt=OuterRef("created_at")) | Q(
        created_at=OuterRef("created_at"), fingerprint__lte=OuterRef("fingerprint")
    )
    same = Event.objects.filter(earlier, contact=OuterRef("contact"), type=OuterRef("type"))
    counted = same.order_by().values("contact").annotate(n=Count("created_at")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))
