"""The live page: a developer sees what arrives, and why a request became what it became."""

import gzip
import json
import logging
import re
import time
import urllib.request
import uuid
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from eventsapp import request_log
from eventsapp.models import KEPT, ApiRequest, ApiToken, Event
from eventsapp.redaction import HIDDEN, without_secrets
from tests.live import Installation, wait_for

pytestmark = pytest.mark.django_db


def order(**changes) -> dict:
    return {"event_name": "placed-order", "created_at": int(time.time()), "user_id": "25"} | changes


@pytest.fixture
def look(viewer, shop):
    """Write down what was heard, then look at the page: `look(show="refused")` returns its HTML."""

    def read(client=viewer, workspace=shop, **query):
        request_log.log.write()
        return client.get(reverse("live", args=[workspace.app_id]), query).content.decode()

    return read


@pytest.fixture
def poll(viewer, shop):
    """Ask as htmx does for one list: `poll("arrivals", seen=…)` returns the response."""

    def ask(part, **query):
        headers = {"hx-request": "true", "hx-target": part}
        return viewer.get(reverse("live", args=[shop.app_id]), query, headers=headers)

    return ask


def seen_in(html: str, part: str) -> str:
    return re.search(rf'id="{part}".*?seen=(\w+)', html, re.S)[1]


def opened(client, request: ApiRequest) -> str:
    return client.get(request.get_absolute_url(), headers={"hx-request": "true"}).content.decode()


# Requests ------------------------------------------------------------------------------------------------------------


def test_what_became_of_each_request_is_read_on_the_page(api, look, viewer):
    once = order(metadata={"code": "C-7"})
    api.post("/events", once)
    api.post("/events", once)
    refused = api.post("/events", order(created_at=1_760_000_000_000))
    api.post("/events", order(metadata={f"key{number}": number for number in range(11)}, user_id="26"))
    page = look()
    assert page.count("person created") == 2
    assert "duplicate: the same event is there already" in page
    assert "created_at looks like milliseconds" in page
    assert "11th key dropped: key10" in page
    assert refused.json()["request_id"] == str(ApiRequest.objects.refused().get().request_id)
    assert [row.status for row in ApiRequest.objects.order_by("pk")] == [202, 202, 400, 202]
    shown = opened(viewer, ApiRequest.objects.order_by("pk")[0])
    assert "C-7" in shown
    assert "<html" not in shown


def test_reading_requests_and_refused_tokens_scopes_are_kept_too(api, api_with, look):
    api.get("/events?type=user&user_id=nobody")
    api_with("read").post("/events", order())
    api.post("/segments/preview", {"definition": {"version": 1, "match": "all", "conditions": [{"kind": "?"}]}})
    api.delete("/contacts")
    page = look()
    assert "GET /events?type=user&amp;user_id=nobody" in page
    assert "This token lacks the scope events:write" in page
    assert "POST /segments/preview" in page
    assert [row.status for row in ApiRequest.objects.order_by("pk")] == [404, 403, 422, 405]


def test_a_batch_is_one_row_with_its_counts_and_first_errors(api, look):
    good = order(metadata={"code": "1"})
    bad = [order(created_at=None) for _ in range(7)]
    many = order(metadata={f"key{number}": number for number in range(12)})
    answer = api.post("/events/batch", [good, good, *bad, many]).json()
    assert answer["results"][9] == {"status": 202, "duplicate": False, "dropped_keys": ["key10", "key11"]}
    page = look()
    assert "stored 2, duplicates 1, refused 7" in page
    assert "item 3: created_at is missing" in page
    assert "and 2 more refused items" in page
    assert "item 10: 11th key and later ones dropped: key10, key11" in page
    assert ApiRequest.objects.count() == 1


def test_a_packed_batch_is_shown_unpacked(api, look, viewer):
    body = gzip.compress(json.dumps([order(metadata={"code": "packed"})]).encode())
    api.post("/events/batch", body, headers={"content-encoding": "gzip"})
    look()
    assert "packed" in opened(viewer, ApiRequest.objects.get())


