"""Random questions about random people: the engine, one person at a time, and the explanation say what a slow reader of
the specification says, on every database.
"""

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventsapp.incoming import ImportedTotal, Who, read_event
from eventsapp.ingest import event_type, ingest, set_totals
from eventsapp.models import Contact, Tag, Tagging, Workspace
from messaging.models import AutoMessage, Delivery
from segments import comparisons
from segments.definition import KINDS, parse
from segments.engine import answer, explain
from segments.models import Segment
from tests.reference_evaluator import Happened, Somebody, World

WORLDS, TREES = int(os.environ.get("RANDOM_WORLDS", "32")), 20  # trees of each world
LEAST = 20  # how often each kind, and each operator of each type, is asked at least
DAY = 86_400
NAMES = ["placed-order", "opened-app", "signed-up"]
TEXTS = [
    "Lamp", "lamp", "LAMP shade", "ÉTUI", "e\u0301tui", "Straße", "STRASSE", "İstanbul", "i\u0307stanbul", "日本", "😀 lamp",
    "3", "true", "",
]  # fmt: skip
NUMBERS = [0, 1, 2.5, 3, 3.0, 5, -1, 7.5]
MOMENTS = [  # around the days on which clocks change
    ("Europe/Berlin", "2024-03-31T01:30:00"),
    ("Europe/Berlin", "2024-10-27T02:10:00"),
    ("America/New_York", "2024-03-10T12:00:00"),
    ("America/New_York", "2024-11-03T05:59:59"),
    ("Asia/Kolkata", "2024-06-30T18:30:00"),
    ("Pacific/Apia", "2024-01-01T00:00:00"),
    ("UTC", "2024-02-29T00:00:00"),
]


# A world, in memory and in the database ------------------------------------------------------------------------------


