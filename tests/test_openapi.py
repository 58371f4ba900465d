"""/openapi.json says what the API does: every route, every body, every refusal, and nothing that isn't so."""

import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest
from django.core.management import call_command
from django.urls import get_resolver
from drf_spectacular.validation import validate_schema

from eventsapp.openapi import SHAPES, document
from eventsapp.serializers import ContactIn
from segments import comparisons
from segments.conditions import FIELDS
from segments.definition import KINDS, Invalid, parse
from segments.shapes import CONDITIONS

pytestmark = pytest.mark.django_db
METHODS = ("get", "post", "put", "patch", "delete")


def operations():
    """(method, path, operation) of all that the document describes."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


OPERATIONS = [pytest.param(*found, id=f"{found[0]} {found[1]}") for found in operations()]


def api_routes(patterns=None):
    """(method, path) of every route of the API in the URL conf; what our own library asks is no part of it."""
    for pattern in patterns or get_resolver().url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from api_routes(pattern.url_patterns)
        elif getattr(pattern.callback, "is_api", False) and hasattr(pattern.callback, "view_class"):
            path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", str(pattern.pattern).removeprefix("^").removesuffix("/?$"))
            for method in METHODS:
                if hasattr(pattern.callback.view_class, method):
                    yield method, "/" + path.replace("\\", "")


def resolved(schema: dict) -> dict:
    while "$ref" in schema:
        part = document()
        for step in schema["$ref"].removeprefix("#/").split("/"):
            part = part[step]
        schema = part
    return schema


def untyped(schema, path="", seen=()):
    """Yield the places of a schema that allow anything at all."""
    if isinstance(schema, bool) or not schema:
        yield path
        return
    if "$ref" in schema:
        if schema["$ref"] not in seen:
            yield from untyped(resolved(schema), path, (*seen, schema["$ref"]))
        return
    if not schema.keys() & {"type", "enum", "const", "anyOf", "oneOf", "allOf"}:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from untyped(inner, f"{path}.{name}", seen)
    if "items" in schema:
        yield from untyped(schema["items"], f"{path}[]", seen)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from untyped(schema["additionalProperties"], f"{path}.*", seen)
    for inner in (one for word in ("anyOf", "oneOf", "allOf") for one in schema.get(word, [])):
        if "type" in inner or not {"properties", "required"} & inner.keys():
            yield from untyped(inner, path, seen)


def exact(schema):
    """The same schema, in which no object may have a property that the schema doesn't name."""
    if isinstance(schema, list):
        return [exact(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    is_record = schema.get("type") == "object" and "properties" in schema
    # Beside properties, anyOf says more of the same object.
    kept = {"examples", "example"} | ({"anyOf"} if is_record else set())
    made = {key: value if key in kept else exact(value) for key, value in schema.items()}
    return ({"additionalProperties": False} if is_record else {}) | made


def check(instance, schema, *, exactly=False):
    """Raise ValidationError if the instance is not what a schema of the document says."""
    components = {"schemas": SHAPES}
    whole = {"components": exact(components) if exactly else components, **(exact(schema) if exactly else schema)}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(instance)


# The document ----------------------------------------------------------------------------------------------------------


def test_every_route_of_the_api_is_described_and_no_other():
    routes = sorted(api_routes())
    assert ("post", "/events") in routes
    assert ("get", "/contacts/{contact_id}") in routes
    assert sorted((method, path) for method, path, _ in operations()) == routes


def test_anybody_may_read_it_and_keep_it_a_while(client):
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert "max-age" in response["Cache-Control"]
    assert response.json() == json.loads(json.dumps(document()))
    assert response.json()["openapi"].startswith("3.1")


def test_it_is_valid_and_is_made_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yml"))
    validate_schema(document())
    for schema in SHAPES.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_it_is_whole_in_a_process_that_has_served_nothing_yet():
    code = "import django, json; django.setup(); from eventsapp.openapi import document; print(json.dumps(document()))"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "eventsapp.config.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    named = set(re.findall(r'"#/components/schemas/(\w+)"', done.stdout))
    assert "Definition" in named
    assert named - json.loads(done.stdout)["components"]["schemas"].keys() == set()


def test_its_version_is_the_products():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert document()["info"]["version"] == project["version"]


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for *_, operation in operations()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_operation_tells_what_it_is_who_may_and_what_comes_back(method, path, operation):
    assert operation["summary"]
    assert operation["tags"]
    public = path in ("/healthz", "/openapi.json", "/segments/schema.json")
    assert operation.get("security", []) == ([] if public else [{"bearer": []}, {"basic": []}])
    statuses = set(operation["responses"])
    assert statuses >= {"400", "405", "500"} | (set() if public else {"401", "403", "429"})
    assert ("413" in statuses) == ("requestBody" in operation)
    assert re.findall(r"{(\w+)}", path) == [
        one["name"] for one in operation.get("parameters", []) if one["in"] == "path"
    ]
    for parameter in operation.get("parameters", []):
        assert parameter["description"]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_body_is_typed(method, path, operation):
    bodies = [*operation.get("requestBody", {}).get("content", {}).values()]
    is_command = path.endswith(("/archive", "/unarchive", "/block", "/replay", "/cancel", "/ping"))
    assert bool(bodies) == (method in ("post", "put", "patch") and not is_command)
    for status, response in operation["responses"].items():
        found = resolved(response).get("content", {})
        # These succeed without a byte, as Intercom's do: SDKs stumble over any.
        silent = path in ("/events", "/events/summaries") or (method, path) == ("delete", "/tags/{tag_id}")
        assert found or silent and status in ("200", "202")
        bodies += found.values()
    assert [place for body in bodies for place in untyped(body["schema"])] == []


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_refusal_is_an_error_list_and_carries_its_headers(method, path, operation):
    for status, response in operation["responses"].items():
        response = resolved(response)
        assert response["description"]
        assert response["headers"]["X-Request-Id"]["required"]
        if status.startswith("4") or status == "500":
            assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorList")
        if status not in ("401", "503") and "security" in operation:
            assert response["headers"].keys() >= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
        if status == "429":
            assert response["headers"]["Retry-After"]["required"]


def test_every_example_is_what_it_is_an_example_of():
    examples = [(name, example) for name, schema in SHAPES.items() for example in schema.get("examples", [])]
    assert len(examples) >= 10
    for name, example in examples:
        check(example, {"$ref": f"#/components/schemas/{name}"}, exactly=True)


# What it says is so ----------------------------------------------------------------------------------------------------


def sent(path: str, method: str) -> dict:
    """The example of a body."""
    return document()["paths"][path][method]["requestBody"]["content"]["application/json"]["example"]


def answered(response, path: str, method: str):
    """Check an answer against the document, to the last property and header."""
    described = resolved(document()["paths"][path][method]["responses"][str(response.status_code)])
    for name, header in described["headers"].items():
        assert not header["required"] or name in response.headers
    if "content" not in described:
        assert response.content == b""
        return None
    assert response["Content-Type"].startswith("application/json")
    check(response.json(), described["content"]["application/json"]["schema"], exactly=True)
    return response.json()


def test_every_operation_takes_its_example_and_answers_as_described(api, client, does):
    made = answered(api.post("/contacts", sent("/contacts", "post")), "/contacts", "post")
    assert answered(api.post("/events", sent("/events", "post")), "/events", "post") is None
    batch = answered(api.post("/events/batch", sent("/events/batch", "post")), "/events/batch", "post")
    assert batch["duplicates"] == 1
    answered(api.post("/events/batch", [{}, 1]), "/events/batch", "post")
    answered(api.post("/events/summaries", sent("/events/summaries", "post")), "/events/summaries", "post")
    for query in ("", "&summary=true", "&per_page=1&before=99999999999999", "&since=0"):
        listed = answered(api.get(f"/events?type=user&user_id=314159{query}"), "/events", "get")
        assert listed["events"]
    one = "/contacts/{contact_id}"
    answered(api.get(f"/contacts/{made['id']}"), one, "get")
    changed = answered(api.put(f"/contacts/{made['id']}", sent(one, "put")), one, "put")
    assert changed["custom_attributes"] == {"plan": "pro"}
    preview = answered(api.post("/segments/preview", sent("/segments/preview", "post")), "/segments/preview", "post")
    assert preview["count"] == 0
    answered(client.get("/healthz"), "/healthz", "get")
    answered(client.get("/openapi.json"), "/openapi.json", "get")


def test_refusals_are_as_described(api, api_with, client, shop, buyer):
    answered(api.get("/events"), "/events", "get")
    answered(client.get("/events"), "/events", "get")
    answered(api_with("read").post("/events", {}), "/events", "post")
    answered(api.get("/contacts/1"), "/contacts/{contact_id}", "get")
    answered(api.delete("/events"), "/events", "post")
    answered(client.post("/healthz"), "/healthz", "get")
    answered(api.post("/contacts", {"external_id": "buyer"}), "/contacts", "post")
    answered(api.post("/contacts", b" " * 1_000_001), "/contacts", "post")
    answered(api.post("/events/batch", b"[]", headers={"content-encoding": "br"}), "/events/batch", "post")
    answered(api.post("/segments/preview", {"definition": 1}), "/segments/preview", "post")
    shop.rate_limit = 0
    shop.save()
    limited = api_with("admin").get("/events")
    assert limited.status_code == 429
    answered(limited, "/events", "get")


def test_the_fields_of_a_person_are_those_that_are_read():
    incoming = ContactIn().fields
    for name in ("ContactIn", "ContactChanges"):
        described = SHAPES[name]["properties"]
        assert described.keys() - {"user_id"} == incoming.keys()
        for field, schema in described.items():
            if field != "user_id":
                assert schema.get("maxLength") == getattr(incoming[field], "max_length", None)
                takes_null = "null" in schema.get("type", ()) or {"type": "null"} in schema.get("anyOf", ())
                assert takes_null == incoming[field].allow_null


# The language of segments ---------------------------------------------------------------------------------------------


def test_every_kind_of_condition_has_its_schema():
    assert CONDITIONS.keys() == KINDS.keys()
    mapping = document()["components"]["schemas"]["Condition"]["discriminator"]["mapping"]
    for kind, name in mapping.items():
        properties = resolved({"$ref": name})["properties"]
        assert properties["kind"]["const"] == kind


DAY, PAIR = "2026-01-31", [1, 2]
VALUES = [None, "pro", ["pro"], 3, PAIR, {"amount": 4900, "currency": "usd"}, DAY, [DAY, "2026-02-01"], True, {}, []]
OPS = dict.fromkeys(
    (*comparisons.TEXT, *comparisons.NUMBER, *comparisons.BOOLEAN, *comparisons.DATE, *comparisons.PRESENCE)
)


def asked(op, value) -> list[dict]:
    """A condition of every kind with this operator and value."""
    compared = {"op": op} if value is None else {"op": op, "value": value}
    return [
        {"kind": "attribute", "field": "custom_attributes.plan"} | compared,
        {"kind": "attribute", "field": "custom_attributes.paid_at"} | compared,
        *({"kind": "attribute", "field": field} | compared for field in FIELDS),
        {"kind": "event_time", "event": "placed-order", "occurrence": "first"} | compared,
        {"kind": "aggregate", "event": "placed-order", "key": "total", "function": "sum"} | compared,
        {"kind": "event", "event": "placed-order", "where": [{"key": "total"} | compared]},
        {"kind": "event", "event": "placed-order", "where": [{"key": "due_date"} | compared]},
        {"kind": "event", "event": "placed-order", "count": compared},
    ]


def is_read(shop, condition) -> bool:
    try:
        parse(shop, {"conditions": [condition]})
    except Invalid:
        return False
    return True


@cache
def describes() -> jsonschema_rs.Draft202012Validator:
    """Compiled: thousands of conditions are asked for."""
    whole = {"$ref": "#/components/schemas/Definition", "components": {"schemas": SHAPES}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def is_described(condition) -> bool:
    return describes().is_valid({"conditions": [condition]})


@pytest.mark.parametrize("op", OPS)
def test_whatever_can_be_asked_with_an_operator_is_described(shop, op):
    conditions = [condition for value in VALUES for condition in asked(op, value)]
    read = [condition for condition in conditions if is_read(shop, condition)]
    assert read
    assert [condition for condition in read if not is_described(condition)] == []
    # What a schema refuses is refused. (The other way round it cannot tell a date by its key's ending.)
    refused = [condition for condition in conditions if not is_described(condition)]
    assert [condition for condition in refused if is_read(shop, condition)] == []


@pytest.mark.parametrize(
    "condition",
    [
        {"kind": "event", "event": ""},
        {"kind": "event", "event": "x", "count": {"op": "gte", "value": 0}},
        {"kind": "event", "event": "x", "within": {}},
        {"kind": "event", "event": "x", "within": {"last_days": 0}},
        {"kind": "event", "event": "x", "within": {"last_days": 1, "since": DAY}},
        {"kind": "event", "event": "x", "where": []},
        {"kind": "event", "event": "x", "color": "red"},
        {"kind": "event_time", "event": "x", "occurrence": "middle", "op": "known"},
        {"kind": "attribute", "field": "shoe_size", "op": "known"},
        {"kind": "horoscope"},
        {"match": "any", "conditions": []},
        {"match": "none", "conditions": [{"kind": "event", "event": "x"}]},
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_not_described(shop, condition):
    assert not is_read(shop, condition)
    assert not is_described(condition)


def test_the_language_is_published_as_a_schema_that_stands_alone(client, shop):
    published = client.get("/segments/schema.json").json()
    validator = jsonschema.validators.validator_for(published)
    assert validator is jsonschema.Draft202012Validator
    validator.check_schema(published)
    assert "#/components" not in json.dumps(published)
    is_valid = jsonschema_rs.Draft202012Validator(published, validate_formats=True).is_valid
    for op in OPS:
        for value in VALUES:
            for condition in asked(op, value):
                assert is_valid({"conditions": [condition]}) == is_described(condition)
