"""Nobody reaches another workspace's things through any route of the API, nor does more than their token may.

Each route has a line in PROBES: a request that succeeds. It is then sent again with each of its ids turned into one of
another shop, with each scope that does not suffice, and without a token. A new route fails here until it has its line.
"""

import json
import re
from dataclasses import dataclass, field

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from eventsapp.bulk import open_job
from eventsapp.ingest import event_type
from eventsapp.models import ApiToken, DataAttribute
from eventsapp.tags import find_or_create, put_on
from messaging import subscriptions
from messaging.models import AutoMessage, Delivery, Notification, Subscription
from messaging.single import send_now
from segments.models import Segment
from tests.conftest import Api

pytestmark = pytest.mark.django_db

READ, EVENTS, PEOPLE, ADMIN = "read", "events:write", "people:write", "admin"
SUFFICES = {READ: {READ, "write"}, EVENTS: {EVENTS, "write"}, PEOPLE: {PEOPLE, "write"}, ADMIN: set()}
PUBLIC = None  # asked by anybody, without a token
NAME = re.compile(r"\{(\w+)\}")


class Number(str):
    """The name of an id that is written as a number in a body."""


@dataclass(frozen=True)
class Probe:
    """A request that succeeds. `{name}` in its path, query or body is the id of that name among `things`.

    Another shop's id in it is a 404; `refuses` names the ids that are documented to be refused otherwise: {name: status}.
    `uses` names another thing than the path's own name says: {name in the path: name of the thing}.
    """

    scope: str | None
    query: str = ""
    body: object = None
    refuses: dict[str, int] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)
    success: int = 200


def holding(*conditions):
    return {"version": 1, "match": "all", "conditions": list(conditions)}


EVENT = {"event_name": "placed-order", "created_at": 1_760_000_000}
OWN = {"event_name": "called", "created_at": 1_760_000_000, "id": "{contact_id}"}
BULK = {"items": [{"method": "post", "data_type": "event", "data": EVENT | {"user_id": "new"}}]}
BULK_USERS = {"items": [{"method": "post", "data_type": "user", "data": {"user_id": "new"}}]}
OF_ALL_KINDS = holding(
    {"kind": "tag", "tag": Number("tag_id"), "op": "has"},
    {"kind": "segment", "segment": Number("segment_id"), "op": "in"},
    {"kind": "message", "message": Number("message_id"), "state": "sent"},
)
OF_ALL_KINDS_REFUSED = {"tag_id": 422, "segment_id": 422, "message_id": 422}
SEARCH = {
    "operator": "AND",
    "value": [
        {"field": "tag_id", "operator": "=", "value": "{tag_id}"},
        {"field": "segment_id", "operator": "=", "value": "{segment_id}"},
    ],
}
RULE = {
    "name": "New",
    "trigger": {"event": "placed-order"},
    "content": {"subject": "S", "body": "B"},
    "channel": "email",
}
HOOK = {
    "service_type": "web",
    "url": "https://example.org/new",
    "topics": ["event.created"],
    "metadata": {"event_names": ["placed-order"]},
}

