"""Random rules, random events and a clock that moves: who gets what, and when, is what a slow reader of the
specification says."""

import os
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventsapp.incoming import read_event
from eventsapp.ingest import event_type, ingest
from eventsapp.models import Contact, HandOver, Workspace
from messaging import matching, rules, sending
from messaging.models import AutoMessage, Delivery, Policy

WORLDS, STEPS = int(os.environ.get("RANDOM_WORLDS", "40")), 14
HOUR, DAY = 3600, 86_400
# Around the days on which clocks change, too.
BEGINNINGS = ["2026-03-27T20:00:00", "2026-10-24T21:30:00", "2026-06-03T08:00:00", "2026-12-30T22:00:00"]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]


# The specification, read slowly ----------------------------------------------------------------------------------------


@dataclass
class Happened:
    name: str
    person: str
    at: int
    metadata: dict
    source: str
    uuid: str
    occurrence: int


@dataclass
class Message:
    """What the specification makes of one event and one rule."""

    rule: "Rule"
    event: Happened
    made: datetime
    due: datetime
    state: str = "queued"
    reason: str = ""
    sent: datetime | None = None

    @property
    def counts(self) -> bool:
        return self.state not in ("skipped", "cancelled")


@dataclass
class Rule:
    """The fields of an AutoMessage."""

    fields: dict
    number: int = 0

    def __getattr__(self, name):
        return self.fields.get(name)


@dataclass
class Reader:
    """Reads the specification about one world, event by event and second by second."""

    zone: ZoneInfo
    rules: list[Rule]
    events: list[Happened] = field(default_factory=list)
    unsubscribed: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)

    def is_open(self, rule: Rule, moment: datetime) -> bool:
        if not rule.hours:
            return True
        local = moment.astimezone(self.zone)
        begin, end = rule.hours["from"], rule.hours["to"]
        clock = f"{local:%H:%M}"
        yesterday = (local.weekday() - 1) % 7
        if begin < end:
            return local.weekday() in rule.hours["days"] and begin <= clock < end
        return (local.weekday() in rule.hours["days"] and clock >= begin) or (
            yesterday in rule.hours["days"] and clock < end
        )

    def opening(self, rule: Rule, moment: datetime) -> datetime:
        if self.is_open(rule, moment):
            return moment
        moment = moment.replace(second=0, microsecond=0)
        while not self.is_open(rule, moment):
            moment += timedelta(minutes=1)
        return moment

    def in_audience(self, rule: Rule, person: str) -> bool:
        if rule.conditions is None:
            return True
        times = sum(event.name == "opened-app" and event.person == person for event in self.events)
        return times >= rule.conditions["conditions"][0]["count"]["value"]

    def match(self, new: list[Happened], now: datetime):
        made = []
        for rule in self.rules:
            for event in new:
                if event.name != rule.event or rule.nth not in (None, event.occurrence):
                    continue
                if rule.where and not event.metadata["n"] >= rule.where[0]["value"]:
                    continue
                due = self.opening(rule, now + timedelta(seconds=rule.delay_seconds))
                message = Message(rule, event, now, due)
                message.reason = self.reason_to_skip(rule, event, now, due)
                if message.reason:
                    message.state = "skipped"
                elif now.timestamp() - event.at > DAY:
                    message.state, message.reason = "held", "too_old"
                elif not rule.delay_seconds and due > now:
                    message.state, message.reason = "held", "hours"
                made.append(message)
                self.messages.append(message)
        return made

    def reason_to_skip(self, rule: Rule, event: Happened, now, due) -> str:
        today = now.astimezone(self.zone).date()
        if (rule.starts_on and today < rule.starts_on) or (rule.stops_on and today > rule.stops_on):
            return "outside_dates"
        tells_of_them = rule.channel == "email" or rule.conditions or rule.nth or rule.unless
        if event.source == "browser" and tells_of_them and not rule.allows_browser:
            return "unverified"
        if not self.in_audience(rule, event.person):
            return "not_in_audience"
        # In a page, whoever only claims to be somebody has an account of their own.
        in_page = rule.channel == "in_app"
        earlier = [
            message.sent or message.due
            for message in self.messages
            if message.rule is rule
            and message.event.person == event.person
            and message.counts
            and (not in_page or (message.event.source == "browser") == (event.source == "browser"))
        ]
        if rule.frequency == "once" and earlier:
            return "frequency"
        if rule.most_times and rule.frequency != "once" and len(earlier) >= rule.most_times:
            return "frequency"
        if rule.frequency == "once_per" and any(abs((due - t).total_seconds()) < rule.per_seconds for t in earlier):
            return "frequency"
        return ""

    def send(self, now: datetime):
        for message in self.messages:
            waits = message.state == "queued" or (message.state, message.reason) == ("held", "hours")
            if waits and message.due <= now:
                self.send_one(message, now)

    def send_one(self, message: Message, now: datetime):
        rule, event = message.rule, message.event
        message.state, message.reason = "skipped", ""
        if rule.unless and self.did_meanwhile(rule, event):
            message.state, message.reason = "cancelled", "unless"
        elif rule.channel == "email" and event.person in self.unsubscribed and not rule.is_transactional:
            message.reason = "unsubscribed"
        elif now - message.made > timedelta(minutes=1) and not self.in_audience(rule, event.person):
            message.reason = "not_in_audience"
        elif not self.is_open(rule, now):
            message.state, message.reason, message.due = "held", "hours", self.opening(rule, now)
        else:
            message.state, message.sent = "sent", now

    def did_meanwhile(self, rule: Rule, trigger: Happened) -> bool:
        return any(
            event.name == rule.unless["event"]
            and event.person == trigger.person
            and event.at >= trigger.at
            and event is not trigger
            and all(event.metadata.get(key) == trigger.metadata.get(key) for key in rule.unless.get("same", ()))
            for event in self.events
        )

    def told(self):
        return sorted(
            (m.rule.number, m.event.person, m.event.uuid, m.state, m.reason, _time(m.state, m.sent or m.due))
            for m in self.messages
        )


