"""The language of segments once more, slowly and without a database: from the text of the specification, person by
person and event by event. It shares nothing with what it judges.
"""

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY = 86_400
OPPOSITE = {
    "is_not": "is", "not_contains": "contains", "not_in": "in", "ne": "eq", "unknown": "known", "has_not": "has",
    "never_sent": "sent",
}  # fmt: skip
DATE_OPERATORS = {"less_than_days_ago", "more_than_days_ago", "exactly_days_ago", "on", "before", "after"}
COLUMNS = ("name", "email", "user_id", "role")
TIMES = ("created_at", "signed_up_at", "last_seen_at")


@dataclass
class Happened:
    """An event: its name, Unix seconds, metadata."""

    name: str
    at: int
    metadata: dict


@dataclass
class Somebody:
    """A contact with everything that can be asked of them; `totals` is {name: (count, first, last)} from before."""

    user_id: str
    role: str = "user"
    name: str | None = None
    email: str | None = None
    created_at: int = 0
    signed_up_at: int | None = None
    last_seen_at: int | None = None
    unsubscribed_from_emails: bool = False
    hidden: bool = False  # archived, merged away or deleted
    attributes: dict = field(default_factory=dict)
    events: list[Happened] = field(default_factory=list)
    totals: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    tags: set[int] = field(default_factory=set)
    messages: set[tuple[int, str]] = field(default_factory=set)  # (id, state)


