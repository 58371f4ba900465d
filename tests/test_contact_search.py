"""POST /contacts/search and GET /contacts: Intercom's query language, and pages by cursor."""

import pytest

from eventsapp.models import Contact, Workspace

pytestmark = pytest.mark.django_db
NOON = 1_760_011_200  # 2025-10-09 12:00 UTC
DAY = 86_400


@pytest.fixture
def people(shop, person):
    person("ann", name="Ann Österman", email="Ann@example.org", plan="Pro", seats=3, trial=True, signed_up_at=NOON)
    person("bob", name="Bob", email="bob@example.com", plan="free", seats=10, signed_up_at=NOON + DAY)
    person("cid", name="Cid", plan="team", trial=False, unsubscribed_from_emails=True)
    person(None, role="lead", email="lead@example.org", name="Lea")
    person("dan", name="Dan", archived_at=NOON)
    Contact.objects.update(created_at=NOON)


def found(api, query, **more) -> set:
    response = api.post("/contacts/search", {"query": query} | more)
    assert response.status_code == 200, response.content
    return {contact["name"].split()[0] for contact in response.json()["data"]}


def one(field, operator, value):
    return {"field": field, "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (one("name", "=", "bob"), "Bob"),
        (one("name", "~", "ÖSTER"), "Ann"),
        (one("name", "!~", "n"), "Bob Cid Lea"),
        (one("email", "$", "example.org"), "Ann Lea"),
        (one("email", "!=", "bob@example.com"), "Ann Cid Lea"),
        (one("email", "=", None), "Cid"),
        (one("external_id", "IN", ["ann", "cid", "dan"]), "Ann Cid"),
        (one("external_id", "NIN", ["ann", "cid"]), "Bob Lea"),
        (one("external_id", "^", "b"), "Bob"),
        (one("role", "=", "lead"), "Lea"),
        (one("role", "!=", "lead"), "Ann Bob Cid"),
        (one("unsubscribed_from_emails", "=", True), "Cid"),
        (one("signed_up_at", "=", NOON - 3 * 3600), "Ann"),
        (one("signed_up_at", ">", NOON), "Bob"),
        (one("signed_up_at", ">", str(NOON)), "Bob"),
        (one("signed_up_at", "<", NOON + DAY), "Ann"),
        (one("signed_up_at", "=", None), "Cid Lea"),
        (one("custom_attributes.plan", "=", "pro"), "Ann"),
        (one("custom_attributes.plan", "NIN", ["pro", "free"]), "Cid Lea"),
        (one("custom_attributes.seats", ">", 3), "Bob"),
        (one("custom_attributes.seats", ">=", 3), "Ann Bob"),
        (one("custom_attributes.seats", "!=", 3), "Bob Cid Lea"),
        (one("custom_attributes.trial", "=", True), "Ann"),
        (one("custom_attributes.trial", "!=", True), "Bob Cid Lea"),
        ({"operator": "AND", "value": [one("role", "=", "user"), one("name", "^", "a")]}, "Ann"),
        ({"operator": "OR", "value": [
            one("role", "=", "lead"),
            {"operator": "AND", "value": [one("custom_attributes.seats", "<", 11), one("name", "=", "Bob")]},
        ]}, "Bob Lea"),
    ],
    ids=str,
)  # fmt: skip
def test_a_query_finds(api, people, query, names):
    assert found(api, query) == set(names.split())


def test_an_id_finds_its_contact_and_no_other_workspaces(api, people, other_shop, person):
    ann = Contact.objects.get(external_id="ann").public_id
    other = person("eve", workspace=other_shop, name="Eve").public_id
    assert found(api, one("id", "=", ann)) == {"Ann"}
    assert found(api, one("id", "IN", [ann, other, "nonsense"])) == {"Ann"}
    assert found(api, one("id", "NIN", [ann, other])) == {"Bob", "Cid", "Lea"}
    assert found(api, one("id", "=", other)) == set()


def test_days_are_those_of_the_workspace(api, people, shop):
    Workspace.objects.filter(pk=shop.pk).update(time_zone="Pacific/Auckland")
    assert found(api, one("signed_up_at", "=", NOON - 3 * 3600)) == set()


