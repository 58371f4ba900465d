"""The language of definitions as JSON schemas: one for each kind of condition. `segments.definition` reads it."""

from django.conf import settings

from eventsapp.contact_pages import MOST_PER_PAGE, SORTS
from eventsapp.incoming import MAX_KEY, MOST_COUNTED
from eventsapp.openapi import SHAPES, record, shape
from eventsapp.shapes import CONTACT, CONTACT_ID, MONEY, NUMBER, SOMETHING, array, const, text, unix
from segments import comparisons
from segments.conditions import CUSTOM, FIELDS
from segments.definition import DEEPEST, MOST_CONDITIONS, VERSION
from segments.histories import FUNCTIONS
from segments.reading import FIRST_DAY, LAST_DAY, MOST_DAYS, MOST_ID
from segments.search import DEEPEST as SEARCH_DEEPEST
from segments.search import MOST_FILTERS

KEY = r'^[^"\\\u0000]*[^\s"\\\u0000][^"\\\u0000]*$'
WORDS = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": SOMETHING}
DAY = {"type": "string", "format": "date", "description": f"A day, from {FIRST_DAY} to {LAST_DAY}."}
DAYS = {"type": "integer", "minimum": 0, "maximum": MOST_DAYS}
DAYS_AGO = tuple(op for op in comparisons.DATE if op.endswith("_days_ago"))
ON_DAYS = ("on", "before", "after")
PLAIN_NUMBER = tuple(op for op in comparisons.NUMBER if op != "between")
PLAIN_TEXT = tuple(op for op in comparisons.TEXT if op not in ("in", "not_in"))
LISTS = ("in", "not_in")


def _pair(of: dict) -> dict:
    return array(of, minItems=2, maxItems=2, description="[low, high], both included.")


def _compared(ops: tuple[str, ...], value: dict | None) -> dict:
    """What an operator of `ops` stands beside: a value of this kind, or none."""
    op = {"type": "string", "enum": list(ops)}
    if value is None:
        return record({"op": op, "value": {"type": "null"}}, optional=("value",))
    return record({"op": op, "value": value})


DATE_COMPARISONS = [
    _compared(DAYS_AGO, DAYS),
    _compared(ON_DAYS, DAY),
    _compared(("between",), _pair(DAY)),
    _compared(comparisons.PRESENCE, None),
]
AMOUNT = {"anyOf": [NUMBER, MONEY]}
TOTALS = [
    _compared(PLAIN_NUMBER, AMOUNT),
    _compared(("between",), _pair(AMOUNT)),
    _compared(comparisons.PRESENCE, None),
]
COMPARISONS = [
    _compared(PLAIN_TEXT, WORDS),
    _compared(LISTS, array(WORDS, minItems=1, maxItems=comparisons.MOST_LISTED)),
    _compared(PLAIN_NUMBER, AMOUNT),
    _compared(("between",), _pair(AMOUNT)),
    _compared(comparisons.BOOLEAN, None),
    *DATE_COMPARISONS,
]


def _question(properties: dict, comparisons_there: list[dict], *, absent: tuple[str, ...] = (), **words) -> dict:
    """An object with an operator and, where that takes one, a value."""
    operators = [op for there in comparisons_there for op in there["properties"]["op"]["enum"]]
    compared = {
        "op": {"type": "string", "enum": list(dict.fromkeys(operators)), "description": "The operator."},
        "value": {
            "type": ["string", "number", "array", "object", "null"],
            "description": "What it compares to: a text or several, a number, money, days, a day, or two of them.",
        },
    }
    optional = ("value", *absent)
    return record(
        properties | compared, optional=optional, additionalProperties=False, anyOf=comparisons_there, **words
    )


EVENT_NAME = text("The event's name.", examples=["placed-order"])
TIMES = {"type": "integer", "minimum": 1, "maximum": MOST_COUNTED}
COUNT = shape(
    "Count",
    record(
        {
            "op": {"type": "string", "enum": list(comparisons.NUMBER)},
            "value": {"type": ["integer", "array"], "description": "A number from 1, or two for between."},
        },
        additionalProperties=False,
        anyOf=[_compared(PLAIN_NUMBER, TIMES), _compared(("between",), _pair(TIMES))],
        description="How often.",
        examples=[{"op": "gte", "value": 3}],
    ),
)


def _window(**there: dict) -> dict:
    """A window that says just what is `there`; null is as good as absent."""
    absent = {name: {"type": "null"} for name in ("last_days", "since", "until") if name not in there}
    return record(there | absent, optional=tuple(absent), additionalProperties=False)


