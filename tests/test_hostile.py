"""Odd and hostile input ends with an answer that is meant, never with a fault of ours."""

import base64
import time

import pytest
from django.urls import reverse
from django.utils import timezone

from eventsapp.incoming import read_event
from eventsapp.ingest import ingest
from eventsapp.models import Contact
from messaging import matching, rules
from messaging.models import AutoMessage, Delivery
from segments.definition import Invalid, parse

pytestmark = pytest.mark.django_db
HUGE = "9" * 5000


@pytest.mark.parametrize(
    "path",
    [
        "/events?type=user&user_id=%00",
        "/contacts/find_by_external_id/%00",
        "/jobs/job_%00",
        "/events?type=user&email=%00",
        f"/events?type=user&user_id=25&per_page={HUGE}",
        f"/events?type=user&user_id=25&before={HUGE}",
        "/events?type=user&user_id=25&before=1.2.3.4",
    ],
    ids=lambda path: path[:50],
)
def test_an_odd_question_of_the_api_is_a_400(api, path):
    api.post("/contacts", {"external_id": "25"})
    response = api.get(path)
    assert response.status_code == 400
    assert response.json()["type"] == "error.list"


@pytest.mark.parametrize("section", ["people", "segments", "events", "messages", "deliveries"])
@pytest.mark.parametrize(
    "query",
    ["before=0", "after=0", f"before={HUGE}", f"after={HUGE}", "search=%00", "q=%00", "before=-1", "message=x&state=x"],
)
def test_an_odd_address_of_a_page_is_no_fault_of_ours(viewer, shop, buyer, section, query):
    assert viewer.get(f"{reverse(section, args=[shop.app_id])}?{query}").status_code in (200, 400)


@pytest.mark.parametrize(
    "text",
    [
        '{"conditions": [{"kind": "attribute", "field": "name", "op": "is", "value": "\\ud800"}]}',
        '{"conditions": [{"\\ud800": 1}]}',
        '{"conditions": [1' + "0" * 5000 + "]}",
        "[" * 5000,
        "NaN",
    ],
    ids=lambda text: text[:40],
)
def test_json_that_no_database_takes_is_unreadable(editor, shop, text):
    q = base64.urlsafe_b64encode(text.encode()).decode()
    assert "could not be read" in editor.get(reverse("people", args=[shop.app_id]), {"q": q}).content.decode()
    data = {"name": "x", "definition": text}
    assert editor.post(reverse("new_segment", args=[shop.app_id]), data).status_code == 422


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2026-1-1", "2026-02-30", 5])
def test_a_day_that_cannot_be_reckoned_with_is_refused(shop, day):
    with pytest.raises(Invalid):
        parse(shop, {"conditions": [{"kind": "attribute", "field": "created_at", "op": "on", "value": day}]})


@pytest.mark.parametrize("op", [[], {}, None, 1, True], ids=str)
def test_an_operator_that_is_no_text_is_refused(api, op):
    attribute = {"kind": "attribute", "field": "custom_attributes.plan", "op": op}
    response = api.post("/segments/preview", {"definition": {"conditions": [attribute]}})
    assert response.status_code == 422
    assert [fault["field"] for fault in response.json()["errors"]] == ["conditions[0].op"]


def test_a_date_in_milliseconds_is_shown_as_the_number_it_is(api, viewer):
    event = {"event_name": "x", "created_at": int(time.time()), "user_id": "1", "metadata": {"due_date": 1732363200000}}
    assert api.post("/events", event).status_code == 202
    page = viewer.get(Contact.objects.get().get_absolute_url())
    assert page.status_code == 200
    assert "1,732,363,200,000" in page.content.decode()


@pytest.mark.parametrize(
    "email", ["a@b\r\nBcc: v@x.org", "a@b.org,c@d.org", "N <n@b.org>", "a@", " a@b.org", "@b", "a\1@b.org"]
)
def test_an_address_that_no_mail_can_carry_is_refused(api, email):
    event = {"event_name": "x", "created_at": int(time.time()), "email": email}
    assert api.post("/events", event).status_code == 400
    assert api.post("/contacts", {"email": email}).status_code == 400


def test_keys_outside_ascii_are_found_wherever_they_were_written(api, shop):
    api.post("/contacts", {"external_id": "1", "custom_attributes": {"größe": "XL"}})
    event = {"event_name": "x", "created_at": int(time.time()), "user_id": "1", "metadata": {"größe": "XL"}}
    api.post("/events", event)
    for condition in (
        {"kind": "attribute", "field": "custom_attributes.größe", "op": "is", "value": "xl"},
        {"kind": "event", "event": "x", "where": [{"key": "größe", "op": "known"}]},
    ):
        assert api.post("/segments/preview", {"definition": {"conditions": [condition]}}).json()["count"] == 1
    assert api.post("/events", event | {"metadata": {"a\nb": 1}}).status_code == 400


def test_a_user_id_is_the_same_over_both_doors(api):
    api.post("/contacts", {"external_id": " 25 "})
    api.post("/events", {"event_name": "x", "created_at": int(time.time()), "user_id": " 25 "})
    assert Contact.objects.count() == 1
    assert api.post("/contacts", {"user_id": True}).status_code == 400


@pytest.fixture
def rule(shop, buyer, does):
    does(buyer, "placed-order", historical=True)
    message = AutoMessage.objects.create(
        workspace=shop, name="Thanks", trigger=shop.event_types.get(), frequency="once", subject="Hi", body="Hi"
    )
    rules.go_live(message)
    return message


def test_one_uuid_of_two_people_is_two_messages(rule, buyer, person, does):
    uuid = "9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10"
    for contact in (buyer, person("other")):
        data = {"event_name": "placed-order", "created_at": int(time.time()), "id": contact.public_id, "uuid": uuid}
        ingest(rule.workspace, [read_event(data)])
    matching.match_waiting()
    assert Delivery.objects.filter(event_id=uuid).count() == 2


def test_making_a_live_rule_live_again_loses_nothing(rule, buyer, does):
    does(buyer, "placed-order", metadata={"n": 2})
    rules.go_live(rule)
    matching.match_waiting()
    assert Delivery.objects.count() == 1


def test_an_event_that_is_handed_over_again_takes_nobodys_turn(rule, buyer, does):
    does(buyer, "placed-order", metadata={"n": 2})
    matching.match_waiting()
    Delivery.objects.update(state="cancelled")
    AutoMessage.objects.update(caught_up=False)
    AutoMessage.objects.update(live_since=timezone.now() - rules.CATCH_UP_AFTER)
    rules.catch_up()
    does(buyer, "placed-order", metadata={"n": 3})
    matching.match_waiting()
    assert Delivery.objects.get(state="queued").event["metadata"] == {"n": 3}
