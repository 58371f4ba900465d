"""The page of one person: what they did and got, where they belong, what staff change, take away, and delete."""

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from eventsapp import erasing, signals
from eventsapp.exporting import CHUNK
from eventsapp.incoming import read_event
from eventsapp.ingest import event_type, ingest
from eventsapp.models import (
    ApiRequest,
    BulkJob,
    Contact,
    Event,
    EventSummary,
    EventType,
    HandOver,
    Tag,
    Tagging,
    Volume,
    Workspace,
)
from eventsapp.people import archive, change_contact, contact_by_id
from eventsapp.sql import database_now
from eventsapp.summaries import differences
from eventsapp.tags import find_or_create, put_on
from eventsapp.volumes import daily, roll_up
from messaging import rules
from messaging.models import AutoMessage, Delivery, Recipient
from messaging.tasks import sweep
from segments.models import Segment
from tests.conftest import failing

pytestmark = pytest.mark.django_db

NOON = int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp())
HTMX = {"hx-request": "true"}


def address(contact, name="person"):
    return reverse(name, args=[contact.workspace.app_id, contact.public_id])


def read(client, contact, query="", **how):
    return client.get(address(contact) + query, **how).content.decode()


def plain(html: str) -> str:
    """What a reader sees of it."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture
def rule(shop):
    return AutoMessage.objects.create(
        workspace=shop,
        name="Thanks",
        trigger=event_type(shop, "placed-order"),
        subject="Thanks",
        body="<p>Thanks</p>",
        frequency="every_time",
    )


def sent(rule, contact, at, state="sent") -> Delivery:
    """A message that went out at `at` (Unix seconds)."""
    return Delivery.objects.create(
        message=rule,
        contact=contact,
        event_id=uuid.uuid4(),
        event={"event_name": "placed-order", "created_at": at, "metadata": {"code": "C-7"}},
        state=state,
        sent_at=datetime.fromtimestamp(at, UTC),
        body="<p>their text</p>",
    )


# The timeline --------------------------------------------------------------------------------------------------------


def test_three_of_a_kind_in_a_row_are_one_line_that_opens(viewer, buyer, does):
    does(buyer, "opened-app", times=14, at=NOON, metadata={"device": "phone"})
    page = read(viewer, buyer)
    [run] = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", page, re.S)
    assert plain(run[0]) == "opened-app ×14 11:59 to 12:00"
    assert run[1].count('class="event"') == 14
    assert run[1].count("device") >= 14


@pytest.mark.parametrize(
    ("did", "expected"),
    [
        ([("a", 0), ("a", 1)], ["a", "a"]),
        ([("a", 0), ("a", 1), ("a", 2)], ["a ×3"]),
        ([("a", 0), ("a", 1), ("b", 2), ("a", 3), ("a", 4)], ["a", "a", "b", "a", "a"]),
        ([("a", 0), ("a", 1), ("a", 2), ("b", 3)], ["b", "a ×3"]),
        # Midnight lies between the second and the third.
        ([("a", 86400 * place // 2 - 43201) for place in range(4)], ["a", "a", "a", "a"]),
    ],
    ids=str,
)
def test_what_is_one_line(viewer, buyer, does, did, expected):
    for name, later in did:
        does(buyer, name, at=NOON + later)
    days = viewer.get(address(buyer)).context["days"]
    lines = [line for _, lines in days for line in lines]
    names = [line.newest.type.name + (f" ×{len(line.events)}" if line.is_run else "") for line in lines]
    assert names == expected


def test_a_message_stands_at_its_time_and_leads_to_its_delivery(viewer, buyer, does, rule):
    does(buyer, "opened-app", times=6, at=NOON + 5)
    delivery = sent(rule, buyer, NOON + 3, state="failed")
    sent(rule, buyer, NOON + 3, state="skipped")
    [(_, lines)] = viewer.get(address(buyer)).context["days"]
    assert [line.note.name if line.note else len(line.events) for line in lines] == [1, 1, "Thanks", 4]
    timeline = read(viewer, buyer).split('id="timeline"')[1].split("Messages they got")[0]
    assert f'<a href="{delivery.get_absolute_url()}">Thanks</a> <span class="pill failed">Failed</span>' in timeline
    # Whoever filters looks for events.
    filtered = viewer.get(address(buyer) + "?event_name=opened-app")
    assert [line.note for _, lines in filtered.context["days"] for line in lines] == [None]


def test_what_is_loaded_later_repeats_and_leaves_out_nothing(viewer, buyer, does, rule):
    for number in range(120):
        does(buyer, f"step-{number % 2}", at=NOON + number)
    for number in range(0, 130, 10):
        sent(rule, buyer, NOON + number - 5)
    shown, page = [], viewer.get(address(buyer))
    headings = page.content.decode().count('class="day"')
    while True:
        lines = [line for _, lines in page.context["days"] for line in lines]
        shown += [line.note.at if line.note else line.newest.created_at for line in lines]
        if not (older := page.context["older"]):
            break
        # Without JavaScript the link leads to the same part as a page.
        whole = viewer.get(f"{address(buyer)}?{older}")
        page = viewer.get(f"{address(buyer)}?{older}", headers=HTMX)
        assert [len(lines) for _, lines in whole.context["days"]] == [len(lines) for _, lines in page.context["days"]]
        assert "<html" in whole.content.decode()
        assert "<html" not in page.content.decode()
        headings += page.content.decode().count('class="day"')
    assert shown == sorted([NOON + n for n in range(120)] + [NOON + n - 5 for n in range(0, 130, 10)], reverse=True)
    assert headings == 1


def test_a_filter_stays_while_older_events_are_loaded(viewer, buyer, does):
    does(buyer, "opened-app", times=60, at=NOON)
    does(buyer, "placed-order", at=NOON - 30)
    page = viewer.get(address(buyer) + "?event_name=opened-app", headers=HTMX)
    older = viewer.get(f"{address(buyer)}?{page.context['older']}", headers=HTMX)
    names = {event.type.name for _, lines in older.context["days"] for line in lines for event, _ in line.events}
    assert names == {"opened-app"}


@pytest.mark.parametrize("place", ["x", "1.x", "9" * 30, "1.2", "-" + "9" * 18])
def test_a_place_that_is_none_is_404(viewer, buyer, place):
    assert viewer.get(f"{address(buyer)}?before={place}").status_code == 404


def test_it_costs_the_same_queries_however_much_they_did(viewer, buyer, does, rule):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            read(viewer, buyer)
        return len(captured)

    does(buyer, "opened-app", at=NOON)
    sent(rule, buyer, NOON)
    read(viewer, buyer)
    few = queries()
    for number in range(30):
        does(buyer, f"step-{number}", at=NOON + number)
        sent(rule, buyer, NOON + number)
        put_on(find_or_create(buyer.workspace, f"tag {number}"), buyer)
    assert queries() == few


def test_a_date_before_the_calendar_is_shown_as_a_number(viewer, person, does):
    ada = person("ada", born_at=-(10**11) + 1)
    does(ada, "was-born", metadata={"birth_date": -(10**11) + 1, "other_date": -62_135_596_800})
    assert "-99,999,999,999" in read(viewer, ada)
    assert "-62,135,596,800" in read(viewer, ada)


# Where they belong ---------------------------------------------------------------------------------------------------


@pytest.fixture
def segments(shop, other_shop):
    """By name: who did order, who did not, one that cannot be asked any more, one that is archived, another shop's."""

    def save(name, *conditions, workspace=shop, **fields):
        definition = {"version": 1, "match": "all", "conditions": list(conditions)}
        return Segment.objects.create(workspace=workspace, name=name, definition=definition, **fields)

    ordered = {"kind": "event", "event": "placed-order", "did": True}
    return {
        "Buyers": save("Buyers", ordered),
        "Others": save("Others", ordered | {"did": False}),
        "Broken": save("Broken", {"kind": "tag", "tag": 4711, "op": "has"}),
        "Old": save("Old", ordered, archived_at=timezone.now()),
        "Theirs": save("Theirs", ordered, workspace=other_shop),
    }


