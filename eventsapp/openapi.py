"""What the API says of itself: `GET /openapi.json`, made from its routes, its views' docstrings and its shapes.

A shape is a JSON schema with a name. A view says beside each method which ones it takes and answers (`operation`);
what is true of all of them, such as `error.list` and the headers, is added here.
"""

from collections.abc import Callable
from functools import cache
from inspect import cleandoc

from django.urls import get_resolver
from django_filters import ChoiceFilter, DateFilter, Filter, FilterSet, ModelChoiceFilter
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

JSON = "application/json"

# The named shapes. Upper apps add theirs.
SHAPES: dict[str, dict] = {}


def shape(name: str, schema: dict) -> dict:
    """Give a JSON schema a name in the document; return the reference to it."""
    SHAPES[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}


def record(properties: dict, *, optional: tuple[str, ...] = (), **words) -> dict:
    """Return the schema of an object with these properties, of which all but the `optional` are always there."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties} | words


def followed(schema: dict) -> dict:
    """Return the shape that a reference names (empty when it was made of a serializer), or the schema itself."""
    return SHAPES.get(schema["$ref"].rpartition("/")[2], {}) if "$ref" in schema else schema


def query(name: str, description: str, schema: dict, *, required: bool = False) -> OpenApiParameter:
    """A parameter of the address."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, required=required, description=description)


def in_path(name: str, description: str, schema: dict) -> OpenApiParameter:
    """A part of the path."""
    return OpenApiParameter(name, schema, OpenApiParameter.PATH, description=description)


def filter_parameters(filter_set: type[FilterSet], *, without: tuple[str, ...] = ()) -> list[OpenApiParameter]:
    """The parameters of a list's filters, but for some."""
    filters = {name: one for name, one in filter_set.base_filters.items() if name not in without}
    return [query(name, one.extra["help_text"], _filter_schema(one)) for name, one in filters.items()]


def _filter_schema(one: Filter) -> dict:
    match one:
        case ModelChoiceFilter():
            return {"type": "string", "pattern": "^([0-9]{1,9})?$"}
        case ChoiceFilter():
            # Empty, as a form sends it, it asks for nothing.
            return {"type": "string", "enum": [*(value for value, _ in one.extra["choices"]), ""]}
        case DateFilter():
            return {"type": "string", "format": "date"}
    return {"type": "string"}


def header(name: str, description: str, schema: dict) -> OpenApiParameter:
    """A header of the request."""
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=description)


ERROR_LIST = shape(
    "ErrorList",
    record(
        {
            "type": {"const": "error.list", "type": "string"},
            "request_id": {
                "type": ["string", "null"],
                "description": "Finds the request in the log; the header X-Request-Id has it too.",
            },
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": shape(
                    "Error",
                    record(
                        {
                            "code": {"type": "string", "description": "What kind of error, for programs."},
                            "message": {"type": "string", "description": "What to write instead, for people."},
                            "field": {
                                "type": "string",
                                "description": "The path of what is wrong, if any.",
                            },
                        },
                        optional=("field",),
                        description="One fault.",
                    ),
                ),
            },
        },
        description="The answer to whatever is not a success, with every fault at once.",
        examples=[
            {
                "type": "error.list",
                "request_id": "f93ecfa8-d08a-4325-8694-89aeb89c8f85",
                "errors": [
                    {
                        "code": "parameter_invalid",
                        "field": "created_at",
                        "message": "created_at looks like milliseconds. Write seconds, such as 1760000000.",
                    }
                ],
            }
        ],
    ),
)

# status: (its name among the document's responses, what happened)
REFUSALS = {
    400: ("BadRequest", "Something is missing or wrong: each error names the field and says what to write."),
    401: ("Unauthorized", "The token is missing, unknown or revoked."),
    403: ("Forbidden", "The token lacks the scope that this needs."),
    404: ("NotFound", "There is nothing, or nobody, with this id or name."),
    405: ("NoSuchMethod", "The path has no such method. The header Allow names those it has."),
    409: ("Conflict", "Several people share the email, or the contact exists."),
    410: ("Gone", "The contact was merged into another. The header Link leads there."),
    413: ("TooLarge", "The body is too large. Send fewer or smaller items."),
    415: ("UnknownEncoding", "The Content-Encoding is neither gzip nor none."),
    422: (
        "Unprocessable",
        "Well said, but not possible: a definition that cannot be asked or takes too long, an event name too "
        "many, what something else depends on.",
    ),
    429: ("TooManyRequests", "Too many requests in ten seconds. Retry-After says when to go on."),
    500: ("ServerError", "Ours. The request_id finds it in the log."),
    503: ("Unavailable", "The database could not take it just now. Nothing was stored: send it again."),
}
# These may come before the token is looked at, and then without its limits.
BEFORE_THE_TOKEN = (400, 500, 503)
REQUEST_ID = {
    "X-Request-Id": {
        "description": "The id of this request, as the log has it.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    }
}
LIMITS = {
    "X-RateLimit-Limit": "How many requests the token may send in ten seconds.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "When the next ten seconds begin, in Unix seconds.",
}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}


