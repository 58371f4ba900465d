"""Whatever apps say of people over the API, in whatever order: who is there, and what each did, is what a model says.

The model is plain Python. People are made, changed, tagged, merged, archived and deleted; events come for them by every
id that they ever had, late and twice; and after that the API is asked in every way that tells of them.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventsapp import erasing, merging
from eventsapp.browser import workspaces
from eventsapp.models import ApiToken, Workspace
from tests.test_model import identity_of, stored_name

AT = 1_760_000_000
NAMES = ["Placed.Order", "placed-order", "signed$up"]
STORED = ["placed-order", "signed-up"]
USER_IDS = ["u1", "u2", "u3"]
EMAILS = ["ada@example.org", "Ada@Example.org", "berta@example.org"]
TAGS = ["vip", "new"]


class Told(Exception):
    """What the API should answer instead of a success: the status, and of who was merged the heir."""

    def __init__(self, status: int, heir=None):
        super().__init__(status)
        self.status, self.heir = status, heir


@dataclass(eq=False)
class Somebody:
    """Somebody whom the API once knew."""

    role: str = "user"
    external_id: str | None = None
    email: str | None = None
    name: str | None = None
    signed_up_at: int | None = None
    unsubscribed_from_emails: bool = False
    custom_attributes: dict = field(default_factory=dict)
    is_archived: bool = False
    is_deleted: bool = False
    heir: "Somebody | None" = None
    tags: set = field(default_factory=set)
    events: dict = field(default_factory=dict)  # {(name, time, identity): metadata}
    totals: dict = field(default_factory=dict)  # {name: (count, first, last)} of before
    id: str = ""  # told by the API

    @property
    def is_present(self):
        return not self.is_deleted and self.heir is None

    @property
    def is_listed(self):
        return self.is_present and not self.is_archived and self.role != "visitor"

    def has_email(self, email):
        return bool(email and self.email) and self.email.lower() == email.lower()

    def summary(self) -> dict:
        """Return {name: (count, first, last)}."""
        told = {}
        for name in STORED:
            count, *before = self.totals.get(name, (0,))
            times = [at for kind, at, _ in self.events if kind == name]
            if times or before:
                told[name] = (count + len(times), min(times + before), max(times + before))
        return told


class Model:
    """Who is there, and what they did."""

    def __init__(self):
        self.everybody: list[Somebody] = []

    def add(self, **fields) -> Somebody:
        self.everybody.append(Somebody(**fields))
        return self.everybody[-1]

    def present(self, *, but=(), **fields) -> list[Somebody]:
        return [
            one
            for one in self.everybody
            if one.is_present and one not in but and all(getattr(one, key) == value for key, value in fields.items())
        ]

    def listed(self) -> list[Somebody]:
        return [one for one in self.everybody if one.is_listed]

    # Who is meant

    def asked(self, one: Somebody) -> Somebody:
        """Whom a request that names `one` by id is about."""
        if one.is_deleted:
            raise Told(404)
        if one.heir:
            raise Told(410, one.heir)
        return one

    def holder(self, external_id) -> Somebody | None:
        """Who has, or had before they were merged, this user_id: nobody else gets it."""
        return next((one for one in self.everybody if one.external_id == external_id and not one.is_deleted), None)

    def with_email(self, email, *, or_lead=True) -> Somebody | None:
        """The one with this email: a user before a lead."""
        holders = [one for one in self.present() if one.has_email(email) and one.role != "visitor"]
        holders = [one for one in holders if one.role == "user"] or (holders if or_lead else [])
        if len(holders) > 1:
            raise Told(409)
        return holders[0] if holders else None

    def nameless(self, email) -> Somebody | None:
        """The user who is known by this email alone."""
        return next((one for one in self.present(role="user", external_id=None) if one.has_email(email)), None)

    def doer(self, event) -> Somebody:
        """Whose an event is."""
        if event.get("id"):
            one = next(one for one in self.everybody if one.id == event["id"])
            if one.is_deleted:
                raise Told(404)
            return one.heir or one
        if user_id := event.get("user_id"):
            if holder := self.holder(user_id):
                return holder.heir or holder
            if adopted := self.nameless(event.get("email")):
                adopted.external_id = user_id
                return adopted
            return self.add(external_id=user_id, email=event.get("email"))
        return self.with_email(event["email"]) or self.add(email=event["email"])

    # What is done

    def record(self, event) -> bool:
        """Store an event; return whether it is new."""
        events = self.doer(event).events
        key = (stored_name(event["event_name"]), event["created_at"], identity_of(event))
        if key in events:
            return False
        events[key] = event.get("metadata", {})
        return True

    def set_totals(self, who, name, count, first, last):
        self.doer(who).totals[stored_name(name)] = (count, first, last)

    def create(self, fields) -> Somebody:
        external_id, role = fields.get("external_id"), fields.get("role", "user")
        if external_id and self.holder(external_id):
            raise Told(409)
        same = [one for one in self.present(role="user") if one.has_email(fields.get("email"))]
        if role == "user" and any(not external_id or not one.external_id for one in same):
            raise Told(409)
        new = self.add()
        self.write(new, fields)
        return new

    def change(self, one, fields) -> Somebody:
        external_id, email = fields.get("external_id", one.external_id), fields.get("email", one.email)
        if external_id and self.holder(external_id) not in (None, one):
            raise Told(409)
        if fields.get("role", one.role) == "user" and not external_id and self.nameless(email) not in (None, one):
            raise Told(409)
        self.write(one, fields)
        return one

    def write(self, one, fields):
        fields = dict(fields)
        attributes = one.custom_attributes | fields.pop("custom_attributes", {})
        one.custom_attributes = {key: value for key, value in attributes.items() if value is not None}
        for name, value in fields.items():
            setattr(one, name, value)

    def upsert(self, fields, one: Somebody | None = None) -> Somebody:
        """As API 1.x does: change the user with the id, else user_id, else email, or make one."""
        fields = {key: value for key, value in fields.items() if value is not None and key != "role"}
        external_id, email = fields.get("external_id"), fields.get("email")
        if one:
            one = self.asked(one)
        elif external_id:
            one = next(iter(self.present(external_id=external_id)), None) or self.nameless(email)
        else:
            one = self.with_email(email, or_lead=False)
        return self.change(one, fields) if one else self.create(fields)

    def merge(self, lead, user) -> Somebody:
        lead, user = self.asked(lead), self.asked(user)
        if lead.role == "user" or user.role != "user":
            raise Told(400)
        return self.join(lead, user)

    def join(self, one, heir) -> Somebody:
        heir.name = heir.name or one.name
        if not heir.email and one.email and self.may_have(heir, one):
            heir.email = one.email
        heir.custom_attributes = one.custom_attributes | heir.custom_attributes
        signed_up = [at for at in (one.signed_up_at, heir.signed_up_at) if at is not None]
        heir.signed_up_at = min(signed_up, default=None)
        heir.unsubscribed_from_emails |= one.unsubscribed_from_emails
        heir.tags |= one.tags
        heir.events = one.events | heir.events
        for name, (count, first, last) in one.totals.items():
            own = heir.totals.get(name, (0, first, last))
            heir.totals[name] = (count + own[0], min(first, own[1]), max(last, own[2]))
        for merged in self.everybody:
            if merged is one or merged.heir is one:
                merged.heir = heir
        return heir

    def may_have(self, heir, one) -> bool:
        if heir.role != "user":
            return True
        others = [other for other in self.present(role="user", but=(heir, one)) if other.has_email(one.email)]
        return not any(not heir.external_id or not other.external_id for other in others)

    def convert(self, visitor, kind, fields) -> Somebody:
        visitor = self.asked(visitor)
        if visitor.role != "visitor":
            raise Told(404)
        if kind == "lead":
            return self.change(
                visitor, {key: value for key, value in fields.items() if value is not None} | {"role": "lead"}
            )
        external_id = fields.get("external_id")
        if not external_id and not fields.get("email"):
            raise Told(400)
        named = external_id and self.present(external_id=external_id)
        if named and named[0].role == "visitor":
            raise Told(400)
        user = self.upsert(fields)
        # A lead that is named is a user from then on.
        user.role = "user"
        return self.join(visitor, user)

    def delete(self, one):
        one = self.asked(one)
        for gone in self.everybody:
            if gone is one or gone.heir is one:
                gone.is_deleted = True

    def archive(self, one, *, archived):
        self.asked(one).is_archived = archived

    def tag(self, one, tag):
        self.asked(one).tags.add(tag)

    def untag(self, one, tag):
        if tag not in self.asked(one).tags:
            raise Told(404)
        one.tags.remove(tag)


class App:
    """An app of a new workspace that does a step, tells the model, and compares what the API answers."""

    def __init__(self):
        workspace = Workspace.objects.create(name="People")
        workspaces.forget()
        self.secret = ApiToken.make(workspace=workspace, name="app", scope="admin")[1]
        self.widget = f"/widget/{workspace.app_id}"
        self.client, self.model = Client(), Model()
        self.sent: list[tuple[dict, str]] = []  # events, and the id of whose each was
        self.tags = {name: self.call("post", "/tags", {"name": name}, 200)["id"] for name in TAGS}

    def call(self, method, path, body=None, status=None):
        """Call the API; return the answer's JSON when `status` is told and is the answer's, else the answer."""
        headers = {"authorization": f"Bearer {self.secret}"}
        if method == "get":
            answer = self.client.get(path, headers=headers)
        else:
            body = None if body is None else json.dumps(body)
            answer = getattr(self.client, method)(path, body, content_type="application/json", headers=headers)
        if status is None:
            return answer
        assert answer.status_code == status, answer.content
        return json.loads(answer.content) if answer.content else None

    def both(self, method, path, body, act, *arguments, success=200, **options):
        """Do it here and there; return the answer's JSON and what the model returned, (None, None) for a refusal."""
        answer = self.call(method, path, body)
        try:
            known = act(*arguments, **options)
        except Told as told:
            assert answer.status_code == told.status, (path, body, answer.content)
            assert answer.json()["type"] == "error.list"
            if told.heir:
                assert answer["Link"].endswith(f'/contacts/{told.heir.id}>; rel="canonical"')
            return None, None
        assert answer.status_code == success, (path, body, answer.content)
        return (json.loads(answer.content) if answer.content else None), known

    def somebody(self, place) -> Somebody | None:
        return self.model.everybody[place % len(self.model.everybody)] if self.model.everybody else None

    def named(self, how, place) -> dict:
        """How an event names somebody: by a user_id, an email, or the id of somebody who is, or once was, there."""
        if how != "id":
            return how
        one = self.somebody(place)
        return {"id": one.id} if one else {"user_id": USER_IDS[0]}

    def note_ids(self):
        """Learn the ids of those whom an event made."""
        for one in self.model.everybody:
            if not one.id:
                query = f"user_id={one.external_id}" if one.external_id else f"email={one.email}"
                one.id = self.call("get", f"/users?{query}", status=200)["id"]

    # Steps

    def post(self, how, place, event):
        event = self.named(how, place) | event
        self.both("post", "/events", event, self.model.record, event, success=202)
        self.note_ids()
        self.sent.append((event, self._whose(event)))

    def batch(self, items):
        items = [self.named(how, place) | event for how, place, event in items]
        results = self.call("post", "/events/batch", items, 200)["results"]
        # Of two spellings of a new email in one list, the one that is kept is the last of them in the alphabet.
        emails = sorted({item["email"] for item in items if "email" in item})
        spelt = {email.lower(): email for email in emails}
        items = [item | ({"email": spelt[item["email"].lower()]} if "email" in item else {}) for item in items]
        for item, result in zip(items, results, strict=True):
            try:
                assert (result["status"], result.get("duplicate")) == (202, not self.model.record(item)), item
            except Told as told:
                assert result["status"] == told.status, (item, result)
        self.note_ids()
        self.sent += [(item, self._whose(item)) for item in items]

    def again(self, place, by_id):
        """A retry, however late: as it was, or by the id of whom it was of."""
        if self.sent:
            event, id = self.sent[place % len(self.sent)]
            what = {key: event[key] for key in event.keys() - {"id", "user_id", "email"}}
            event = what | {"id": id} if by_id and id else event
            self.both("post", "/events", event, self.model.record, event, success=202)
            self.note_ids()

    def _whose(self, event) -> str | None:
        try:
            return self.model.doer(event).id
        except Told:
            return None

    def totals(self, how, place, name, count, first):
        who, last = self.named(how, place), first + 5
        summaries = {"event_name": name, "count": count, "first": first, "last": last}
        act = self.model.set_totals
        self.both("post", "/events/summaries", who | {"event_summaries": summaries}, act, who, name, count, first, last)
        self.note_ids()

    def create(self, role, fields):
        fields = {key: value for key, value in fields.items() if value is not None} | {"role": role}
        self.learn(*self.both("post", "/contacts", fields, self.model.create, fields))

    def upsert(self, place, fields):
        one = self.somebody(place) if place is not None else None
        if not one and not fields.get("external_id") and not fields.get("email"):
            return
        sent = {"user_id" if key == "external_id" else key: value for key, value in fields.items()}
        sent |= {"id": one.id} if one else {}
        self.learn(*self.both("post", "/users", sent, self.model.upsert, fields, one))

    def learn(self, answer, known):
        if known:
            known.id = known.id or answer["id"]
            assert answer["id"] == known.id

    def change(self, place, fields):
        if one := self.somebody(place):
            act = lambda: self.model.change(self.model.asked(one), fields)  # noqa: E731
            self.learn(*self.both("put", f"/contacts/{one.id}", fields, act))

    def visit(self, number, name, at):
        """A browser tells of somebody anonymous."""
        secrets = {"device_secret": str(number) * 32, "visit_secret": str(number) * 32}
        told = json.loads(self.client.post(f"{self.widget}/boot", json.dumps(secrets), "text/plain").content)
        uuid = f"00000000-0000-4000-8000-00000000000{number}"
        event = {"event_name": name, "created_at": at, "uuid": uuid}
        said = json.dumps({"session_token": told["session_token"], "events": [event]})
        assert json.loads(self.client.post(f"{self.widget}/events", said, "text/plain").content)["stored"] == 1
        id = told["visitor_id"]
        if self.model.holder(id) is None:
            visitor = self.model.add(role="visitor", external_id=id)
            visitor.id = self.call("get", f"/visitors?user_id={id}", status=200)["id"]
        # No app can send the uuid of a browser's event: it is made of the one that the browser gave.
        self.model.record({"user_id": id} | event | {"uuid": f"of a browser {uuid}"})

    def change_visitor(self, place, fields):
        if one := self.somebody(place):

            def act():
                if self.model.asked(one).role != "visitor":
                    raise Told(404)
                return self.model.change(one, fields)

            fields = {key: fields[key] for key in fields.keys() & {"name", "email", "custom_attributes"}}
            self.learn(*self.both("put", "/visitors", {"id": one.id} | fields, act))

    def convert(self, place, kind, fields, other):
        visitors = [one for one in self.model.everybody if one.role == "visitor"]
        if visitors:
            one = visitors[place % len(visitors)]
            if other is not None:
                fields = fields | {"external_id": visitors[other % len(visitors)].external_id}
            body = {"visitor": {"id": one.id}, "type": kind, "user": fields}
            self.learn(*self.both("post", "/visitors/convert", body, self.model.convert, one, kind, fields))

    def merge(self, place, other):
        one, heir = self.somebody(place), self.somebody(other)
        if one:
            body = {"from": one.id, "into": heir.id}
            self.learn(*self.both("post", "/contacts/merge", body, self.model.merge, one, heir))

    def delete(self, place, path):
        if one := self.somebody(place):
            self.both("delete", f"/{path}/{one.id}", None, self.model.delete, one)

    def archive(self, place, archived):
        if one := self.somebody(place):
            path = f"/contacts/{one.id}/{'archive' if archived else 'unarchive'}"
            self.both("post", path, None, self.model.archive, one, archived=archived)

    def tag(self, place, name):
        if one := self.somebody(place):
            body = {"id": self.tags[name]}
            self.both("post", f"/contacts/{one.id}/tags", body, self.model.tag, one, name)

    def untag(self, place, name):
        if one := self.somebody(place):
            path = f"/contacts/{one.id}/tags/{self.tags[name]}"
            self.both("delete", path, None, self.model.untag, one, name)

    def sweep(self):
        """Nothing is left for it, and it changes nothing."""
        merging.finish()
        erasing.finish()

    # What the API tells

    def compare(self):
        for one in self.model.everybody:
            self.compare_one(one)
        for email in EMAILS:
            self.both("get", f"/users?email={email}", None, self._with_email, email)
        self.compare_lists()
        self.compare_previews()
        call_command("check_summaries", stdout=StringIO())

    def _with_email(self, email):
        if self.model.with_email(email) is None:
            raise Told(404)

    def compare_one(self, one):
        told, known = self.both("get", f"/contacts/{one.id}", None, self.model.asked, one)
        events = f"/events?type=user&intercom_user_id={one.id}"
        for path in (f"/users/{one.id}", f"{events}&summary=true", events):
            self.both("get", path, None, self.model.asked, one)
        if not known:
            return
        for name in ("role", "external_id", "email", "name", "signed_up_at", "custom_attributes"):
            assert told[name] == getattr(one, name), name
        assert told["unsubscribed_from_emails"] is one.unsubscribed_from_emails
        assert {tag["id"] for tag in told["tags"]["data"]} == {self.tags[name] for name in one.tags}
        expected = sorted((at, name, json.dumps(metadata)) for (name, at, _), metadata in one.events.items())
        found = self.pages(f"{events}&per_page=7")
        assert (
            sorted((event["created_at"], event["event_name"], json.dumps(event["metadata"])) for event in found)
            == expected
        )
        assert all(event["user_id"] == one.external_id and event["email"] == one.email for event in found)
        summary = self.call("get", f"{events}&summary=true", status=200)["events"]
        times = {row["name"]: (row["count"], _seconds(row["first"]), _seconds(row["last"])) for row in summary}
        assert times == one.summary()

    def pages(self, path) -> list[dict]:
        found = []
        while path:
            page = self.call("get", path, status=200)
            found += page["events"]
            path = page["pages"].get("next")
        return found

    def compare_lists(self):
        listed = self.model.listed()
        first = self.call("get", "/contacts?per_page=150", status=200)
        assert first["total_count"] == len(listed)
        assert {one["id"] for one in first["data"]} == {one.id for one in listed}
        queries = [(("role", "=", role), lambda one, role=role: one.role == role) for role in ("user", "lead")]
        queries += [(("tag_id", "=", self.tags[name]), lambda one, name=name: name in one.tags) for name in TAGS]
        queries += [(("email", "=", email), lambda one, email=email: one.has_email(email)) for email in EMAILS]
        queries += [(("external_id", "=", id), lambda one, id=id: one.external_id == id) for id in USER_IDS]
        queries += [
            (("custom_attributes.plan", "=", "pro"), lambda one: one.custom_attributes.get("plan") == "pro"),
            (("custom_attributes.plan", "!=", "pro"), lambda one: one.custom_attributes.get("plan") != "pro"),
        ]
        for (name, operator, value), is_found in queries:
            query = {"field": name, "operator": operator, "value": value}
            found = self.call("post", "/contacts/search", {"query": query}, 200)
            expected = {one.id for one in listed if is_found(one)}
            assert (found["total_count"], {one["id"] for one in found["data"]}) == (len(expected), expected), query

    def compare_previews(self):
        """A definition's people, those of its complement, and that both are everybody."""
        listed = self.model.listed()

        def preview(condition):
            definition = {"version": 1, "match": "all", "conditions": [condition]}
            return self.call("post", "/segments/preview", {"definition": definition}, 200)["count"]

        for name in STORED:
            did = {"kind": "event", "event": name}
            for least in (1, 2, 4):
                expected = [one for one in listed if one.summary().get(name, (0,))[0] >= least]
                assert preview(did | {"did": True, "count": {"op": "gte", "value": least}}) == len(expected)
            once = preview(did | {"did": True})
            assert once == len([one for one in listed if name in one.summary()])
            assert once + preview(did | {"did": False}) == len(listed)
        for name, id in self.tags.items():
            has = preview({"kind": "tag", "tag": int(id), "op": "has"})
            assert has == len([one for one in listed if name in one.tags])
            assert has + preview({"kind": "tag", "tag": int(id), "op": "has_not"}) == len(listed)