def test_the_page_asks_for_their_segments_once_it_is_there(viewer, buyer, does, segments):
    does(buyer, "placed-order")
    page = read(viewer, buyer)
    asked = address(buyer, "person_segments")
    assert f'hx-get="{asked}" hx-trigger="load"' in page
    assert f'<a href="{asked}">' in page
    assert "Buyers" not in page
    fragment = viewer.get(asked, headers=HTMX).content.decode()
    assert f'<a href="{segments["Buyers"].get_absolute_url()}">Buyers</a>' in fragment
    assert plain(fragment) == "Buyers Why?"
    whole = viewer.get(asked).content.decode()
    assert "<html" in whole
    assert ">Buyers</a>" in whole


def test_who_is_archived_is_in_no_segment(viewer, buyer, segments):
    fragment = viewer.get(address(buyer, "person_segments"), headers=HTMX).content.decode()
    assert plain(fragment) == "Others Why?"
    archive(buyer, archived=True)
    fragment = viewer.get(address(buyer, "person_segments"), headers=HTMX).content.decode()
    assert "as long as they are archived" in fragment


# Tags ----------------------------------------------------------------------------------------------------------------


def names_of(contact):
    return [tag.name for tag in Tag.objects.filter(taggings__contact=contact)]


def test_an_editor_puts_tags_on_and_takes_them_off(editor, viewer, buyer):
    put_on(find_or_create(buyer.workspace, "Lapsed"), buyer)
    find_or_create(buyer.workspace, "VIP")
    assert '<option value="VIP">' in read(editor, buyer)
    asked = address(buyer, "tag_person")
    for name in ("vip", " VIP "):
        assert editor.post(asked, {"name": name}).url == address(buyer)
    assert names_of(buyer) == ["Lapsed", "VIP"]
    fragment = editor.post(asked, {"name": "New"}, headers=HTMX).content.decode()
    assert "<html" not in fragment
    assert 'aria-label="Take off New"' in fragment
    lapsed = Tag.objects.get(name="Lapsed")
    for _ in range(2):
        assert editor.post(asked, {"remove": lapsed.pk}).url == address(buyer)
    assert names_of(buyer) == ["New", "VIP"]
    page = read(viewer, buyer)
    assert "VIP" in page
    assert "Take off" not in page


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\0b"], ids=repr)
def test_a_tag_without_a_name_is_refused(editor, buyer, name):
    refused = editor.post(address(buyer, "tag_person"), {"name": name}, headers=HTMX)
    assert refused.status_code == 422
    assert "errorlist" in refused.content.decode()
    assert editor.post(address(buyer, "tag_person"), {"name": name}, follow=True).status_code == 200
    assert not Tag.objects.exists()