def _time(state: str, moment: datetime) -> int | None:
    """When it was sent, or will be."""
    return int(moment.timestamp()) if state in ("sent", "queued", "held") else None


# The same in the product --------------------------------------------------------------------------------------------------


def random_rule(chance: random.Random, today: date) -> dict:
    some = chance.choice
    fields = {
        "event": some(["placed-order", "opened-app"]),
        "where": some([[], [], [{"key": "n", "op": "gte", "value": some([2, 3])}]]),
        "nth": some([None, None, None, 1, 2, 3]),
        "frequency": some(["once", "every_time", "every_time", "once_per"]),
        "per_seconds": some([HOUR, DAY, 3 * DAY]),
        "most_times": some([None, None, 1, 2]),
        "delay_seconds": some([0, 0, 0, 1800, 2 * HOUR, 2 * DAY]),
        "unless": some([None, None, {"event": "cancelled"}, {"event": "cancelled", "same": ["order"]}]),
        "starts_on": some([None, None, None, today + timedelta(days=some([0, 1, 2]))]),
        "stops_on": some([None, None, None, today + timedelta(days=some([1, 3, 5]))]),
        "hours": some(
            [
                None,
                None,
                {"days": [0, 1, 2, 3, 4], "from": "09:00", "to": "17:30"},
                {"days": [5, 6], "from": "22:00", "to": "02:00"},
                {"days": list(range(7)), "from": "02:15", "to": "02:45"},
                {"days": [chance.randrange(7)], "from": "00:00", "to": "00:00"},
            ]
        ),
        "channel": some(["email", "email", "in_app"]),
        "is_transactional": chance.random() < 0.2,
        "allows_browser": chance.random() < 0.3,
        "conditions": some([None, None, opened(1), opened(2)]),
    }
    return fields


def opened(times: int) -> dict:
    asked = {"kind": "event", "event": "opened-app", "did": True, "count": {"op": "gte", "value": times}}
    return {"version": 1, "match": "all", "conditions": [asked]}