def _seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp())


PLACE = st.integers(0, 11)
NAME = st.sampled_from(NAMES)
EVENT = st.fixed_dictionaries(
    {"event_name": NAME, "created_at": st.integers(AT, AT + 2)},
    optional={
        "metadata": st.sampled_from([{"n": 1}, {"n": 1.0}, {"n": "1"}]),
        "uuid": st.sampled_from([f"00000000-0000-4000-8000-00000000000{n}" for n in range(2)]),
    },
)
BY_ID = st.just("id")
BY_USER_ID = st.sampled_from([{"user_id": id} for id in USER_IDS])
BY_EMAIL = st.sampled_from([{"email": email} for email in EMAILS])
BY_BOTH = st.builds(lambda id, email: id | email, BY_USER_ID, BY_EMAIL)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "external_id": st.sampled_from([None, *USER_IDS]),
        "email": st.sampled_from([None, *EMAILS]),
        "name": st.sampled_from([None, "", "Ada", "Berta"]),
        "signed_up_at": st.sampled_from([None, AT - 9, AT - 7]),
        "unsubscribed_from_emails": st.booleans(),
        "custom_attributes": st.sampled_from([{}, {"plan": "pro"}, {"plan": None}, {"plan": "free", "seats": 3}]),
    },
)
ROLE = st.sampled_from(["user", "lead"])
STEP = st.one_of(
    st.tuples(st.just("post"), BY_ID | BY_USER_ID | BY_EMAIL | BY_BOTH, PLACE, EVENT),
    st.tuples(
        st.just("batch"), st.lists(st.tuples(BY_ID | BY_USER_ID | BY_EMAIL, PLACE, EVENT), max_size=5, min_size=1)
    ),
    st.tuples(st.just("again"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("again"), st.integers(0, 30), st.booleans()),
    st.tuples(
        st.just("totals"), BY_ID | BY_USER_ID | BY_EMAIL, PLACE, NAME, st.integers(1, 4), st.integers(AT - 9, AT - 6)
    ),
    st.tuples(st.just("create"), ROLE, FIELDS),
    st.tuples(st.just("create"), ROLE, FIELDS),
    st.tuples(st.just("upsert"), st.none() | PLACE, FIELDS),
    st.tuples(st.just("change"), PLACE, FIELDS),
    st.tuples(st.just("change"), PLACE, st.builds(lambda fields, role: fields | {"role": role}, FIELDS, ROLE)),
    st.tuples(st.just("visit"), st.integers(1, 2), NAME, st.integers(AT, AT + 1)),
    st.tuples(st.just("change_visitor"), PLACE, FIELDS),
    st.tuples(st.just("convert"), PLACE, ROLE, FIELDS, st.none() | PLACE),
    st.tuples(st.just("merge"), PLACE, PLACE),
    st.tuples(st.just("merge"), PLACE, PLACE),
    st.tuples(st.just("merge"), PLACE, PLACE),
    st.tuples(st.just("delete"), PLACE, st.sampled_from(["contacts", "users"])),
    st.tuples(st.just("archive"), PLACE, st.booleans()),
    st.tuples(st.just("tag"), PLACE, st.sampled_from(TAGS)),
    st.tuples(st.just("untag"), PLACE, st.sampled_from(TAGS)),
    st.tuples(st.just("sweep")),
)


def what_happens_is_what_the_model_says(steps):
    app = App()
    for step, *values in steps:
        getattr(app, step)(*values)
    app.compare()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=15, max_size=40))
def test_who_is_there_and_what_they_did_is_what_a_plain_model_says(db, steps):
    what_happens_is_what_the_model_says(steps)


@pytest.mark.slow
@pytest.mark.beside
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=20, max_size=60))
def test_longer_stories_too(db, steps):
    what_happens_is_what_the_model_says(steps)