def test_no_secret_is_kept_and_a_long_body_is_cut(api, look, viewer, token):
    secrets = {"password": "hunter2", "api_key": "k-1234", "note": f"it is {token}", "card": {"number": "4111"}}
    api.post("/events", order(metadata=secrets))
    api.post("/events", order(metadata={"long": "x" * 9000}, created_at=None))
    api.get(f"/events?type=user&user_id=25&user_hash=abcdef&token={token}")
    api.post("/events", b"<password>hunter2</password>")
    look()
    kept = list(ApiRequest.objects.order_by("pk"))
    everything = json.dumps(list(ApiRequest.objects.values()), default=str)
    for secret in ("hunter2", "k-1234", "4111", "abcdef", token):
        assert secret not in everything
    assert "password" in kept[0].body
    assert 4000 < len(kept[1].body) <= request_log.BODY
    assert kept[2].path.endswith(f"user_hash={HIDDEN}&token={HIDDEN}")
    assert kept[3].body == "(neither JSON nor a form: not kept)"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ('{"password": "a \\" b", "plan": "pro"}', '{"password": [hidden], "plan": "pro"}'),
        ('{"card": {"number": [1, {"x": 2}]}, "plan": "pro"}', '{"card": [hidden], "plan": "pro"}'),
        ('{"plan": "pro", "api-key": "cut in the midd', '{"plan": "pro", "api-key": [hidden]'),
        ('{"secret": ["cut", "in the midd', '{"secret": [hidden]'),
        ('{"pass\\u0077ord": "x"}', '{"pass\\u0077ord": [hidden]}'),
        ('{"userHash": 12, "cardNumber": null}', '{"userHash": [hidden], "cardNumber": [hidden]}'),
        ("user=ada&password=hunter2&plan=pro", "user=ada&password=[hidden]&plan=pro"),
        ("{'token': 'x', 'plan': 'pro'}", "{'token': [hidden], 'plan': 'pro'}"),
        ("{token: abc def, plan: 1}", "{token: [hidden], plan: 1}"),
        ("Authorization: Basic abc=\nplan: pro", "Authorization: [hidden]\nplan: pro"),
        ('{"link": "https://x.org/?a=1&access_token=abc"}', '{"link": "https://x.org/?a=1&access_token=[hidden]"}'),
        ('{"note": "Bearer abcdefghijklmnopqrst"}', '{"note": "[hidden]"}'),
        ('{"note": "eyJhbGciOiJ.eyJzdWIiOiI.abc-_"}', '{"note": "[hidden]"}'),
        ('{"plan": "Basic membership", "author": "Pin", "discard": true}', None),
        ('{"text": "my password: none", "list": ["token", "x"]}', None),
    ],
    ids=lambda value: None if value is None else value[:30],
)
def test_values_of_secret_keys_are_hidden_in_whatever_was_sent(sent, shown):
    assert without_secrets(sent) == (shown or sent)


def test_the_list_is_filtered_and_a_request_is_found_by_its_id(api, look, staff, other_shop):
    api.post("/events", order(user_id="plain-1"))
    api.post("/events", order(user_id="plain-1", created_at=int(time.time()) - 5))
    refused = api.post("/events", {}).json()["request_id"]

    def found(**query):
        return [int(status) for status in re.findall(r'class="pill (?:sent|failed)">(\d+)', look(**query))]

    assert found() == [400, 202, 202]
    assert found(show="refused") == [400]
    assert found(show="noted") == [202]
    assert found(status="202") == [202, 202]
    assert found(request_id=refused) == [400]
    assert found(request_id=str(uuid.uuid4())) == []
    assert "Enter a valid UUID" in look(request_id="no id")
    # The token that asked is named, and nobody else's staff sees any of it.
    assert "<small>token app</small>" in look()
    stranger = staff("admin", other_shop)
    assert "POST /events" not in look(stranger, other_shop)
    assert "POST /events" not in look(stranger, other_shop, request_id=refused)
    own = ApiRequest.objects.get(request_id=refused)
    assert stranger.get(reverse("live_request", args=[other_shop.app_id, own.pk])).status_code == 404


def test_older_requests_follow_without_gaps(api, look):
    for _ in range(60):
        api.post("/events", {})
        request_log.log.write()
    first = look(show="refused")
    [older] = re.findall(r'href="\?(show=refused&amp;before=\d+)"', first)
    second = look(show="refused", before=older.rpartition("=")[2])
    pages = [set(re.findall(r"events/live/(\d+)/", page)) for page in (first, second)]
    assert [len(page) for page in pages] == [50, 10]
    assert not pages[0] & pages[1]
    # A page of older ones does not follow what arrives.
    assert "every 1500ms" in first
    assert "every 1500ms" not in second


def test_the_newest_thousand_of_each_workspace_stay(api, shop, other_shop, look):
    old = {"request_id": uuid.uuid4(), "at": timezone.now(), "method": "GET", "path": "/old", "status": 200}
    for workspace in (shop, other_shop):
        ApiRequest.objects.bulk_create(ApiRequest(workspace=workspace, **old) for _ in range(KEPT))
    theirs = set(other_shop.api_requests.values_list("pk", flat=True))
    first, second, *_ = shop.api_requests.order_by("pk").values_list("pk", flat=True)
    for _ in range(2):
        api.post("/events", {})
    look()
    assert shop.api_requests.count() == KEPT
    assert shop.api_requests.filter(path="/events").count() == 2
    assert not shop.api_requests.filter(pk__in=[first, second]).exists()
    assert set(other_shop.api_requests.values_list("pk", flat=True)) == theirs


