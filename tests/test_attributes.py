"""Custom attributes: typed by the first value that an app writes, listed, made, described and archived over the API."""

import pytest

from eventsapp.attributes import learn
from eventsapp.ingest import event_type
from eventsapp.models import Contact, DataAttribute
from messaging.models import AutoMessage
from segments import suggestions
from segments.models import Segment

pytestmark = pytest.mark.django_db


@pytest.fixture
def other_api(api_with, other_shop):
    return api_with("write", other_shop)


def types(shop) -> dict[str, str]:
    return dict(shop.attributes.values_list("name", "data_type"))


def faults(answer) -> dict[str, str]:
    assert answer.status_code == 400, answer.content
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


# The first value says what an attribute is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "type"),
    [
        ("plan", "pro", "string"),
        ("home", "https://example.org", "string"),
        ("seats", 3, "integer"),
        ("seats", 3.0, "integer"),
        ("load", 3.5, "float"),
        ("beta", False, "boolean"),
        ("renewal_at", 1_760_000_000, "date"),
        ("renewal_at", "soon", "string"),
    ],
    ids=str,
)
def test_the_first_value_gives_an_attribute_its_type(api, shop, name, value, type):
    assert api.post("/contacts", {"external_id": "1", "custom_attributes": {name: value}}).status_code == 200
    assert types(shop) == {name: type}


@pytest.mark.parametrize(
    ("name", "first", "then", "fits"),
    [
        ("plan", "pro", "free", True),
        ("plan", "pro", 3, False),
        ("plan", "pro", True, False),
        ("plan", "pro", None, True),
        ("seats", 3, 4, True),
        ("seats", 3, 4.5, True),
        ("seats", 4.5, 3, True),
        ("seats", 3, "3", False),
        ("seats", 3, True, False),
        ("beta", True, False, True),
        ("beta", True, "true", False),
        ("beta", True, 1, False),
        ("renewal_at", 1_760_000_000, 1_760_000_001, True),
        ("renewal_at", 1_760_000_000, "2026-03-31", False),
        ("renewal_at", 1_760_000_000, 1_760_000_000_000, False),
        ("renewal_at", "soon", 1_760_000_000, False),
    ],
    ids=str,
)
def test_a_later_value_must_fit(api, name, first, then, fits):
    api.post("/users", {"user_id": "1", "custom_attributes": {name: first}})
    answer = api.post("/users", {"user_id": "2", "name": "Ben", "custom_attributes": {name: then}})
    if fits:
        assert answer.status_code == 200, answer.content
    else:
        assert faults(answer).keys() == {f"custom_attributes.{name}"}
        assert not Contact.objects.filter(external_id="2").exists()


def test_the_refusal_tells_what_to_write(api):
    api.post("/users", {"user_id": "1", "custom_attributes": {"seats": 3}})
    answer = api.put(f"/contacts/{api.get('/users?user_id=1').json()['id']}", {"custom_attributes": {"seats": "four"}})
    assert faults(answer)["custom_attributes.seats"] == (
        "Write a whole number: that is what seats is in this workspace."
    )


def test_a_whole_number_becomes_any_number_once_one_is_written(api, shop):
    api.post("/users", {"user_id": "1", "custom_attributes": {"load": 3}})
    api.post("/users", {"user_id": "1", "custom_attributes": {"load": 3.5}})
    assert types(shop) == {"load": "float"}


def test_what_somebody_has_of_another_type_may_come_back_as_it_is(api, person):
    ada = person("ada", seats="three")
    api.post("/users", {"user_id": "1", "custom_attributes": {"seats": 3}})
    back = {"user_id": "ada", "name": "Ada", "custom_attributes": {"seats": "three"}}
    assert api.post("/users", back).status_code == 200
    faults(api.put(f"/contacts/{ada.public_id}", {"custom_attributes": {"seats": "four"}}))


def test_a_refused_request_teaches_nothing(api, shop):
    api.post("/users", {"user_id": "1", "custom_attributes": {"seats": 3}})
    faults(api.post("/users", {"user_id": "1", "custom_attributes": {"seats": "four", "new": 1}}))
    api.post("/contacts", {"external_id": "1", "custom_attributes": {"newer": 1}})  # a 409
    assert types(shop) == {"seats": "integer"}