# What is known of them -----------------------------------------------------------------------------------------------


class Fields(HTMLParser):
    """What a browser would send of the form that posts to its own page."""

    def __init__(self, page):
        super().__init__()
        self.sent, self.select, self.here = {}, None, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        if tag == "form":
            self.here = own.get("method") == "post" and "action" not in own
        if not self.here:
            return
        if tag == "input" and own.get("name"):
            value = own.get("value", "")
            # A line of text holds no breaks, and of others each is sent as two characters.
            hidden = own.get("type") == "hidden"
            value = re.sub(r"\r\n|\r|\n", "\r\n" if hidden else "", value)
            self.sent[own["name"]] = value
        elif tag == "select":
            self.select = own["name"]
        elif tag == "option" and (self.select not in self.sent or "selected" in own):
            self.sent[self.select] = own["value"]


@pytest.fixture
def edit(editor):
    """Open the edit page of somebody, and send it with these fields changed: `edit(ada, name="Ada")`; an attribute by
    its key, a new one as (kind, value)."""

    def opened(contact):
        return Fields(editor.get(address(contact, "edit_person")).content.decode()).sent

    def send(contact, shown=None, attributes=None, **fields):
        data = (shown or opened(contact)) | fields
        rows = {data.get(f"attributes-{n}-key"): n for n in reversed(range(int(data["attributes-TOTAL_FORMS"])))}
        blank = iter(range(int(data["attributes-INITIAL_FORMS"]), int(data["attributes-TOTAL_FORMS"])))
        for key, typed in (attributes or {}).items():
            row = rows[key] if key in rows else next(blank)
            kind, value = typed if isinstance(typed, tuple) else (data[f"attributes-{row}-kind"], typed)
            data |= {f"attributes-{row}-key": key, f"attributes-{row}-kind": kind, f"attributes-{row}-value": value}
        return editor.post(address(contact, "edit_person"), data)

    send.opened = opened
    return send


def test_everything_is_shown_as_it_is_and_saving_it_changes_nothing(edit, editor, person):
    strange = {
        "plan": "pro",
        "seats": 3,
        "rate": 1e22,
        "share": 0.1,
        "trial": False,
        "renewal_at": 1760000123,
        "late_at": 10**12,
        "half_at": 1.5,
        "poem": "roses\nare red",
        "blank": " around ",
        "site": "https://example.org/",
        "nested": {"a": 1},
        "list": [1],
    }
    ada = person("ada", name="Ada\nB ", email="Ada@Example.org", signed_up_at=1760000123, **strange)
    Contact.objects.update(phone="+1 555", updated_at=1)
    response = edit(ada)
    assert response.status_code == 302
    assert "2 more can be changed over the API alone." in editor.get(address(ada, "edit_person")).text
    ada.refresh_from_db()
    assert ada.custom_attributes == strange
    assert (ada.name, ada.signed_up_at, ada.updated_at) == ("Ada\nB ", 1760000123, 1)


