"""The very next answer knows what was just written: two web processes, random writes, and questions of every kind."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.live import ROOT, Installation, database, free_port

pytestmark = [pytest.mark.slow, pytest.mark.beside]
DAY = 86400
INTERLEAVINGS = 200


@dataclass
class Person:
    """What is known of somebody: orders as (Unix seconds, number), and what was said of them."""

    id: str
    orders: list[tuple[int, int]] = field(default_factory=list)
    plan: str = "free"
    tagged: bool = False
    archived: bool = False


def order(**parts):
    return {"kind": "event", "event": "placed-order"} | parts


def plan(op):
    return {"kind": "attribute", "field": "custom_attributes.plan", "op": op, "value": "pro"}


BIG = [{"key": "n", "op": "gte", "value": 5}]
LAST_DAY = {"last_days": 1}
WRITES = {"order": 6, "edge": 3, "plan": 3, "tag": 3, "archive": 2, "delete": 1}  # kind: how often, beside the others
# name: (conditions without the tag's id, who belongs at `now`)
SEGMENTS = {
    "often": ([order(count={"op": "gte", "value": 2})], lambda one, now: len(one.orders) >= 2),
    "lately": ([order(within=LAST_DAY)], lambda one, now: any(at >= now - DAY for at, _ in one.orders)),
    "not-lately": (
        [order(within=LAST_DAY, did=False), plan("is_not")],
        lambda one, now: all(at < now - DAY for at, _ in one.orders) and one.plan != "pro",
    ),
    "pro-and-tagged": ([plan("is"), {"kind": "tag", "op": "has"}], lambda one, now: one.plan == "pro" and one.tagged),
    "small": (
        [order(did=False, where=BIG), {"kind": "tag", "op": "has_not"}],
        lambda one, now: all(n < 5 for _, n in one.orders) and not one.tagged,
    ),
    "sum": (
        [{"kind": "aggregate", "event": "placed-order", "key": "n", "function": "sum", "op": "gt", "value": 12}],
        lambda one, now: sum(n for _, n in one.orders) > 12,
    ),
    "waiting": (
        [{"kind": "event_time", "event": "placed-order", "occurrence": "last", "op": "more_than_days_ago", "value": 1}],
        lambda one, now: bool(one.orders) and max(at for at, _ in one.orders) < now - DAY,
    ),
}


class Town:
    """Six people of an installation, and whoever writes of them and asks for them through one of two web processes."""

    def __init__(self, installation, chance: random.Random):
        self.installation, self.chance, self.asked = installation, chance, 0
        self.ports = [installation.port, free_port()]
        for port in self.ports:
            installation.start_web(port)
        command = [sys.executable, "-m", "tests.told"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
        self.told = subprocess.Popen(command, cwd=ROOT, env=installation.environment, **pipes)
        names = [f"p{number}" for number in range(6)]
        self.people = {name: Person(self.call("POST", "/contacts", {"external_id": name})["id"]) for name in names}
        self.vip = self.call("POST", "/tags", {"name": "VIP"})["id"]
        self.segments, self.rules = {}, {}
        for name, (conditions, _) in SEGMENTS.items():
            conditions = [one | {"tag": int(self.vip)} if one["kind"] == "tag" else one for one in conditions]
            saved = self.call("POST", "/segments", {"name": name, "definition": {"conditions": conditions}})
            self.segments[name] = saved
            self.rules[name] = installation.make_rule(f"asked-{name}", audience_id=int(saved["id"]))

    def call(self, method, path, body=None):
        status, answer = self.installation.request(method, path, body, port=self.chance.choice(self.ports))
        assert status < 300, (method, path, body, answer)
        return json.loads(answer) if answer else None

    def tell(self, words):
        self.told.stdin.write(f"{words}\n")
        self.told.stdin.flush()
        assert self.told.stdout.readline() == "done\n"

    # Writes ----------------------------------------------------------------------------------------------------------

    def write(self) -> str:
        """Write something of somebody; return what."""
        [kind] = self.chance.choices(list(WRITES), WRITES.values())
        user_id, one = self.chance.choice(list(self.people.items()))
        now = int(time.time())
        match kind:
            case "order":
                self.order(user_id, one, now - self.chance.randrange(3 * DAY))
            case "edge":
                # It leaves the last day while others ask.
                self.order(user_id, one, now - DAY + self.chance.randrange(3))
            case "plan":
                one.plan = "free" if one.plan == "pro" else "pro"
                self.call("PUT", f"/contacts/{one.id}", {"custom_attributes": {"plan": one.plan}})
            case "tag" if one.tagged:
                one.tagged = False
                self.call("DELETE", f"/contacts/{one.id}/tags/{self.vip}")
            case "tag":
                one.tagged = True
                self.call("POST", f"/contacts/{one.id}/tags", {"id": self.vip})
            case "archive":
                one.archived = not one.archived
                self.call("POST", f"/contacts/{one.id}/{'archive' if one.archived else 'unarchive'}")
            case "delete" if any(one.orders for one in self.people.values()):
                # As on the page of the event.
                self.tell("delete placed-order")
                for one in self.people.values():
                    one.orders.clear()
        return kind

    def order(self, user_id, one, at):
        n = self.chance.randrange(9)
        event = {"event_name": "Placed.Order", "created_at": at, "user_id": user_id, "metadata": {"n": n}}
        self.call("POST", "/events", event)
        if (at, n) not in one.orders:
            one.orders.append((at, n))

    # Questions -------------------------------------------------------------------------------------------------------

    def members(self, name, now) -> set[str]:
        holds = SEGMENTS[name][1]
        return {user_id for user_id, one in self.people.items() if not one.archived and holds(one, now)}

    def ask(self):
        """Ask for a segment in every way; nobody knows the second of an answer, only two between which it lies."""
        name, began = self.chance.choice(list(SEGMENTS)), int(time.time())
        segment, somebody = self.segments[name], self.chance.choice(list(self.people))
        preview = self.call("POST", "/segments/preview", {"definition": segment["definition"]})
        listed = self.call("GET", f"/segments/{segment['id']}/contacts")
        counted = self.call("GET", f"/segments/{segment['id']}?include_count=true")["count"]
        why = self.call("GET", f"/segments/{segment['id']}/explain?contact_id={self.people[somebody].id}")
        in_audience = self.audience_has(name, somebody)
        possible = [self.members(name, now) for now in {began, int(time.time())}]
        assert {contact["external_id"] for contact in preview["contacts"]} in possible
        assert {contact["external_id"] for contact in listed["data"]} in possible
        assert preview["count"] == len(preview["contacts"])
        assert counted in [len(members) for members in possible]
        assert why["holds"] in [somebody in members for members in possible]
        assert in_audience in [somebody in members for members in possible]

    def audience_has(self, name, user_id) -> bool:
        """Whether a rule for this segment, told of an event of somebody, makes a message."""
        self.asked += 1
        event = {"event_name": f"asked-{name}", "created_at": int(time.time()), "user_id": user_id}
        self.call("POST", "/events", event | {"metadata": {"number": self.asked}})
        self.tell("match")
        [delivery] = self.call("GET", f"/auto_messages/{self.rules[name]}/deliveries?per_page=1")["data"]
        assert delivery["event"]["metadata"]["number"] == self.asked
        return (delivery["state"], delivery["reason"]) != ("skipped", "not_in_audience")


@pytest.mark.parametrize("where", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_the_very_next_answer_knows_what_was_written(where):
    chance, written = random.Random(where), Counter()
    with ExitStack() as stack:
        environment = {"DATABASE_URL": stack.enter_context(database())} if where == "postgresql" else {}
        installation = stack.enter_context(Installation(**environment)).set_up()
        town = Town(installation, chance)
        stack.enter_context(town.told)
        stack.callback(installation.kill, town.told)
        for _ in range(INTERLEAVINGS):
            written.update(town.write() for _ in range(chance.randint(1, 3)))
            if chance.random() < 0.1:
                time.sleep(1)  # a window's edge passes
            town.ask()
        installation.manage("check_summaries")
    assert min(written[kind] for kind in WRITES) >= 5, written
