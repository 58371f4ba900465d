"""Flat lists are filtered alike on pages and over the API: people, events, deliveries."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from eventsapp.ingest import event_type
from eventsapp.models import Tag, Tagging
from messaging.models import AutoMessage, Delivery

pytestmark = pytest.mark.django_db


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.fixture
def crowd(shop, person):
    tag = Tag.objects.create(workspace=shop, name="VIP")
    ada = person("ada", name="Ada", email="Ada@example.org")
    person("björn", email="bjorn@example.org")
    person("cem", role="lead", name="Cem")
    Tagging.objects.create(tag=tag, contact=ada)
    return tag


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "ada björn cem"),
        ("role=lead", "cem"),
        ("role=user", "ada björn"),
        ("email=ADA@EXAMPLE.ORG", "ada"),
        ("email=ada@", ""),
        ("search=bJÖ", "björn"),
        ("search=cem", "cem"),
        ("tag_id={tag}", "ada"),
        ("tag_id={tag}&role=lead", ""),
    ],
)
def test_people_are_filtered(api, crowd, query, expected):
    body = api.get("/contacts?" + query.format(tag=crowd.pk)).json()
    assert " ".join(sorted(contact["external_id"] for contact in body["data"])) == expected
    assert body["total_count"] == len(expected.split())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=example&email=", ""),
        ("search=bj", "björn"),
        ("search=a&tag_id={tag}", "ada"),
        ("search=c&role=user", ""),
    ],
)
def test_the_search_page_filters_alike(viewer, shop, crowd, query, expected):
    page = viewer.get(reverse("people", args=[shop.app_id]) + "?" + query.format(tag=crowd.pk))
    assert " ".join(row["contact"].external_id for row in page.context["people"]) == expected
    assert 'name="tag_id"' in page.content.decode()


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/contacts?role=visitor", "role"),
        ("/contacts?tag_id=4711", "tag_id"),
        ("/contacts?tag_id=x", "tag_id"),
        ("/events?type=user&user_id=ada&source=fax", "source"),
        ("/events?type=user&user_id=ada&on_or_after=yesterday", "on_or_after"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_field(api, crowd, address, field):
    refused = api.get(address)
    assert (refused.status_code, [fault["field"] for fault in refused.json()["errors"]]) == (400, [field])


def test_another_workspaces_tag_is_unknown(api_with, crowd, other_shop):
    assert api_with("read", workspace=other_shop).get(f"/contacts?tag_id={crowd.pk}").status_code == 400


@pytest.fixture
def history(shop, person, does):
    """Somebody in Tokyo, where a day begins at 15:00 UTC."""
    shop.time_zone = "Asia/Tokyo"
    shop.save()
    ada = person("ada")
    does(ada, "placed-order", at=at("2026-03-01T14:59:59"), metadata={"n": 1})
    does(ada, "placed-order", at=at("2026-03-01T15:00:00"), metadata={"n": 2})
    does(ada, "opened-app", at=at("2026-03-02T14:59:59"), metadata={"n": 3})
    does(ada, "placed-order", at=at("2026-03-02T15:00:00"), metadata={"n": 4}, source="import")
    return ada


EVENTS = [
    ("", "4 3 2 1"),
    ("event_name=Placed.Order", "4 2 1"),
    ("event_name=unheard-of", ""),
    ("source=import", "4"),
    ("source=api", "3 2 1"),
    ("on_or_after=2026-03-02", "4 3 2"),
    ("on_or_before=2026-03-02", "3 2 1"),
    ("on_or_after=2026-03-02&on_or_before=2026-03-02", "3 2"),
    ("on_or_before=2026-03-02&event_name=opened-app", "3"),
    ("on_or_before=9999-12-31", "4 3 2 1"),
    ("on_or_after=0001-01-01", "4 3 2 1"),
]


@pytest.mark.parametrize(("query", "expected"), EVENTS)
def test_events_are_filtered_over_the_api_and_on_the_persons_page(api, viewer, shop, history, query, expected):
    body = api.get(f"/events?type=user&user_id=ada&{query}").json()
    assert " ".join(str(event["metadata"]["n"]) for event in body["events"]) == expected
    page = viewer.get(reverse("person", args=[shop.app_id, history.public_id]) + f"?{query}")
    shown = [event.metadata["n"] for _, lines in page.context["days"] for line in lines for event, _ in line.events]
    assert " ".join(map(str, shown)) == expected


def test_the_next_page_keeps_the_filter(api, history):
    first = api.get("/events?type=user&user_id=ada&event_name=placed-order&per_page=2").json()
    second = api.get(first["pages"]["next"].removeprefix("http://127.0.0.1:8000")).json()
    found = [event["metadata"]["n"] for body in (first, second) for event in body["events"]]
    assert found == [4, 2, 1]


def test_the_page_of_an_event_filters_its_latest(viewer, shop, history):
    address = reverse("event_type", args=[shop.app_id, event_type(shop, "placed-order").pk])
    newest = viewer.get(f"{address}?on_or_after=2026-03-02&source=api").context["newest"]
    assert [event.metadata["n"] for event, _ in newest] == [2]
    wrong = viewer.get(f"{address}?source=fax")
    assert wrong.status_code == 200
    assert "Select a valid choice" in wrong.content.decode()


@pytest.fixture
def deliveries(shop, buyer, person):
    rule = AutoMessage.objects.create(workspace=shop, name="Thanks", trigger=event_type(shop, "placed-order"))
    event = {"event_name": "placed-order", "created_at": at("2026-03-01T10:00:00"), "metadata": {"n": 1}}
    ends = [("sent", ""), ("skipped", "frequency"), ("failed", "refused"), ("sent", "")]
    for number, (state, reason) in enumerate(ends):
        Delivery.objects.create(
            message=rule, contact=buyer, event=event, event_id=f"{number:032x}", state=state, reason=reason
        )
    return rule


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["sent", "failed", "skipped", "sent"]),
        ("state=sent", ["sent", "sent"]),
        ("reason=refused", ["failed"]),
        ("state=sent&reason=refused", []),
    ],
)
def test_deliveries_are_filtered_over_the_api_and_on_their_page(api, viewer, shop, deliveries, query, expected):
    listed = api.get(f"/auto_messages/{deliveries.pk}/deliveries?{query}").json()
    assert [delivery["state"] for delivery in listed["data"]] == expected
    page = viewer.get(reverse("deliveries", args=[shop.app_id]) + f"?{query}")
    assert [delivery.state for delivery in page.context["deliveries"]] == expected


def test_deliveries_are_listed_page_by_page_to_their_own_workspace(api, api_with, other_shop, deliveries):
    address, seen, after = f"/auto_messages/{deliveries.pk}/deliveries?per_page=3", [], ""
    while after is not None:
        body = api.get(address + after).json()
        seen += [delivery["id"] for delivery in body["data"]]
        after = body["pages"]["next"] and f"&starting_after={body['pages']['next']['starting_after']}"
    assert len(seen) == 4
    assert seen == sorted(seen, key=int, reverse=True)
    assert api_with("admin", workspace=other_shop).get(address).status_code == 404
    assert api_with("events:write").get(address).status_code == 403
    assert api.get("/auto_messages/999/deliveries").status_code == 404
    assert api.get(f"/auto_messages/{deliveries.pk}/deliveries?state=lost").status_code == 400
