"""Whatever an app sends, in whatever order and however often: what is stored is what a small model says.

Through HTTP, with every request in a transaction of its own, so that single posts take the way of group commit.
"""

import json
from collections import defaultdict
from datetime import datetime

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventsapp import deleting
from eventsapp.auth import known_tokens
from eventsapp.incoming import normal_name
from eventsapp.models import ApiToken, EventType, Membership, Workspace
from eventsapp.summaries import differences

AT = 1_760_000_000
FIRST, LAST = AT - 100, AT - 50  # of totals from before
PEOPLE = ["ann", "bob", "cid"]
NAMES = ["Placed.Order", "placed-order", "signed$up", "Invited Friend"]

EVENT = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(PEOPLE),
        "event_name": st.sampled_from(NAMES),
        "created_at": st.integers(AT, AT + 5),
    },
    optional={
        "metadata": st.sampled_from([{}, {"n": 1}, {"n": 1.0}, {"n": True}, {"n": "1"}, {"b": 2, "a": 1}]),
        "uuid": st.sampled_from([f"00000000-0000-4000-8000-00000000000{n}" for n in range(3)]),
    },
)
WRONG = st.sampled_from([{"event_name": "x"}, {"user_id": "ann"}, {"user_id": "ann", "created_at": "now"}, 7])
STEP = st.one_of(
    st.tuples(st.just("post"), EVENT),
    st.tuples(st.just("post"), EVENT),
    st.tuples(st.just("batch"), st.lists(EVENT | WRONG, min_size=1, max_size=5)),
    st.tuples(st.just("history"), st.lists(EVENT, min_size=1, max_size=5)),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("refused"), WRONG),
    st.tuples(st.just("totals"), st.tuples(st.sampled_from(PEOPLE), st.integers(1, 9))),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
)


def stored_name(name: str) -> str:
    """Return how a name is stored."""
    return name.lower().replace(".", "-").replace("$", "-")


def identity_of(event: dict) -> str:
    """Return what tells an event as it is sent from another of one person, name and second."""
    metadata = event.get("metadata", {})
    return event.get("uuid") or json.dumps(
        {key: float(value) if type(value) is int else value for key, value in metadata.items()}, sort_keys=True
    )


class Model:
    """What should be stored: events by identity, and totals from before."""

    def __init__(self):
        self.events: dict[tuple, dict] = {}
        self.totals: dict[tuple[str, str], int] = {}

    def add(self, event) -> bool:
        """Add an event; return whether it is new."""
        key = (event["user_id"], stored_name(event["event_name"]), event["created_at"], identity_of(event))
        if key in self.events:
            return False
        self.events[key] = event.get("metadata", {})
        return True

    def delete(self, name):
        self.events = {key: value for key, value in self.events.items() if key[1] != name}
        self.totals = {key: value for key, value in self.totals.items() if key[1] != name}

    def summary(self, person) -> dict[str, tuple[int, int, int]]:
        """Return {name: (count, first, last)} of somebody."""
        times = defaultdict(list)
        for user_id, name, at, _ in self.events:
            if user_id == person:
                times[name].append(at)
        before = {name: count for (user_id, name), count in self.totals.items() if user_id == person}
        return {
            name: (
                len(times[name]) + before.get(name, 0),
                min(times[name] + [FIRST] * (name in before)),
                max(times[name] + [LAST] * (name in before)),
            )
            for name in times.keys() | before.keys()
        }

    def listing(self, person) -> list[tuple]:
        """Return somebody's events as (time, name, metadata), in an order that does not matter."""
        return sorted(
            (at, name, json.dumps(metadata, sort_keys=True))
            for (user_id, name, at, _), metadata in self.events.items()
            if user_id == person
        )


