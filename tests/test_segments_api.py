"""Segments over the API: made, changed, counted, listed, archived; by whom and with what refusals."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, transaction

from messaging.models import AutoMessage
from segments.definition import Invalid, parse_to_save
from segments.models import Segment

pytestmark = pytest.mark.django_db

ORDERED = {"version": 1, "match": "all", "conditions": [{"kind": "event", "event": "Placed.Order", "did": True}]}


@pytest.fixture
def admin_api(api_with):
    return api_with("admin")


@pytest.fixture
def buyers(admin_api):
    return admin_api.post("/segments", {"name": "Buyers", "definition": ORDERED}).json()


def test_a_segment_is_made_read_changed_and_archived(admin_api, buyers, buyer, does):
    does(buyer, "placed-order")
    address = f"/segments/{buyers['id']}"
    assert buyers["type"] == "segment"
    assert buyers["definition"]["conditions"][0]["event"] == "placed-order"
    assert "count" not in admin_api.get(address).json()
    assert admin_api.get(f"{address}?include_count=true").json()["count"] == 1
    [listed] = admin_api.get("/segments?include_count=true").json()["segments"]
    assert (listed["name"], listed["count"], listed["person_type"]) == ("Buyers", 1, "user")
    changed = admin_api.put(address, {"name": "Customers", "description": "Bought"}).json()
    assert (changed["name"], changed["definition"]) == ("Customers", buyers["definition"])
    assert admin_api.delete(address).json() == {"type": "segment", "id": buyers["id"], "archived": True}
    assert admin_api.get(address).status_code == 404
    assert admin_api.get("/segments").json() == {"type": "segment.list", "segments": [], "pages": {}}


def test_members_are_listed_page_by_page(admin_api, buyers, person, does):
    for number in range(7):
        does(person(f"p{number}"), "placed-order")
    person("other")
    address, seen, pages = f"/segments/{buyers['id']}/contacts?per_page=3", [], 0
    following = ""
    while following is not None:
        body = admin_api.get(address + following).json()
        assert body["total_count"] == 7
        seen += [contact["external_id"] for contact in body["data"]]
        pages += 1
        place = body["pages"]["next"]
        following = place and f"&starting_after={place['starting_after']}"
    assert seen == [f"p{number}" for number in reversed(range(7))]
    assert pages == 3
    assert admin_api.get(address + "&starting_after=x").status_code == 400
    assert admin_api.get(address.replace("=3", "=0")).status_code == 400


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ({"definition": ORDERED}, 400, "name"),
        ({"name": "Buyers"}, 400, "definition"),
        ({"name": "", "definition": ORDERED}, 400, "name"),
        ({"name": "x" * 101, "definition": ORDERED}, 400, "name"),
        ({"name": "a\0b", "definition": ORDERED}, 400, "name"),
        ({"name": "All", "definition": {"conditions": []}}, 422, "definition"),
        ({"name": "All", "definition": {"conditions": [{"kind": "hobby"}]}}, 422, "conditions[0].kind"),
        ({"name": "All", "definition": None}, 400, "definition"),
        ([], 400, "body"),
    ],
    ids=["no name", "no definition", "empty", "long", "nul", "everyone", "unknown", "null", "list"],
)
def test_what_is_no_segment_is_refused_with_its_field(admin_api, sent, status, field):
    answer = admin_api.post("/segments", sent)
    assert answer.status_code == status
    assert field in {error.get("field") for error in answer.json()["errors"]}
    assert not Segment.objects.exists()


def test_a_name_is_one_segments_alone(admin_api, buyers):
    again = admin_api.post("/segments", {"name": "Buyers", "definition": ORDERED})
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "name")
    other = admin_api.post("/segments", {"name": "Other", "definition": ORDERED}).json()
    assert admin_api.put(f"/segments/{other['id']}", {"name": "Buyers"}).status_code == 409
    assert admin_api.get(f"/segments/{other['id']}").json()["name"] == "Other"


def test_an_audience_is_not_archived(admin_api, buyers, shop):
    AutoMessage.objects.create(
        workspace=shop, name="Thanks", audience_id=int(buyers["id"]), trigger=shop.event_types.create(name="x")
    )
    refused = admin_api.delete(f"/segments/{buyers['id']}")
    assert refused.status_code == 409
    assert "Thanks" in refused.json()["errors"][0]["message"]


def test_a_token_needs_its_scope_and_sees_its_own_workspace_alone(api_with, buyers, other_shop):
    address = f"/segments/{buyers['id']}"
    for scope in ("write", "read", "events:write"):
        own = api_with(scope)
        assert own.post("/segments", {"name": "x", "definition": ORDERED}).status_code == 403
        assert own.put(address, {"name": "x"}).status_code == 403
        assert own.delete(address).status_code == 403
    assert api_with("read").get(address).status_code == 200
    stranger = api_with("admin", workspace=other_shop)
    for path in (address, f"{address}/contacts"):
        assert stranger.get(path).status_code == 404
    assert stranger.put(address, {"name": "x"}).status_code == 404
    assert stranger.delete(address).status_code == 404


def test_a_segment_that_cannot_be_asked_any_more_says_so(admin_api, buyers):
    Segment.objects.update(definition={"conditions": [{"kind": "gone"}]})
    assert admin_api.get(f"/segments/{buyers['id']}?include_count=true").json()["count"] is None
    refused = admin_api.get(f"/segments/{buyers['id']}/contacts")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "conditions[0].kind")


def test_a_segment_explains_itself_about_somebody(admin_api, api_with, buyers, buyer, does, other_shop):
    around = admin_api.post("/segments", {"name": "Around", "definition": within(buyers, "not_in")}).json()
    does(buyer, "placed-order")
    why = admin_api.get(f"/segments/{buyers['id']}/explain?contact_id={buyer.public_id}").json()
    assert (why["type"], why["holds"], why["match"]) == ("segment.explanation", True, "all")
    [row] = why["conditions"]
    assert row["condition"] == "did placed-order"
    assert row["facts"].startswith("placed-order once; last one on ")
    why = admin_api.get(f"/segments/{around['id']}/explain?contact_id={buyer.public_id}").json()
    assert why["holds"] is False
    assert why["conditions"][0]["condition"] == "not in segment “Buyers”"
    assert why["conditions"][0]["conditions"] == [row]
    assert admin_api.get(f"/segments/{buyers['id']}/explain").status_code == 400
    nobody = "0" * 24
    assert admin_api.get(f"/segments/{buyers['id']}/explain?contact_id={nobody}").status_code == 404
    stranger = api_with("admin", workspace=other_shop)
    assert stranger.get(f"/segments/{buyers['id']}/explain?contact_id={buyer.public_id}").status_code == 404


# Segments in segments --------------------------------------------------------------------------------------------------


def within(segment, op="in"):
    return {"conditions": [{"kind": "segment", "segment": int(segment["id"]), "op": op}]}


def test_a_segment_may_be_part_of_another(admin_api, buyers, person, does):
    does(person("ada"), "placed-order")
    person("bob")
    for op, expected in (("in", "ada"), ("not_in", "bob")):
        preview = admin_api.post("/segments/preview", {"definition": within(buyers, op)}).json()
        assert [contact["external_id"] for contact in preview["contacts"]] == [expected]
    other = admin_api.post("/segments", {"name": "Not yet", "definition": within(buyers, "not_in")}).json()
    assert other["definition"]["conditions"] == [{"kind": "segment", "segment": int(buyers["id"]), "op": "not_in"}]
    third = admin_api.post("/segments/preview", {"definition": within(other, "not_in")}).json()
    assert [contact["external_id"] for contact in third["contacts"]] == ["ada"]
    # It is asked as it is now, and stays while it is used.
    opened = {"conditions": [{"kind": "event", "event": "opened-app"}]}
    admin_api.put(f"/segments/{buyers['id']}", {"definition": opened})
    assert admin_api.get(f"/segments/{other['id']}?include_count=true").json()["count"] == 2
    refused = admin_api.delete(f"/segments/{buyers['id']}")
    assert (refused.status_code, "the segment “Not yet”" in refused.json()["errors"][0]["message"]) == (409, True)


def test_no_segment_contains_itself(admin_api, buyers):
    middle = admin_api.post("/segments", {"name": "Middle", "definition": within(buyers)}).json()
    for around in (buyers, middle):
        refused = admin_api.put(f"/segments/{buyers['id']}", {"definition": within(around)})
        assert refused.status_code == 422
        assert "would contain itself" in refused.json()["errors"][0]["message"]
        assert refused.json()["errors"][0]["field"] == "conditions[0].segment"
    assert admin_api.get(f"/segments/{buyers['id']}").json()["definition"] == buyers["definition"]


def test_its_depth_and_its_conditions_count(admin_api, buyers):
    inner = buyers
    for number in range(4):
        inner = admin_api.post("/segments", {"name": f"Level {number}", "definition": within(inner)}).json()
    refused = admin_api.post("/segments", {"name": "Too deep", "definition": within(inner)})
    assert refused.status_code == 422
    assert "nested more than 5 deep" in refused.json()["errors"][0]["message"]
    many = {"name": "Many", "definition": {"conditions": ORDERED["conditions"] * 60}}
    many = within(admin_api.post("/segments", many).json())["conditions"]
    assert admin_api.post("/segments/preview", {"definition": {"conditions": many}}).status_code == 200
    assert admin_api.post("/segments/preview", {"definition": {"conditions": many * 2}}).status_code == 422


def test_only_segments_of_the_workspace_that_are_not_archived_are_known(admin_api, api_with, buyers, other_shop):
    unknown = {"id": "999999"}
    stranger = api_with("admin", workspace=other_shop)
    assert stranger.post("/segments/preview", {"definition": within(buyers)}).status_code == 422
    assert admin_api.post("/segments/preview", {"definition": within(unknown)}).status_code == 422
    admin_api.delete(f"/segments/{buyers['id']}")
    refused = admin_api.post("/segments/preview", {"definition": within(buyers)})
    assert f"No segment here has the id {buyers['id']}" in refused.json()["errors"][0]["message"]


@pytest.mark.django_db(transaction=True)
def test_two_that_are_saved_at_once_do_not_contain_each_other(shop):
    def definition_of(pk):
        return {"version": 1, "match": "all", "conditions": [{"kind": "segment", "segment": pk, "op": "in"}]}

    pair = [Segment.objects.create(workspace=shop, name=name, definition=ORDERED) for name in ("one", "other")]
    barrier = Barrier(2)

    def save(own, other):
        try:
            barrier.wait()
            with transaction.atomic():
                own.definition = parse_to_save(shop, definition_of(other.pk), of=own.pk).as_json()
                own.save()
        except Invalid:
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        ends = list(threads.map(save, pair, reversed(pair)))
    assert sorted(ends, key=str) == [None, "refused"]