def test_names_are_case_sensitive_and_of_one_workspace(api, other_api, shop):
    api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "pro", "Plan": 3}})
    assert other_api.post("/users", {"user_id": "1", "custom_attributes": {"plan": 3}}).status_code == 200
    assert types(shop) == {"plan": "string", "Plan": "integer"}


def test_many_documents_are_learnt_from_with_two_questions(shop, django_assert_max_num_queries):
    documents = [{"plan": "pro", "seats": number} for number in range(1000)] + [{"plan": 3}]
    with django_assert_max_num_queries(3):
        wrong = learn(shop, documents)
    assert [place for place, told in enumerate(wrong) if told] == [1000]
    with django_assert_max_num_queries(1):
        learn(shop, documents)


# Browsers guess ------------------------------------------------------------------------------------------------------


def test_what_a_browser_says_is_a_guess_that_an_app_corrects(api, shop):
    learn(shop, [{"plan": 3}], settles=False)
    assert types(shop) == {"plan": "integer"}
    assert api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "pro"}}).status_code == 200
    assert types(shop) == {"plan": "string"}
    assert learn(shop, [{"plan": 3}], settles=False) != [{}]
    faults(api.post("/users", {"user_id": "1", "custom_attributes": {"plan": 3}}))


@pytest.mark.parametrize("said", [{"data_type": "string"}, {"options": [{"value": "free"}, {"value": "pro"}]}])
def test_a_guess_that_is_confirmed_binds_apps(api, shop, said):
    learn(shop, [{"plan": "free"}], settles=False)
    assert api.put(f"/data_attributes/{shop.attributes.get().pk}", said).status_code == 200
    faults(api.post("/users", {"user_id": "1", "custom_attributes": {"plan": 3}}))
    assert types(shop) == {"plan": "string"}


def test_a_guess_binds_no_colleague_and_hides_no_kind(api, editor, shop, person):
    ada = person("ada", plan="free")
    learn(shop, [{"plan": True}], settles=False)
    form = {
        "attributes-TOTAL_FORMS": 1, "attributes-INITIAL_FORMS": 1, "attributes-0-key": "plan",
        "attributes-0-kind": "text", "initial-attributes-0-kind": "text",
        "attributes-0-value": "pro", "initial-attributes-0-value": "free",
    }  # fmt: skip
    answer = editor.post(f"/app/{shop.app_id}/people/{ada.public_id}/edit/", form)
    ada.refresh_from_db()
    assert (answer.status_code, ada.custom_attributes) == (302, {"plan": "pro"})
    kinds = {field["field"]: field["kind"] for field in suggestions.fields(shop)}
    assert kinds["custom_attributes.plan"] == "text"


def test_browsers_fill_no_list_without_end(shop):
    learn(shop, [{f"key-{number}": 1} for number in range(600)], settles=False)
    learn(shop, [{"one-more": 1}], settles=False)
    assert shop.attributes.count() == 500
    learn(shop, [{"one-more": 1}])
    assert shop.attributes.count() == 501


# /data_attributes ----------------------------------------------------------------------------------------------------


def custom(api, query="") -> dict[str, dict]:
    rows = api.get(f"/data_attributes{query}").json()["data"]
    return {row["name"]: row for row in rows if row["custom"]}


def test_the_list_has_fields_and_custom_attributes(api):
    api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "pro"}})
    answer = api.get("/data_attributes?model=contact").json()
    assert answer["type"] == "list"
    rows = {row["full_name"]: row for row in answer["data"]}
    assert rows["email"]["custom"] is False
    assert rows["custom_attributes.plan"] | {"id": 1, "created_at": 0, "updated_at": 0} == {
        "type": "data_attribute",
        "id": 1,
        "model": "contact",
        "name": "plan",
        "full_name": "custom_attributes.plan",
        "label": "plan",
        "description": "",
        "data_type": "string",
        "options": [],
        "api_writable": True,
        "ui_writable": True,
        "messenger_writable": True,
        "custom": True,
        "archived": False,
        "created_at": 0,
        "updated_at": 0,
    }
    assert api.get("/data_attributes?model=company").json()["data"] == []
    assert faults(api.get("/data_attributes?model=tree")).keys() == {"model"}