def test_a_flood_is_sampled_and_what_was_left_out_is_counted(api, look, shop):
    at = int(time.time())
    for number in range(60):
        api.post("/events", order(created_at=at - number))
    for _ in range(60):
        api.post("/events", {})
    page = look()
    # The first order made a person, which is a note: it is among the 50.
    assert shop.api_requests.refused().count() == request_log.TELLING - 1
    assert shop.api_requests.filter(status=202, notes=[]).count() == request_log.PLAIN
    assert "50 more requests were not kept in the last minute" in page
    # The next second has a share of its own.
    api.post("/events", {})
    look()
    assert shop.api_requests.refused().count() == request_log.TELLING
    ApiRequest.objects.update(at=timezone.now() - timedelta(minutes=3, seconds=5))
    assert re.search(r"50 more requests were not kept in the last 3\sminutes", look())


def test_a_flood_of_one_workspace_takes_nothing_from_another(api, client, other_shop, look):
    secret = ApiToken.make(workspace=other_shop, name="theirs")[1]
    for _ in range(80):
        api.post("/events", {})
    client.post("/events", {}, content_type="application/json", headers={"authorization": f"Bearer {secret}"})
    look()
    assert other_shop.api_requests.count() == 1


def rename_table(old, new):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_database_that_is_away_costs_these_rows_alone(api, shop, look):
    """Nothing waits, the buffer stays small, and what was lost is counted."""
    rename_table("eventsapp_apirequest", "away")
    for _ in range(3):
        for _ in range(100):
            assert api.post("/events", {}).status_code == 400
        assert len(request_log.log._heard) == request_log.TELLING
        with pytest.raises(DatabaseError):
            request_log.log.write()
    assert request_log.log._heard == []
    rename_table("away", "eventsapp_apirequest")
    api.post("/events", {})
    assert "300 more requests were not kept" in look()
    assert shop.api_requests.count() == 1


# The log -----------------------------------------------------------------------------------------------------------------


def test_refusals_stand_in_the_log_with_their_id_and_without_secrets(client, api, shop, caplog, look):
    with caplog.at_level(logging.INFO, "eventsapp.request_log"):
        own = api.post("/events?user_hash=abc", {"password": "hunter2"}).json()["request_id"]
        unknown = client.get("/events%0Aforged?x=1", headers={"authorization": "Bearer ev_secret-of-nobody"})
        revoked = client.post("/events", headers={"authorization": "Bearer ev_secret-of-nobody"})
        api.post("/events", order())
    lines = [record.getMessage() for record in caplog.records if record.name == "eventsapp.request_log"]
    assert lines == [
        f"POST /events answered 400 (request {own}, workspace {shop.app_id})",
        f"GET an unknown path answered 404 (request {unknown['X-Request-Id']}, workspace unknown)",
        f"POST /events answered 401 (request {revoked['X-Request-Id']}, workspace unknown)",
    ]
    assert {record.levelname for record in caplog.records if record.name == "eventsapp.request_log"} == {"INFO"}
    # Without a token that is known it belongs to no workspace, and the page says where it is.
    page = look()
    assert "No request like that" in look(request_id=revoked["X-Request-Id"])
    assert "Requests with an unknown or revoked token are in the server's log only" in page


@pytest.mark.django_db(transaction=True)
def test_a_failure_is_an_error_in_the_log_and_on_the_page(api, shop, caplog, look):
    rename_table("eventsapp_event", "away")
    try:
        answer = api.get("/contacts/x"), api.post("/events", order())
    finally:
        rename_table("away", "eventsapp_event")
    status = answer[1].status_code  # a table that is missing is the database's trouble on SQLite, ours on PostgreSQL
    assert answer[0].status_code == 404
    assert status in (500, 503)
    line = f"POST /events answered {status} (request {answer[1].json()['request_id']}, workspace {shop.app_id})"
    assert ("eventsapp.request_log", logging.ERROR, line) in caplog.record_tuples
    assert answer[1].json()["errors"][0]["message"] in look(status=str(status))


def test_an_answer_with_endless_errors_is_not_kept(api, look):
    refused = api.post("/contacts", {"email": "a@b.c", "custom_attributes": {f"k{n}": [n] for n in range(3000)}})
    assert len(refused.content) > request_log.ANSWER
    assert "The answer held too many errors to be kept." in look()


# Events --------------------------------------------------------------------------------------------------------------


def test_events_are_shown_in_the_order_in_which_they_were_stored(api, look, shop):
    day = 86400
    for number in range(60):
        name = f"event-{number % 7}"
        api.post("/events", order(event_name=name, user_id=f"u{number}", created_at=1_760_000_000 - number * day))
    page = look()
    people = re.findall(r'/people/[0-9a-f]{24}/">(u\d+)</a>', page)
    assert people == [f"u{number}" for number in range(59, 9, -1)]
    assert "happened" in page