def test_what_is_changed_is_written_as_it_is_compared(edit, editor, shop, person):
    shop.time_zone = "Asia/Tokyo"
    shop.save()
    ada = person("ada", name="Ada", email="ada@example.org", plan="pro", seats=3, trial=True, renewal_at=1760000000)
    response = edit(
        ada,
        name="Éve",
        email="Eve@Example.org",
        phone="+1 555",
        external_id="eve",
        signed_up_at="2026-03-10",
        attributes={
            "plan": "Free",
            "seats": "4.5",
            "trial": "false",
            "renewal_at": "2026-03-10",
            "since_at": ("date", "2026-03-11"),
            "size": ("number", "-2"),
            "is-new": ("boolean", "True"),
        },
    )
    assert response.url == address(ada)
    midnight = int(datetime(2026, 3, 9, 15, tzinfo=UTC).timestamp())  # of the 10th in Tokyo
    ada.refresh_from_db()
    assert (ada.name, ada.email, ada.phone, ada.external_id) == ("Éve", "Eve@Example.org", "+1 555", "eve")
    assert (ada.name_folded, ada.email_folded, ada.external_id_folded) == ("éve", "eve@example.org", "eve")
    assert ada.signed_up_at == midnight
    assert ada.custom_attributes == {
        "plan": "Free",
        "seats": 4.5,
        "trial": False,
        "renewal_at": midnight,
        "since_at": midnight + 86400,
        "size": -2,
        "is-new": True,
    }
    assert ada.terms["plan"] == "free"


def test_what_is_emptied_is_taken_away(edit, person):
    ada = person("ada", name="Ada", email="ada@example.org", signed_up_at=1760000000, plan="pro", seats=3)
    edit(ada, name="", email=" ", external_id="", signed_up_at="", attributes={"plan": ""})
    ada.refresh_from_db()
    assert (ada.name, ada.email, ada.external_id, ada.signed_up_at) == (None, None, None, None)
    assert ada.custom_attributes == {"seats": 3}


def test_what_an_app_or_a_colleague_wrote_meanwhile_stays(edit, api, person):
    ada = person("ada", name="Ada", plan="pro", seats=3, city="Paris")
    mine, colleagues = edit.opened(ada), edit.opened(ada)
    attributes = {"plan": "team", "seats": None, "score": 9}
    api.put(f"/contacts/{ada.public_id}", {"name": "Ada L.", "custom_attributes": attributes})
    edit(ada, shown=colleagues, phone="+1 555")
    edit(ada, shown=mine, email="ada@example.org", attributes={"city": "Rome"})
    ada.refresh_from_db()
    assert (ada.name, ada.phone, ada.email) == ("Ada L.", "+1 555", "ada@example.org")
    assert ada.custom_attributes == {"plan": "team", "city": "Rome", "score": 9}
    # Nor does a new row write over what came meanwhile.
    refused = edit(ada, shown=mine, attributes={"score": ("number", "1")})
    assert refused.status_code == 422
    assert "There is an attribute score already." in refused.content.decode()
    ada.refresh_from_db()
    assert ada.custom_attributes["score"] == 9


def test_a_user_id_or_email_that_another_has_is_told_in_words(edit, person):
    ada, cem = person("ada", name="Ada"), person("cem")
    refused = edit(ada, name="Typed", external_id="cem", attributes={"plan": ("text", "typed too")})
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "Somebody else is known by this user_id or email." in page
    assert cem.public_id in page
    assert 'value="Typed"' in page
    assert 'value="typed too"' in page
    ada.refresh_from_db()
    assert (ada.name, ada.external_id, ada.custom_attributes) == ("Ada", "ada", {})
    # Sent again as it stands, with that one mended, all of it is written.
    assert edit(ada, shown=Fields(page).sent, external_id="ada-2").status_code == 302
    ada.refresh_from_db()
    assert (ada.name, ada.external_id, ada.custom_attributes) == ("Typed", "ada-2", {"plan": "typed too"})


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("email", "nobody", "is not an email address"),
        ("email", "ada@example.org, cem@example.org", "is not an email address"),
        ("email", "a" * 250 + "@b.org", "no more than 255 characters"),
        ("name", "x" * 256, "no more than 255 characters"),
        ("phone", "5" * 65, "no more than 64 characters"),
        ("external_id", "x" * 256, "no more than 255 characters"),
        ("name", "a\0b", "Null characters"),
        ("signed_up_at", "yesterday", "Enter a valid date"),
        ("signed_up_at", "1969-12-31", "Write a day from 1970 to today."),
        ("signed_up_at", "2999-01-01", "Write a day from 1970 to today."),
    ],
)
def test_a_field_is_as_the_api_wants_it(edit, buyer, field, typed, words):
    before = Contact.objects.values().get()
    refused = edit(buyer, **{field: typed})
    assert refused.status_code == 422
    assert words in plain(refused.content.decode())
    assert Contact.objects.values().get() == before