def test_an_attribute_with_options_takes_one_of_them_alone(api):
    body = {
        "name": "plan",
        "model": "contact",
        "data_type": "options",
        "options": [{"value": "free"}, {"value": "pro"}],
    }
    made = api.post("/data_attributes", body).json()
    assert (made["data_type"], made["options"]) == ("string", [{"value": "free"}, {"value": "pro"}])
    told = faults(api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "gold"}}))
    assert told == {"custom_attributes.plan": "Write one of free, pro: plan is nothing else."}
    more = [{"value": "free"}, {"value": "gold"}]
    for written in (more, ["free", "gold"]):
        assert api.put(f"/data_attributes/{made['id']}", {"options": written}).json()["options"] == more
    assert api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "gold"}}).status_code == 200


def test_an_attribute_is_described_archived_and_brought_back(api, shop):
    made = api.post("/data_attributes", {"name": "seats", "model": "contact", "data_type": "integer"}).json()
    path = f"/data_attributes/{made['id']}"
    assert api.put(path, {"description": "Paid ones"}).json()["description"] == "Paid ones"
    assert api.put(path, {"archived": True}).json()["archived"] is True
    assert "seats" not in custom(api)
    assert custom(api, "?include_archived=true")["seats"]["archived"] is True
    # What apps go on sending is kept, and of the same type.
    assert api.post("/users", {"user_id": "1", "custom_attributes": {"seats": 3}}).status_code == 200
    faults(api.post("/users", {"user_id": "1", "custom_attributes": {"seats": "three"}}))
    offered = "custom_attributes.seats"
    assert offered not in [field["field"] for field in suggestions.fields(shop)]
    api.put(path, {"archived": False})
    assert {field["field"]: field["kind"] for field in suggestions.fields(shop)}[offered] == "number"


def test_what_a_browser_may_write_is_what_the_settings_say(api, shop):
    made = api.post(
        "/data_attributes",
        {"name": "plan", "model": "contact", "data_type": "string", "messenger_writable": False},
    ).json()
    assert made["messenger_writable"] is False
    shop.refresh_from_db()
    assert shop.protected == {"plan"}
    api.put(f"/data_attributes/{made['id']}", {"messenger_writable": True})
    shop.refresh_from_db()
    assert shop.protected == set()


@pytest.mark.parametrize("where", ["segment", "rule"])
def test_an_attribute_that_is_asked_for_is_not_archived(api, shop, where):
    made = api.post("/data_attributes", {"name": "plan", "model": "contact", "data_type": "string"}).json()
    condition = {"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "pro"}
    definition = {"version": 1, "match": "all", "conditions": [{"match": "any", "conditions": [condition]}]}
    if where == "segment":
        Segment.objects.create(workspace=shop, name="Pros", definition=definition)
    else:
        trigger = event_type(shop, "placed-order")
        AutoMessage.objects.create(workspace=shop, name="Pros", trigger=trigger, conditions=definition)
    answer = api.put(f"/data_attributes/{made['id']}", {"archived": True})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["code"] == "data_invalid"
    assert f"the {'segment' if where == 'segment' else 'auto-message'} “Pros”" in error["message"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "a.b"}, "name"),
        ({"name": "x" * 191}, "name"),
        ({"name": 'a"b'}, "name"),
        ({"name": "a\\b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"model": "company"}, "model"),
        ({"data_type": "list"}, "data_type"),
        ({"data_type": "datetime"}, "name"),
        ({"name": "seats_at"}, "name"),
        ({"data_type": "options"}, "options"),
        ({"data_type": "string", "options": [{"value": "one"}]}, "options"),
        ({"data_type": "string", "options": [{"value": "one"}, {"value": "one"}]}, "options"),
        ({"options": [{"value": "one"}, {"value": "two"}]}, "options"),
        ({"options": "one, two"}, "options"),
        ({"messenger_writable": "no"}, "messenger_writable"),
        ({"name": "taken"}, "name"),
    ],
    ids=str,
)
def test_a_wrong_attribute_is_refused_with_the_field(api, shop, changed, field):
    DataAttribute.objects.create(workspace=shop, name="taken", data_type="string")
    body = {"name": "seats", "model": "contact", "data_type": "integer"} | changed
    assert {name.partition(".")[0].partition("[")[0] for name in faults(api.post("/data_attributes", body))} == {field}
    assert shop.attributes.count() == 1


