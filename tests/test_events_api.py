"""POST /events and GET /events: what apps are promised."""

import base64
import json
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventsapp.models import Contact, Event, EventSummary, EventType, Workspace

pytestmark = pytest.mark.django_db


def order(**changes):
    event = {"event_name": "placed-order", "created_at": int(time.time()) - 10, "user_id": "25"}
    return {key: value for key, value in (event | changes).items() if value is not None}


def faults(response):
    body = response.json()
    assert body["type"] == "error.list"
    assert body["request_id"] == response["X-Request-Id"]
    return {fault["field"]: fault for fault in body["errors"]}


def test_an_event_is_answered_with_202_and_not_one_byte(api):
    response = api.post("/events", order(metadata={"plan": "pro"}))
    assert (response.status_code, response.content) == (202, b"")
    event = Event.objects.get()
    assert event.type.name == "placed-order"
    assert event.contact.external_id == "25"
    assert event.metadata == {"plan": "pro"}


def test_slash_or_none_accept_and_content_type_make_no_difference(api):
    for path in ("/events", "/events/"):
        for accept in ("application/vnd.intercom.3+json", "*/*", "text/html"):
            response = api.post(path, order(metadata={"n": f"{path} {accept}"}), headers={"accept": accept})
            assert response.status_code == 202
    response = api.post("/events", order(), content_type="application/x-www-form-urlencoded")
    assert response.status_code == 202
    assert Event.objects.count() == 7


def test_basic_authentication_takes_the_token_as_user_name(client, token):
    basic = base64.b64encode(f"{token}:".encode()).decode()
    response = client.post(
        "/events", json.dumps(order()), content_type="application/json", headers={"authorization": f"Basic {basic}"}
    )
    assert response.status_code == 202


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic !!!", "Basic d3Jvbmc6", "Token x"])
def test_a_wrong_token_is_401_whatever_its_form(client, header):
    headers = {"authorization": header} if header else {}
    response = client.post("/events", json.dumps(order()), content_type="application/json", headers=headers)
    assert response.status_code == 401
    assert response.json()["errors"][0]["code"] == "unauthorized"


def test_a_token_without_the_scope_is_403(api_with, shop):
    assert api_with("read").post("/events", order()).status_code == 403
    assert api_with("people:write").get("/events?type=user&user_id=25").status_code == 403
    assert api_with("people:write").head("/events?type=user&user_id=25").status_code == 403
    assert api_with("events:write").post("/events", order()).status_code == 202


def test_every_fault_is_told_with_its_code_field_and_remedy(api):
    response = api.post(
        "/events", {"event_name": "", "created_at": "yesterday", "user_id": ["25"], "metadata": {"a": "x" * 256}}
    )
    assert response.status_code == 400
    found = faults(response)
    assert found.keys() == {"event_name", "created_at", "user_id", "metadata.a"}
    assert {fault["code"] for fault in found.values()} == {"parameter_invalid"}
    assert all(fault["message"].endswith(".") for fault in found.values())
    assert not Event.objects.exists()
    assert not Contact.objects.exists()