@pytest.mark.parametrize(
    ("key", "kind", "typed", "words"),
    [
        ("a", "number", "1,000", "Write a number"),
        ("a", "number", "007", "Write a number"),
        ("a", "number", "NaN", "Write a number"),
        ("a", "number", "1e999", "not finite"),
        ("a", "number", "9007199254740993", "would lose digits"),
        ("a", "boolean", "yes", "Write true or false."),
        ("a_at", "date", "10.3.2026", "Write a day"),
        ("a_at", "date", "9999-01-01", "Write a day of our times."),
        ("a", "date", "2026-03-10", "ends in _at"),
        ("a_at", "number", "5", "is a date where the name ends in _at"),
        ("a", "text", "x" * 256, "Write at most 255"),
        ("a", "text", "https://" + "x" * 2000, "Write at most 2000"),
        ("a", "text", "", "Write a value"),
        ("", "text", "x", "A key is empty"),
        ("a.b", "text", "x", "neither . nor $"),
        ('a"b', "text", "x", "a quote"),
        ("k" * 191, "text", "x", "Write at most 190"),
        ("plan", "text", "x", "There is an attribute plan already."),
        ("a", "colour", "x", "Select a valid choice"),
    ],
)
def test_a_new_attribute_is_as_the_api_wants_it(edit, person, key, kind, typed, words):
    ada = person("ada", plan="pro")
    shown = edit.opened(ada)
    new = {"key": key, "kind": kind, "value": typed}
    refused = edit(ada, shown=shown | {f"attributes-1-{name}": value for name, value in new.items()})
    assert refused.status_code == 422
    assert words in plain(refused.content.decode())
    ada.refresh_from_db()
    assert ada.custom_attributes == {"plan": "pro"}


@pytest.mark.parametrize(
    ("key", "kind", "typed", "value"),
    [
        ("a", "number", "1e3", 1000.0),
        ("a", "number", "-0.5", -0.5),
        ("a_at", "number", "0.5", 0.5),
        ("a", "boolean", "TRUE", True),
        ("a_at", "date", "1815-12-10", -4861728000),
        ("a", "text", "3", "3"),
        ("a_at", "text", "soon", "soon"),
        ("a", "text", "https://example.org/" + "x" * 1900, "https://example.org/" + "x" * 1900),
        ("<b>", "text", "<script>", "<script>"),
    ],
)
def test_a_new_attribute_is_of_the_kind_that_was_chosen(edit, editor, buyer, key, kind, typed, value):
    assert edit(buyer, attributes={key: (kind, typed)}).status_code == 302
    buyer.refresh_from_db()
    assert buyer.custom_attributes == {key: value}
    assert isinstance(buyer.custom_attributes[key], type(value))
    assert "<script>" not in read(editor, buyer)


def test_an_attribute_changes_its_kind_and_is_written_once(edit, person):
    ada = person("ada", seats=3)
    assert edit(ada, attributes={"seats": ("text", "3")}).status_code == 302
    ada.refresh_from_db()
    assert ada.custom_attributes == {"seats": "3"}
    shown = edit.opened(ada)
    twice = {"attributes-1-key": "a", "attributes-1-value": "1", "attributes-2-key": "a", "attributes-2-value": "2"}
    refused = edit(ada, shown=shown | twice)
    assert refused.status_code == 422
    assert "a is written twice." in refused.content.decode()


def test_more_attributes_than_a_form_can_hold_are_left_as_they_are(edit, person):
    many = {f"key-{number}": number for number in range(400)}
    ada = person("ada", **many)
    assert edit(ada, attributes={"key-3": "33"}).status_code == 302
    ada.refresh_from_db()
    assert ada.custom_attributes == many | {"key-3": 33}


def test_a_form_that_is_no_form_is_refused(editor, buyer):
    for data in ({}, {"name": "Ada"}, {"attributes-TOTAL_FORMS": "x", "attributes-INITIAL_FORMS": "-1"}):
        assert editor.post(address(buyer, "edit_person"), data).status_code == 422
    buyer.refresh_from_db()
    assert buyer.name == "Ada Buyer"


# What is done to them ------------------------------------------------------------------------------------------------


def test_an_editor_unsubscribes_archives_and_takes_it_back(editor, api, buyer):
    def known():
        return api.get(f"/contacts/{buyer.public_id}").json()["unsubscribed_from_emails"]

    def people():
        return api.get("/contacts").json()["total_count"]

    for _ in range(2):
        assert "gets no more emails" in editor.post(address(buyer), {"action": "unsubscribe"}, follow=True).text
    assert known()
    assert "Subscribe to emails again" in read(editor, buyer)
    editor.post(address(buyer), {"action": "subscribe"})
    assert not known()
    editor.post(address(buyer), {"action": "archive"})
    assert people() == 0
    assert "archived" in read(editor, buyer)
    editor.post(address(buyer), {"action": "unarchive"})
    assert people() == 1
    editor.post(address(buyer), {"action": "dance"})
    assert Contact.objects.get().archived_at is None


