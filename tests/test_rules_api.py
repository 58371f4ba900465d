"""Auto-messages over the API: written, read, changed, archived; each fault is named by its path."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventsapp.models import ApiToken
from messaging.models import AutoMessage, Delivery, Sender
from segments.models import Segment
from tests.test_openapi import check

pytestmark = pytest.mark.django_db
TOTAL = {"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}
ORDERED = {"kind": "event", "event": "placed-order", "did": True}


def definition(*conditions):
    return {"version": 1, "match": "all", "conditions": list(conditions)}


def rule(**fields):
    return {
        "name": "Thanks",
        "trigger": {"event": "placed-order"},
        "content": {"subject": "Thanks", "body": "<p>{{ event.metadata.code }}</p>"},
    } | fields


@pytest.fixture
def app(api_with):
    return api_with("admin")


@pytest.fixture
def make(app):
    """Make a rule over the API and return what it answers."""

    def post(**fields):
        response = app.post("/auto_messages", rule(**fields))
        assert response.status_code == 200, response.content
        check(response.json(), {"$ref": "#/components/schemas/AutoMessage"}, exactly=True)
        return response.json()

    return post


def faults(response) -> dict[str, str]:
    """The sentences of an error.list by the paths of their fields."""
    assert response.status_code == 422, response.content
    return {error["field"]: error["message"] for error in response.json()["errors"]}


EVERYTHING = {
    "name": "Win them back",
    "state": "draft",
    "trigger": {"event": "placed-order", "where": [TOTAL], "nth": 3},
    "audience": definition({"kind": "attribute", "field": "email", "op": "known"}),
    "frequency": {"mode": "once_per", "per_seconds": 86400, "most": 5},
    "delay_seconds": 7200,
    "unless": {"event": "paid-order", "where": [{"key": "code", "op": "known"}], "same": ["order_id"]},
    "starts_on": "2026-01-31",
    "stops_on": "2026-02-28",
    "hours": {"days": [0, 1, 4], "from": "09:00", "to": "17:30"},
    "channel": "email",
    "content": {"subject": "Hello", "body": "<p>Hello</p>", "from": "shop@example.org"},
    "transactional": True,
    "allows_browser": True,
    "guard_per_hour": 50,
}


def test_all_that_a_rule_can_be_is_read_as_it_was_written(make, app, shop):
    Sender.objects.create(workspace=shop, email="shop@example.org")
    made = make(**EVERYTHING)
    assert {name: made[name] for name in EVERYTHING} == EVERYTHING
    assert made["sentence"].startswith("Sends an email 2 hours after someone in its own audience does placed-order")
    assert app.get(f"/auto_messages/{made['id']}").json() == made
    [listed] = app.get("/auto_messages").json()["auto_messages"]
    assert listed == made


def test_what_was_read_may_be_sent_back_as_it_is(make, app):
    made = make(**EVERYTHING | {"content": {"subject": "Hello", "body": "Hello", "from": None}})
    changed = app.put(f"/auto_messages/{made['id']}", made)
    assert changed.status_code == 200, changed.content
    assert changed.json() | {"updated_at": 0} == made | {"updated_at": 0}


def test_a_rule_is_a_draft_for_everyone_once_by_email_unless_it_says_otherwise(make):
    made = make()
    assert made["state"] == "draft"
    assert made["audience"] is None
    assert made["frequency"] == {"mode": "once", "per_seconds": None, "most": None}
    assert made["channel"] == "email"


def test_a_live_rule_answers_the_next_event(make, buyer, does, worker, mailoutbox):
    made = make(state="live", trigger={"event": "Placed.Order", "where": [TOTAL]}, frequency={"mode": "every_time"})
    assert made["state"] == "live"
    for amount in (100, 5000):
        does(buyer, "placed-order", metadata={"total": {"amount": amount, "currency": "usd"}, "code": f"C-{amount}"})
    worker()
    assert ["C-5000" in mail.body for mail in mailoutbox] == [True]


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("webhook", {"url": "https://example.org/hook"}),
        ("in_app", {"subject": "Hi", "body": "Look", "display": "banner"}),
    ],
)
def test_each_channel_has_its_own_content(make, channel, content):
    made = make(channel=channel, content=content, state="live")
    assert made["content"] == content


def test_a_saved_segment_is_an_audience_and_is_kept_from_the_archive(make, app, shop, buyer, person, does, worker):
    segment = Segment.objects.create(workspace=shop, name="Buyers", definition=definition(ORDERED))
    audience = definition({"kind": "segment", "segment": segment.pk, "op": "in"})
    made = make(audience=audience, state="live")
    assert made["audience"] == audience
    refused = app.delete(f"/segments/{segment.pk}")
    assert refused.status_code == 409
    assert "Thanks" in refused.json()["errors"][0]["message"]


FAULTS = [
    ({"name": ""}, "name", "The text is empty"),
    ({"name": None}, "name", "Write a text"),
    ({"trigger": None}, "trigger", "Write an object"),
    ({"trigger": {"event": " "}}, "trigger.event", "Write one"),
    ({"trigger": {"event": "x", "where": [{"key": "a", "op": "is"}]}}, "trigger.where[0].value", "Write a text"),
    ({"trigger": {"event": "x", "nth": 0}}, "trigger.nth", "from 1"),
    ({"audience": definition()}, "audience", "Write null"),
    (
        {"audience": definition(ORDERED, {"kind": "segment", "segment": 99, "op": "in"})},
        "audience.conditions[1].segment",
        "99",
    ),
    ({"frequency": {"mode": "hourly"}}, "frequency.mode", "once_per"),
    ({"frequency": {"mode": "once_per"}}, "frequency.per_seconds", "from 1"),
    ({"frequency": {"mode": "every_time", "per_seconds": 9}}, "frequency.per_seconds", "Leave it out"),
    ({"frequency": {"mode": "once", "most": 3}}, "frequency.most", "Leave most out"),
    ({"delay_seconds": -1}, "delay_seconds", "from 0"),
    ({"delay_seconds": True}, "delay_seconds", "whole number"),
    ({"unless": {}}, "unless.event", "Write a text"),
    ({"unless": {"event": "x", "same": []}}, "unless.same", "leave it out"),
    ({"starts_on": "tomorrow"}, "starts_on", "YYYY-MM-DD"),
    ({"starts_on": "2026-02-01", "stops_on": "2026-01-01"}, "stops_on", "before the first"),
    ({"hours": {"days": [], "from": "09:00", "to": "17:00"}}, "hours.days", "at least one"),
    ({"hours": {"days": [7], "from": "09:00", "to": "17:00"}}, "hours.days[0]", "0 to 6"),
    ({"hours": {"days": [0], "from": "9", "to": "17:00"}}, "hours.from", "HH:MM"),
    ({"channel": "pigeon"}, "channel", "webhook"),
    ({"content": {"url": "https://example.org"}}, "content.url", "not known here"),
    ({"channel": "webhook", "content": {"url": "ftp://example.org"}}, "content.url", "https://"),
    ({"content": {"from": "nobody@example.org"}}, "content.from", "sender"),
    ({"content": {"subject": "x" * 256}}, "content.subject", "at most 255"),
    ({"transactional": 1}, "transactional", "true or false"),
    ({"guard_per_hour": 0}, "guard_per_hour", "from 1"),
    ({"guard_per_hour": None}, "guard_per_hour", "from 1"),
    ({"content": None}, "content", "Write an object"),
    ({"state": "archived"}, "state", "draft, live, paused"),
    ({"colour": "red"}, "colour", "not known here"),
]


@pytest.mark.parametrize(("fields", "path", "words"), FAULTS, ids=lambda value: str(value)[:60])
def test_a_fault_names_its_path_and_says_what_to_write(app, fields, path, words):
    told = faults(app.post("/auto_messages", rule(**fields)))
    assert list(told) == [path]
    assert words in told[path]
    assert not AutoMessage.objects.exists()


def test_every_fault_is_told_at_once(app):
    fields = {"name": 1, "trigger": {"event": 2, "nth": "x"}, "delay_seconds": "soon", "channel": 3}
    assert set(faults(app.post("/auto_messages", fields))) == {
        "name", "trigger.event", "trigger.nth", "delay_seconds", "channel",
    }  # fmt: skip


@pytest.mark.parametrize("body", [[], 1, "x"], ids=str)
def test_what_is_no_object_is_told_so(app, body):
    assert app.post("/auto_messages", body).status_code == 400


def test_a_draft_may_be_wrong_in_its_text_and_going_live_says_what_is_missing(make, app):
    made = make(content={"subject": "", "body": "{{ oops"})
    told = faults(app.put(f"/auto_messages/{made['id']}", {"state": "live"}))
    assert "empty" in told["content.subject"]
    assert "cannot be read" in told["content.body"]
    assert AutoMessage.objects.get().state == "draft"
    assert (
        "address"
        in faults(app.put(f"/auto_messages/{made['id']}", {"state": "live", "channel": "webhook"}))["content.url"]
    )
    assert AutoMessage.objects.get().channel == "email"


def test_a_live_rule_is_not_changed_into_one_that_could_send_nothing(make, app):
    made = make(state="live")
    assert faults(app.put(f"/auto_messages/{made['id']}", {"name": "Broken", "content": {"subject": "s", "body": ""}}))
    kept = AutoMessage.objects.get()
    assert (kept.name, kept.state, kept.versions.count()) == ("Thanks", "live", 1)


def test_each_change_of_a_live_rule_is_a_version_and_a_delivery_says_which(make, app, buyer, does, worker):
    made = make(state="live", frequency={"mode": "every_time"})
    address = f"/auto_messages/{made['id']}"
    does(buyer, "placed-order", metadata={"n": 1})
    worker()
    app.put(address, {"content": {"subject": "Many thanks", "body": "Hi"}})
    app.put(address, {"name": "Only renamed"})
    does(buyer, "placed-order", metadata={"n": 2})
    worker()
    told = app.get(f"{address}/deliveries").json()["data"]
    assert [(delivery["version"], delivery["subject"]) for delivery in told] == [(2, "Many thanks"), (1, "Thanks")]


def test_a_rule_is_paused_and_goes_live_again_but_is_no_draft_any_more(make, app):
    address = f"/auto_messages/{make(state='live')['id']}"
    assert app.put(address, {"state": "paused"}).json()["state"] == "paused"
    assert "paused" in faults(app.put(address, {"state": "draft"}))["state"]
    assert app.put(address, {"state": "live"}).json()["state"] == "live"


def test_a_live_rule_that_waits_for_another_event_hears_that_one_from_then_on(
    make, app, buyer, does, worker, mailoutbox
):
    address = f"/auto_messages/{make(state='live', frequency={'mode': 'every_time'})['id']}"
    app.put(address, {"trigger": {"event": "signed-up"}})
    does(buyer, "placed-order")
    does(buyer, "signed-up", metadata={"code": "S-1"})
    worker()
    assert ["S-1" in mail.body for mail in mailoutbox] == [True]


def test_what_is_not_named_stays(make, app):
    made = make(**EVERYTHING | {"content": {"subject": "Hello", "body": "Hello", "from": None}})
    changed = app.put(f"/auto_messages/{made['id']}", {"delay_seconds": 0, "hours": None}).json()
    same = changed.keys() - {"delay_seconds", "hours", "updated_at", "sentence"}
    assert {name: changed[name] for name in same} == {name: made[name] for name in same}
    assert (changed["delay_seconds"], changed["hours"]) == (0, None)


def test_an_archived_rule_is_gone_from_the_list_and_its_deliveries_stay(make, app, buyer, does, worker):
    made = make(state="live")
    does(buyer, "placed-order")
    worker()
    address = f"/auto_messages/{made['id']}"
    assert app.delete(address).json() == {"type": "auto_message", "id": made["id"], "archived": True}
    assert app.get("/auto_messages").json()["auto_messages"] == []
    for method in ("get", "put", "delete"):
        assert getattr(app, method)(address).status_code == 404
    assert len(app.get(f"{address}/deliveries").json()["data"]) == 1


def test_a_failed_delivery_is_replayed_or_cancelled(make, app, buyer, does, worker, mailoutbox):
    made = make(state="live", content={"subject": "s", "body": "{{ event.metadata.code | money }}"})
    does(buyer, "placed-order", metadata={"code": "x"})
    worker()
    address = f"/auto_messages/{made['id']}/deliveries/{Delivery.objects.get().pk}"
    app.put(f"/auto_messages/{made['id']}", {"content": {"subject": "s", "body": "{{ event.metadata.code }}"}})
    replayed = app.post(f"{address}/replay")
    assert (replayed.status_code, replayed.json()["state"]) == (200, "queued")
    check(replayed.json(), {"$ref": "#/components/schemas/Delivery"}, exactly=True)
    worker()
    assert len(mailoutbox) == 1
    for act in ("replay", "cancel"):
        assert app.post(f"{address}/{act}").status_code == 409
    Delivery.objects.update(state="held", reason="too_old")
    assert app.post(f"{address}/cancel").json()["reason"] == "by_staff"


def test_reading_needs_read_and_writing_admin(make, api_with, client, other_shop):
    made = make()
    address = f"/auto_messages/{made['id']}"
    reader, writer = api_with("read"), api_with("write")
    assert reader.get("/auto_messages").status_code == reader.get(address).status_code == 200
    for app in (reader, writer):
        assert app.post("/auto_messages", rule()).status_code == 403
        for call in (app.put(address, {"name": "x"}), app.delete(address)):
            assert call.status_code == 403
        for act in ("replay", "cancel"):
            assert app.post(f"{address}/deliveries/1/{act}").status_code == 403
    stranger = ApiToken.make(workspace=other_shop, name="theirs", scope="admin")[1]
    reader.token = stranger
    assert reader.get(address).status_code == reader.put(address, {"name": "x"}).status_code == 404
    assert reader.delete(address).status_code == 404


def test_a_list_of_many_rules_costs_no_query_each(make, app, django_assert_num_queries):
    make()
    app.get("/auto_messages")
    with CaptureQueriesContext(connection) as queries:
        app.get("/auto_messages")
        few = len(queries)
    for _ in range(5):
        make()
    with django_assert_num_queries(few):
        assert len(app.get("/auto_messages").json()["auto_messages"]) == 6
