"""The reference for developers: `/openapi.json` as a page, which tells nothing of any workspace either."""

import json
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode

from django.conf import settings
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from eventsapp.metadata import MILLISECONDS
from eventsapp.openapi import JSON, REFUSALS, document

FORMATS = {"date": "day", "date-time": "ISO 8601 time", "uuid": "UUID", "uri": "URL"}
KINDS = {"integer": "whole number", "boolean": "true or false", "array": "list"}
PLACES = {"query": "in the address", "path": "in the path", "header": "a header"}


@dataclass(frozen=True)
class Field:
    """A row of a table of fields: one name, or several that are alike; in words, what may stand there."""

    names: tuple[str, ...]
    kind: SafeString
    description: str
    required: bool


@dataclass(frozen=True)
class Shape:
    """A named schema: its fields, or what it may be; with fields, the choices are what has to hold besides."""

    name: str
    description: str
    fields: list[Field]
    choices: list[SafeString]
    example: str


@dataclass(frozen=True)
class Body:
    """What an operation takes, as one media type."""

    media: str
    kind: SafeString
    description: str
    fields: list[Field]


@dataclass(frozen=True)
class Answer:
    """What an operation answers with one status."""

    status: str
    description: str
    kind: SafeString | str
    example: str


@dataclass(frozen=True)
class Operation:
    """What the page says of one operation."""

    name: str
    tag: str
    method: str
    path: str
    summary: str
    paragraphs: list[str]
    parameters: list[Field]
    bodies: list[Body]
    answers: list[Answer]
    refusals: list[str]
    curl: str


def page(request):
    """Every operation with its parameters, body, answers and a command to try, then the errors and the shapes."""
    return render(request, "eventsapp/reference.html", _contents())


@cache
def _contents() -> dict:
    made = document()
    schemas = made["components"]["schemas"]
    operations = [
        _operation(method, path, found, schemas)
        for path, methods in made["paths"].items()
        for method, found in methods.items()
    ]
    tags: dict[str, list[Operation]] = {}
    # Whoever reads this wants to send events; what the installation tells of itself can wait.
    for operation in sorted(operations, key=lambda one: one.tag == "Installation"):
        tags.setdefault(operation.tag, []).append(operation)
    return {
        "tags": list(tags.items()),
        "shapes": [_shape(name, schema) for name, schema in sorted(schemas.items())],
        "errors": [(status, words) for status, (_, words) in REFUSALS.items()],
        "base_url": settings.BASE_URL,
    }


def _operation(method: str, path: str, found: dict, schemas: dict) -> Operation:
    bodies = found.get("requestBody", {}).get("content", {})
    responses = found["responses"]
    return Operation(
        name=found["operationId"],
        tag=found["tags"][0],
        method=method.upper(),
        path=path,
        summary=found["summary"],
        paragraphs=found.get("description", "").split("\n\n"),
        parameters=[_parameter(one) for one in found.get("parameters", [])],
        bodies=[_body(media, one["schema"], schemas) for media, one in bodies.items()],
        answers=[_answer(status, one) for status, one in responses.items() if "$ref" not in one],
        refusals=[status for status, one in responses.items() if "$ref" in one],
        curl=_curl(method, path, found),
    )


def _parameter(found: dict) -> Field:
    kind = format_html("{}, {}", kind_of(found["schema"]), PLACES[found["in"]])
    return Field((found["name"],), kind, found["description"], found.get("required", False))


def _body(media: str, schema: dict, schemas: dict) -> Body:
    whole = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return Body(media, kind_of(schema), whole.get("description", ""), _fields(whole))


def _answer(status: str, found: dict) -> Answer:
    body = found.get("content", {}).get(JSON, {})
    return Answer(status, found["description"], kind_of(body["schema"]) if body else "", _json(body.get("example")))


def _shape(name: str, schema: dict) -> Shape:
    choices = [_choice(one) for one in _alternatives(schema)]
    example = schema.get("examples", [None])[0]
    return Shape(name, schema.get("description", ""), _fields(schema), choices, _json(example))


