"""Visitors over the API: found, changed, and turned into leads and users."""

import time

import pytest

from eventsapp.models import Contact, EventSummary

pytestmark = pytest.mark.django_db
VISITOR = "6f1c1c0e-6f2b-4d0a-9d0e-0b7f6f1c1c0e"


@pytest.fixture
def visitor(person, does):
    made = person(VISITOR, role="visitor")
    does(made, "viewed-pricing", times=2)
    return made


def convert(api, **sent):
    return api.post("/visitors/convert", {"visitor": {"user_id": VISITOR}, "type": "user"} | sent)


def test_a_visitor_is_found_by_either_id_and_changed(api, visitor, buyer):
    for asked in (f"user_id={VISITOR}", f"id={visitor.public_id}"):
        found = api.get(f"/visitors?{asked}").json()
        assert (found["type"], found["id"], found["anonymous"]) == ("visitor", visitor.public_id, True)
    changed = api.put("/visitors", {"user_id": VISITOR, "name": "Ada", "custom_attributes": {"plan": "pro"}})
    assert (changed.json()["name"], changed.json()["custom_attributes"]) == ("Ada", {"plan": "pro"})
    for nobody in ("user_id=buyer", "user_id=x", f"id={buyer.public_id}", "id=x"):
        assert api.get(f"/visitors?{nobody}").status_code == 404
    assert api.get("/visitors").status_code == 400


@pytest.mark.parametrize("named", ["user_id", "email", "id", "new"])
def test_a_visitor_becomes_a_user_with_what_they_did(api, visitor, buyer, named):
    user = {
        "user_id": {"user_id": "buyer"},
        "email": {"email": "buyer@example.org"},
        "id": {"id": buyer.public_id},
        "new": {"user_id": "26", "name": "Berta"},
    }[named]
    answer = convert(api, user=user)
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["role"] == "user"
    assert told["external_id"] == ("26" if named == "new" else "buyer")
    assert EventSummary.objects.get().contact.external_id == told["external_id"]
    assert api.get(f"/visitors?user_id={VISITOR}").status_code == 410
    late = {"event_name": "viewed-pricing", "created_at": int(time.time()) - 500, "user_id": VISITOR}
    assert api.post("/events", late).status_code == 202
    assert EventSummary.objects.get().count == 3


def test_a_visitor_becomes_a_lead_and_stays_themselves(api, visitor):
    told = convert(api, user={"email": "ada@example.org"}, type="lead").json()
    assert (told["id"], told["role"], told["email"]) == (visitor.public_id, "lead", "ada@example.org")
    assert Contact.objects.people().get().pk == visitor.pk
    assert convert(api, user={"user_id": "25"}).status_code == 404


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"type": "x"}, "type"),
        ({"type": None}, "type"),
        ({"type": ["user"]}, "type"),
        ({"visitor": 7}, "visitor"),
        ({"visitor": {}}, "user_id"),
        ({"user": []}, "user"),
        ({"user": {}}, "user"),
        ({"user": {"id": 7}}, "user.id"),
        ({"user": {"email": "x"}}, "email"),
        ({"user": {"user_id": VISITOR}}, "user"),
    ],
)
def test_what_cannot_be_is_told(api, visitor, sent, field):
    answer = convert(api, **{"user": {"user_id": "25"}} | sent)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field
    assert Contact.objects.get().role == "visitor"


def test_a_visitor_is_no_user_and_a_refusal_changes_nothing(api, visitor, person):
    other = person("00000000-0000-4000-8000-000000000000", role="visitor", name="Other")
    for named in (visitor, other):
        for user in ({"id": named.public_id}, {"user_id": named.external_id}):
            answer = convert(api, user=user | {"name": "Ada"})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "user")
    assert set(Contact.objects.values_list("name", "role", "merged_into")) == {
        (None, "visitor", None),
        ("Other", "visitor", None),
    }


def test_visitors_are_of_their_workspace_and_need_the_scope(api_with, other_shop, visitor):
    stranger = api_with("admin", other_shop)
    assert stranger.get(f"/visitors?user_id={VISITOR}").status_code == 404
    assert stranger.get(f"/visitors?id={visitor.public_id}").status_code == 404
    assert convert(stranger, user={"user_id": "25"}).status_code == 404
    assert convert(api_with("read"), user={"user_id": "25"}).status_code == 403
    assert api_with("events:write").get(f"/visitors?user_id={VISITOR}").status_code == 403


@pytest.mark.parametrize("user_id", ["a\0b", "\0"])
def test_what_no_database_takes_names_nobody(api, visitor, user_id):
    for answer in (
        api.put("/visitors", {"user_id": user_id, "name": "X"}),
        api.post("/visitors/convert", {"visitor": {"user_id": user_id}, "type": "user", "user": {"user_id": "1"}}),
        api.post("/contacts/convert", {"contact": {"user_id": user_id}, "user": {"user_id": "1"}}),
    ):
        assert answer.status_code == 404, answer.content