PROBES = {
    "GET /me": Probe(READ),
    "GET /admins": Probe(READ),
    "GET /events": Probe(READ, "type=user&intercom_user_id={contact_id}"),
    "POST /events": Probe(EVENTS, body=OWN, success=202),
    "POST /events/batch": Probe(EVENTS, body=[EVENT | {"user_id": "new"}]),
    "POST /events/summaries": Probe(
        EVENTS, body={"id": "{contact_id}", "event_summaries": {"event_name": "x", "count": 1, "first": 1, "last": 1}}
    ),
    "POST /bulk/events": Probe(EVENTS, body=BULK | {"job": {"id": "{job_id}"}}),
    "POST /bulk/users": Probe(PEOPLE, body=BULK_USERS | {"job": {"id": "{user_job_id}"}}),
    "GET /jobs/{job_id}": Probe(EVENTS),
    "POST /jobs/{job_id}": Probe(EVENTS, body=BULK),
    "GET /jobs/{job_id}/error": Probe(EVENTS),
    "GET /contacts": Probe(READ, "tag_id={tag_id}", refuses={"tag_id": 400}),
    "POST /contacts": Probe(PEOPLE, body={"external_id": "new"}),
    "POST /contacts/convert": Probe(
        PEOPLE, body={"contact": {"id": "{lead_id}"}, "user": {"id": "{contact_id}", "name": "New"}}
    ),
    "POST /contacts/search": Probe(READ, body={"query": SEARCH}, refuses={"tag_id": 400, "segment_id": 400}),
    "POST /contacts/merge": Probe(PEOPLE, body={"from": "{lead_id}", "into": "{contact_id}"}),
    "GET /contacts/find_by_external_id/{external_id}": Probe(READ),
    "GET /contacts/{contact_id}": Probe(READ),
    "PUT /contacts/{contact_id}": Probe(PEOPLE, body={"name": "New"}),
    "DELETE /contacts/{contact_id}": Probe(PEOPLE),
    "GET /contacts/{contact_id}/{what}": Probe(READ),
    "GET /contacts/{contact_id}/export": Probe(READ),
    "POST /contacts/{contact_id}/archive": Probe(PEOPLE),
    "POST /contacts/{contact_id}/unarchive": Probe(PEOPLE),
    "POST /contacts/{contact_id}/block": Probe(PEOPLE),
    "GET /contacts/{contact_id}/segments": Probe(READ),
    "GET /contacts/{contact_id}/tags": Probe(READ),
    "POST /contacts/{contact_id}/tags": Probe(PEOPLE, body={"id": "{tag_id}"}),
    "DELETE /contacts/{contact_id}/tags/{tag_id}": Probe(PEOPLE),
    "GET /data_attributes": Probe(READ),
    "POST /data_attributes": Probe(PEOPLE, body={"name": "new", "model": "contact", "data_type": "string"}),
    "PUT /data_attributes/{attribute_id}": Probe(PEOPLE, body={"description": "New", "messenger_writable": False}),
    "GET /users": Probe(READ, "tag_id={tag_id}&segment_id={segment_id}"),
    "POST /users": Probe(PEOPLE, body={"id": "{contact_id}", "name": "New"}),
    "DELETE /users": Probe(PEOPLE, "user_id={external_id}"),
    "GET /users/scroll": Probe(READ),
    "GET /users/{contact_id}": Probe(READ),
    "DELETE /users/{contact_id}": Probe(PEOPLE),
    "GET /visitors": Probe(READ, "user_id={visitor_user_id}"),
    "PUT /visitors": Probe(PEOPLE, body={"id": "{visitor_id}", "name": "New"}),
    "POST /visitors/convert": Probe(
        PEOPLE, body={"type": "user", "visitor": {"id": "{visitor_id}"}, "user": {"id": "{contact_id}"}}
    ),
    "GET /tags": Probe(READ),
    "POST /tags": Probe(PEOPLE, body={"id": "{tag_id}", "name": "New", "users": [{"id": "{contact_id}"}]}),
    "GET /tags/{tag_id}": Probe(READ),
    "DELETE /tags/{tag_id}": Probe(PEOPLE, uses={"tag_id": "free_tag_id"}),
    "GET /segments": Probe(READ),
    "POST /segments": Probe(ADMIN, body={"name": "New", "definition": OF_ALL_KINDS}, refuses=OF_ALL_KINDS_REFUSED),
    "POST /segments/preview": Probe(READ, body={"definition": OF_ALL_KINDS}, refuses=OF_ALL_KINDS_REFUSED),
    "GET /segments/schema.json": Probe(PUBLIC),
    "GET /segments/{segment_id}": Probe(READ),
    "PUT /segments/{segment_id}": Probe(
        ADMIN,
        body={"definition": holding({"kind": "tag", "tag": Number("tag_id"), "op": "has"})},
        refuses={"tag_id": 422},
    ),
    "DELETE /segments/{segment_id}": Probe(ADMIN),
    "GET /segments/{segment_id}/contacts": Probe(READ),
    "GET /segments/{segment_id}/explain": Probe(READ, "contact_id={contact_id}"),
    "GET /auto_messages": Probe(READ),
    "POST /auto_messages": Probe(ADMIN, body=RULE | {"audience": OF_ALL_KINDS}, refuses=OF_ALL_KINDS_REFUSED),
    "GET /auto_messages/{message_id}": Probe(READ),
    "PUT /auto_messages/{message_id}": Probe(
        ADMIN,
        body={"audience": holding({"kind": "segment", "segment": Number("segment_id"), "op": "in"})},
        refuses={"segment_id": 422},
    ),
    "DELETE /auto_messages/{message_id}": Probe(ADMIN),
    "GET /auto_messages/{message_id}/deliveries": Probe(READ),
    "POST /auto_messages/{message_id}/deliveries/{delivery_id}/replay": Probe(ADMIN),
    "POST /auto_messages/{message_id}/deliveries/{delivery_id}/cancel": Probe(
        ADMIN, uses={"delivery_id": "waiting_delivery_id"}
    ),
    "POST /messages": Probe(
        ADMIN,
        body={
            "message_type": "inapp",
            "body": "B",
            "from": {"type": "admin", "id": "{admin_id}"},
            "to": {"type": "user", "id": "{contact_id}"},
        },
    ),
    "GET /messages/{message_id}": Probe(READ, uses={"message_id": "single_id"}),
    "GET /subscriptions": Probe(READ),
    "POST /subscriptions": Probe(ADMIN, body=HOOK),
    "GET /subscriptions/{subscription_id}": Probe(READ),
    "PUT /subscriptions/{subscription_id}": Probe(ADMIN, body=HOOK),
    "POST /subscriptions/{subscription_id}": Probe(ADMIN, body=HOOK),
    "DELETE /subscriptions/{subscription_id}": Probe(ADMIN),
    "POST /subscriptions/{subscription_id}/ping": Probe(ADMIN),
    "GET /subscriptions/{subscription_id}/notifications": Probe(READ),
    "POST /subscriptions/{subscription_id}/notifications/{notification_id}/replay": Probe(ADMIN),
    "GET /healthz": Probe(PUBLIC),
    "GET /openapi.json": Probe(PUBLIC),
}