class Town:
    """A workspace with three people and random rules, and the reader who follows what happens in it."""

    def __init__(self, chance: random.Random, traveller):
        self.chance, self.traveller = chance, traveller
        self.now = datetime.fromisoformat(chance.choice(BEGINNINGS)).replace(tzinfo=UTC)
        zone = chance.choice(ZONES)
        self.traveller.move_to(self.now)
        self.workspace = Workspace.objects.create(name="Random", time_zone=zone)
        self.people = {}
        for name in ("ada", "bob", "eve"):
            contact = Contact(workspace=self.workspace, external_id=name, email=f"{name}@example.org")
            contact.fold_texts()
            contact.save()
            self.people[name] = contact
        today = self.now.astimezone(ZoneInfo(zone)).date()
        made = [Rule(random_rule(chance, today)) for _ in range(3)]
        for rule in made:
            rule.number = self.store(rule).pk
        self.reader = Reader(ZoneInfo(zone), made)
        self.numbers = 0

    def store(self, rule: Rule) -> AutoMessage:
        fields = {name: value for name, value in rule.fields.items() if name != "event"}
        message = AutoMessage.objects.create(
            workspace=self.workspace, name="Rule", trigger=event_type(self.workspace, rule.event), subject="S", body="B",
            **fields,
        )  # fmt: skip
        rules.go_live(message)
        AutoMessage.objects.update(live_since=self.now)
        return message

    def step(self):
        chance = self.chance
        self.now += timedelta(seconds=chance.choice([0, 20, 90, 1700, HOUR, 5 * HOUR, 11 * HOUR, DAY, 2 * DAY + 60]))
        self.traveller.move_to(self.now)
        if chance.random() < 0.1:
            name = chance.choice(list(self.people))
            Contact.objects.filter(external_id=name).update(unsubscribed_from_emails=True)
            self.reader.unsubscribed.add(name)
        new = [self.happen() for _ in range(chance.choice([0, 1, 1, 2, 3]))]
        # By the database's clock, which does not travel.
        HandOver.objects.update(received_at=self.now, due_at=self.now)
        matching.match_waiting()
        sending.send_due()
        self.reader.match(new, self.now)
        self.reader.send(self.now)

    def happen(self) -> Happened:
        chance, self.numbers = self.chance, self.numbers + 1
        event = Happened(
            name=chance.choice(["placed-order", "placed-order", "opened-app", "cancelled"]),
            person=chance.choice(list(self.people)),
            at=int(self.now.timestamp()) - chance.choice([0, 0, 0, 5, 30 * HOUR]),
            metadata={"n": chance.randint(1, 4), "order": chance.choice(["A", "B"])},
            source=chance.choice(["api", "api", "browser"]),
            uuid=f"{self.numbers:08x}-0000-4000-8000-000000000000",
            occurrence=0,
        )
        same = [one for one in self.reader.events if (one.name, one.person) == (event.name, event.person)]
        event.occurrence = len(same) + 1
        self.reader.events.append(event)
        sent = {"event_name": event.name, "created_at": event.at, "user_id": event.person, "metadata": event.metadata}
        [outcome] = ingest(self.workspace, [read_event(sent | {"uuid": event.uuid})], source=event.source)
        assert not outcome.fault
        assert not outcome.duplicate
        return event

    def told(self):
        rows = Delivery.objects.filter(message__workspace=self.workspace).select_related("contact")
        return sorted(
            (
                row.message_id, row.contact.external_id, str(row.event_id), row.state, row.reason,
                _time(row.state, row.sent_at or row.due_at),
            )
            for row in rows
        )  # fmt: skip


def test_who_gets_what_and_when_is_as_specified(db):
    seen = set()

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
        with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False) as traveller:
            town = Town(random.Random(seed), traveller)
            for number in range(STEPS):
                town.step()
                told, expected = town.told(), town.reader.told()
                assert told == expected, f"seed {seed}, step {number}: {[rule.fields for rule in town.reader.rules]}"
            seen.update((state, reason) for _, _, _, state, reason, _ in town.told())

    run()
    ways = {
        ("sent", ""), ("queued", ""), ("held", "hours"), ("held", "too_old"), ("cancelled", "unless"),
        ("skipped", "frequency"), ("skipped", "not_in_audience"), ("skipped", "outside_dates"),
        ("skipped", "unverified"), ("skipped", "unsubscribed"),
    }  # fmt: skip
    assert ways <= seen


@pytest.mark.parametrize("most", [1, 2])
def test_nobody_gets_more_than_the_workspace_sends_anybody(db, most, mailoutbox):
    """Of all rules together, in any stretch of days; what is left out has the reason; transactions are not counted."""
    chance = random.Random(most)
    with time_machine.travel(datetime(2026, 5, 1, 9, tzinfo=UTC), tick=False) as traveller:
        town = Town(chance, traveller)
        AutoMessage.objects.all().delete()
        Policy.objects.create(workspace=town.workspace, most=most, most_days=2)
        for name, is_transactional in (("A", False), ("B", False), ("T", True)):
            fields = {"event": "placed-order", "frequency": "every_time", "delay_seconds": 0, "allows_browser": True}
            message = town.store(Rule(fields | {"is_transactional": is_transactional}))
            AutoMessage.objects.filter(pk=message.pk).update(name=name)
        town.reader.rules = []
        for _ in range(30):
            town.step()
    sent = Delivery.objects.filter(state="sent", message__is_transactional=False)
    for contact in town.people.values():
        times = sorted(sent.filter(contact=contact).values_list("sent_at", flat=True))
        for first, beyond in zip(times, times[most:], strict=False):
            assert beyond - first >= timedelta(days=2)
        for skipped in Delivery.objects.filter(contact=contact, reason="cap"):
            assert not skipped.message.is_transactional
            since = skipped.due_at - timedelta(days=2, minutes=2)
            assert sum(since <= time <= skipped.due_at + timedelta(minutes=2) for time in times) >= most
    assert Delivery.objects.filter(reason="cap").exists()
    transactions = Delivery.objects.filter(message__is_transactional=True)
    assert set(transactions.values_list("state", "reason")) <= {("sent", ""), ("held", "too_old")}
