"""The page of an event type: what came in, who uses it, what staff say of it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from eventsapp import deleting
from eventsapp.incoming import read_event
from eventsapp.ingest import event_type, ingest
from eventsapp.models import Contact, Event, EventSummary, EventType, Volume, Workspace
from eventsapp.sql import database_now
from eventsapp.summaries import differences
from eventsapp.type_views import naming_hint
from eventsapp.volumes import daily, recent, roll_up
from messaging.models import AutoMessage
from segments import suggestions
from segments.models import Segment

pytestmark = pytest.mark.django_db


@pytest.fixture
def page_of(shop, viewer):
    def page(name="placed-order", client=viewer):
        return client.get(reverse("event_type", args=[shop.app_id, event_type(shop, name).pk])).content.decode()

    return page


def test_it_shows_what_came_in(page_of, buyer, does):
    does(buyer, "placed-order", times=3, metadata={"plan": "pro", "total": {"amount": 4900, "currency": "usd"}})
    page = page_of()
    assert "Ada Buyer" in page
    assert "49.00 USD" in page
    assert "<code>4900" not in page
    assert "<code>pro</code>" in page
    assert "<strong>3</strong> events, at most" in page
    assert page.count('width=".8"') == 30


def test_it_loads_older_events_without_gaps(shop, viewer, person, does):
    for name in ("ada", "bob"):
        does(person(name), "placed-order", times=70, at=1_760_000_000)
    address = reverse("event_type", args=[shop.app_id, event_type(shop, "placed-order").pk])
    page = viewer.get(address).content.decode()
    seen = page.count('class="at"')
    while older := re.search(r'hx-get="(\?before=[^"]+)"', page):
        page = viewer.get(address + older[1], headers={"hx-request": "true"}).content.decode()
        assert "<html" not in page
        seen += page.count('class="at"')
    assert seen == 140
    assert viewer.get(address + "?before=1.x").status_code == 404
    assert viewer.get(address + "?before=1").status_code == 404


def test_it_names_what_uses_it_however_deep(page_of, shop):
    inner = {"match": "any", "conditions": [{"kind": "event", "event": "placed-order"}]}
    Segment.objects.create(workspace=shop, name="Buyers", definition={"conditions": [inner]})
    Segment.objects.create(workspace=shop, name="Others", definition={"conditions": [{"kind": "event", "event": "x"}]})
    AutoMessage.objects.create(
        workspace=shop, name="Thanks", trigger=event_type(shop, "placed-order"), subject="s", body="b"
    )
    page = page_of()
    assert ">Buyers</a>" in page
    assert ">Thanks (draft)</a>" in page
    assert "Others" not in page


def test_an_editor_describes_archives_and_brings_back(page_of, shop, editor, api, buyer, does):
    does(buyer, "placed-order", metadata={"a": 1})
    type = EventType.objects.get()
    address = reverse("event_type", args=[shop.app_id, type.pk])
    editor.post(address, {"action": "describe", "description": "Paid for a basket"})
    assert "Paid for a basket" in page_of()
    assert (
        api.get("/events?type=user&user_id=buyer&summary=true").json()["events"][0]["description"]
        == "Paid for a basket"
    )
    editor.post(address, {"action": "archive"})
    assert suggestions.events(shop) == []
    listed = reverse("events", args=[shop.app_id])
    assert address not in editor.get(listed).content.decode()
    assert address in editor.get(f"{listed}?archived").content.decode()
    # What is archived is still stored, counted and asked for.
    does(buyer, "placed-order", days_ago=1)
    definition = {"conditions": [{"kind": "event", "event": "placed-order", "count": {"op": "eq", "value": 2}}]}
    assert api.post("/segments/preview", {"definition": definition}).json()["count"] == 1
    editor.post(address, {"action": "unarchive"})
    assert address in editor.get(listed).content.decode()


def test_a_viewer_changes_nothing(viewer, shop):
    type = event_type(shop, "placed-order")
    address = reverse("event_type", args=[shop.app_id, type.pk])
    assert viewer.post(address, {"action": "archive"}).status_code == 403
    assert "Archive" not in viewer.get(address).content.decode()


def test_what_came_in_is_hostile_and_stays_text(page_of, shop, buyer, does):
    does(buyer, "<script>alert(1)</script>", metadata={"<b>": "<img src=x onerror=alert(1)>"})
    page = page_of("<script>alert(1)</script>")
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_it_costs_the_same_queries_however_much_came_in(page_of, shop, person, does):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            page_of()
        return len(captured)

    does(person("one"), "placed-order")
    page_of()
    few = queries()
    for number in range(20):
        does(person(f"p{number}"), "placed-order", times=3)
    assert queries() == few


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Auckland"])
def test_days_of_a_plot_are_those_of_the_workspace(shop, buyer, does, zone):
    now = datetime(2026, 4, 5, 12, 7, tzinfo=UTC)  # Auckland's clocks go back on this day
    for hours in range(0, 24 * 12, 5):
        does(buyer, "placed-order", at=int((now - timedelta(hours=hours)).timestamp()))
    bars = daily(EventType.objects.all(), ZoneInfo(zone), days=10, now=now)[EventType.objects.get().pk]
    counts = dict.fromkeys((bar.day for bar in bars), 0)
    for hours in range(0, 24 * 12, 5):
        day = (now - timedelta(hours=hours)).astimezone(ZoneInfo(zone)).date()
        if day in counts:
            counts[day] += 1
    assert {bar.day: bar.count for bar in bars} == counts
    assert len(bars) == 10
    assert [bar.is_today for bar in bars] == [False] * 9 + [True]


def total_of_plot(type) -> int:
    return sum(bar.count for bar in daily(EventType.objects.all(), ZoneInfo("UTC"))[type.pk])


def test_a_plot_counts_each_event_once_wherever_it_is_counted(buyer, person, does):
    does(buyer, "placed-order", times=3, days_ago=2)
    type, later = EventType.objects.get(), database_now()
    does(buyer, "placed-order", times=4)
    assert total_of_plot(type) == 7
    roll_up(until=later)
    assert sum(Volume.objects.values_list("count", flat=True)) == 3
    assert total_of_plot(type) == 7
    does(person("late"), "placed-order", times=5, days_ago=2)  # into a quarter of an hour that is counted already
    roll_up(until=database_now())
    roll_up(until=database_now())
    assert not Event.objects.filter(received_at__gt=EventType.objects.get().counted_until).exists()
    assert total_of_plot(type) == 12
    assert recent(type.workspace) == {type.pk: 12}


def test_a_plot_forgets_what_is_deleted(buyer, does):
    does(buyer, "placed-order", times=3)
    type = EventType.objects.get()
    roll_up(until=database_now())
    deleting.ask_to_delete(type)
    deleting.delete_what_was_asked()
    assert total_of_plot(type) == 0
    does(buyer, "placed-order", times=2)
    assert total_of_plot(type) == 2
    roll_up(until=database_now())
    assert total_of_plot(type) == 2


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("placed-order", None),
        ("signed-up", None),
        ("logged-in", None),
        ("opened-app-2", None),
        ("invited friend", "invited-friend."),
        ("placed_order", "placed-order."),
        ("order", "placed-order or invited-friend."),
        ("bestellung_aufgegeben!", "bestellung-aufgegeben."),
        ("注文した", "placed-order or invited-friend."),
    ],
)
def test_a_name_that_breaks_the_advice_carries_a_hint(name, advice):
    hint = naming_hint(name)
    assert (hint is None) if advice is None else hint.endswith(advice)


def test_an_admin_deletes_the_data_of_a_test(shop, admin, editor, viewer, buyer, person, does, wakeups, api):
    for contact in (buyer, person("other")):
        does(contact, "tested", times=3)
        does(contact, "placed-order")
    totals = {"event_name": "tested", "count": 7, "first": 1, "last": 2}
    api.post("/events/summaries", {"user_id": "third", "event_summaries": totals})
    type = EventType.objects.get(name="tested")
    address = reverse("event_type", args=[shop.app_id, type.pk])
    assert "13 events of 3 people would be gone" in admin.get(address).content.decode()
    assert "Delete for good" not in editor.get(address).content.decode()
    assert editor.post(address, {"action": "delete", "confirm": "tested"}).status_code == 403
    page = admin.post(address, {"action": "delete", "confirm": "testing"}, follow=True).content.decode()
    assert "Type tested into the box" in page
    assert Event.objects.filter(type=type).count() == 6
    page = admin.post(address, {"action": "delete", "confirm": "Tested"}, follow=True).content.decode()
    assert "being deleted" in page
    assert deleting.delete_what_was_asked() == 3
    assert not Event.objects.filter(type=type).exists()
    assert not EventSummary.objects.filter(type=type).exists()
    assert Event.objects.count() == 2
    assert differences() == []
    assert Contact.objects.count() == 3
    # Should an app send it again, it is stored as ever.
    does(buyer, "tested")
    assert EventSummary.objects.get(type=type).count == 1


def test_what_is_used_keeps_its_data(shop, admin, buyer, does):
    does(buyer, "placed-order")
    Segment.objects.create(
        workspace=shop, name="Buyers", definition={"conditions": [{"kind": "event", "event": "placed-order"}]}
    )
    address = reverse("event_type", args=[shop.app_id, EventType.objects.get().pk])
    page = admin.post(address, {"action": "delete", "confirm": "placed-order"}, follow=True).content.decode()
    assert "still used" in page
    assert EventType.objects.get().delete_from is None


@pytest.mark.django_db(transaction=True)
def test_events_that_come_in_while_others_are_deleted_leave_every_summary_right():
    workspace = Workspace.objects.create(name="Busy")
    type = event_type(workspace, "tested")

    def send(thread):
        try:
            for number in range(40):
                sent = {"event_name": "tested", "created_at": 1_760_000_000 + number, "metadata": {"thread": thread}}
                [outcome] = ingest(workspace, [read_event(sent | {"user_id": f"person-{number % 7}"})])
                assert outcome.fault is None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        sending = [threads.submit(send, thread) for thread in range(4)]
        while not all(future.done() for future in sending):
            deleting.ask_to_delete(type)
            deleting.delete_what_was_asked()
    assert [future.result() for future in sending] == [None] * 4
    assert differences() == []