# The two shops -------------------------------------------------------------------------------------------------------


def things_of(shop, person, staff, of: str) -> dict[str, str]:
    """Make one of everything in a shop; return their ids in the API by the names that probes use. `of` makes theirs
    other than any other shop's."""
    user = person(f"user of {of}", workspace=shop, email=f"user@{of}.example.org")
    lead = person(f"lead of {of}", workspace=shop, role="lead")
    visitor = person(f"visitor of {of}", workspace=shop, role="visitor")
    tag, free = (find_or_create(shop, f"{name} of {of}") for name in ("tag", "free tag"))
    put_on(tag, user)
    definition = holding({"kind": "tag", "tag": tag.pk, "op": "has"})
    segment = Segment.objects.create(workspace=shop, name=f"Segment of {of}", definition=definition)
    rule = AutoMessage.objects.create(
        workspace=shop,
        name=f"Rule of {of}",
        trigger=event_type(shop, "placed-order"),
        subject="S",
        body="B",
        frequency="every_time",
    )
    version = rule.versions.create(number=1, rule={}, trigger_name="placed-order")

    def delivery(place, **fields):
        told = {"event_name": "placed-order", "created_at": 1_760_000_000, "metadata": {}}
        event_id = f"9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e1{place}"
        return Delivery.objects.create(
            message=rule, contact=user, event_id=event_id, event=told, version=version, **fields
        )

    subscription = Subscription.objects.create(workspace=shop, url="https://example.org/hook", topics=["ping"])
    notification = subscriptions.ping(subscription)
    notification.state = Notification.State.FAILED
    notification.save()
    colleague = staff("editor", shop).user
    single = send_now(shop, user, channel="in_app", subject="", body="B")
    attribute = DataAttribute.objects.create(workspace=shop, name="plan", data_type="string")
    failed = delivery(0, state="failed", reason="refused")
    waiting = delivery(1, state="queued", due_at=timezone.now())
    return {
        "contact_id": user.public_id,
        "external_id": user.external_id,
        "lead_id": lead.public_id,
        "visitor_id": visitor.public_id,
        "visitor_user_id": visitor.external_id,
        "tag_id": str(tag.pk),
        "free_tag_id": str(free.pk),
        "segment_id": str(segment.pk),
        "message_id": str(rule.pk),
        "delivery_id": str(failed.pk),
        "waiting_delivery_id": str(waiting.pk),
        "job_id": open_job(shop, "event").public_id,
        "user_job_id": open_job(shop, "user").public_id,
        "attribute_id": str(attribute.pk),
        "admin_id": str(colleague.pk),
        "single_id": str(single.message_id),
        "subscription_id": subscription.public_id,
        "notification_id": notification.public_id,
    }


@pytest.fixture
def ours(shop, person, staff):
    return things_of(shop, person, staff, "ours") | {"what": "notes"}


@pytest.fixture
def theirs(other_shop, person, staff):
    return things_of(other_shop, person, staff, "theirs") | {"what": "secrets"}


# Asking --------------------------------------------------------------------------------------------------------------


def filled(value, things):
    """`value` with the ids of these things in the place of their names."""
    match value:
        case Number():
            return int(things[value])
        case str():
            return NAME.sub(lambda name: things[name[1]], value)
        case dict():
            return {key: filled(inner, things) for key, inner in value.items()}
        case list():
            return [filled(inner, things) for inner in value]
    return value


def names_in(value) -> set[str]:
    match value:
        case Number():
            return {str(value)}
        case str():
            return set(NAME.findall(value))
        case dict():
            return set().union(*(names_in(inner) for inner in value.values()))
        case list():
            return set().union(*(names_in(inner) for inner in value))
    return set()


def ask(api, route: str, things):
    """Send a route's probe with the ids of these things."""
    method, _, path = route.partition(" ")
    probe = PROBES[route]
    things = things | {name: things[thing] for name, thing in probe.uses.items()}
    address = "?".join(filter(None, [filled(path, things), filled(probe.query, things)]))
    body = () if method == "GET" else (filled(probe.body, things),)
    return getattr(api, method.lower())(address, *body)


