"""POST /events/batch: many events, each with an end of its own."""

import gzip
import json
import time

import pytest

from eventsapp.models import Event, HandOver, Workspace

pytestmark = pytest.mark.django_db


def order(number=0, **changes):
    event = {
        "event_name": "placed-order",
        "created_at": int(time.time()) - 10,
        "user_id": "25",
        "metadata": {"n": number},
    }
    return event | changes


MIXED = [order(1), order(1), order(2, created_at="x"), 7, order(3, user_id=None, id="f" * 24), order(4)]


def as_array(items):
    return json.dumps(items).encode()


def as_lines(items):
    return b"\n\n".join(json.dumps(item).encode() for item in items) + b"\n"


def as_object(items):
    return json.dumps({"events": items}).encode()


@pytest.mark.parametrize("form", [as_array, as_lines, as_object])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_each_item_has_its_end_whatever_the_form(api, form, encoding):
    body = form(MIXED)
    headers = {"content-encoding": "gzip"} if encoding else {}
    response = api.post("/events/batch", gzip.compress(body) if encoding else body, headers=headers)
    assert response.status_code == 200
    answer = response.json()
    assert [result["status"] for result in answer["results"]] == [202, 202, 400, 400, 404, 202]
    assert [result.get("duplicate") for result in answer["results"]] == [False, True, None, None, None, False]
    assert answer["results"][2]["errors"][0]["field"] == "created_at"
    assert (answer["stored"], answer["duplicates"], answer["refused"]) == (2, 1, 3)
    assert Event.objects.count() == 2


def test_a_line_that_is_no_json_is_told_and_the_others_stored(api):
    answer = api.post("/events/batch", as_lines([order(1)]) + b"{broken\n" + as_lines([order(2)])).json()
    assert [result["status"] for result in answer["results"]] == [202, 400, 202]


def test_one_event_alone_is_a_batch_of_one(api):
    assert api.post("/events/batch", order()).json()["stored"] == 1


def test_historical_events_fire_nothing(api, shop, does, buyer):
    does(buyer, "placed-order")
    shop.event_types.update(watched=True)
    api.post("/events/batch", {"events": [order(1)], "historical": True})
    assert not HandOver.objects.exists()
    api.post("/events/batch", {"events": [order(2)]})
    assert HandOver.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"7", {}, 400),
        (b"[1,", {}, 400),
        (b'{"events": [], "historical": "yes"}', {}, 400),
        (b"not gzip", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"[]", mtime=0)[:-4], {"content-encoding": "gzip"}, 400),
        (b"[]", {"content-encoding": "br"}, 415),
        (b" " * 10_000_001, {}, 413),
        (gzip.compress(b" " * 10_000_001, mtime=0), {"content-encoding": "gzip"}, 413),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_batch_is_told(api, body, headers, status):
    response = api.post("/events/batch", body, headers=headers)
    assert response.status_code == status
    assert response.json()["type"] == "error.list"


def test_a_batch_of_too_many_is_refused_before_it_is_read(api):
    response = api.post("/events/batch", gzip.compress(b'{"a": 1}\n{\n' * 50_000), headers={"content-encoding": "gzip"})
    assert response.status_code == 413
    assert "50,000" in response.json()["errors"][0]["message"]
    assert not Event.objects.exists()


def test_a_batch_counts_its_items_against_the_limit(api, shop):
    Workspace.objects.filter(pk=shop.pk).update(rate_limit=10)
    if time.time() % 10 > 8:
        time.sleep(2.1)
    assert api.post("/events/batch", [order(n) for n in range(4)])["X-RateLimit-Remaining"] == "6"
    response = api.post("/events/batch", [order(n) for n in range(20)])
    assert response.status_code == 429
    assert Event.objects.count() == 4