ACTS = [
    ("person", "editor", {"action": "archive"}),
    ("edit_person", "editor", {"name": "Other"}),
    ("tag_person", "editor", {"name": "VIP"}),
    ("export_person", "editor", {}),
    ("delete_person", "admin", {"confirm": "buyer@example.org"}),
]


@pytest.mark.parametrize(("name", "role", "data"), ACTS, ids=[name for name, *_ in ACTS])
def test_an_act_needs_its_role_and_its_workspace(staff, other_shop, buyer, name, role, data):
    before = Contact.objects.values().get()
    lower = ["viewer", "editor"][: ["editor", "admin"].index(role) + 1]
    for client in map(staff, lower):
        assert client.post(address(buyer, name), data).status_code == 403
    stranger = staff("admin", other_shop)
    assert stranger.post(address(buyer, name), data).status_code == 404
    theirs = reverse(name, args=[other_shop.app_id, buyer.public_id])
    assert stranger.post(theirs, data).status_code == 404
    assert stranger.get(theirs).status_code in (404, 405)
    assert Contact.objects.values().get() == before
    assert not Tag.objects.exists()


def test_viewers_see_no_controls(viewer, editor, admin, buyer):
    words = ("Edit", "Archive", "Export as JSON", "Add a tag")
    page = plain(read(viewer, buyer))
    assert [word for word in words if word in page] == []
    assert "csrfmiddlewaretoken" not in read(viewer, buyer).split('id="main"')[1]
    page = plain(read(editor, buyer))
    assert [word for word in words if word not in page] == []
    assert "Delete for good" not in page
    assert "Delete for good" in read(admin, buyer)


# Everything of theirs ------------------------------------------------------------------------------------------------


def test_the_export_holds_everything_about_them(editor, buyer, person, does, rule):
    change_contact(buyer, {"phone": "+1 555", "signed_up_at": NOON, "custom_attributes": {"plan": "Größe"}})
    put_on(find_or_create(buyer.workspace, "VIP"), buyer)
    does(buyer, "opened-app", times=CHUNK + 5, at=NOON)
    does(buyer, "placed-order", at=NOON, metadata={"total": {"amount": 4900, "currency": "usd"}})
    does(person("other"), "placed-order")
    sent(rule, buyer, NOON)
    response = editor.get(address(buyer, "export_person"))
    assert response["Content-Disposition"] == f'attachment; filename="person-{buyer.public_id}.json"'
    told = json.loads(b"".join(response.streaming_content))
    assert told["profile"] == {
        "id": buyer.public_id,
        "workspace": buyer.workspace.app_id,
        "user_id": "buyer",
        "role": "user",
        "name": "Ada Buyer",
        "email": "buyer@example.org",
        "phone": "+1 555",
        "custom_attributes": {"plan": "Größe"},
        "signed_up_at": NOON,
        "created_at": buyer.created_at,
        "updated_at": told["profile"]["updated_at"],
        "last_seen_at": None,
        "archived_at": None,
        "blocked_at": None,
        "unsubscribed_from_emails": False,
    }
    assert told["tags"] == ["VIP"]
    assert [(summary["name"], summary["count"]) for summary in told["event_summaries"]] == [
        ("opened-app", CHUNK + 5),
        ("placed-order", 1),
    ]
    assert len({event["id"] for event in told["events"]}) == CHUNK + 6
    assert [event["created_at"] for event in told["events"]] == sorted(event["created_at"] for event in told["events"])
    [order] = [event for event in told["events"] if event["event_name"] == "placed-order"]
    assert order["metadata"] == {"total": {"amount": 4900, "currency": "usd"}}
    [delivery] = told["deliveries"]
    assert (delivery["message"], delivery["state"], delivery["body"]) == ("Thanks", "sent", "<p>their text</p>")


def test_an_export_without_anything_is_json_too(editor, person):
    response = editor.get(address(person("ada"), "export_person"))
    told = json.loads(b"".join(response.streaming_content))
    assert (told["events"], told["deliveries"], told["tags"]) == ([], [], [])


# Deleted for good ----------------------------------------------------------------------------------------------------


def left_of(contact) -> dict:
    models = (Event, EventSummary, HandOver, Tagging, Delivery, Recipient)
    return {model.__name__: n for model in models if (n := model.objects.filter(contact=contact).count())}


@pytest.fixture
def known_well(buyer, does, rule, django_capture_on_commit_callbacks):
    """Somebody of whom there is one of everything."""
    rules.go_live(rule)
    does(buyer, "placed-order", times=3, at=NOON)
    does(buyer, "opened-app", times=2, at=NOON)
    put_on(find_or_create(buyer.workspace, "VIP"), buyer)
    sent(rule, buyer, NOON)
    Recipient.objects.create(message=rule, contact=buyer)
    change_contact(buyer, {"phone": "1", "signed_up_at": 1, "last_seen_at": 1, "custom_attributes": {"plan": "Pro"}})
    assert left_of(buyer) == {
        "Event": 5,
        "EventSummary": 2,
        "HandOver": 3,
        "Tagging": 1,
        "Delivery": 1,
        "Recipient": 1,
    }
    return buyer