def test_an_event_shows_its_person_its_metadata_and_its_source(does, buyer, look, person, other_shop):
    does(buyer, "placed-order", metadata={"total": {"amount": 4900, "currency": "usd"}, "<b>": "<script>"})
    does(person("theirs", other_shop), "their-order")
    page = look()
    assert f'<a href="{buyer.get_absolute_url()}">Ada Buyer</a>' in page
    assert "49.00 USD" in page
    assert "<small>API</small>" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "their-order" not in page


def test_asking_again_is_answered_only_when_something_is_new(
    poll, look, api, does, buyer, django_assert_max_num_queries
):
    does(buyer, "placed-order")
    api.post("/events", {})
    page = look()
    for part in ("arrivals", "requests"):
        with django_assert_max_num_queries(8):
            assert poll(part, seen=seen_in(page, part)).status_code == 204
    does(buyer, "placed-order", days_ago=3)
    api.post("/events", {})
    request_log.log.write()
    for part in ("arrivals", "requests"):
        answer = poll(part, seen=seen_in(page, part))
        assert answer.status_code == 200
        assert "<html" not in answer.content.decode()
        assert poll(part, seen=seen_in(answer.content.decode(), part)).status_code == 204


def test_the_number_of_queries_does_not_grow_with_the_rows(does, person, look):
    does(person("first"), "event-0")
    look()
    with CaptureQueriesContext(connection) as few:
        look()
    for number in range(30):
        does(person(f"u{number}"), f"event-{number}")
    with CaptureQueriesContext(connection) as many:
        look()
    assert len(many) == len(few)


def test_an_empty_workspace_waits_for_its_first_event(viewer, shop, look, poll, does, buyer):
    page = look()
    light = re.search(r'<p role="status" id="light">(.*?)</p>', page, re.S)[1]
    assert "Waiting for the first event" in light
    assert "/events \\" in page
    assert "&lt;your token&gt;" in page
    assert f"{reverse('settings', args=[shop.app_id])}#tokens" in page
    does(buyer, "placed-order")
    answer = poll("arrivals", seen=seen_in(page, "arrivals")).content.decode()
    assert 'hx-swap-oob="innerHTML:#light"' in answer
    assert "First event received" in answer
    does(buyer, "placed-order", days_ago=1)
    assert "First event" not in poll("arrivals", seen=seen_in(answer, "arrivals")).content.decode()
    assert Event.objects.count() == 2


@pytest.mark.parametrize("name", ["events", "people"])
def test_other_pages_lead_to_it(viewer, shop, name):
    assert reverse("live", args=[shop.app_id]) in viewer.get(reverse(name, args=[shop.app_id])).content.decode()


# As it runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_shows_an_event_within_two_seconds_and_its_request_within_three():
    """The real thing: a served installation, its own thread, and a browser's cookies."""
    with Installation() as installation:
        installation.set_up().start_web()
        page = logged_in(installation)
        for number, user_id in enumerate(("first", "second"), start=1):
            assert installation.post_event(user_id) == 202
            began = time.monotonic()
            wait_for(lambda who=user_id: f">{who}@example.org</a>" in page(), 2, "the event")
            wait_for(lambda n=number: page(show="noted").count("person created") == n, 3, "its request")
            assert time.monotonic() - began < 3
        assert installation.request("POST", "/events", {})[0] == 400
        wait_for(lambda: "event_name is missing" in page(show="refused"), 3, "the refused request")
        assert installation.request("POST", "/events", {}, token="ev_unknown-and-secret")[0] == 401
        lines = (installation.var / "web.log").read_text()
    assert re.search(
        rf"INFO .*POST /events answered 400 \(request [-0-9a-f]{{36}}, workspace {installation.app_id}\)", lines
    )
    assert re.search(r"INFO .*POST /events answered 401 \(request [-0-9a-f]{36}, workspace unknown\)", lines)
    assert "ev_unknown" not in lines


def logged_in(installation):
    """Log in a colleague over HTTP; return a function that reads the live page."""
    password = installation.manage("create_staff", "sam@example.org")
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    form = browser.open(f"{installation.url}/login/").read().decode()
    secret = re.search(r'csrfmiddlewaretoken" value="([^"]+)', form)[1]
    words = {"csrfmiddlewaretoken": secret, "username": "sam@example.org", "password": password}
    request = urllib.request.Request(f"{installation.url}/login/", urlencode(words).encode())
    request.add_header("Referer", f"{installation.url}/login/")
    assert browser.open(request).url.endswith(f"/app/{installation.app_id}/")

    def page(**query):
        address = f"{installation.url}/app/{installation.app_id}/events/live/?{urlencode(query)}"
        return browser.open(address).read().decode()

    return page