def _headers(status: int, *, counted: bool = True) -> dict:
    """The headers of an answer with this status; `counted` when the request counts against a token's limit."""
    limits = {
        name: {
            "description": words,
            "required": status not in BEFORE_THE_TOKEN,
            "schema": {"type": "integer", "minimum": 0},
        }
        for name, words in LIMITS.items()
        if counted and status != 401
    }
    return REQUEST_ID | limits | (RETRY_AFTER if status in (429, 503) else {})


def _unwrapped(text: str) -> str:
    """Undo the line breaks of a docstring, but for those between paragraphs."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def operation(
    name: str,
    tag: str,
    *,
    asks=None,
    answers: dict[int, tuple[str, dict | None]],
    refuses: tuple[int, ...] = (),
    parameters: list[OpenApiParameter] | None = None,
) -> Callable:
    """Describe a method of an API view, whose docstring is its summary and, after an empty line, its description.

    `name` is the operation id, `asks` the body (a shape, a serializer, or a dictionary of them by media type),
    `answers` the successes by status, each with its words and its shape or None. `refuses` names the statuses that it
    answers with an `error.list`, besides those that follow from the view: 400, 401, 403, 405, 413, 429, 500 and 503.
    """
    responses = {status: OpenApiResponse(schema, description=words) for status, (words, schema) in answers.items()}
    request = {JSON: asks} if isinstance(asks, dict) and JSON not in asks else asks

    def describe(method):
        method.refuses = refuses
        summary, _, description = cleandoc(method.__doc__).partition("\n\n")
        return extend_schema(
            operation_id=name,
            tags=[tag],
            summary=_unwrapped(summary).removesuffix("."),
            description=_unwrapped(description),
            request=request,
            responses=responses,
            parameters=parameters,
        )(method)

    return describe


class ApiSchema(AutoSchema):
    """Adds to each operation what is true of all: refusals, headers, and the examples of its shapes."""

    def map_parsers(self):
        # Whatever is sent is read as JSON; that is what to send.
        return [JSON]

    def get_operation(self, path, path_regex, path_prefix, method, registry):
        found = super().get_operation(path, path_regex, path_prefix, method, registry)
        body, responses = found.get("requestBody"), found["responses"]
        counted = bool(self.view.authentication_classes)
        for status, response in responses.items():
            response["headers"] = _headers(int(status), counted=counted)
        for status in self._refusals(has_body=bool(body)):
            responses[str(status)] = self._refusal(status, counted=counted)
        if body:
            asked = [media["schema"] for media in body["content"].values()]
            body["required"] = body.get("required", False) or any(map(_asks_for_something, asked))
        for content in (body or {}, *responses.values()):
            _add_example(content.get("content", {}))
        found["responses"] = dict(sorted(responses.items()))
        if scope := self.view.scopes.get(self.method):
            found["description"] = f"{found.get('description', '')}\n\nThe token needs the scope {scope}.".strip()
        return found

    def _refusals(self, *, has_body: bool) -> list[int]:
        own = getattr(getattr(self.view, self.method.lower()), "refuses", ())
        of_tokens = [401, 429] if self.view.authentication_classes else []
        of_scopes = [403] if self.view.scopes.get(self.method) else []
        return sorted({400, 405, 500, 503, *own, *of_tokens, *of_scopes, *([413] if has_body else [])})

    def _refusal(self, status: int, *, counted: bool) -> dict:
        """The reference to the shared response of this status."""
        name, words = REFUSALS[status]
        component = ResolvedComponent(
            name if counted else f"Public{name}",
            ResolvedComponent.RESPONSE,
            object=f"{status} {counted}",
            schema={
                "description": words,
                "headers": _headers(status, counted=counted),
                "content": {JSON: {"schema": ERROR_LIST}},
            },
        )
        self.registry.register_on_missing(component)
        return component.ref


def _asks_for_something(schema: dict) -> bool:
    """Whether an empty body, which is read as an empty object, lacks something."""
    return bool(followed(schema).get("required") or followed(schema).get("anyOf"))


def _add_example(content: dict):
    """Show the first example of a shape beside each use of it, where most tools look for one."""
    for media in content.values():
        if examples := followed(media["schema"]).get("examples"):
            media["example"] = examples[0]


class TokenScheme(OpenApiAuthenticationExtension):
    """Both ways in which a token may be sent."""

    target_class = "eventsapp.auth.TokenAuthentication"
    name = ["bearer", "basic"]

    def get_security_requirement(self, auto_schema):
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema):
        return [
            {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer and the token."},
            {"type": "http", "scheme": "basic", "description": "The token as user name, with an empty password."},
        ]


class Endpoints(EndpointEnumerator):
    """Lists each path as people write it: without the trailing slash that every one tolerates."""

    def get_path_from_regex(self, path_regex):
        return super().get_path_from_regex(path_regex).rstrip("/")


class Generator(SchemaGenerator):
    """Makes the document, with every named shape."""

    endpoint_inspector_cls = Endpoints

    def get_schema(self, request=None, public=False):
        get_resolver().url_patterns  # noqa: B018  whose views bring the shapes
        for name, schema in SHAPES.items():
            component = ResolvedComponent(name, ResolvedComponent.SCHEMA, schema=schema, object=name)
            self.registry.register_on_missing(component)
        return super().get_schema(request, public)


@cache
def document() -> dict:
    """The whole document. It tells nothing of any workspace, and stays as it is while the process runs."""
    return Generator().get_schema(public=True)