@pytest.mark.parametrize("name", ["name", "model"])
def test_what_an_attribute_is_of_cannot_be_changed(api, shop, name):
    made = DataAttribute.objects.create(workspace=shop, name="seats", data_type="integer")
    assert faults(api.put(f"/data_attributes/{made.pk}", {name: "string"})).keys() == {name}


def test_another_workspaces_attribute_is_not_there(other_api, shop):
    made = DataAttribute.objects.create(workspace=shop, name="seats", data_type="integer")
    assert other_api.put(f"/data_attributes/{made.pk}", {"archived": True}).status_code == 404
    assert custom(other_api) == {}


def test_a_type_that_came_by_a_slip_is_put_right_once_nobody_has_such_a_value(api, shop):
    slip = api.post("/users", {"user_id": "1", "custom_attributes": {"seats": "3"}}).json()
    faults(api.post("/users", {"user_id": "2", "custom_attributes": {"seats": 3}}))
    path = f"/data_attributes/{shop.attributes.get().pk}"
    refused = api.put(path, {"data_type": "integer"})
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert (error["code"], error["field"]) == ("data_invalid", "data_type")
    assert slip["id"] in error["message"]
    api.put(f"/contacts/{slip['id']}", {"custom_attributes": {"seats": None}})
    assert api.put(path, {"data_type": "integer"}).json()["data_type"] == "integer"
    assert api.post("/users", {"user_id": "2", "custom_attributes": {"seats": 3}}).status_code == 200
    # Whatever number there is fits both.
    assert api.put(path, {"data_type": "float"}).json()["data_type"] == "float"
    assert faults(api.put(path, {"data_type": "datetime"})).keys() == {"name"}
    assert faults(api.put(path, {"options": ["1", "2"]})).keys() == {"options"}


# The pages -----------------------------------------------------------------------------------------------------------


def test_an_admin_changes_an_attribute_on_its_page(api, admin, viewer, shop):
    api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "pro", "seats": 3}})
    plan = shop.attributes.get(name="plan")
    listed = f"/app/{shop.app_id}/settings/attributes/"
    typed = {"data_type": "string", "description": "What they pay for", "options": "free\n\n pro \n", "archived": "on"}
    page = admin.post(f"{listed}{plan.pk}/", typed, follow=True)
    assert page.redirect_chain == [(listed, 302)]
    plan.refresh_from_db()
    assert (plan.description, plan.options, plan.archived_at is not None) == (
        "What they pay for",
        ["free", "pro"],
        True,
    )
    shop.refresh_from_db()
    assert shop.protected == {"plan"}
    shown = viewer.get(listed).text
    assert shown.index("seats") < shown.index("plan")
    assert "a text: free, pro" in shown
    assert f"{listed}{plan.pk}/" not in shown


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"options": "one"}, "options", "at least two options"),
        ({"data_type": "integer"}, "data_type", "has a value that is not a whole number"),
        ({"data_type": "date"}, "data_type", "ends in _at"),
        ({"data_type": "tree"}, "data_type", "Select a valid choice"),
    ],
    ids=str,
)
def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(api, admin, shop, typed, field, words):
    api.post("/users", {"user_id": "1", "custom_attributes": {"plan": "pro"}})
    address = f"/app/{shop.app_id}/settings/attributes/{shop.attributes.get().pk}/"
    page = admin.post(address, {"data_type": "string", "description": "Typed"} | typed)
    assert page.status_code == 422
    assert words in page.context["form"].errors[field][0]
    assert "Typed" in page.text
    assert shop.attributes.get().description == ""
