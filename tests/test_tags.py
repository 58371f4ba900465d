"""Tags over the API: made, put on people, taken off, asked for, kept while something asks for them."""

import pytest

from eventsapp.models import Tag, Tagging

pytestmark = pytest.mark.django_db


@pytest.fixture
def vip(api):
    return api.post("/tags", {"name": "VIP"}).json()


def asks_for(tag, op="has"):
    return {"conditions": [{"kind": "tag", "tag": int(tag["id"]), "op": op}]}


def test_a_name_is_one_tag_in_whatever_case(api, vip):
    assert vip == {"type": "tag", "id": vip["id"], "name": "VIP"}
    assert api.post("/tags", {"name": "vip"}).json() == vip
    other = api.post("/tags", {"name": "Éclair"}).json()
    assert api.post("/tags", {"name": "E\u0301CLAIR"}).json() == other
    # Under two names: SDKs of API 1.x look for the second.
    assert api.get("/tags").json() == {"type": "list", "data": [vip, other], "tags": [vip, other]}
    assert api.get(f"/tags/{vip['id']}").json() == vip


def test_a_tag_gets_a_new_name_unless_another_has_it(api, vip):
    other = api.post("/tags", {"name": "Lapsed"}).json()
    assert api.post("/tags", {"id": int(vip["id"]), "name": "Very important"}).json()["name"] == "Very important"
    assert api.get(f"/tags/{vip['id']}").json()["name"] == "Very important"
    refused = api.post("/tags", {"id": other["id"], "name": "VERY important"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "name")
    assert api.post("/tags", {"id": "999999", "name": "x"}).status_code == 404


def test_people_are_tagged_and_untagged(api, buyer, vip):
    address = f"/contacts/{buyer.public_id}"
    for _ in range(2):
        assert api.post(f"{address}/tags", {"id": vip["id"]}).json() == vip
    assert api.get(f"{address}/tags").json()["data"] == [vip]
    shown = api.get(address).json()["tags"]
    assert (shown["total_count"], shown["data"]) == (1, [{"type": "tag", "id": vip["id"], "url": f"/tags/{vip['id']}"}])
    assert api.get("/users?user_id=buyer").json()["tags"] == {"type": "tag.list", "tags": [vip]}
    assert api.delete(f"{address}/tags/{vip['id']}").json() == vip
    assert api.delete(f"{address}/tags/{vip['id']}").status_code == 404
    assert api.get(address).json()["tags"]["data"] == []


def test_many_are_tagged_and_untagged_as_api_1_has_it(api, person, django_assert_max_num_queries):
    ben = person("ben", email="ben@example.org")
    person("ada")
    person(None, email="cleo@example.org")
    api.post(f"/contacts/{person('dora').public_id}/archive")
    named = [{"user_id": "ada"}, {"id": ben.public_id}, {"email": "CLEO@example.org"}, {"user_id": "dora"}]
    with django_assert_max_num_queries(12):
        vip = api.post("/tags", {"name": "VIP", "users": named, "tag_or_untag": "tag"}).json()

    def tagged():
        return {contact["external_id"] for contact in api.get(f"/contacts?tag_id={vip['id']}").json()["data"]}

    assert tagged() == {"ada", "ben", None}
    assert api.get("/contacts?search=dora").json()["total_count"] == 0
    assert Tagging.objects.count() == 4
    assert (
        api.post("/tags", {"name": "vip", "users": [{"user_id": "ada", "untag": True}, {"user_id": "ben"}]}).json()
        == vip
    )
    assert tagged() == {"ben", None}
    refused = api.post("/tags", {"name": "VIP", "users": [{"user_id": "ada"}, {"user_id": "nobody"}]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (404, "users[1].user_id")
    assert tagged() == {"ben", None}


def test_a_list_of_people_looks_their_tags_up_once(api, person, vip, django_assert_max_num_queries):
    tag = Tag.objects.get()
    for number in range(5):
        Tagging.objects.create(tag=tag, contact=person(f"p{number}"))
    api.get("/contacts")
    with django_assert_max_num_queries(4):
        listed = api.get("/contacts").json()["data"]
    assert [contact["tags"]["total_count"] for contact in listed] == [1] * 5


def test_segments_ask_for_tags(api, buyer, person, vip):
    person("other")
    api.post(f"/contacts/{buyer.public_id}/tags", {"id": vip["id"]})
    for op, expected in (("has", ["buyer"]), ("has_not", ["other"])):
        found = api.post("/segments/preview", {"definition": asks_for(vip, op)}).json()["contacts"]
        assert [contact["external_id"] for contact in found] == expected
    refused = api.post("/segments/preview", {"definition": asks_for({"id": "4711"})})
    assert refused.json()["errors"][0] == {
        "code": "parameter_invalid",
        "message": "No tag here has the id 4711.",
        "field": "conditions[0].tag",
    }


def test_a_tag_that_a_segment_asks_for_stays(api_with, vip):
    admin = api_with("admin")
    segment = admin.post("/segments", {"name": "Important", "definition": asks_for(vip)}).json()
    refused = admin.delete(f"/tags/{vip['id']}")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "tag_has_dependent_objects")
    assert "the segment “Important”" in refused.json()["errors"][0]["message"]
    admin.delete(f"/segments/{segment['id']}")
    gone = admin.delete(f"/tags/{vip['id']}")
    assert (gone.status_code, gone.content) == (200, b"")
    assert admin.get("/tags").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x", "id": True}, "id"),
        ({"name": "x", "users": {"id": "1"}}, "users"),
        ({"name": "x", "users": {}}, "users"),
        ({"name": "x", "users": [{"user_id": "buyer"}, 7]}, "users[1]"),
        ({"name": "x", "users": [{}]}, "users[0].user_id"),
        ({"name": "x", "companies": [{"id": "1"}]}, "companies"),
    ],
    ids=str,
)
def test_a_wrong_tag_is_refused_with_its_field(api, body, field):
    refused = api.post("/tags", body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)
    assert not Tag.objects.exists()


def test_tags_are_their_workspaces_own_and_need_their_scope(api, api_with, buyer, other_shop, vip):
    stranger = api_with("admin", workspace=other_shop)
    assert stranger.get("/tags").json()["data"] == []
    assert stranger.get(f"/tags/{vip['id']}").status_code == 404
    assert stranger.delete(f"/tags/{vip['id']}").status_code == 404
    assert stranger.post("/tags", {"id": vip["id"], "name": "Mine"}).status_code == 404
    assert stranger.post(f"/contacts/{buyer.public_id}/tags", {"id": vip["id"]}).status_code == 404
    assert stranger.post("/segments/preview", {"definition": asks_for(vip)}).status_code == 422
    # One of its own on somebody of theirs.
    own = stranger.post("/tags", {"name": "VIP"}).json()
    assert stranger.post(f"/contacts/{buyer.public_id}/tags", {"id": own["id"]}).status_code == 404
    assert api.post(f"/contacts/{buyer.public_id}/tags", {"id": own["id"]}).status_code == 404
    reader, writer = api_with("read"), api_with("events:write")
    assert reader.get("/tags").status_code == 200
    assert reader.post("/tags", {"name": "x"}).status_code == 403
    assert reader.delete(f"/tags/{vip['id']}").status_code == 403
    assert reader.post(f"/contacts/{buyer.public_id}/tags", {"id": vip["id"]}).status_code == 403
    assert reader.delete(f"/contacts/{buyer.public_id}/tags/{vip['id']}").status_code == 403
    assert writer.get("/tags").status_code == 403
