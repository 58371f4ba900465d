"""POST /contacts/search and GET /contacts: Intercom's query language, and pages by cursor."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventsapp.attributes import learn
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
        (one("signed_up_at", "!=", None), "Ann Bob"),
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


@pytest.fixture
def typed(api, shop):
    """Custom attributes of every type, as an app settled them, and `mood`, of which only a browser spoke."""
    Workspace.objects.filter(pk=shop.pk).update(time_zone="Europe/Berlin")
    known = {
        "Ann": {"plan": "3", "seats": 3, "score": 2.5, "trial": True, "renewal_at": NOON, "born_at": -NOON},
        "Bob": {"plan": "Pro", "seats": 4, "score": 3, "trial": False, "renewal_at": NOON + DAY},
        "Cid": {},
    }
    for name, attributes in known.items():
        made = api.post("/contacts", {"external_id": name, "name": name, "custom_attributes": attributes})
        assert made.status_code == 200, made.content
    learn(shop, [{"mood": 7}], settles=False)
    Contact.objects.filter(name="Cid").update(custom_attributes={"mood": "7"})


@pytest.mark.parametrize(
    ("key", "operator", "value", "names"),
    [
        ("plan", "=", "3", "Ann"),
        ("plan", "NIN", ["3", "pro"], "Cid"),
        ("plan", "~", "R", "Bob"),
        ("plan", "=", None, "Cid"),
        ("plan", "!=", None, "Ann Bob"),
        ("seats", "=", 3, "Ann"),
        ("seats", "=", "3", "Ann"),
        ("seats", "!=", "3", "Bob Cid"),
        ("seats", ">", "3", "Bob"),
        ("seats", ">=", 2.5, "Ann Bob"),
        ("seats", "<", "-1", ""),
        ("seats", "IN", [3, "4"], "Ann Bob"),
        ("seats", "IN", [5], ""),
        ("seats", "NIN", [3], "Bob Cid"),
        ("seats", "NIN", ["4", 3], "Cid"),
        ("seats", "=", None, "Cid"),
        ("seats", "!=", None, "Ann Bob"),
        ("score", "=", "2.5", "Ann"),
        ("score", "<=", "3", "Ann Bob"),
        ("score", "IN", ["2.50", 7], "Ann"),
        ("trial", "=", True, "Ann"),
        ("trial", "=", "true", "Ann"),
        ("trial", "=", "false", "Bob"),
        ("trial", "!=", "true", "Bob Cid"),
        ("trial", "!=", False, "Ann Cid"),
        ("trial", "IN", [True, "false"], "Ann Bob"),
        ("trial", "NIN", ["true"], "Bob Cid"),
        ("trial", "=", None, "Cid"),
        ("trial", "!=", None, "Ann Bob"),
        ("renewal_at", "=", NOON + 60, "Ann"),
        ("renewal_at", "=", str(NOON + 60), "Ann"),
        ("renewal_at", "=", NOON + 10 * 3600 - 1, "Ann"),  # before midnight in Berlin
        ("renewal_at", "=", NOON + 10 * 3600, "Bob"),
        ("renewal_at", ">", NOON - 60, "Bob"),
        ("renewal_at", ">", str(NOON - DAY), "Ann Bob"),
        ("renewal_at", "<", NOON + DAY - 60, "Ann"),
        ("renewal_at", "=", None, "Cid"),
        ("renewal_at", "!=", None, "Ann Bob"),
        ("born_at", "=", -NOON, "Ann"),
        ("born_at", "<", "0", "Ann"),
        ("mood", "=", "7", "Cid"),
        ("mood", "=", 7, ""),
        ("nobodys", "IN", [3, 4], ""),
        ("nobodys", "NIN", [3], "Ann Bob Cid"),
        ("nobodys", "!=", "3", "Ann Bob Cid"),
        ("nobodys", "NIN", [True], "Ann Bob Cid"),
    ],
    ids=str,
)
def test_a_custom_attribute_is_asked_by_its_type(api, typed, key, operator, value, names):
    assert found(api, one(f"custom_attributes.{key}", operator, value)) == set(names.split())


@pytest.mark.parametrize(
    ("key", "operator", "value", "place", "told"),
    [
        ("plan", "=", 3, "value", "Write a text."),
        ("plan", "IN", ["pro", 3], "value[1]", "Write a text."),
        ("plan", ">", "3", "operator", "Write one of: =, !=, IN, NIN, ~, !~, ^, $."),
        ("seats", "=", "many", "value", "Write a number."),
        ("seats", "=", "3 ", "value", "Write a number."),
        ("seats", "=", "9" * 5000, "value", "Write a number."),
        ("seats", "=", True, "value", "Write a number."),
        ("seats", ">", None, "value", "Write a number."),
        ("seats", "=", str(10**16), "value", "Write a number between ±9,007,199,254,740,992."),
        ("seats", "IN", [3, "many"], "value[1]", "Write a number."),
        ("seats", "IN", 3, "value", "Write a list."),
        ("seats", "~", "3", "operator", "Write one of: =, !=, >, <, >=, <=, IN, NIN."),
        ("trial", "=", 1, "value", "Write true or false."),
        ("trial", "=", "yes", "value", "Write true or false."),
        ("trial", "=", [True], "value", "Write true or false."),
        ("trial", ">", True, "operator", "Write one of: =, !=, IN, NIN."),
        ("renewal_at", "=", "soon", "value", "Write Unix seconds (UTC), such as 1760000000."),
        ("renewal_at", "=", f"{NOON}.5", "value", "Write Unix seconds (UTC), such as 1760000000."),
        ("renewal_at", "=", -(10**12), "value", "Write Unix seconds (UTC), such as 1760000000."),
        ("renewal_at", "!=", NOON, "operator", "Write one of: =, >, <."),
        ("renewal_at", "IN", [NOON], "operator", "Write one of: =, >, <."),
        ("nobodys", "IN", [3, "4 or so"], "value[1]", "Write a number."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_fit_the_type_of_an_attribute_is_told(api, typed, key, operator, value, place, told):
    response = api.post("/contacts/search", {"query": one(f"custom_attributes.{key}", operator, value)})
    [fault] = response.json()["errors"]
    assert (response.status_code, fault["field"], fault["message"]) == (400, f"query.{place}", told)


def test_a_search_looks_up_the_types_once(api, typed):
    def queries(filters):
        with CaptureQueriesContext(connection) as captured:
            found(api, {"operator": "AND", "value": filters})
        return len(captured)

    seats, plan = one("custom_attributes.seats", ">", 1), one("custom_attributes.plan", "=", "pro")
    queries([seats])  # from then on the token is known
    assert queries([seats]) == queries([seats, plan] * 7)


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
@pytest.mark.parametrize("field", ["signed_up_at", "created_at"])
def test_pages_follow_each_other_without_gap_or_double(api, person, field, order):
    for number in range(7):
        made = person(f"p{number}", signed_up_at=[None, NOON, NOON + 1][number % 3])
        Contact.objects.filter(pk=made.pk).update(created_at=NOON + number % 3)
    body = {"query": one("role", "=", "user"), "sort": {"field": field, "order": order}}
    seen, cursor = [], None
    while True:
        page = api.post("/contacts/search", body | {"pagination": {"per_page": 2, "starting_after": cursor}}).json()
        seen += [(contact[field] or -1, contact["id"]) for contact in page["data"]]
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


@pytest.mark.parametrize("apart", [1, 100], ids=["close together", "scattered"])
def test_the_members_of_a_large_segment_are_found_and_nobody_else(api, api_with, shop, apart):
    plans = ["free" if n % 10 == 0 or n > 9995 else "pro" for n in range(10_000)]
    Contact.objects.bulk_create(
        Contact(
            workspace=shop, id=1000 + n * apart, external_id=str(n), custom_attributes={"plan": plan}, created_at=NOON
        )
        for n, plan in enumerate(plans)
    )
    definition = {"conditions": [{"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "pro"}]}
    segment = api_with("admin").post("/segments", {"name": "Pro", "definition": definition}).json()["id"]

    def page(operator, after=None):
        query = {"query": one("segment_id", operator, segment), "pagination": {"starting_after": after}}
        return api.post("/contacts/search", query).json()

    for operator, plan in (("=", "pro"), ("!=", "free")):
        expected = [str(n) for n in range(9999, -1, -1) if plans[n] == plan]
        first = page(operator)
        second = page(operator, first["pages"]["next"]["starting_after"])
        assert [contact["external_id"] for contact in first["data"] + second["data"]] == expected[:100]
        assert first["total_count"] == second["total_count"] == len(expected)
    users = api.get(f"/users?segment_id={segment}").json()
    assert users["total_count"] == plans.count("pro")
    assert [user["user_id"] for user in users["users"]] == [str(n) for n in range(9999, -1, -1) if plans[n] == "pro"][
        :50
    ]