class Town:
    """A random world, and the same in a workspace."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        zone, now = chance.choice(MOMENTS)
        self.zone, self.now = ZoneInfo(zone), int(datetime.fromisoformat(f"{now}+00:00").timestamp())
        self.workspace = Workspace.objects.create(name="Random", time_zone=zone)
        self.tags = [Tag.objects.create(workspace=self.workspace, name=name) for name in ("VIP", "lapsed")]
        trigger = event_type(self.workspace, NAMES[0])
        self.rules = [
            AutoMessage.objects.create(workspace=self.workspace, name=name, trigger=trigger)
            for name in ("Thanks", "Hi")
        ]
        people = [self.somebody(f"p{number}") for number in range(chance.randint(7, 10))]
        self.world = World(self.now, self.zone, people)
        self.contacts = self.store(people)

    def moment(self) -> int:
        """A time near an edge of something: of windows, of days, of the present; or anywhere in a hundred days."""
        midnight = datetime.fromtimestamp(self.now, UTC).astimezone(self.zone).replace(hour=0, minute=0, second=0)
        days = self.chance.choice([0, 0, 1, 1, 2, 3, 5, 7, 10, 30])
        return self.chance.choice(
            [
                self.now - days * DAY + self.chance.choice([-1, 0, 1]),
                int((midnight - timedelta(days=days)).timestamp()) + self.chance.choice([-1, 0, 1]),
                self.now - self.chance.randrange(12 * DAY),
                self.now + self.chance.randrange(2 * DAY),
            ]
        )

    def value(self, kind: str):
        chance = self.chance
        match kind:
            case "text":
                return chance.choice(TEXTS)
            case "number":
                return chance.choice(NUMBERS)
            case "boolean":
                return chance.random() < 0.5
            case "money":
                return {"amount": chance.choice([0, 100, 250, 4900]), "currency": chance.choice(["usd", "USD", "eur"])}
            case "date":
                return self.moment()
            case "rich_link":
                return {"url": "https://example.org/", "value": self.value(chance.choice(["text", "number"]))}
            case "link":
                return "https://Example.org/" + chance.choice(["a", "B"])
            case "nested":
                return chance.choice([{}, [], {"a": 1}, ["Lamp"], {"amount": 1, "currency": "usd", "more": 1}])
        return None

    def metadata(self) -> dict:
        usual = {
            "item": "text",
            "n": "number",
            "gift": "boolean",
            "total": "money",
            "due_date": "date",
            "order": "rich_link",
        }
        anything = ["text", "number", "boolean", "money", "rich_link", "link", "nested", "nothing", "date"]
        found = {key: self.value(kind) for key, kind in usual.items() if self.chance.random() < 0.9}
        if self.chance.random() < 0.6:
            found["mixed"] = self.value(self.chance.choice(anything))
        if self.chance.random() < 0.2:
            # Not of the kind that one would think.
            key = self.chance.choice(list(usual))
            found[key] = self.value(self.chance.choice(anything))
        return found

    def somebody(self, user_id: str) -> Somebody:
        chance, maybe = self.chance, lambda value: value if self.chance.random() < 0.7 else None
        one = Somebody(user_id, role=chance.choices(["user", "lead", "visitor"], [8, 3, 1])[0])
        one.name, one.email = maybe(chance.choice(TEXTS)), maybe(f"{user_id}@Example.{chance.choice(['org', 'com'])}")
        one.created_at, one.signed_up_at, one.last_seen_at = self.moment(), maybe(self.moment()), maybe(self.moment())
        one.unsubscribed_from_emails = chance.random() < 0.4
        kinds = {"plan": "text", "seats": "number", "trial": "boolean", "renewal_at": "date"}
        one.attributes = {key: self.value(kind) for key, kind in kinds.items() if chance.random() < 0.7}
        if chance.random() < 0.2:
            one.attributes[chance.choice(list(kinds))] = self.value(chance.choice(["text", "number", "boolean"]))
        one.hidden = chance.random() < 0.15
        for _ in range(chance.choice([0, 2, 4, 8, 12])):
            one.events.append(Happened(chance.choice(NAMES), self.moment(), self.metadata()))
        for name in NAMES:
            if chance.random() < 0.2:
                first, last = sorted((self.moment(), self.moment()))
                one.totals[name] = (chance.randint(1, 3), first, last)
        one.tags = {tag.pk for tag in self.tags if chance.random() < 0.5}
        for rule in self.rules:
            if chance.random() < 0.6:
                # Opened is sent, too; a click opens.
                states = ["sent", "opened", "clicked"][: chance.randint(0, 3)]
                one.messages |= {(rule.pk, state) for state in states}
        return one

    def store(self, people: list[Somebody]) -> dict[int, Contact]:
        """Write them through the doors that apps use, where there is one; return the contacts by id."""
        contacts = {}
        for one in people:
            contact = Contact(
                workspace=self.workspace, external_id=one.user_id, role=one.role, name=one.name, email=one.email,
                created_at=one.created_at, signed_up_at=one.signed_up_at, last_seen_at=one.last_seen_at,
                custom_attributes=one.attributes, unsubscribed_from_emails=one.unsubscribed_from_emails,
            )  # fmt: skip
            contact.fold_texts()
            contact.save()
            contacts[one.user_id] = contact
            totals = [ImportedTotal(name, *total) for name, total in one.totals.items()]
            if totals:
                set_totals(self.workspace, Who(user_id=one.user_id), totals)
        sent = [
            {"user_id": one.user_id, "event_name": event.name, "created_at": event.at, "metadata": event.metadata}
            # Two that are alike are two here, and one for a database that absorbs a repeated request.
            | {"uuid": f"{number:08x}-0000-4000-8000-{place:012x}"}
            for number, one in enumerate(people)
            for place, event in enumerate(one.events)
        ]
        outcomes = ingest(self.workspace, [read_event(event) for event in sent])
        assert not any(outcome.fault or outcome.duplicate for outcome in outcomes)
        Tagging.objects.bulk_create(
            Tagging(tag_id=tag, contact=contacts[one.user_id]) for one in people for tag in one.tags
        )
        Delivery.objects.bulk_create(
            self.delivery(rule, contacts[one.user_id], one) for rule in self.rules for one in people
        )
        for one in people:
            if one.hidden:
                self.hide(contacts[one.user_id], contacts[people[0].user_id])
        return Contact.objects.in_bulk(contact.pk for contact in contacts.values())

    def delivery(self, rule, contact, one: Somebody) -> Delivery:
        states = {state for message, state in one.messages if message == rule.pk}
        now = timezone.now()
        return Delivery(
            message=rule, contact=contact, event={}, event_id="0" * 32, state="sent" if states else "skipped",
            opened_at=now if "opened" in states else None, clicked_at=now if "clicked" in states else None,
        )  # fmt: skip

    def hide(self, contact: Contact, heir: Contact):
        field = self.chance.choice(["archived_at", "deleted_at", "merged_into"])
        setattr(contact, field, heir if field == "merged_into" else self.now)
        contact.save()

    def save_segment(self, definition: dict) -> int:
        segment = Segment.objects.create(
            workspace=self.workspace, name=f"S{len(self.world.segments)}", definition=definition
        )
        self.world.segments[segment.pk] = definition
        return segment.pk


# A question, of values that are there, or nearly ----------------------------------------------------------------------

COMPARED = {
    "text": [*comparisons.TEXT, *comparisons.PRESENCE],
    "number": [*comparisons.NUMBER, *comparisons.PRESENCE],
    "money": [*comparisons.NUMBER],
    "boolean": [*comparisons.BOOLEAN, *comparisons.PRESENCE],
    "date": [*comparisons.DATE, *comparisons.PRESENCE],
}
KEYS = {
    "text": ["item", "order", "mixed"],
    "number": ["n", "order", "mixed"],
    "money": ["total", "mixed"],
    "boolean": ["gift", "mixed"],
    "date": ["due_date"],
}
FIELDS = {
    "text": ["name", "email", "user_id", "role", "custom_attributes.plan"],
    "number": ["custom_attributes.seats"],
    "boolean": ["unsubscribed_from_emails", "custom_attributes.trial"],
    "date": ["created_at", "signed_up_at", "last_seen_at", "custom_attributes.renewal_at"],
}
FUNCTIONS = ["sum", "avg", "min", "max"]
STATES = ["sent", "opened", "clicked", "never_sent"]
WORDS = [
    "Lamp",
    "la",
    "MP",
    "étui",
    "E\u0301TUI",
    "strasse",
    "straße",
    "i\u0307",
    "本",
    "😀",
    "p1",
    "ORG",
    "lead",
    "user",
    "3",
]
DAYS = [1, 2, 3, 5, 7, 10, 30]
# All that has to be asked often enough.
LANGUAGE = [
    *(
        f"kind {kind}"
        for kind in ("event", "event_time", "aggregate", "sequence", "attribute", "tag", "message", "segment")
    ),
    *(f"{type} {op}" for type, ops in COMPARED.items() for op in ops),
    *(f"count {op}" for op in comparisons.NUMBER),
    *(f"function {name}" for name in FUNCTIONS),
    *("window last_days", "window since", "window until", "window both"),
    *("event did", "event did not", "sequence did", "sequence did not"),
    *("tag has", "tag has_not", "segment in", "segment not_in"),
    *(f"message {state}" for state in STATES),
    *("group all", "group any"),
]


class Questions:
    """Makes random definitions about a town, and counts in `asked` what it asks."""

    def __init__(self, town: Town, asked: Counter):
        self.town, self.asked, self.chance = town, asked, town.chance

    def one(self, type: str, *options):
        """One of the options, counted."""
        found = self.chance.choice(options)
        self.asked[f"{type} {found}"] += 1
        return found

    def group(self, depth: int = 3) -> dict:
        """Conditions of which some are groups."""
        conditions = [
            self.group(depth - 1) if depth > 1 and self.chance.random() < 0.2 else self.condition()
            for _ in range(self.chance.choice([1, 1, 1, 2, 2, 3]))
        ]
        return {"match": self.one("group", "all", "any"), "conditions": conditions}

    def condition(self) -> dict:
        kinds = [kind for kind in KINDS if kind != "segment" or self.town.world.segments]
        # More often those of which there are more.
        kind = self.one("kind", *kinds, "event", "event", "event", "attribute", "aggregate")
        return {"kind": kind} | getattr(self, kind)()

    def event(self) -> dict:
        found = self.step(most=2) | self.within()
        if self.one("event", "did", "did", "did not") == "did not":
            return found | {"did": False}
        if self.chance.random() < 0.8:
            op = self.one("count", *comparisons.NUMBER)
            least = 2 if op == "lt" else 1
            found["count"] = {"op": op, "value": self.value(op, lambda: self.chance.randint(least, 4))}
        return found

    def event_time(self) -> dict:
        occurrence = self.chance.choice(["first", "last"])
        return {"event": self.name(), "occurrence": occurrence} | self.compared("date")

    def aggregate(self) -> dict:
        type = self.chance.choice(["number", "money"])
        key = "total" if type == "money" else self.chance.choice(["n", "order", "total"])
        function = self.one("function", *FUNCTIONS)
        return {"key": key, "function": function} | self.compared(type) | self.step(most=1) | self.within()

    def sequence(self) -> dict:
        did = self.one("sequence", "did", "did not") == "did"
        return {"first": self.step(), "then": self.step(), "did": did, "within_days": self.chance.choice(DAYS)}

    def attribute(self) -> dict:
        type = self.chance.choice([*FIELDS, "text"])
        return {"field": self.chance.choice(FIELDS[type])} | self.compared(type)

    def tag(self) -> dict:
        return {"tag": self.chance.choice(self.town.tags).pk, "op": self.one("tag", "has", "has_not")}

    def message(self) -> dict:
        return {"message": self.chance.choice(self.town.rules).pk, "state": self.one("message", *STATES)}

    def segment(self) -> dict:
        return {
            "segment": self.chance.choice(list(self.town.world.segments)),
            "op": self.one("segment", "in", "not_in"),
        }

    # Their parts -----------------------------------------------------------------------------------------------------

    def name(self) -> str:
        return self.chance.choice([*NAMES * 3, "Placed.Order", "not-seen-yet"])

    def step(self, most: int = 1) -> dict:
        wheres = [self.where() for _ in range(self.chance.randint(0, most))]
        return {"event": self.name()} | ({"where": wheres} if wheres else {})

    def where(self) -> dict:
        type = self.chance.choice([*KEYS, "text"])
        return {"key": self.chance.choice(KEYS[type])} | self.compared(type)

    def within(self) -> dict:
        if self.chance.random() < 0.5:
            return {}
        shape = self.one("window", "last_days", "since", "until", "both")
        if shape == "last_days":
            return {"within": {shape: self.chance.choice(DAYS)}}
        since, until = self.value("between", self.day)
        sides = {"since": since, "until": until}
        return {"within": sides if shape == "both" else {shape: sides[shape]}}

    def compared(self, type: str) -> dict:
        op = self.one(type, *COMPARED[type])
        if op in (*comparisons.PRESENCE, *comparisons.BOOLEAN):
            return {"op": op}
        return {"op": op, "value": self.value(op, getattr(self, f"a_{type}"))}

    def value(self, op: str, draw):
        if op.endswith("_days_ago"):
            return self.chance.choice([0, *DAYS] if op == "exactly_days_ago" else DAYS)
        if op in ("in", "not_in"):
            return [draw() for _ in range(self.chance.randint(1, 3))]
        if op != "between":
            return draw()
        low, high = draw(), draw()
        if isinstance(low, dict):
            low, high = sorted((low, high | {"currency": low["currency"]}), key=lambda money: money["amount"])
            return [low, high]
        return sorted((low, high))

    def a_text(self) -> str:
        return self.chance.choice(WORDS)

    def a_number(self) -> float:
        return self.chance.choice(NUMBERS)

    def a_money(self) -> dict:
        return {
            "amount": self.chance.choice([0, 100, 200, 250, 4900, 5000]),
            "currency": self.chance.choice(["usd", "EUR"]),
        }

    def day(self) -> str:
        today = datetime.fromtimestamp(self.town.now, UTC).astimezone(self.town.zone).date()
        return (today - timedelta(days=self.chance.choice([-1, 0, *DAYS]))).isoformat()

    a_date = day


# The same in four ways ------------------------------------------------------------------------------------------------


def answers(town: Town, definition: dict) -> dict[str, set[str]]:
    """Who matches: by the specification, of all at once, one by one, and by explanation."""
    question, contacts = parse(town.workspace, definition), town.contacts
    return {
        "specification": town.world.members(definition),
        "at once": {contacts[pk].external_id for pk in answer(question, town.now).ids},
        "one by one": {
            contact.external_id for pk, contact in contacts.items() if answer(question, town.now, among=[pk]).ids
        },
        "explained": {
            contact.external_id for contact in contacts.values() if explain(question, contact, town.now).holds
        },
    }


def differ(town: Town, definition: dict) -> bool:
    first, *others = answers(town, definition).values()
    return any(other != first for other in others)


def smallest(town: Town, definition: dict) -> dict:
    """The smallest part of a definition whose answers differ."""
    for part in definition["conditions"]:
        alone = part if "conditions" in part else {"conditions": [part]}
        if alone != definition and differ(town, alone):
            return smallest(town, alone)
    return definition


def test_every_answer_is_that_of_the_specification(db):
    asked, sizes = Counter(), Counter()

    @settings(
        max_examples=WORLDS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**32))
    def run(seed):
        town = Town(random.Random(seed))
        questions = Questions(town, asked)
        for _ in range(2):
            town.save_segment(questions.group(depth=1))
        universe = len(town.world.members({"conditions": []}))
        for _ in range(TREES):
            definition = questions.group()
            if differ(town, definition):
                part = smallest(town, definition)
                pytest.fail(f"{part} is answered with {answers(town, part)}")
            size = len(town.world.members(definition))
            sizes["nobody" if not size else "everybody" if size == universe else "some"] += 1

    run()
    lines = [f"{sizes.total()} trees: {dict(sizes)}", *(f"{asked[what]:6} {what}" for what in LANGUAGE)]
    print("\n".join(lines))  # noqa: T201  the table of the run
    assert sizes.total() >= 500
    assert sizes["some"] >= 0.4 * sizes.total()
    assert {what: asked[what] for what in LANGUAGE if asked[what] < LEAST} == {}