DEEP = {
    "operator": "AND",
    "value": [{"operator": "OR", "value": [{"operator": "AND", "value": [one("name", "=", "x")]}]}],
}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "query"),
        ({}, "query"),
        ({"query": {}}, "query.field"),
        ({"query": one("plan", "=", "pro")}, "query.field"),
        ({"query": one("name", ">", "pro")}, "query.operator"),
        ({"query": one("signed_up_at", ">=", NOON)}, "query.operator"),
        ({"query": one("signed_up_at", ">", "soon")}, "query.value"),
        ({"query": one("signed_up_at", ">", 10**15)}, "query.value"),
        ({"query": one("name", "IN", [])}, "query.value"),
        ({"query": one("custom_attributes.a", "=", "\0")}, "query.value"),
        (
            {"query": {"operator": "AND", "value": [one("name", "=", "x"), one("role", "=", "boss")]}},
            "query.value[1].value",
        ),
        ({"query": {"operator": "AND", "value": [one("name", "=", "x")] * 16}}, "query.value"),
        ({"query": DEEP}, "query.value[0].value[0]"),
        ({"query": one("name", "=", "x"), "sort": {"order": "up"}}, "sort.order"),
        ({"query": one("name", "=", "x"), "sort": {"field": "name"}}, "sort.field"),
        ({"query": one("name", "=", "x"), "pagination": {"per_page": 151}}, "pagination.per_page"),
        ({"query": one("name", "=", "x"), "pagination": {"starting_after": "zzz"}}, "starting_after"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_query_is_told_with_its_path(api, body, field):
    response = api.post("/contacts/search", body)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_pages_follow_each_other_without_gap_or_double(api, person, order):
    for number in range(7):
        person(f"p{number}", signed_up_at=[None, NOON, NOON + 1][number % 3])
    body = {"query": one("role", "=", "user"), "sort": {"field": "signed_up_at", "order": order}}
    seen, cursor = [], None
    while True:
        page = api.post("/contacts/search", body | {"pagination": {"per_page": 2, "starting_after": cursor}}).json()
        seen += [(contact["signed_up_at"] or -1, contact["id"]) for contact in page["data"]]
        assert page["total_count"] == 7
        assert page["pages"]["total_pages"] == 4
        if not (more := page["pages"].get("next")):
            break
        cursor = more["starting_after"]
    assert seen == sorted(seen, reverse=order == "descending")
    assert len(set(seen)) == 7


def test_everybody_is_listed_newest_first(api, people, other_shop, person):
    person("eve", workspace=other_shop)
    first = api.get("/contacts?per_page=3").json()
    assert first["type"] == "list"
    assert first["contacts"] == first["data"]
    rest = api.get(f"/contacts?per_page=3&starting_after={first['pages']['next']['starting_after']}").json()
    assert [contact["name"] for contact in first["data"] + rest["data"]] == ["Lea", "Cid", "Bob", "Ann Österman"]
    assert rest["pages"]["next"] is None
    assert api.get("/contacts?per_page=0").status_code == 400
    assert api.get("/contacts?starting_after=x").status_code == 400


def test_a_user_is_found_by_external_id_and_a_lead_is_not(api, people):
    Contact.objects.filter(role="lead").update(external_id="lea")
    assert api.get("/contacts/find_by_external_id/ann").json()["name"] == "Ann Österman"
    assert api.get("/contacts/find_by_external_id/lea").status_code == 404
    assert api.get("/contacts/find_by_external_id/nobody").status_code == 404
    api.post("/contacts", {"external_id": "a/b c"})
    assert api.get("/contacts/find_by_external_id/a%2Fb%20c").json()["external_id"] == "a/b c"


@pytest.fixture
def vip(api_with):
    """The id of a tag that one of a, b and c has, and of a segment that asks for it."""
    admin = api_with("admin")
    people = [admin.post("/contacts", {"external_id": name}).json() for name in ("a", "b", "c")]
    tag = admin.post("/tags", {"name": "VIP"}).json()["id"]
    admin.post(f"/contacts/{people[1]['id']}/tags", {"id": tag})
    definition = {"conditions": [{"kind": "tag", "tag": int(tag), "op": "has"}]}
    return tag, admin.post("/segments", {"name": "Important", "definition": definition}).json()["id"]


@pytest.mark.parametrize("field", ["tag_id", "segment_id"])
def test_tags_and_segments_are_searched_for(api, api_with, other_shop, vip, field):
    id = dict(zip(("tag_id", "segment_id"), vip, strict=True))[field]

    def search(query):
        return api.post("/contacts/search", {"query": query})

    def found(query):
        return [contact["external_id"] for contact in search(query).json()["data"]]

    members = {"field": field, "operator": "=", "value": id}
    assert found(members) == ["b"]
    assert found(members | {"value": int(id)}) == ["b"]
    assert found(members | {"operator": "!="}) == ["c", "a"]
    first = {"field": "external_id", "operator": "=", "value": "a"}
    assert found({"operator": "OR", "value": [members, first]}) == ["b", "a"]
    for operator, value, place in (
        ("IN", id, "operator"),
        ("=", "4711", "value"),
        ("=", True, "value"),
        ("=", [id], "value"),
    ):
        refused = search(members | {"operator": operator, "value": value})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, f"query.{place}")
    stranger = api_with("read", workspace=other_shop)
    assert stranger.post("/contacts/search", {"query": members}).status_code == 400


def test_a_segment_is_searched_page_by_page(api, api_with, vip):
    members = {"field": "segment_id", "operator": "!=", "value": vip[1]}
    first = api.post("/contacts/search", {"query": members, "pagination": {"per_page": 1}}).json()
    after = first["pages"]["next"]["starting_after"]
    second = api.post(
        "/contacts/search", {"query": members, "pagination": {"per_page": 1, "starting_after": after}}
    ).json()
    assert [body["data"][0]["external_id"] for body in (first, second)] == ["c", "a"]
    assert second["pages"]["next"] is None