@dataclass
class World:
    """Everybody of a workspace, asked at `now` (Unix seconds); `segments` holds saved definitions by id."""

    now: int
    zone: ZoneInfo
    people: list[Somebody]
    segments: dict[int, dict] = field(default_factory=dict)

    def members(self, definition: dict) -> set[str]:
        """The user_ids of those who match a definition, as decoded JSON."""
        universe = [one for one in self.people if one.role in ("user", "lead") and not one.hidden]
        return {one.user_id for one in universe if not definition["conditions"] or self.group(definition, one)}

    def group(self, group: dict, one: Somebody) -> bool:
        verdicts = [self.holds(condition, one) for condition in group["conditions"]]
        return any(verdicts) if group.get("match") == "any" else all(verdicts)

    def holds(self, condition: dict, one: Somebody) -> bool:
        if "conditions" in condition:
            return self.group(condition, one)
        return getattr(self, condition["kind"])(condition, one)

    # The kinds -------------------------------------------------------------------------------------------------------

    def event(self, asked: dict, one: Somebody) -> bool:
        times = len(self.events_like(asked, one))
        if not asked.get("within") and not asked.get("where"):
            times += one.totals.get(normal(asked["event"]), (0, 0, 0))[0]
        if not asked.get("did", True):
            return times == 0
        count = asked.get("count") or {"op": "gte", "value": 1}
        return times >= 1 and compares(count["op"], count["value"], times)

    def event_time(self, asked: dict, one: Somebody) -> bool:
        name = normal(asked["event"])
        times = [event.at for event in one.events if event.name == name]
        if name in one.totals:
            times += one.totals[name][1:]
        moment = (min(times) if asked["occurrence"] == "first" else max(times)) if times else None
        return self.date_test(asked["op"], asked.get("value"), moment)

    def aggregate(self, asked: dict, one: Somebody) -> bool:
        op, value = positive(asked["op"]), asked.get("value")
        numbers = []
        for event in self.events_like(asked, one):
            found = event.metadata.get(asked["key"])
            if op == "known":
                found = found["amount"] if is_money(found) else found
            elif currency := currency_of(value):
                found = found["amount"] if is_money(found) and found["currency"].lower() == currency else None
            found = found["value"] if is_rich_link(found) else found
            if is_number(found):
                numbers.append(found)
        if op == "known" or not numbers:
            answer = bool(numbers)
        else:
            functions = {"sum": sum, "min": min, "max": max, "avg": lambda all_: sum(all_) / len(all_)}
            answer = compares(op, amounts(value), functions[asked["function"]](numbers))
        return answer == (op == asked["op"])

    def sequence(self, asked: dict, one: Somebody) -> bool:
        span = asked["within_days"] * DAY
        thens = [event.at for event in self.events_like(asked["then"], one)]
        for first in self.events_like(asked["first"], one):
            followed = any(first.at < at <= first.at + span for at in thens)
            if asked.get("did", True) and followed:
                return True
            if not asked.get("did", True) and not followed and first.at + span < self.now:
                return True
        return False

    def attribute(self, asked: dict, one: Somebody) -> bool:
        field, op, value = asked["field"], asked["op"], asked.get("value")
        if field in TIMES:
            return self.date_test(op, value, getattr(one, field))
        if field in COLUMNS or field == "unsubscribed_from_emails":
            return self.value_test("", op, value, getattr(one, field))
        key = field.removeprefix("custom_attributes.")
        return self.value_test("_at" if key.endswith("_at") else "", op, value, one.attributes.get(key))

    def tag(self, asked: dict, one: Somebody) -> bool:
        return (asked["tag"] in one.tags) == (asked["op"] == "has")

    def message(self, asked: dict, one: Somebody) -> bool:
        has = (asked["message"], positive(asked["state"])) in one.messages
        return has == (asked["state"] != "never_sent")

    def segment(self, asked: dict, one: Somebody) -> bool:
        return (one.user_id in self.members(self.segments[asked["segment"]])) == (asked["op"] == "in")

    # Their parts -----------------------------------------------------------------------------------------------------

    def events_like(self, asked: dict, one: Somebody) -> list[Happened]:
        """Those of the name, within the window, whose metadata are as all of `where` say."""
        return [
            event
            for event in one.events
            if event.name == normal(asked["event"])
            and self.is_within(asked.get("within"), event.at)
            and all(self.where(test, event.metadata) for test in asked.get("where") or ())
        ]

    def where(self, test: dict, metadata: dict) -> bool:
        suffix = "_date" if test["key"].endswith("_date") else ""
        return self.value_test(suffix, test["op"], test.get("value"), metadata.get(test["key"]))

    def is_within(self, window: dict | None, at: int) -> bool:
        if not window:
            return True
        if window.get("last_days"):
            return self.now - window["last_days"] * DAY <= at <= self.now
        day = self.day_of(at)
        since, until = window.get("since"), window.get("until")
        return (not since or day >= date.fromisoformat(since)) and (not until or day <= date.fromisoformat(until))

    def day_of(self, at: int) -> date:
        return datetime.fromtimestamp(at, UTC).astimezone(self.zone).date()

    def date_test(self, op: str, value, at: int | None) -> bool:
        if op != positive(op):
            return not self.date_test(positive(op), value, at)
        if at is None or op == "known":
            return at is not None
        match op:
            case "less_than_days_ago":
                return at > self.now - value * DAY
            case "more_than_days_ago":
                return at < self.now - value * DAY
            case "exactly_days_ago":
                return self.day_of(at) == self.day_of(self.now) - timedelta(days=value)
            case "between":
                low, high = map(date.fromisoformat, value)
                return low <= self.day_of(at) <= high
        there, day = date.fromisoformat(value), self.day_of(at)
        return {"on": day == there, "before": day < there, "after": day > there}[op]

    def value_test(self, date_suffix: str, op: str, value, found) -> bool:
        """The test of one value; `date_suffix` is empty unless the key has it: then integers there are dates."""
        if op != positive(op):
            return not self.value_test(date_suffix, positive(op), value, found)
        if is_rich_link(found):
            found = found["value"]
        if op == "known":
            return found is not None and found != ""
        if op in ("is_true", "is_false"):
            return isinstance(found, bool) and found == (op == "is_true")
        if date_suffix and (op in DATE_OPERATORS or op == "between"):
            is_date = isinstance(found, int) and not isinstance(found, bool)
            return is_date and self.date_test(op, value, found)
        if isinstance(value, str) or op == "in":
            return isinstance(found, str) and text_test(op, value, found)
        if currency := currency_of(value):
            return (
                is_money(found)
                and found["currency"].lower() == currency
                and compares(op, amounts(value), found["amount"])
            )
        return is_number(found) and compares(op, value, found)


def normal(name: str) -> str:
    return name.lower().replace(".", "-").replace("$", "-")


def positive(op: str) -> str:
    return OPPOSITE.get(op, op)


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_money(value) -> bool:
    return isinstance(value, dict) and value.keys() == {"amount", "currency"}


def is_rich_link(value) -> bool:
    return isinstance(value, dict) and value.keys() == {"url", "value"}


def currency_of(value) -> str | None:
    first = value[0] if isinstance(value, list) else value
    return first["currency"].lower() if isinstance(first, dict) else None


def amounts(value):
    if isinstance(value, list):
        return [amounts(one) for one in value]
    return value["amount"] if isinstance(value, dict) else value


def compares(op: str, value, found) -> bool:
    """Whether a number is as asked; `ne` of nothing is the caller's affair."""
    if op == "between":
        return value[0] <= found <= value[1]
    return {
        "eq": found == value, "ne": found != value, "gt": found > value, "gte": found >= value, "lt": found < value,
        "lte": found <= value,
    }[op]  # fmt: skip


def seen(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def text_test(op: str, value, found: str) -> bool:
    if op == "in":
        return seen(found) in map(seen, value)
    asked, found = seen(value), seen(found)
    return {
        "is": found == asked,
        "contains": asked in found,
        "starts_with": found.startswith(asked),
        "ends_with": found.endswith(asked),
    }[op]