WITHIN = shape(
    "Within",
    {
        "anyOf": [
            _window(last_days=DAYS | {"minimum": 1}),
            _window(since=DAY),
            _window(until=DAY),
            _window(since=DAY, until=DAY),
        ],
        "description": "The last n × 24 hours, or days in the workspace's time zone; either side may be left out.",
        "examples": [{"last_days": 30}],
    },
)
WHERE = shape(
    "Where",
    _question(
        {"key": text("A key of the metadata.", most=MAX_KEY, pattern=KEY)},
        COMPARISONS,
        description="A test of an event's metadata.",
        examples=[{"key": "total", "op": "gt", "value": {"amount": 4900, "currency": "usd"}}],
    ),
)


def _kind(name: str) -> dict:
    return {"kind": {"type": "string", "const": name}}


ID = {"type": "integer", "minimum": 1, "maximum": MOST_ID}
WHERES = {"anyOf": [array(WHERE, minItems=1), {"type": "null"}], "description": "All hold on the same event."}
STEP = shape(
    "Step",
    record(
        {"event": EVENT_NAME, "where": WHERES},
        optional=("where",),
        additionalProperties=False,
        description="An event of a sequence.",
        examples=[{"event": "signed-up"}],
    ),
)
# By kind, as segments.definition.KINDS has them.
CONDITIONS: dict[str, dict] = {
    "event": shape(
        "EventCondition",
        record(
            _kind("event")
            | {
                "event": EVENT_NAME,
                "did": {
                    "type": ["boolean", "null"],
                    "default": True,
                    "description": "False: never did, and without count.",
                },
                "count": {"anyOf": [COUNT, {"type": "null"}]},
                "within": {"anyOf": [WITHIN, {"type": "null"}]},
                "where": WHERES,
            },
            optional=("did", "count", "within", "where"),
            additionalProperties=False,
            description="Did something, or did not: how often, when, with which metadata.",
        ),
    ),
    "event_time": shape(
        "EventTimeCondition",
        _question(
            _kind("event_time") | {"event": EVENT_NAME, "occurrence": {"type": "string", "enum": ["first", "last"]}},
            DATE_COMPARISONS,
            description="When somebody did something for the first or the last time.",
        ),
    ),
    "aggregate": shape(
        "AggregateCondition",
        _question(
            _kind("aggregate")
            | {
                "event": EVENT_NAME,
                "key": text("The key whose values are taken together.", most=MAX_KEY, pattern=KEY),
                "function": {"type": "string", "enum": list(FUNCTIONS)},
                "within": {"anyOf": [WITHIN, {"type": "null"}]},
                "where": WHERES,
            },
            TOTALS,
            absent=("within", "where"),
            description="What the values of a key add up to, in numbers or in one currency.",
        ),
    ),
    "sequence": shape(
        "SequenceCondition",
        record(
            _kind("sequence")
            | {
                "first": STEP,
                "then": STEP,
                "did": {
                    "type": ["boolean", "null"],
                    "default": True,
                    "description": "False: did the first, and once the days passed without the other.",
                },
                "within_days": DAYS | {"minimum": 1, "description": "How many times 24 hours the other may take."},
            },
            optional=("did",),
            additionalProperties=False,
            description="Did one thing and then, strictly later, another.",
        ),
    ),
    "segment": shape(
        "SegmentCondition",
        record(
            _kind("segment")
            | {
                "segment": ID | {"description": "The segment's id."},
                "op": {"type": "string", "enum": ["in", "not_in"]},
            },
            additionalProperties=False,
            description="Belongs to a saved segment, or does not.",
        ),
    ),
    "tag": shape(
        "TagCondition",
        record(
            _kind("tag")
            | {
                "tag": ID | {"description": "The tag's id."},
                "op": {"type": "string", "enum": ["has", "has_not"]},
            },
            additionalProperties=False,
            description="Has a tag, or has it not.",
        ),
    ),
    "attribute": shape(
        "AttributeCondition",
        _question(
            _kind("attribute")
            | {
                "field": {
                    "type": "string",
                    "pattern": f"^({'|'.join(FIELDS)}|{CUSTOM.replace('.', '[.]')}{KEY[1:-1]})$",
                    "maxLength": len(CUSTOM) + MAX_KEY,
                    "description": f"One of {', '.join(FIELDS)}; or {CUSTOM} and the attribute's name.",
                }
            },
            COMPARISONS,
            description="What is known about a person.",
        ),
    ),
}
CONDITION = shape(
    "Condition",
    {
        "oneOf": [*CONDITIONS.values()],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {kind: reference["$ref"] for kind, reference in CONDITIONS.items()},
        },
        "description": "One question about a person; kind says which.",
    },
)


