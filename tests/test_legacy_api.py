"""What SDKs of Intercom's API 1.x call: users, and bulk jobs of events."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from eventsapp.models import ApiToken, BulkJob, Contact, Event, EventType, Workspace
from eventsapp.tags import find_or_create, put_on
from segments.models import Segment

pytestmark = pytest.mark.django_db


def item(**event):
    data = {"event_name": "placed-order", "created_at": 1_760_000_000, "user_id": "25"} | event
    return {"method": "post", "data_type": "event", "data": data}


# Which generation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "is_1_x"),
    [
        ({}, False),
        ({"user-agent": "python-intercom/3.1.0"}, True),
        ({"user-agent": "intercom-node-client/2.0.0"}, True),
        ({"user-agent": "intercom-java/2.8.2"}, True),
        ({"user-agent": "python-intercom/5.0.1"}, False),
        ({"user-agent": "intercom-node-client/3.0.0"}, False),
        ({"user-agent": "python-intercom/3.1.0", "intercom-version": "2.11"}, False),
        ({"intercom-version": "1.4"}, True),
        ({"intercom-version": "Preview"}, False),
    ],
    ids=str,
)
def test_contacts_are_leads_for_those_who_speak_1_x(api, headers, is_1_x):
    made = api.post("/contacts", {"email": "joe@example.com"}, headers=headers).json()
    role = Contact.objects.get().role
    assert (role, made["type"], "user_id" in made) == (("lead" if is_1_x else "user"), "contact", is_1_x)


# Leads ---------------------------------------------------------------------------------------------------------------

OLD = {"user-agent": "python-intercom/3.1.0"}


@pytest.fixture
def old(api):
    """An app that speaks 1.x."""

    class Old:
        def get(self, path):
            return api.client.get(path, headers={"authorization": f"Bearer {api.token}"} | OLD)

        def post(self, path, body):
            return api.post(path, body, headers=OLD)

    return Old()


def test_each_post_makes_another_lead_with_a_user_id_of_its_own(old):
    first, second = (old.post("/contacts/", {"email": "joe@example.com"}).json() for _ in range(2))
    assert first["id"] != second["id"]
    assert first["user_id"] != second["user_id"]
    assert (first["type"], first["anonymous"]) == ("contact", True)
    assert old.get(f"/contacts/{first['id']}").json() == first
    assert old.get(f"/contacts?user_id={second['user_id']}").json() == second


@pytest.mark.parametrize("named", ["id", "user_id"])
def test_a_lead_is_changed_by_whoever_names_it(old, named):
    made = old.post("/contacts", {"email": "joe@example.com"}).json()
    changed = old.post("/contacts", {named: made[named], "name": "Joe", "custom_attributes": {"plan": "pro"}}).json()
    assert changed["id"] == made["id"]
    assert (changed["name"], changed["email"], changed["custom_attributes"]) == ("Joe", made["email"], {"plan": "pro"})
    assert old.post("/contacts", {"user_id": "nobody"}).status_code == 404


def test_a_lead_whose_email_no_user_has_becomes_the_user(old, api):
    lead = old.post("/contacts", {"email": "joe@example.com"}).json()
    api.post("/events", {"event_name": "asked", "created_at": 1_760_000_000, "id": lead["id"]})
    # Another lead with this email is another's.
    old.post("/contacts", {"email": "joe@example.com"})
    convert = {"contact": {"user_id": lead["user_id"]}, "user": {"email": "joe@example.com", "name": "Joe"}}
    user = old.post("/contacts/convert", convert).json()
    assert (user["id"], user["type"], user["name"]) == (lead["id"], "user", "Joe")
    assert old.get("/contacts").json()["total_count"] == 1
    assert old.post("/contacts/convert", convert).status_code == 404


def test_users_are_no_leads(old, api):
    user = api.post("/users", {"user_id": "25"}).json()
    assert old.post("/contacts", {"user_id": "25", "name": "Joe"}).status_code == 404
    assert old.get("/contacts?user_id=25").status_code == 404
    assert old.get("/contacts").json()["contacts"] == []
    assert old.get(f"/contacts/{user['id']}").json()["type"] == "user"


def test_leads_are_listed_page_by_page_and_by_email(old, person):
    for number in range(5):
        person(f"lead-{number}", role="lead", email=f"{number % 2}@example.org")
    person("user", email="0@example.org")
    first = old.get("/contacts?per_page=3").json()
    assert (first["type"], first["total_count"], len(first["contacts"])) == ("contact.list", 5, 3)
    path = first["pages"]["next"].removeprefix(settings.BASE_URL)
    second = old.get(path).json()
    assert second["pages"]["next"] is None
    listed = [lead["user_id"] for lead in first["contacts"] + second["contacts"]]
    assert listed == [f"lead-{number}" for number in (4, 3, 2, 1, 0)]
    found = old.get("/contacts?email=0@EXAMPLE.org&per_page=2").json()
    assert (found["total_count"], "email=0%40EXAMPLE.org" in found["pages"]["next"]) == (3, True)


def test_a_lead_becomes_a_user_with_what_it_did(old, api):
    lead = old.post("/contacts", {"email": "joe@example.com"}).json()
    api.post("/events", {"event_name": "asked", "created_at": 1_760_000_000, "id": lead["id"]})
    user = old.post("/contacts/convert", {"contact": {"user_id": lead["user_id"]}, "user": {"user_id": "25"}}).json()
    assert (user["type"], user["user_id"], user["email"]) == ("user", "25", "joe@example.com")
    assert [event["event_name"] for event in api.get("/events?type=user&user_id=25").json()["events"]] == ["asked"]
    for asking, code in ((old, "not_found"), (api, "contact_merged")):
        gone = asking.get(f"/contacts/{lead['id']}")
        assert (gone.status_code, gone.json()["errors"][0]["code"]) == (410, code)
        assert gone["Link"].endswith(f'/contacts/{user["id"]}>; rel="canonical"')
    for wrong, status in (
        ({"user": {"user_id": "25"}}, 400),
        ({"contact": {"user_id": "25"}, "user": {"user_id": "25"}}, 404),
        ({"contact": {}, "user": {"user_id": "25"}}, 400),
        ({"contact": {"user_id": "nobody"}, "user": {"user_id": "25"}}, 404),
    ):
        assert old.post("/contacts/convert", wrong).status_code == status


# Users ---------------------------------------------------------------------------------------------------------------


def test_a_user_is_made_then_changed_by_the_same_call(api):
    made = api.post("/users/", {"user_id": 25, "email": "Joe@example.com", "custom_attributes": {"plan": "pro"}})
    assert made.status_code == 200
    changed = api.post("/users", {"user_id": "25", "name": "Joe", "custom_attributes": {"seats": 3}}).json()
    assert changed["id"] == made.json()["id"]
    assert changed["type"] == "user"
    assert changed["email"] == "Joe@example.com"
    assert changed["custom_attributes"] == {"plan": "pro", "seats": 3}
    assert Contact.objects.count() == 1


def test_what_was_read_can_be_sent_back_as_it_is(api):
    made = api.post("/users", {"email": "joe@example.com", "signed_up_at": 1_700_000_000}).json()
    assert api.post("/users", made | {"name": "Joe"}).json() == made | {
        "name": "Joe",
        "updated_at": Contact.objects.get().updated_at,
    }


@pytest.mark.parametrize(
    "named", [{"id": None}, {"user_id": "25"}, {"email": "JOE@example.com"}], ids=["id", "user_id", "email"]
)
def test_a_user_is_found_by_id_user_id_or_email(api, named):
    made = api.post("/users", {"user_id": "25", "email": "joe@example.com"}).json()
    named = {key: value or made["id"] for key, value in named.items()}
    assert api.post("/users", named | {"name": "Joe"}).json()["id"] == made["id"]
    query = "&".join(f"{key}={value}" for key, value in named.items() if key != "id")
    path = f"/users?{query}" if query else f"/users/{made['id']}"
    assert api.get(path).json()["name"] == "Joe"


def test_a_new_user_id_with_a_known_email_is_that_person(api):
    first = api.post("/users", {"email": "joe@example.com"}).json()
    assert api.post("/users", {"user_id": "25", "email": "joe@example.com"}).json()["id"] == first["id"]


def test_last_request_is_set_or_is_now(api):
    assert (
        api.post("/users", {"user_id": "1", "last_request_at": 1_700_000_000}).json()["last_request_at"]
        == 1_700_000_000
    )
    now = int(timezone.now().timestamp())
    assert api.post("/users", {"user_id": "1", "update_last_request_at": True}).json()["last_request_at"] >= now


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "user_id"),
        ([], 400, "body"),
        ({"id": "f" * 24}, 404, "id"),
        ({"id": 7}, 400, "id"),
        ({"user_id": "1", "email": "nobody"}, 400, "email"),
        ({"user_id": "1", "custom_attributes": {"a": {}}}, 400, "custom_attributes.a"),
        ({"email": "shared@example.com"}, 409, "email"),
    ],
)
def test_what_is_wrong_with_a_user_is_told(api, body, status, field):
    for user_id in "78":
        api.post("/contacts", {"external_id": user_id, "email": "shared@example.com"})
    response = api.post("/users", body)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (status, field)


def test_nobody_is_404_and_a_shared_email_is_409(api):
    for user_id in "78":
        api.post("/contacts", {"external_id": user_id, "email": "shared@example.com"})
    assert api.get("/users?user_id=9").status_code == 404
    assert api.get("/users?email=shared@example.com").status_code == 409
    assert api.get(f"/users/{'f' * 24}").status_code == 404


# Jobs ----------------------------------------------------------------------------------------------------------------


def test_a_job_stores_its_items_and_tells_which_failed(api):
    items = [item(), item(created_at="now"), item(), {"method": "delete", "data_type": "event", "data": {}}, 7]
    job = api.post("/bulk/events", {"items": items}).json()
    assert Event.objects.count() == 1
    assert job["type"] == "job"
    assert job["state"] == "completed_with_errors"
    assert [task["item_count"] for task in job["tasks"]] == [5]
    assert api.get(job["links"]["self"].partition("8000")[2]).json() == job
    failed = api.get(f"/jobs/{job['id']}/error").json()["items"]
    assert [one["error"]["field"] for one in failed] == ["created_at", "method", "items"]
    assert failed[0]["data"]["created_at"] == "now"


def test_items_are_appended_to_a_job_that_is_open(api, shop):
    job = api.post("/bulk/events/", {"items": [item()]}).json()
    again = api.post("/bulk/events", {"items": [item(created_at=1_760_000_001)], "job": {"id": job["id"]}}).json()
    assert again["id"] == job["id"]
    assert len(api.post(f"/jobs/{job['id']}", {"items": [item(user_id="26")]}).json()["tasks"]) == 3
    assert Event.objects.count() == 3
    BulkJob.objects.update(closing_at=timezone.now() - timedelta(seconds=1))
    closed = api.post("/bulk/events", {"items": [item()], "job": {"id": job["id"]}})
    assert (closed.status_code, closed.json()["errors"][0]["code"]) == (400, "job_closed")


def test_a_job_is_its_workspaces_own(api, client, other_shop):
    job = api.post("/bulk/events", {"items": [item()]}).json()
    api.token = ApiToken.make(workspace=other_shop, name="other")[1]
    for path in (f"/jobs/{job['id']}", f"/jobs/{job['id']}/error", "/jobs/job_none"):
        assert api.get(path).status_code == 404
    assert api.post("/bulk/events", {"items": [item()], "job": {"id": job["id"]}}).status_code == 404


@pytest.mark.parametrize("body", [{}, [], {"items": []}, {"items": {}}, {"items": [1], "job": "x"}])
def test_what_is_no_job_is_a_400(api, body):
    assert api.post("/bulk/events", body).status_code == 400


def test_an_item_that_no_database_takes_is_kept_as_a_fault(api):
    job = api.post(
        "/bulk/events", {"items": [item(metadata={"a": "\0"}), item(created_at=10**30, metadata={"\0": 1})]}
    ).json()
    kept = api.get(f"/jobs/{job['id']}/error").json()["items"]
    assert kept[0]["data"]["metadata"] == {"a": "\0"}
    assert kept[1]["data"]["created_at"] == 1e30


# Jobs of users -------------------------------------------------------------------------------------------------------


def user(method="post", **data):
    return {"method": method, "data_type": "user", "data": data}


def test_a_job_makes_changes_and_deletes_users_in_their_order(api, shop):
    gone = api.post("/users", {"user_id": "1", "email": "gone@example.org"}).json()
    api.post("/events", {"event_name": "asked", "created_at": 1_760_000_000, "user_id": "1"})
    items = [
        user(user_id="25", email="joe@example.org", custom_attributes={"plan": "pro", "seats": 3}),
        user(user_id="25", name="Joe", custom_attributes={"seats": None}),
        user("delete", email="gone@example.org"),
        user(user_id="1", name="New"),
        user("delete", user_id="nobody"),
    ]
    job = api.post("/bulk/users", {"items": items}).json()
    assert (job["state"], [task["item_count"] for task in job["tasks"]]) == ("completed_with_errors", [5])
    joe, new = (api.get(f"/users?user_id={user_id}").json() for user_id in ("25", "1"))
    assert (joe["name"], joe["email"], joe["custom_attributes"]) == ("Joe", "joe@example.org", {"plan": "pro"})
    assert (new["id"] != gone["id"], new["name"], new["email"]) == (True, "New", None)
    assert Event.objects.count() == 0
    [failed] = api.get(f"/jobs/{job['id']}/error").json()["items"]
    assert (failed["method"], failed["error"]["code"]) == ("delete", "not_found")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({}, "method"),
        (user("put"), "method"),
        (item(), "data_type"),
        ({"method": "post", "data_type": "user"}, "data"),
        (user(), "user_id"),
        (user("delete", name="Joe"), "user_id"),
        (user(user_id="1", email="nobody"), "email"),
        (user(user_id="1", custom_attributes={"seats": "many"}), "custom_attributes.seats"),
        (user(id="f" * 24), "id"),
        (user(id=7), "id"),
        ({"method": "delete", "data_type": "user", "data": []}, "body"),
    ],
    ids=str,
)
def test_an_item_that_is_wrong_is_told_and_keeps_no_other_back(api, item, field):
    good = user(user_id="25", custom_attributes={"seats": 3})
    job = api.post("/bulk/users", {"items": [good, item, user(user_id="26")]}).json()
    assert {one.external_id for one in Contact.objects.all()} == {"25", "26"}
    [failed] = api.get(f"/jobs/{job['id']}/error").json()["items"]
    assert failed["error"]["field"] == field


def test_a_job_is_of_events_or_of_users(api, api_with):
    events, users = (
        api.post("/bulk/events", {"items": [item()]}),
        api.post("/bulk/users", {"items": [user(user_id="1")]}),
    )
    events, users = events.json()["id"], users.json()["id"]
    assert api.post("/bulk/users", {"items": [user(user_id="1")], "job": {"id": events}}).status_code == 404
    assert api.post(f"/jobs/{users}", {"items": [user(user_id="2"), item()]}).json()["state"] == "completed_with_errors"
    assert api.post(f"/jobs/{users}", {"items": [user(user_id="3")] * 101}).status_code == 413
    for scope, mine, other in (("events:write", events, users), ("people:write", users, events)):
        app = api_with(scope)
        assert [app.get(f"/jobs/{job}").status_code for job in (mine, other)] == [200, 403]
        assert [app.get(f"/jobs/{job}/error").status_code for job in (mine, other)] == [200, 403]
        assert app.post(f"/jobs/{other}", {"items": [user(user_id="4"), item(user_id="4")]}).status_code == 403
    assert sorted(Contact.objects.values_list("external_id", flat=True)) == ["1", "2", "25"]


# A limit of names ----------------------------------------------------------------------------------------------------


def test_a_workspace_may_limit_its_event_names(api, shop):
    Workspace.objects.filter(pk=shop.pk).update(event_name_limit=2)
    batch = [item(event_name=name)["data"] for name in ("a", "b", "c", "a.b")]
    results = api.post("/events/batch", batch).json()["results"]
    assert [result["status"] for result in results] == [202, 202, 422, 422]
    refused = api.post("/events", item(event_name="d", user_id="new")["data"])
    assert refused.status_code == 422
    assert refused.json()["errors"][0] | {"field": None} == {
        "code": "422",
        "message": "Cannot have more than 2 active event names",
        "field": None,
    }
    assert api.post("/events", item(event_name="A", created_at=1)["data"]).status_code == 202
    assert not Contact.objects.filter(external_id="new").exists()
    totals = {"user_id": "25", "event_summaries": {"event_name": "e", "count": 1, "first": 1, "last": 1}}
    assert api.post("/events/summaries", totals).status_code == 422
    EventType.objects.filter(name="a").update(archived_at=timezone.now())
    assert api.post("/events", item(event_name="d")["data"]).status_code == 202


# Lists ---------------------------------------------------------------------------------------------------------------


def ids(users) -> list[str]:
    return [user["user_id"] for user in users]


def test_users_are_listed_page_by_page_without_leads(api, shop, person, django_assert_max_num_queries):
    for number in range(7):
        put_on(find_or_create(shop, "even"), person(f"u{number}")) if number % 2 == 0 else person(f"u{number}")
    person("lead", role="lead")
    with django_assert_max_num_queries(6):
        first = api.get("/users?per_page=3").json()
    assert (first["type"], first["total_count"], ids(first["users"])) == ("user.list", 7, ["u6", "u5", "u4"])
    assert [tag["name"] for tag in first["users"][0]["tags"]["tags"]] == ["even"]
    assert (first["pages"]["page"], first["pages"]["total_pages"]) == (1, 3)
    seen, page = ids(first["users"]), first
    while page["pages"]["next"]:
        page = api.get("/users?" + page["pages"]["next"].partition("?")[2]).json()
        seen += ids(page["users"])
    assert seen == [f"u{number}" for number in range(6, -1, -1)]
    assert ids(api.get("/users?per_page=3&page=3").json()["users"]) == ["u0"]
    even = shop.tags.get().pk
    assert ids(api.get(f"/users?tag_id={even}").json()["users"]) == ["u6", "u4", "u2", "u0"]
    assert api.get("/users?tag_id=999").status_code == 404
    assert api.get("/users?per_page=61").status_code == 400
    assert api.get("/users?starting_after=x").status_code == 400


def test_users_are_scrolled_until_nobody_is_left(api, person):
    for number in range(105):
        person(f"u{number}")
    seen, scroll = [], ""
    while users := (answer := api.get(f"/users/scroll?scroll_param={scroll}").json())["users"]:
        seen += ids(users)
        scroll = answer["scroll_param"]
    assert seen == [f"u{number}" for number in range(104, -1, -1)]
    assert answer["scroll_param"] is None


def test_a_list_of_users_narrows_to_a_segment(api, person, shop):
    for number in range(3):
        person(f"pro-{number}", plan="pro")
    person("free", plan="free")
    person("lead", role="lead", plan="pro")
    pros = {"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "pro"}
    segment = Segment.objects.create(workspace=shop, name="Pros", definition={"match": "all", "conditions": [pros]})
    first = api.get(f"/users?segment_id={segment.pk}&per_page=2").json()
    assert first["total_count"] == 3
    second = api.get(first["pages"]["next"].removeprefix(settings.BASE_URL)).json()
    assert [user["user_id"] for user in first["users"] + second["users"]] == ["pro-2", "pro-1", "pro-0"]
    for unknown in ("4711", "x", "9" * 12):
        assert api.get(f"/users?segment_id={unknown}").status_code == 404


def test_a_list_of_users_is_sorted_as_it_is_asked(api, person):
    for number, (signed_up_at, last_seen_at) in enumerate([(3, 10), (1, 30), (2, 20), (None, None)]):
        person(f"u{number}", signed_up_at=signed_up_at, last_seen_at=last_seen_at)

    def everybody(query) -> list[str]:
        page = api.get(f"/users?per_page=2&{query}").json()
        found = ids(page["users"])
        while page["pages"]["next"]:
            page = api.get(page["pages"]["next"].removeprefix(settings.BASE_URL)).json()
            found += ids(page["users"])
        return found

    assert everybody("order=asc") == ["u0", "u1", "u2", "u3"]
    assert everybody("sort=signed_up_at") == ["u0", "u2", "u1", "u3"]
    assert everybody("sort=last_request_at&order=asc") == ["u3", "u0", "u2", "u1"]
    for wrong in ("sort=name", "order=up"):
        answer = api.get(f"/users?{wrong}")
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [wrong.partition("=")[0]]


def test_a_user_by_the_email_of_a_lead_is_somebody_else(api, person):
    lead = person(None, role="lead", email="joe@example.com")
    made = api.post("/users", {"email": "joe@example.com", "name": "Joe"}).json()
    assert (made["type"], made["id"] == lead.public_id) == ("user", False)
    again = api.post("/users", {"email": "JOE@example.com", "name": "Joseph"}).json()
    assert (again["id"], again["name"]) == (made["id"], "Joseph")
    lead.refresh_from_db()
    assert (lead.role, lead.name) == ("lead", None)


@pytest.mark.parametrize("asked", ["user_id=gone", "email=gone@example.org"])
def test_a_user_is_deleted_by_user_id_or_email(api, api_with, person, asked):
    person("gone", email="gone@example.org")
    person("stays", email="stays@example.org")
    assert api_with("read").delete(f"/users?{asked}").status_code == 403
    told = api.delete(f"/users?{asked}").json()
    assert (told["type"], told["user_id"]) == ("user", "gone")
    assert api.get(f"/users?{asked}").status_code == 404
    assert api.delete(f"/users?{asked}").status_code == 404
    assert api.delete("/users").status_code == 400
    assert ids(api.get("/users").json()["users"]) == ["stays"]


def test_a_user_with_many_tags_is_read_with_as_few_questions(api, shop, person, django_assert_max_num_queries):
    ada = person("ada")
    for number in range(30):
        put_on(find_or_create(shop, f"tag {number}"), ada)
    with django_assert_max_num_queries(5):
        assert len(api.get("/users?user_id=ada").json()["tags"]["tags"]) == 30
