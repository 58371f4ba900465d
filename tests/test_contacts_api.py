"""POST /contacts, GET and PUT /contacts/{id}: names, emails and custom attributes for people."""

import pytest
from django.db import connection

from eventsapp.contact_pages import NEWEST_FIRST, Cursor
from eventsapp.merging import merge
from eventsapp.models import Contact, Source
from messaging.models import Suppression

pytestmark = pytest.mark.django_db


def test_a_contact_is_made_and_read_back(api):
    made = api.post(
        "/contacts",
        {
            "external_id": "25",
            "email": "joe@example.com",
            "name": "Joe",
            "signed_up_at": 1734537437,
            "custom_attributes": {"plan": "Pro", "seats": 3, "trial": False},
        },
    )
    assert made.status_code == 200
    body = made.json()
    assert body["type"] == "contact"
    assert len(body["id"]) == 24
    assert body["role"] == "user"
    assert body["custom_attributes"] == {"plan": "Pro", "seats": 3, "trial": False}
    assert body["tags"]["url"] == f"/contacts/{body['id']}/tags"
    assert api.get(f"/contacts/{body['id']}").json() == body
    assert Contact.objects.get().terms == {"plan": "pro", "seats": 3, "trial": False}


def test_the_same_person_again_is_a_conflict_that_names_the_first(api):
    first = api.post("/contacts", {"external_id": "25", "email": "joe@example.com"}).json()
    again = api.post("/contacts", {"external_id": "25"})
    assert again.status_code == 409
    assert f"id={first['id']}" in again.json()["errors"][0]["message"]
    assert api.post("/contacts", {"email": "JOE@example.com"}).status_code == 409
    assert api.post("/contacts", {"external_id": "26", "email": "joe@example.com"}).status_code == 200


def test_a_change_merges_custom_attributes_and_null_takes_one_away(api):
    made = api.post("/contacts", {"external_id": "25", "custom_attributes": {"plan": "pro", "seats": 3}}).json()
    path = f"/contacts/{made['id']}"
    changed = api.put(path, {"name": "Ada", "custom_attributes": {"seats": None, "city": "Åre"}}).json()
    assert changed["name"] == "Ada"
    assert changed["custom_attributes"] == {"plan": "pro", "city": "Åre"}
    assert api.get(path).json()["external_id"] == "25"