def _json(example) -> str:
    return "" if example is None else json.dumps(example, ensure_ascii=False, indent=2)


# Schemas in words ----------------------------------------------------------------------------------------------------


def kind_of(schema: dict) -> SafeString:
    """Say in a few words what value a schema takes; a named shape is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return format_html('<a href="#shape-{}">{}</a>', name, name)
    if "const" in schema:
        return _codes([schema["const"]])
    if "enum" in schema:
        return _codes([value for value in schema["enum"] if value != ""])
    if "properties" not in schema and (alternatives := _alternatives(schema)):
        return format_html_join(" or ", "{}", ((kind_of(one),) for one in alternatives))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return format_html_join(" or ", "{}", ((_word(kind, schema),) for kind in kinds))


def _alternatives(schema: dict) -> list[dict]:
    return schema.get("anyOf") or schema.get("oneOf") or []


def _codes(values: list) -> SafeString:
    words = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return format_html_join(" or " if len(values) < 5 else " ", "<code>{}</code>", ((word,) for word in words))


def _word(kind: str, schema: dict) -> SafeString:
    match kind:
        case "array" if "items" in schema:
            return format_html("list of {}", kind_of(schema["items"]))
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return format_html("object of {}", kind_of(schema["additionalProperties"]))
        case "string":
            word = schema.get("title") or FORMATS.get(schema.get("format"), "text")
            return format_html("{}{}", word, _length(schema))
        case "integer" | "number":
            return format_html("{}{}", KINDS.get(kind, kind), _bounds(schema))
    return format_html("{}", KINDS.get(kind, kind))


def _length(schema: dict) -> str:
    return f", up to {schema['maxLength']:,} characters" if "maxLength" in schema else ""


def _bounds(schema: dict) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    # What is as large as a moment or a double is no limit that anybody meets.
    return "" if high is None or high >= MILLISECONDS - 1 else f", {low:,} to {high:,}"


def _choice(schema: dict) -> SafeString:
    """One of the things that a value may be, or of those that have to hold besides."""
    if "properties" in schema:
        return format_html_join("; ", "{} {}", ((_codes([*field.names]), field.kind) for field in _fields(schema)))
    return format_html("{}{}", kind_of(schema), f": {schema['description']}" if "description" in schema else "")


def _fields(schema: dict, prefix: str = "") -> list[Field]:
    """The fields of a record, those of records inside it too; what is alike in all but its name shares a row."""
    rows: dict[tuple, list[str]] = {}
    for name, inner in schema.get("properties", {}).items():
        if inner == {"type": "null"}:
            continue
        alike = kind_of(inner), inner.get("description", ""), name in schema.get("required", ())
        rows.setdefault(alike, []).append(prefix + name)
        record, mark = (inner["items"], "[].") if "items" in inner else (inner, ".")
        for field in _fields(record, f"{prefix}{name}{mark}"):
            rows.setdefault((field.kind, field.description, field.required), []).extend(field.names)
    return [Field(tuple(names), *alike) for alike, names in rows.items()]


# A command to try ----------------------------------------------------------------------------------------------------


def _curl(method: str, path: str, found: dict) -> str:
    """A command that a shell takes as it stands, once it has a token."""
    query = {}
    for one in found.get("parameters", []):
        example = (one["schema"].get("examples") or one["schema"].get("enum") or [None])[0]
        if example and one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", example)
        elif example and one["in"] == "query":
            query[one["name"]] = example
    address = f"{settings.BASE_URL}{path}" + (f"?{urlencode(query)}" if query else "")
    parts = [f"curl -i -X {method.upper()} {_quoted(address)}"]
    if "security" in found:
        parts.append("-H 'Authorization: Bearer <your token>'")
    body = found.get("requestBody", {}).get("content", {}).get(JSON, {})
    if "example" in body:
        parts += ["-H 'Content-Type: application/json'", f"-d {_quoted(json.dumps(body['example']))}"]
    return " \\\n  ".join(parts)


def _quoted(text: str) -> str:
    """One word of a shell, always in quotes: that reads best."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