def test_what_is_missing_is_named(api):
    response = api.post("/events", {})
    assert response.status_code == 400
    found = faults(response)
    assert found.keys() == {"event_name", "created_at", "user_id"}
    assert {fault["code"] for fault in found.values()} == {"parameter_not_found"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_name": 7}, "event_name"),
        ({"event_name": "x" * 256}, "event_name"),
        ({"event_name": "a\0b"}, "event_name"),
        ({"created_at": 1760000000000}, "created_at"),
        ({"created_at": 1760000000.5}, "created_at"),
        ({"created_at": True}, "created_at"),
        ({"created_at": -1}, "created_at"),
        ({"created_at": 4_000_000_000}, "created_at"),
        ({"user_id": None, "email": "ada"}, "email"),
        ({"user_id": {}}, "user_id"),
        ({"user_id": " "}, "user_id"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"n": 2**60}}, "metadata.n"),
        ({"metadata": {"n": -(2**53) - 2}}, "metadata.n"),
        ({"metadata": {"due_date": 1e22}}, "metadata.due_date"),
        ({"metadata": {"order": {"url": "https://example.org", "value": 1e22}}}, "metadata.order"),
        ({"metadata": {'a"b': 1}}, 'metadata.a"b'),
        ({"metadata": {"deep": {"text": "\0"}}}, "metadata.deep"),
        ({"metadata": {"deep": ["x"] * 2000}}, "metadata.deep"),
        ({"uuid": "12"}, "uuid"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_400_and_names_its_field(api, changes, field):
    response = api.post("/events", order(**changes))
    assert response.status_code == 400
    assert faults(response).keys() == {field}
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1, 2]", b"null", b'"text"', b"\xff", b'{"event_name": "\\ud800"}', b"[" * 100_000, b"NaN", b""],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_an_event_is_a_400(api, body):
    response = api.post("/events", body)
    assert response.status_code == 400
    assert response.json()["type"] == "error.list"


def test_a_body_over_a_megabyte_is_413(api):
    response = api.post("/events", order(metadata={"a": "x" * 1_100_000}))
    assert response.status_code == 413
    assert response.json()["type"] == "error.list"


@pytest.mark.parametrize("path", ["/nothing", "/events/1/2", "/contacts/zz", "/favicon.ico"])
def test_an_unknown_path_is_404_in_the_same_envelope(api, path):
    response = api.get(path)
    assert response.status_code == 404
    assert response.json()["errors"][0]["code"] == "not_found"


def test_an_unknown_method_is_405_in_the_same_envelope(api):
    response = api.delete("/events")
    assert response.status_code == 405
    assert response.json()["type"] == "error.list"


def test_names_differing_in_case_dots_and_dollars_are_one_type(api):
    for name in ("Completed.Order", "completed$order", "completed-order"):
        assert api.post("/events", order(event_name=name, metadata={"as": name})).status_code == 202
    assert list(EventType.objects.values_list("name", flat=True)) == ["completed-order"]
    assert EventSummary.objects.get().count == 3


def test_the_first_ten_keys_as_sent_are_kept(api):
    keys = [f"k{20 - place}" for place in range(11)]
    assert api.post("/events", order(metadata=dict.fromkeys(keys, 1))).status_code == 202
    assert set(Event.objects.get().metadata) == set(keys[:10])


def test_a_retry_is_absorbed_whatever_the_order_of_its_keys(api):
    for metadata in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"b": 2.0, "a": 1}):
        assert api.post("/events", order(created_at=1760000000, metadata=metadata)).status_code == 202
    assert Event.objects.count() == 1
    assert EventSummary.objects.get().count == 1


def test_two_orders_in_one_second_are_two_events(api):
    for number in (1, 2):
        api.post("/events", order(created_at=1760000000, metadata={"order": number}))
    api.post("/events", order(created_at=1760000000))
    assert Event.objects.count() == 3


def test_a_uuid_or_an_idempotency_key_is_the_events_identity(api):
    same = order(created_at=1760000000)
    one, other = "9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10", "9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e11"
    for uuid in (one, one, other):
        assert api.post("/events", same | {"uuid": uuid}).status_code == 202
    for key in ("k1", "k1", "k2"):
        assert api.post("/events", same, headers={"idempotency-key": key}).status_code == 202
    assert Event.objects.count() == 4
    assert {str(event.public_id) for event in Event.objects.all()} >= {one, other}


def test_unknown_people_are_made_by_user_id_or_email(api):
    api.post("/events", order(user_id=None, email="Ada@Example.org"))
    api.post("/events", order(user_id=None, email="ada@example.org", event_name="signed-in"))
    person = Contact.objects.get()
    assert (person.email, person.external_id, person.role) == ("Ada@Example.org", None, "user")