def test_a_change_to_a_taken_user_id_is_a_conflict(api):
    api.post("/contacts", {"external_id": "1"})
    second = api.post("/contacts", {"external_id": "2"}).json()
    assert api.put(f"/contacts/{second['id']}", {"external_id": "1"}).status_code == 409


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": 7}, "email"),
        ({"role": "admin"}, "role"),
        ({"external_id": "1", "signed_up_at": "now"}, "signed_up_at"),
        ({"external_id": "1", "signed_up_at": 1734537437000}, "signed_up_at"),
        ({"external_id": "1", "custom_attributes": {"a": {"b": 1}}}, "custom_attributes.a"),
        ({"external_id": "1", "custom_attributes": {"a": "x" * 256}}, "custom_attributes.a"),
        ({"external_id": "1", "custom_attributes": []}, "custom_attributes"),
        ({"external_id": "1", "name": "a\0"}, "name"),
        ({"external_id": "1", "signed_up_at": "1734537437"}, "signed_up_at"),
        ({"external_id": "1", "unsubscribed_from_emails": 0}, "unsubscribed_from_emails"),
        ({"external_id": "1", "user_id": {}}, "user_id"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(api, fields, field):
    response = api.post("/contacts", fields)
    assert response.status_code == 400
    assert [fault["field"] for fault in response.json()["errors"]] == [field]
    assert not Contact.objects.exists()


@pytest.mark.parametrize("contact_id", ["f" * 24, "1", "x" * 24, "0" * 8 + "f" * 16])
def test_an_unknown_id_is_404(api, contact_id):
    assert api.get(f"/contacts/{contact_id}").status_code == 404


def test_who_is_archived_belongs_nowhere_until_they_are_back(api, buyer, does):
    address = f"/contacts/{buyer.public_id}"
    archived = {"type": "contact", "id": buyer.public_id, "external_id": "buyer", "archived": True}
    for _ in range(2):
        assert api.post(f"{address}/archive").json() == archived
    assert api.get("/contacts").json()["total_count"] == 0
    assert api.get(address).status_code == 200
    does(buyer, "placed-order")
    everybody = {"definition": {"conditions": []}}
    assert api.post("/segments/preview", everybody).json()["count"] == 0
    assert api.post(f"{address}/unarchive").json() == archived | {"archived": False}
    assert api.post("/segments/preview", everybody).json()["count"] == 1
    assert api.get("/events?type=user&user_id=buyer&summary=true").json()["events"][0]["count"] == 1


def test_who_is_blocked_is_archived_and_their_browsers_are_not_heard(api, buyer, person, does):
    address = f"/contacts/{buyer.public_id}"
    for _ in range(2):
        blocked = {"type": "contact", "id": buyer.public_id, "external_id": "buyer", "blocked": True}
        assert api.post(f"{address}/block").json() == blocked
    assert api.get("/contacts").json()["total_count"] == 0
    visitor = person("a-visitor", role="visitor")
    merge(visitor, Contact.objects.get(pk=buyer.pk))
    for source in (Source.BROWSER, Source.BROWSER_VERIFIED):
        # Whom their browser was before they were known is them, too.
        for who in (buyer, visitor):
            [outcome] = does(who, "placed-order", source=source)
            assert (outcome.status, outcome.fault.code) == (403, "action_forbidden")
    does(buyer, "placed-order")  # what the shop's own server says is heard
    api.post(f"{address}/unarchive")
    assert api.get("/contacts").json()["total_count"] == 1
    assert does(buyer, "placed-order", source=Source.BROWSER)[0].fault is None


def test_nobody_is_archived_without_the_scope_or_from_another_workspace(api_with, buyer, other_shop):
    for action in ("archive", "unarchive", "block"):
        path = f"/contacts/{buyer.public_id}/{action}"
        assert api_with("read").post(path).status_code == 403
        assert api_with("admin", workspace=other_shop).post(path).status_code == 404


@pytest.mark.parametrize("name", ["role", "unsubscribed_from_emails", "custom_attributes"])
def test_where_null_means_nothing_it_says_nothing(api, name):
    """Typed SDKs send it for what they were not given."""
    kept = {"role": "lead", "unsubscribed_from_emails": True, "custom_attributes": {"plan": "pro"}}
    made = api.post("/contacts", {"external_id": "1"} | kept).json()
    changed = api.put(f"/contacts/{made['id']}", {name: None, "name": "Ada"})
    assert changed.status_code == 200, changed.content
    assert {key: changed.json()[key] for key in kept} == kept
    assert api.post("/contacts", {"external_id": "2", name: None}).status_code == 200
    assert api.post("/contacts", {name: None}).status_code == 400


@pytest.mark.parametrize("what", ["companies", "notes", "subscriptions"])
def test_what_is_not_kept_of_a_contact_is_an_empty_list_where_the_contact_says(api, buyer, what):
    told = api.get(f"/contacts/{buyer.public_id}").json()
    there = told["opted_in_subscription_types" if what == "subscriptions" else what]
    assert api.get(there["url"]).json() == there
    assert there["data"] == []
    assert api.get(f"/contacts/{'0' * 24}/{what}").status_code == 404


def test_a_contact_says_whether_mails_reach_it(api, shop, buyer, person, django_assert_max_num_queries):
    complains = person("c", email="c@example.org")
    gone = person("gone", email="again@example.org")
    for contact, reason in ((buyer, "bounce"), (complains, "complaint"), (gone, "bounce")):
        Suppression.make(shop, contact.email, reason, "said the server")
    api.delete(f"/contacts/{gone.public_id}")
    # The same address is known again, though nobody can read whose it was.
    again = person("again", email="again@example.org")
    with django_assert_max_num_queries(5):
        told = {one["id"]: one for one in api.get("/contacts").json()["data"]}
    facts = [
        (told[one.public_id]["has_hard_bounced"], told[one.public_id]["marked_email_as_spam"])
        for one in (buyer, complains, again)
    ]
    assert facts == [(True, False), (False, True), (True, False)]
    assert api.get(f"/contacts/{buyer.public_id}").json()["has_hard_bounced"]


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="what SQLite does; of PostgreSQL tests/test_postgresql.py tells"
)
def test_a_page_of_people_begins_in_the_index_on_sqlite(shop, buyer):
    page = NEWEST_FIRST.of(Contact.objects.filter(workspace=shop).people())
    for asked in (page, page.filter(NEWEST_FIRST.after(Cursor(buyer.created_at, buyer.pk, 2)))):
        plan = asked[:50].explain()
        assert "USING INDEX contact_people_new" in plan
        assert "SCAN" not in plan