def add_kind(kind: str, condition: dict):
    """Describe a kind of condition that an upper app adds to segments.definition.KINDS."""
    CONDITIONS[kind] = condition
    SHAPES["Condition"]["oneOf"].append(condition)
    SHAPES["Condition"]["discriminator"]["mapping"][kind] = condition["$ref"]


MATCH = {"type": ["string", "null"], "enum": ["all", "any", None], "default": "all"}
GROUP_OR_CONDITION = {"anyOf": [CONDITION, {"$ref": "#/components/schemas/Group"}]}
GROUP = shape(
    "Group",
    record(
        {"match": MATCH, "conditions": array(GROUP_OR_CONDITION, minItems=1)},
        optional=("match",),
        additionalProperties=False,
        description=f"Conditions of which all, or any, must hold. Groups nest, {DEEPEST} deep with the top.",
    ),
)
AN_ORDER = {
    "kind": "event",
    "event": "placed-order",
    "did": True,
    "count": {"op": "gte", "value": 3},
    "within": {"last_days": 30},
    "where": [{"key": "total", "op": "gt", "value": {"amount": 4900, "currency": "usd"}}],
}
DEFINITION = shape(
    "Definition",
    record(
        {
            "version": {"type": ["integer", "null"], "enum": [VERSION, None]},
            "match": MATCH,
            "conditions": array(GROUP_OR_CONDITION, description="None at all: everybody."),
        },
        optional=("version", "match"),
        additionalProperties=False,
        description=f"Who belongs together. Up to {MOST_CONDITIONS} conditions in all.",
        examples=[
            {
                "version": VERSION,
                "match": "all",
                "conditions": [
                    AN_ORDER,
                    {"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "pro"},
                ],
            }
        ],
    ),
)


def json_schema() -> dict:
    """Return the language as a JSON Schema that stands alone (draft 2020-12)."""
    definitions, left = {}, ["Definition"]
    while left:
        name = left.pop()
        definitions[name], named = _standing_alone(SHAPES[name])
        left += named - definitions.keys()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{settings.BASE_URL}/segments/schema.json",
        "title": "A definition of a segment",
        "$ref": "#/$defs/Definition",
        "$defs": dict(sorted(definitions.items())),
    }


def _standing_alone(schema) -> tuple[object, set[str]]:
    """Return a schema without what OpenAPI alone knows, and the names of the shapes that it refers to."""
    if isinstance(schema, list):
        parts = [_standing_alone(part) for part in schema]
        return [part for part, _ in parts], {name for _, names in parts for name in names}
    if not isinstance(schema, dict):
        return schema, set()
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {"$ref": f"#/$defs/{name}"}, {name}
    parts = {key: _standing_alone(part) for key, part in schema.items() if key != "discriminator"}
    return {key: part for key, (part, _) in parts.items()}, {name for _, names in parts.values() for name in names}