def test_a_new_user_id_adopts_the_person_known_by_email_alone(api):
    api.post("/events", order(user_id=None, email="ada@example.org"))
    api.post("/events", order(user_id="25", email="ADA@example.org", event_name="signed-in"))
    person = Contact.objects.get()
    assert person.external_id == "25"
    assert person.summaries.count() == 2
    # … but a known user_id keeps its person, so a second one with that email is somebody else.
    api.post("/events", order(user_id="26", email="ada@example.org"))
    assert Contact.objects.count() == 2


def test_a_shared_email_is_409_and_says_what_to_do(api):
    for user_id in ("1", "2"):
        api.post("/contacts", {"external_id": user_id, "email": "team@example.org"})
    response = api.post("/events", order(user_id=None, email="team@example.org"))
    assert response.status_code == 409
    assert "user_id" in faults(response)["email"]["message"]


def test_an_unknown_id_is_always_404(api):
    response = api.post("/events", order(user_id=None, id="f" * 24))
    assert response.status_code == 404
    assert not Event.objects.exists()


def test_a_lead_is_reached_by_id(api):
    lead = api.post("/contacts", {"role": "lead", "email": "lead@example.org"}).json()
    assert api.post("/events", order(user_id=None, id=lead["id"])).status_code == 202
    assert Event.objects.get().contact.public_id == lead["id"]


def test_a_workspace_may_refuse_unknown_people(api, shop):
    Workspace.objects.filter(pk=shop.pk).update(unknown_people="reject")
    assert api.post("/events", order()).status_code == 404
    assert not Contact.objects.exists()
    assert not Event.objects.exists()


def test_the_summary_counts_first_and_last_in_any_order(api):
    times = [1760000300, 1760000100, 1760000200]
    for at in times:
        api.post("/events", order(created_at=at))
    summary = EventSummary.objects.get()
    assert (summary.count, summary.first_at, summary.last_at) == (3, min(times), max(times))


def test_one_event_of_known_person_and_type_costs_few_queries(api):
    api.post("/events", order())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        api.post("/events", order(metadata={"second": True}))
    work = [query for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]
    assert len(work) <= 4


def test_every_authenticated_reply_tells_what_is_left_of_the_rate_limit(api, client, shop):
    Workspace.objects.filter(pk=shop.pk).update(rate_limit=3)
    if time.time() % 10 > 8:
        time.sleep(2.1)  # the next window, lest it begin in between
    replies = [
        api.post("/events", order()),
        api.get("/contacts/x"),
        api.post("/events", {}),
        api.post("/events", order()),
    ]
    assert [reply.status_code for reply in replies] == [202, 404, 400, 429]
    assert [reply["X-RateLimit-Remaining"] for reply in replies] == ["2", "1", "0", "0"]
    assert {reply["X-RateLimit-Limit"] for reply in replies} == {"3"}
    assert 0 < int(replies[-1]["X-RateLimit-Reset"]) - time.time() <= 10
    assert replies[-1]["Retry-After"]
    assert replies[-1].json()["errors"][0]["code"] == "rate_limit_exceeded"
    assert "X-RateLimit-Limit" not in client.post("/events")
    assert api.client.get("/nothing").status_code == 404


def test_totals_from_before_are_a_baseline_that_repeating_does_not_change(api):
    api.post("/events", order(created_at=1_600_000_000))
    totals = {"event_name": "Placed.Order", "count": 7, "first": 1_500_000_000, "last": 1_510_000_000}
    for sent in (totals, [totals], [totals | {"count": 3}, totals]):
        response = api.post("/events/summaries", {"user_id": "25", "event_summaries": sent})
        assert (response.status_code, response.content) == (200, b"")
        [row] = api.get("/events?type=user&user_id=25&summary=true").json()["events"]
        assert (row["count"], row["first"][:4], row["last"][:4]) == (8, "2017", "2020")
    api.post("/events/summaries", {"email": "new@example.org", "event_summaries": totals})
    assert Contact.objects.count() == 2
    assert api.post("/events/summaries", {"id": "f" * 24, "event_summaries": totals}).status_code == 404