def stored() -> dict:
    """All that the database holds, but for the tokens that tests make."""
    models = (model for model in apps.get_models() if model is not ApiToken)
    return {model.__name__: list(model._base_manager.order_by("pk").values()) for model in models}


def assert_refused(answer, status: int):
    assert answer.status_code == status, answer.content
    assert answer.json()["type"] == "error.list"
    assert answer.json()["errors"]


def documented(client) -> dict[str, dict]:
    paths = json.loads(client.get("/openapi.json").content)["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


def test_every_route_has_its_probe(client):
    routes = documented(client).keys()
    for route in sorted(routes - PROBES.keys()):
        pytest.fail(
            f"{route} has no line in PROBES (tests/test_probes.py). Add a request that succeeds, with the scope that it "
            "needs and a {name} for every id in its query and body; a new kind of thing is made in things_of."
        )
    for route in sorted(PROBES.keys() - routes):
        pytest.fail(f"{route} is no route any more. Take its line out of PROBES (tests/test_probes.py).")


def test_every_id_in_a_query_is_probed(client):
    """So that no parameter that names something of a workspace is forgotten."""
    of_a_workspace = {"intercom_user_id", "contact_id", "tag_id", "segment_id"}
    for route, operation in documented(client).items():
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"} & of_a_workspace
        for name in named:
            assert re.search(rf"\b{name}=\{{", PROBES[route].query), f"{route} takes {name}: probe it"


@pytest.mark.parametrize("route", PROBES)
def test_it_answers_who_may_ask(route, client, api_with, ours):
    probe = PROBES[route]
    api = api_with(probe.scope) if probe.scope else Nobody(client)
    answer = ask(api, route, ours)
    assert answer.status_code == probe.success, getattr(answer, "content", "")


OF_SOMETHING = [route for route in PROBES if names_in([route, PROBES[route].query, PROBES[route].body])]


@pytest.mark.parametrize("route", OF_SOMETHING)
def test_what_is_of_another_workspace_is_not_there(route, api_with, ours, theirs):
    probe = PROBES[route]
    api = api_with(ADMIN)
    before = stored()
    for name in sorted(names_in([route, probe.query, probe.body])):
        thing = probe.uses.get(name, name)
        answer = ask(api, route, ours | {thing: theirs[thing]})
        assert_refused(answer, probe.refuses.get(name, 404))
        told = answer.content.decode()
        assert not any(f"{word} of theirs" in told for word in ("user", "lead", "tag", "Segment", "Rule")), told
        assert stored() == before, f"{name} of another workspace changed something"


@pytest.mark.parametrize("route", [route for route, probe in PROBES.items() if probe.scope])
def test_a_token_without_the_scope_does_nothing(route, client, api_with, ours):
    before = stored()
    for scope in {READ, EVENTS, PEOPLE, "write"} - SUFFICES[PROBES[route].scope]:
        answer = ask(api_with(scope), route, ours)
        assert_refused(answer, 403)
        assert answer.json()["errors"][0]["code"] == "forbidden"
    for api in (Nobody(client), Api(client, "ev_nobody")):
        answer = ask(api, route, ours)
        assert_refused(answer, 401)
        assert answer.json()["errors"][0]["code"] == "unauthorized"
    assert stored() == before


class Nobody(Api):
    """Somebody without a token, who may well be logged in: the API takes no session for a token."""

    def __init__(self, client):
        super().__init__(client, "")

    def __getattr__(self, method):
        call = getattr(self.client, method)
        if method == "get":
            return call
        return lambda path, body=None: call(
            path, None if body is None else json.dumps(body), content_type="application/json"
        )


@pytest.mark.parametrize("route", [route for route, probe in PROBES.items() if probe.scope])
def test_a_session_is_no_token(route, admin, ours):
    before = stored()
    assert_refused(ask(Nobody(admin), route, ours), 401)
    assert stored() == before


@pytest.mark.parametrize("field", ["user_id", "email"])
def test_a_user_id_or_email_of_another_workspace_is_nobody_here(field, api, ours, theirs):
    """Whoever writes one makes somebody of their own."""
    name = {"user_id": theirs["external_id"], "email": "user@theirs.example.org"}[field]
    for path in (f"/users?{field}={name}", f"/events?type=user&{field}={name}"):
        assert api.get(path).status_code == 404
    before = [row for row in stored()["Contact"] if row["email"] == "user@theirs.example.org"]
    assert api.post("/events", EVENT | {field: name}).status_code == 202
    assert api.post("/users", {field: name, "name": "Ours"}).status_code == 200
    made = api.get(f"/users?{field}={name}").json()
    assert (made["name"], made["id"] == theirs["contact_id"]) == ("Ours", False)
    assert [row for row in stored()["Contact"] if row["id"] == before[0]["id"]] == before
    assert Client().get(f"/users?{field}={name}").status_code == 401
