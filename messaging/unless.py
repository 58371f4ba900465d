"""“Unless they did X meanwhile”: what cancels a message that waited."""

from dataclasses import dataclass

from eventsapp.incoming import normal_name
from eventsapp.metadata import kind_of
from eventsapp.models import Event, EventType, now_in_seconds
from messaging.models import AutoMessage, Delivery
from segments.comparisons import Comparison, Money
from segments.conditions import Where, read_key, read_where
from segments.days import Clock
from segments.reading import Invalid, Node, Unreadable


@dataclass(frozen=True)
class Unless:
    """Another event with these metadata, and with the trigger's own value under each key of `same`."""

    event: str
    where: tuple[Where, ...] = ()
    same: tuple[str, ...] = ()

    def as_json(self) -> dict:
        where = {"where": [where.as_json() for where in self.where]} if self.where else {}
        return {"event": self.event} | where | ({"same": list(self.same)} if self.same else {})


def read_unless(data, path: str = "unless") -> Unless:
    """Return what decoded JSON says. Raises Invalid with every fault."""
    node, found = Node(data, path), {}
    try:
        node.object({"event", "where", "same"})
        found = node.parts(event=lambda event: normal_name(event.text()))
        found |= node.parts_there(where=read_where, same=lambda same: tuple(read_key(key) for key in same.items()))
    except Unreadable:
        pass
    if node.faults:
        raise Invalid(node.faults)
    return Unless(**found)


def did_meanwhile(rule: AutoMessage, delivery: Delivery) -> bool:
    """Whether the person did, since the event that caused the delivery, what its rule waits for."""
    unless = read_unless(rule.unless)
    type = EventType.objects.filter(workspace=rule.workspace, name=unless.event).first()
    if type is None:
        return False
    event, clock = delivery.event, Clock(now_in_seconds(), rule.workspace.zone)
    same = [_same(key, event["metadata"].get(key)) for key in unless.same]
    if None in same:
        return False
    found = Event.objects.filter(type=type, contact=delivery.contact, created_at__gte=event["created_at"])
    for where in (*unless.where, *same):
        found = found.filter(where.test(clock))
    # The trigger itself may be of this type.
    return any(one.public_id != delivery.event_id for one in found[:2])


def _same(key: str, value) -> Where | None:
    """The test that an event has this value, too; None when nothing can be told to be the same."""
    match kind_of("", value):
        case "text" | "link" | "stripe" if value.strip():
            return Where(key, Comparison("is", value))
        case "number":
            return Where(key, Comparison("eq", value))
        case "boolean":
            return Where(key, Comparison("is_true" if value else "is_false"))
        case "money":
            return Where(key, Comparison("eq", Money(value["amount"], value["currency"].lower())))
        case "rich_link":
            return _same(key, value["value"])
    return None