def test_wrong_totals_are_told_by_their_path(api):
    wrong = [{"event_name": "", "count": 0, "first": "x"}, 7, {"event_name": "a", "count": 1, "first": 9, "last": 8}]
    response = api.post("/events/summaries", {"event_summaries": wrong})
    assert response.status_code == 400
    assert faults(response).keys() == {
        "user_id",
        "event_summaries[0].event_name",
        "event_summaries[0].count",
        "event_summaries[0].first",
        "event_summaries[0].last",
        "event_summaries[1]",
        "event_summaries[2].first",
    }
    for sent in (None, [], [{"event_name": "a", "count": 2**31, "first": 1, "last": 2}]):
        assert api.post("/events/summaries", {"user_id": "1", "event_summaries": sent}).status_code == 400


def test_a_text_that_folding_lengthens_is_no_fault_of_ours(api):
    assert api.post("/events", order(event_name="İ" * 200)).status_code == 400
    long = "İ" * 240
    assert api.post("/events", order(user_id=long, email=f"{long}@x.org")).status_code == 202
    assert api.post("/contacts", {"external_id": "2", "name": long}).status_code == 200


# Reading -------------------------------------------------------------------------------------------------------------


def test_a_persons_events_are_listed_newest_first_and_paged_by_url(api):
    times = [1760000000, 1760000000, 1760000001, 1760000002, 1760000003]
    for place, at in enumerate(times):
        api.post("/events", order(created_at=at, metadata={"place": place}))
    url, seen = "/events?type=user&user_id=25&per_page=2", []
    while url:
        page = api.get(url).json()
        assert page["type"] == "event.list"
        assert {event["type"] for event in page["events"]} == {"event"}
        seen += page["events"]
        url = page["pages"].get("next", "").partition("://")[2].partition("/")[2]
        url = url and f"/{url}"
    assert [event["created_at"] for event in seen] == sorted(times, reverse=True)
    assert {event["metadata"]["place"] for event in seen} == set(range(5))
    assert len({event["id"] for event in seen}) == 5
    assert seen[0]["user_id"] == "25"


def test_pages_since_finds_what_came_later(api):
    api.post("/events", order(created_at=1760000000))
    since = api.get("/events?type=user&user_id=25").json()["pages"]["since"]
    path = "/" + since.split("/", 3)[3]
    assert api.get(path).json()["events"] == []
    api.post("/events", order(created_at=1760000000, metadata={"another": 1}))
    api.post("/events", order(created_at=1760000005))
    assert len(api.get(path).json()["events"]) >= 1


def test_milliseconds_are_a_cursor_too(api):
    for at in (1760000000, 1760000001):
        api.post("/events", order(created_at=at))
    events = api.get("/events?type=user&user_id=25&before=1760000001000").json()["events"]
    assert [event["created_at"] for event in events] == [1760000000]


def test_the_summary_has_intercoms_shape(api):
    api.post("/events", order(created_at=1389913941))
    body = api.get("/events?type=user&user_id=25&summary=true").json()
    [row] = body.pop("events")
    assert body == {
        "type": "event.summary",
        "email": None,
        "user_id": "25",
        "intercom_user_id": Contact.objects.get().public_id,
    }
    at = "2014-01-16T23:12:21.000+00:00"
    assert row == {"name": "placed-order", "first": at, "last": at, "count": 1, "description": None}


def test_nobody_has_no_events(api):
    assert api.get("/events?type=user&user_id=nobody").status_code == 404
    api.post("/contacts", {"external_id": "idle"})
    assert api.get("/events?type=user&user_id=idle").json() == {"type": "event.list", "events": [], "pages": {}}
    assert api.get("/events?user_id=idle").status_code == 400
    assert api.get("/events?type=user").status_code == 400
    assert api.get("/events?type=user&user_id=idle&per_page=0").status_code == 400
    assert api.get("/events?type=user&user_id=idle&before=x").status_code == 400
