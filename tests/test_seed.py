"""The page of Intercom's that this product began with, "The data event model", sentence by sentence."""

import base64
import json
import time

import pytest
from django.core.management import call_command
from django.urls import reverse

from eventsapp.models import Contact, Event, EventType
from segments import suggestions

pytestmark = pytest.mark.django_db
NAMES = ["Completed.Order", "completed$order", "completed-order"]
AT = 1_760_000_000


def event(number=0, **changes) -> dict:
    return {"event_name": "completed-order", "created_at": AT + number, "user_id": "25"} | changes


def by_post(api, tmp_path):
    for number, name in enumerate(NAMES):
        assert api.post("/events", event(number, event_name=name)).status_code == 202


def by_batch(api, tmp_path):
    batch = [event(number, event_name=name) for number, name in enumerate(NAMES)]
    assert api.post("/events/batch", batch).json()["stored"] == 3


def by_bulk(api, tmp_path):
    items = [
        {"method": "post", "data_type": "event", "data": event(number, event_name=name)}
        for number, name in enumerate(NAMES)
    ]
    assert api.post("/bulk/events", {"items": items}).json()["state"] == "completed"


def by_import(api, tmp_path):
    lines = [json.dumps(event(number, event_name=name)) for number, name in enumerate(NAMES)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    call_command("import_events", str(tmp_path / "events.jsonl"), verbosity=0)


@pytest.mark.parametrize("door", [by_post, by_batch, by_bulk, by_import], ids=lambda door: door.__name__)
def test_names_that_differ_in_case_dots_and_dollars_are_one_event(api, shop, tmp_path, door):
    door(api, tmp_path)
    assert EventType.objects.get().name == "completed-order"
    assert Event.objects.count() == 3
    for name in NAMES:
        definition = {"conditions": [{"kind": "event", "event": name, "count": {"op": "eq", "value": 3}}]}
        assert api.post("/segments/preview", {"definition": definition}).json()["count"] == 1
    assert [row["name"] for row in suggestions.events(shop)] == ["completed-order"]
    assert suggestions.keys(shop, "COMPLETED.order") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_waits_for_the_event_whatever_way_its_name_is_written(editor, shop, api, worker, mailoutbox, name):
    fields = {
        "name": "Thanks",
        "event": name,
        "frequency": "every_time",
        "subject": "Thanks",
        "body": "<p>Hi</p>",
    }
    editor.post(reverse("new_message", args=[shop.app_id]), fields | {"action": "live"})
    now = int(time.time())
    for number, sent in enumerate(NAMES):
        api.post("/events", event(number, event_name=sent, email="ada@example.org", created_at=now - number))
    worker()
    assert len(mailoutbox) == 3


def test_three_faults_in_a_body_are_three_entries_with_three_fields(api):
    response = api.post("/events", {"event_name": 7, "created_at": "yesterday", "user_id": "25", "metadata": ["a"]})
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == ["event_name", "created_at", "metadata"]


@pytest.mark.parametrize("role", ["user", "lead"])
def test_the_id_alone_reaches_a_user_and_a_lead(api, role):
    made = api.post("/contacts", {"role": role, "email": "ada@example.org"}).json()
    assert api.post("/events", {"event_name": "x", "created_at": AT, "id": made["id"]}).status_code == 202
    assert Event.objects.get().contact.role == role
    listed = api.get(f"/events?type={role}&intercom_user_id={made['id']}").json()["events"]
    assert [one["intercom_user_id"] for one in listed] == [made["id"]]


def test_an_email_that_several_share_is_a_conflict(api):
    for user_id in "12":
        api.post("/contacts", {"external_id": user_id, "email": "team@example.org"})
    response = api.post("/events", {"event_name": "x", "created_at": AT, "email": "team@example.org"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (409, "conflict")


def test_of_eleven_keys_the_first_ten_as_sent_survive(api):
    keys = [f"key-{number}" for number in (9, 3, 7, 1, 5, 11, 2, 8, 4, 6, 10)]
    api.post("/events", event(metadata=dict.fromkeys(keys, 1)))
    assert Event.objects.get().metadata.keys() == set(keys[:10])


METADATA = {
    "source": "desktop",
    "load": 3.67,
    "contact_date": 1392036272,
    "article": "https://example.org/a.html",
    "order": {"url": "https://example.org/o", "value": "3434"},
    "evil": {"url": "javascript:alert(1)", "value": "click"},
    "price": {"amount": 4900, "currency": "usd"},
    "stripe_invoice": "inv_3434",
}


def test_each_kind_is_kept_listed_and_read_as_people_read_it(api, viewer):
    api.post("/events", event(metadata=METADATA))
    assert api.get("/events?type=user&user_id=25").json()["events"][0]["metadata"] == METADATA
    page = viewer.get(Contact.objects.get().get_absolute_url()).content.decode()
    assert 'href="https://example.org/a.html" rel="noopener' in page
    assert 'href="https://example.org/o" rel="noopener' in page
    assert 'href="javascript' not in page
    assert "10 Feb 2014" in page
    assert "49.00 USD" in page
    assert "inv_3434" in page


def test_each_kind_reads_so_in_a_message_too(editor, shop, api, worker, mailoutbox):
    body = (
        "<p>{{ event.metadata.contact_date }} {{ event.metadata.price | money }} {{ event.metadata.order.value }}</p>"
    )
    fields = {
        "name": "Thanks",
        "event": "completed-order",
        "frequency": "every_time",
        "subject": "Thanks",
        "body": body,
    }
    editor.post(reverse("new_message", args=[shop.app_id]), fields | {"action": "live"})
    api.post("/events", event(email="ada@example.org", created_at=int(time.time()), metadata=METADATA))
    worker()
    assert "10 February 2014 49.00 USD 3434" in mailoutbox[0].body


# The requests that the page's snippets send, as each SDK puts them on the wire. ---------------------------------------

BODY = '{"event_name":"invited-friend","created_at":1389913941,"user_id":"314159","metadata":{"invitee_email":"pi@example.org"}}'
BASIC = "Basic {basic}"
SNIPPETS = {
    "curl": ("POST", "/events", {"Authorization": "Bearer {token}", "Accept": "application/json", "Content-Type": "application/json"}, BODY),
    "curl without a content type": ("POST", "/events", {"Authorization": "Bearer {token}", "Content-Type": "application/x-www-form-urlencoded"}, BODY),
    "ruby": ("POST", "/events", {"Authorization": "Bearer {token}", "Accept": "application/vnd.intercom.3+json", "Content-Type": "application/json", "User-Agent": "Intercom-Ruby/4.2.2"}, BODY),
    "php 4": ("POST", "/events", {"Authorization": "Bearer {token}", "Accept": "application/json", "Content-Type": "application/json", "User-Agent": "Intercom-PHP/4.5.1"}, BODY),
    "php 5": ("POST", "/events", {"Authorization": "Bearer {token}", "Accept": "*/*", "Content-Type": "application/json", "Intercom-Version": "2.11"}, BODY),
    "java 2": ("POST", "/events", {"Authorization": BASIC, "Accept": "application/json", "Content-Type": "application/json", "User-Agent": "intercom-java/2.8.2"}, BODY[:-1] + ',"type":"event"}'),
    "java 4": ("POST", "/events", {"Authorization": "Bearer {token}", "Accept": "application/json", "Content-Type": "application/json; charset=utf-8", "Intercom-Version": "2.14"}, BODY),
    "python 3": ("POST", "/events/", {"Authorization": BASIC, "Accept": "application/json", "AcceptEncoding": "gzip, deflate", "Content-Type": "application/json", "User-Agent": "python-intercom/3.1.0"}, BODY),
    "node 2": ("POST", "/events", {"Authorization": BASIC, "Accept": "application/json", "Content-Type": "application/json"}, BODY),
    "an unknown version": ("POST", "/events", {"Authorization": "Bearer {token}", "Intercom-Version": "Preview", "X-Fern-Language": "JavaScript", "Content-Type": "application/json"}, BODY),
}  # fmt: skip


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_what_each_snippet_sends_is_stored(client, token, snippet):
    method, path, headers, body = SNIPPETS[snippet]
    basic = base64.b64encode(f"{token}:".encode()).decode()
    headers = {name: value.format(token=token, basic=basic) for name, value in headers.items()}
    response = client.generic(method, path, body, content_type=headers.pop("Content-Type"), headers=headers)
    assert (response.status_code, response.content) == (202, b"")
    stored = Event.objects.select_related("contact", "type").get()
    assert (stored.contact.external_id, stored.type.name, stored.created_at) == ("314159", "invited-friend", 1389913941)
    assert stored.metadata == {"invitee_email": "pi@example.org"}


def test_php_names_a_content_type_when_it_reads(client, token, api):
    api.post("/events", json.loads(BODY))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    response = client.get("/events", {"type": "user", "user_id": "314159"}, headers=headers)
    assert [one["event_name"] for one in response.json()["events"]] == ["invited-friend"]