def test_what_stays_is_an_id(known_well, person, does, shop):
    other = person("other")
    does(other, "placed-order", times=2)
    roll_up(until=database_now())
    now = int(time.time())
    erasing.erase(known_well)
    assert left_of(known_well) == {}
    assert left_of(other) == {"Event": 2, "EventSummary": 1, "HandOver": 2}
    kept = Contact.objects.filter(pk=known_well.pk).values().get()
    times = {kept.pop(name) for name in ("created_at", "updated_at", "deleted_at")}
    assert all(now <= at <= time.time() for at in times)
    assert {name: value for name, value in kept.items() if value} == {
        "id": known_well.pk,
        "workspace_id": shop.pk,
        "role": "user",
    }
    assert kept["custom_attributes"] == {}
    assert differences() == []
    bars = daily(EventType.objects.all(), shop.zone)
    assert {pk: sum(bar.count for bar in of_type) for pk, of_type in bars.items() if any(b.count for b in of_type)} == {
        event_type(shop, "placed-order").pk: 2
    }
    assert sum(Volume.objects.values_list("count", flat=True)) == 2
    # Twice is harmless.
    erasing.erase(known_well)


def test_who_is_deleted_is_nobody_and_may_come_anew(known_well, admin, api, shop, does):
    erasing.erase(known_well)
    for name in ("person", "edit_person", "export_person", "delete_person", "person_segments"):
        page = admin.get(address(known_well, name))
        assert page.status_code == 404
        assert "There is nothing here" in page.text
    assert api.get(f"/contacts/{known_well.public_id}").status_code == 404
    assert api.get("/contacts").json()["total_count"] == 0
    event = {"event_name": "placed-order", "created_at": NOON, "user_id": "buyer", "email": "buyer@example.org"}
    assert api.post("/events", event | {"id": known_well.public_id}).status_code == 404
    assert api.post("/events", event).status_code == 202
    new = Contact.objects.get(external_id="buyer")
    assert new.pk != known_well.pk
    assert EventSummary.objects.get().contact == new
    assert admin.get(address(new)).status_code == 200


def test_who_was_merged_into_them_goes_with_them(known_well, person):
    first = person("first", email="first@example.org", name="First")
    second = person("second", name="Second")
    Contact.objects.filter(pk=first.pk).update(merged_into=known_well)
    Contact.objects.filter(pk=second.pk).update(merged_into=first)
    ApiRequest.objects.create(
        workspace=first.workspace,
        request_id=uuid.uuid4(),
        at=timezone.now(),
        path="/contacts?email=FIRST%40example.org",
        status=200,
    )
    erasing.erase(known_well)
    assert Contact.objects.filter(deleted_at=None).count() == 0
    assert not Contact.objects.exclude(external_id=None, email=None, name=None, merged_into=None).exists()
    assert not ApiRequest.objects.exists()


REQUESTS = [
    ({"path": "/users?email=buyer%40example.org"}, False),
    ({"path": "/users?email=Buyer@Example.Org"}, False),
    ({"path": "/contacts/find_by_external_id/b%C3%BC-7"}, False),
    ({"path": "/contacts/{id}"}, False),
    ({"body": '{"email": "buyer@example.org"'}, False),
    ({"body": '{"user_id": "b\\u00fc-7"}'}, False),
    ({"body": "user_id=b%C3%BC-7&x=1"}, False),
    ({"errors": [{"message": "2 people share the email buyer@example.org."}]}, False),
    ({"notes": ["item 1: “bü-7” is taken"]}, False),
    ({"body": '{"email": "snowbuyer@example.org"}'}, True),
    ({"body": '{"email": "buyer@example.organic"}'}, True),
    ({"body": '{"user_id": "bü-77"}'}, True),
    ({"path": "/events"}, True),
]


@pytest.mark.parametrize(("fields", "stays"), REQUESTS, ids=[str(fields) for fields, _ in REQUESTS])
def test_requests_that_name_them_are_forgotten(person, other_shop, fields, stays):
    contact = person("bü-7", email="buyer@example.org")
    fields = {key: value.format(id=contact.public_id) if key == "path" else value for key, value in fields.items()}
    for workspace in (contact.workspace, other_shop):
        ApiRequest.objects.create(
            workspace=workspace, request_id=uuid.uuid4(), at=timezone.now(), status=200, **{"path": "/events"} | fields
        )
    erasing.erase(contact)
    assert ApiRequest.objects.filter(workspace=contact.workspace).exists() is stays
    assert ApiRequest.objects.filter(workspace=other_shop).exists()