class App:
    """An app of a new workspace that does a step, tells the model, and compares what is stored."""

    def __init__(self):
        workspace = Workspace.objects.create(name="Model")
        known_tokens.forget()
        secret = ApiToken.make(workspace=workspace, name="app", scope="admin")[1]
        self.workspace = workspace
        self.client, self.headers = Client(), {"authorization": f"Bearer {secret}"}
        admin = get_user_model().objects.create_user(username=f"admin-{workspace.pk}")
        Membership.objects.create(user=admin, workspace=workspace, role="admin")
        self.client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
        self.model, self.sent = Model(), []

    def call(self, path, body):
        return self.client.post(path, json.dumps(body), content_type="application/json", headers=self.headers)

    def do(self, kind, what):
        getattr(self, kind)(what)

    def post(self, event):
        assert self.call("/events", event).status_code == 202
        self.model.add(event)
        self.sent.append(event)

    def again(self, place):
        if self.sent:
            self.post(self.sent[place % len(self.sent)])

    def refused(self, body):
        assert self.call("/events", body).status_code == 400

    def batch(self, items):
        results = self.call("/events/batch", items).json()["results"]
        told = [result["status"] if result["status"] != 202 else not result["duplicate"] for result in results]
        good = [isinstance(item, dict) and item.keys() >= {"user_id", "event_name"} for item in items]
        assert told == [self.model.add(item) if fine else 400 for item, fine in zip(items, good, strict=True)]

    def history(self, events):
        self.batch_is_stored(self.call("/events/batch", {"events": events, "historical": True}), events)

    def batch_is_stored(self, response, events):
        new = [self.model.add(event) for event in events]
        assert (response.json()["stored"], response.json()["duplicates"]) == (new.count(True), new.count(False))

    def totals(self, what):
        person, count = what
        summary = {"event_name": NAMES[0], "count": count, "first": FIRST, "last": LAST}
        assert self.call("/events/summaries", {"user_id": person, "event_summaries": summary}).status_code == 200
        self.model.totals[person, "placed-order"] = count

    def delete(self, name):
        """As an admin asks for it on the event's page, and the worker does it."""
        name = normal_name(name)
        if type := EventType.objects.filter(workspace=self.workspace, name=name).first():
            address = reverse("event_type", args=[self.workspace.app_id, type.pk])
            assert self.client.post(address, {"action": "delete", "confirm": name}).status_code == 302
            deleting.delete_what_was_asked()
        self.model.delete(name)

    def compare(self):
        for person in PEOPLE:
            known = self.model.listing(person) or self.model.summary(person)
            assert self.listing(person) == self.model.listing(person)
            assert (self.summary(person) if known else {}) == self.model.summary(person)

    def get(self, path):
        response = self.client.get(path, headers=self.headers)
        return response.json() if response.status_code == 200 else None

    def listing(self, person) -> list[tuple]:
        """All pages, three at a time; each is in order and none is told twice."""
        path, found = f"/events?type=user&user_id={person}&per_page=3", []
        while path and (page := self.get(path)):
            found += page["events"]
            path = page["pages"].get("next")
        # One uuid in two seconds is two events: partitions by time could not tell.
        assert len({(event["id"], event["created_at"], event["event_name"]) for event in found}) == len(found)
        times = [event["created_at"] for event in found]
        assert times == sorted(times, reverse=True)
        return sorted(
            (event["created_at"], event["event_name"], json.dumps(event["metadata"], sort_keys=True)) for event in found
        )

    def summary(self, person) -> dict:
        def seconds(iso):
            return int(datetime.fromisoformat(iso).timestamp())

        told = self.get(f"/events?type=user&user_id={person}&summary=true") or {"events": []}
        return {one["name"]: (one["count"], seconds(one["first"]), seconds(one["last"])) for one in told["events"]}


@pytest.mark.django_db(transaction=True)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=20, max_size=30))
def test_what_is_stored_is_what_a_small_model_says(steps):
    app = App()
    for kind, what in steps:
        app.do(kind, what)
    app.compare()
    assert differences() == []