SEGMENT_ID = {"type": "string", "pattern": "^[0-9]{1,9}$", "examples": ["12"]}
SEGMENT = shape(
    "Segment",
    record(
        {
            "type": const("segment"),
            "id": SEGMENT_ID,
            "name": {"type": "string"},
            "description": {"type": "string"},
            "created_at": unix("When it was made."),
            "updated_at": unix("When it was last changed."),
            "person_type": const("user"),
            "definition": DEFINITION,
            "count": {"type": ["integer", "null"], "minimum": 0, "description": "How many belong to it, if asked."},
        },
        optional=("count",),
        description="A saved definition. Whoever matches now belongs to it.",
    ),
)
SEGMENT_LIST = shape(
    "SegmentList",
    record(
        {"type": const("segment.list"), "segments": array(SEGMENT), "pages": {"type": "object"}},
        description="The segments that are not archived.",
    ),
)
SEGMENTS_OF_CONTACT = shape(
    "SegmentsOfContact",
    record({"type": const("list"), "data": array(SEGMENT)}, description="The segments that somebody belongs to now."),
)
SEGMENT_IN = shape(
    "SegmentIn",
    record(
        {
            "name": text("Unlike that of any other segment.", most=100),
            "description": {"type": "string", "maxLength": 255},
            "definition": DEFINITION,
        },
        optional=("description",),
        examples=[{"name": "Buyers", "definition": {"version": VERSION, "conditions": [AN_ORDER]}}],
    ),
)
SEGMENT_CHANGES = shape(
    "SegmentChanges",
    record(
        SHAPES["SegmentIn"]["properties"],
        optional=("name", "description", "definition"),
        description="What is not named stays as it is.",
        examples=[{"name": "Best buyers"}],
    ),
)
SEGMENT_ARCHIVED = shape(
    "SegmentArchived", record({"type": const("segment"), "id": SEGMENT_ID, "archived": {"type": "boolean"}})
)
VERDICT = shape(
    "Verdict",
    record(
        {
            "condition": {"type": "string", "description": "What is asked, in words."},
            "holds": {"type": "boolean"},
            "facts": {"type": "string", "description": "The numbers behind it."},
            "match": MATCH,
            "conditions": array({"$ref": "#/components/schemas/Verdict"}),
        },
        optional=("facts", "match", "conditions"),
        description="Whether a condition, or a group, holds for somebody.",
        examples=[
            {
                "condition": "did placed-order at least 3 times",
                "holds": False,
                "facts": "placed-order 2 times, needs at least 3 times; last one on 9 Nov 2026, 14 days ago",
            }
        ],
    ),
)
EXPLANATION = shape(
    "SegmentExplanation",
    record(
        {"type": const("segment.explanation"), "segment_id": SEGMENT_ID, "contact_id": CONTACT_ID}
        | SHAPES["Verdict"]["properties"],
        optional=("facts", "match", "conditions"),
        description="Why somebody belongs to a segment, or does not.",
    ),
)
PREVIEW_IN = shape(
    "PreviewIn",
    record({"definition": DEFINITION}, examples=[{"definition": {"version": VERSION, "conditions": [AN_ORDER]}}]),
)
JSON_SCHEMA = shape(
    "JsonSchema",
    record(
        {
            "$schema": {"type": "string"},
            "$id": {"type": "string"},
            "$ref": {"type": "string"},
            "$defs": {"type": "object"},
        }
    ),
)
PREVIEW = shape(
    "Preview",
    record(
        {
            "count": {"type": "integer", "minimum": 0, "description": "How many match."},
            "contacts": array(CONTACT, maxItems=50, description="The newest of them."),
        },
        description="Who matches a definition.",
    ),
)

# Search --------------------------------------------------------------------------------------------------------------

FILTER = record(
    {
        "field": text("Such as role, created_at or custom_attributes.plan.", most=len(CUSTOM) + MAX_KEY),
        "operator": {"type": "string", "enum": ["=", "!=", "IN", "NIN", ">", "<", ">=", "<=", "~", "!~", "^", "$"]},
        "value": {
            "type": ["string", "number", "boolean", "array", "null"],
            "items": {"type": ["string", "number", "boolean"]},
            "description": "A text, a number, Unix seconds, true or false; for IN and NIN a list of such.",
        },
    },
    optional=("value",),
    additionalProperties=False,
)
FILTERS = shape(
    "Filters",
    record(
        {
            "operator": {"type": "string", "enum": ["AND", "OR"]},
            "value": array(
                {"anyOf": [FILTER, {"$ref": "#/components/schemas/Filters"}]}, minItems=1, maxItems=MOST_FILTERS
            ),
        },
        additionalProperties=False,
        description=f"Filters of which all, or any, must hold. Groups nest, {SEARCH_DEEPEST} deep.",
    ),
)
SORT = record(
    {
        "field": {"type": ["string", "null"], "enum": [*SORTS, None]},
        "order": {"type": ["string", "null"], "enum": ["ascending", "descending", None]},
    },
    optional=("field", "order"),
    additionalProperties=False,
)
PAGINATION = record(
    {
        "per_page": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_PER_PAGE},
        "starting_after": {"type": ["string", "null"]},
    },
    optional=("per_page", "starting_after"),
)
SEARCH_IN = shape(
    "SearchIn",
    record(
        {
            "query": {"anyOf": [FILTER, FILTERS]},
            "sort": {"anyOf": [SORT, {"type": "null"}]},
            "pagination": {"anyOf": [PAGINATION, {"type": "null"}]},
        },
        optional=("sort", "pagination"),
        description="A query, in Intercom's language.",
        examples=[
            {
                "query": {
                    "operator": "AND",
                    "value": [
                        {"field": "role", "operator": "=", "value": "user"},
                        {"field": "custom_attributes.plan", "operator": "IN", "value": ["pro", "team"]},
                    ],
                },
                "pagination": {"per_page": 50},
            }
        ],
    ),
)