def test_failed_items_of_bulk_jobs_that_name_them_are_forgotten(buyer, shop):
    items = [json.dumps({"item": {"user_id": user_id}, "errors": []}) for user_id in ("buyer", "other")]
    BulkJob.objects.create(workspace=shop, closing_at=timezone.now(), failed=items)
    erasing.erase(buyer)
    assert BulkJob.objects.get().failed == items[1:]


def test_a_listener_that_fails_undoes_all_of_it(known_well):
    before, told = Contact.objects.values().get(), left_of(known_well)
    with failing(signals.contact_erasing):
        erasing.erase(known_well)
    assert Contact.objects.values().get() == before
    assert left_of(known_well) == told


def test_an_export_that_fails_leaves_no_half_of_a_file(editor, buyer):
    with failing(signals.contact_exporting):
        editor.get(address(buyer, "export_person"))


def test_an_admin_deletes_who_was_typed(admin, editor, known_well):
    page = admin.get(address(known_well, "delete_person")).content.decode()
    assert "5 events" in page
    refused = admin.post(address(known_well, "delete_person"), {"confirm": "buyer@example.com"})
    assert refused.status_code == 422
    assert "Nothing is deleted" in refused.text
    assert admin.post(address(known_well, "delete_person")).status_code == 422
    assert left_of(known_well)["Event"] == 5
    done = admin.post(address(known_well, "delete_person"), {"confirm": " Buyer@example.org"}, follow=True)
    assert "deleted for good" in done.text
    assert "Ada Buyer" not in done.text
    assert left_of(known_well) == {}


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"email": "a@example.org"}, "a@example.org"), ({}, "ada"), ({"external_id": None}, "{id}")],
    ids=["email", "user_id", "id"],
)
def test_the_word_to_type_is_what_they_are_known_by(admin, person, fields, word):
    ada = person("ada")
    Contact.objects.filter(pk=ada.pk).update(**fields)
    assert admin.post(address(ada, "delete_person"), {"confirm": word.format(id=ada.public_id)}).status_code == 302
    assert Contact.objects.get().deleted_at


def test_nothing_is_written_on_who_was_deleted_a_moment_ago(editor, buyer, edit):
    opened = contact_by_id(buyer.workspace, buyer.public_id)
    shown = edit.opened(buyer)
    erasing.erase(buyer)
    with pytest.raises(Exception, match="User Not Found"):
        change_contact(opened, {"name": "Ada again"})
    assert edit(buyer, shown=shown, name="Ada again").status_code == 404
    assert Contact.objects.get().name is None


def test_the_sweep_finishes_what_was_being_stored_at_that_moment(buyer, does, rule):
    erasing.erase(buyer)
    # As if its transaction had found the person before, and come to its end after.
    who = read_event({"event_name": "placed-order", "created_at": NOON, "id": buyer.public_id}).who
    Contact.objects.update(deleted_at=None)
    rules.go_live(rule)
    does(buyer, "placed-order", at=NOON)
    sent(rule, buyer, NOON)
    assert who.id == buyer.public_id
    Contact.objects.update(deleted_at=int(time.time()) - erasing.LATELY + 60)
    assert left_of(buyer) == {"Event": 1, "EventSummary": 1, "HandOver": 1, "Delivery": 1}
    sweep()
    assert left_of(buyer) == {}
    # Who was deleted long ago is asked about no more.
    Contact.objects.update(deleted_at=int(time.time()) - erasing.LATELY - 60)
    with CaptureQueriesContext(connection) as captured:
        erasing.finish()
    assert len(captured) == 1


@pytest.mark.django_db(transaction=True)
def test_events_that_come_in_while_people_are_deleted_leave_nothing_behind():
    workspace = Workspace.objects.create(name="Busy")

    def send(thread):
        try:
            for number in range(60):
                happened = {"created_at": NOON + number, "metadata": {"thread": thread}}
                names = [(f"step-{(number + n) % 9}", f"u{(number + n * thread) % 5}") for n in range(1 + number % 4)]
                events = [read_event(happened | {"event_name": name, "user_id": who}) for name, who in names]
                assert [outcome.fault for outcome in ingest(workspace, events)] == [None] * len(events)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        sending = [threads.submit(send, thread) for thread in range(3)]
        while not all(future.done() for future in sending):
            for contact in Contact.objects.filter(deleted_at=None):
                erasing.erase(contact)
            time.sleep(0.01)  # or the others hardly get Python's lock
    assert [future.result() for future in sending] == [None] * 3
    erasing.finish()
    gone = Contact.objects.exclude(deleted_at=None)
    assert gone.exists()
    for model in (Event, EventSummary, HandOver):
        assert not model.objects.filter(contact__in=gone).exists()
    assert differences() == []
