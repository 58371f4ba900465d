"""What requests and answers of the API look like. The limits are those of `eventsapp.incoming`, which reads them."""

from eventsapp.batches import MOST
from eventsapp.incoming import MAX_KEY, MAX_LINK, MAX_NAME, MAX_TEXT, MOST_COUNTED
from eventsapp.metadata import MILLISECONDS, SAFE_INTEGER
from eventsapp.openapi import SHAPES, record, shape
from eventsapp.serializers import NOBODY_KNOWS

NO_NUL = r"^[^\u0000]*$"
SOMETHING = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"  # a text with more than spaces in it
CONTACT_ID = {
    "type": "string",
    "title": "24 hex digits",
    "pattern": "^[0-9a-f]{24}$",
    "examples": ["5f2b9c01000000000000001a"],
}
TAG_ID = {"type": "string", "pattern": "^[0-9]{1,9}$", "examples": ["102"]}
OR_NULL = {"type": ["string", "null"]}


def const(value: str) -> dict:
    return {"type": "string", "const": value}


def array(items: dict, **words) -> dict:
    return {"type": "array", "items": items} | words


def unix(description: str, *, or_null: bool = False) -> dict:
    """A moment in Unix seconds."""
    kind = ["integer", "null"] if or_null else "integer"
    return {"type": kind, "minimum": 0, "maximum": MILLISECONDS - 1, "description": description}


def text(description: str, *, most: int = MAX_TEXT, **words) -> dict:
    """A text that is more than spaces."""
    return {"type": "string", "pattern": SOMETHING, "maxLength": most, "description": description} | words


# Values of metadata and attributes -----------------------------------------------------------------------------------

NUMBER = {"type": "number", "minimum": -SAFE_INTEGER, "maximum": SAFE_INTEGER}
PLAIN = [
    {"type": "string", "title": "text", "maxLength": MAX_TEXT, "pattern": NO_NUL},
    {"type": "string", "title": "link", "maxLength": MAX_LINK, "pattern": r"^[hH][tT][tT][pP][sS]?://[^\s\u0000]+$"},
    NUMBER | {"title": "number", "description": "Under a key that ends in _date (attributes: _at), Unix seconds."},
    {"type": "boolean"},
    {"type": "null"},
]
MONEY = shape(
    "Money",
    record(
        {
            "amount": {"type": "integer", "minimum": -SAFE_INTEGER, "maximum": SAFE_INTEGER, "description": "Cents."},
            "currency": {"type": "string", "description": "Such as usd.", "pattern": NO_NUL, "maxLength": 10},
        },
        description="A monetary amount.",
        additionalProperties=False,
        examples=[{"amount": 4900, "currency": "usd"}],
    ),
)
RICH_LINK = shape(
    "RichLink",
    record(
        {
            "url": {"type": "string", "maxLength": MAX_LINK, "pattern": NO_NUL},
            "value": {"type": ["string", "number"], "description": "What is shown, and what filters compare."},
        },
        description="A link with a text of its own.",
        additionalProperties=False,
        examples=[{"url": "https://example.org/orders/3434", "value": "3434"}],
    ),
)
NESTED = {
    "type": ["object", "array"],
    "title": "nested",
    "description": "Stored and shown, up to 4,000 characters of JSON; filters only know whether it is there.",
}
METADATA_VALUE = shape("MetadataValue", {"anyOf": [*PLAIN, MONEY, RICH_LINK, NESTED], "description": "One value."})
KEY = {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": r'^[^"\\\u0000-\u001f]+$'}
METADATA = shape(
    "Metadata",
    {
        "type": "object",
        "description": "Keys and values. Of more than ten keys the first ten, in the order sent, are kept.",
        "propertyNames": KEY,
        "additionalProperties": METADATA_VALUE,
        "examples": [{"order_date": 1759990000, "price": {"amount": 2999, "currency": "usd"}}],
    },
)
WITHIN_NAME = r'[^"\\\u0000-\u001f.$]'
ATTRIBUTE_NAME = rf'^{WITHIN_NAME}*[^\s"\\\u0000-\u001f.$]{WITHIN_NAME}*$'
ATTRIBUTES = shape(
    "CustomAttributes",
    {
        "type": "object",
        "description": "Texts, numbers and booleans. When a person is changed, null takes an attribute away.",
        "propertyNames": KEY | {"pattern": f"^{WITHIN_NAME}+$"},
        "additionalProperties": {"anyOf": PLAIN},
        "examples": [{"plan": "pro", "seats": 3}],
    },
)

# Events --------------------------------------------------------------------------------------------------------------

ADDRESS = r"[^@\s,;<>\u0000-\u001f\u007f]+"
EMAIL = {"type": ["string", "null"], "maxLength": MAX_TEXT, "pattern": f"^{ADDRESS}@{ADDRESS}$"}
WHO = {
    "user_id": {
        "type": ["string", "integer", "null"],
        "maxLength": MAX_TEXT,
        "pattern": SOMETHING,
        "description": "Your own id of the person; an unknown one makes a new person.",
    },
    "email": EMAIL | {"description": "Their email, where you have no user_id."},
    "id": {
        "type": ["string", "null"],
        "maxLength": MAX_TEXT,
        "pattern": SOMETHING,
        "description": "The contact's id: 24 hex digits.",
    },
    "intercom_user_id": {
        "type": ["string", "null"],
        "maxLength": MAX_TEXT,
        "pattern": SOMETHING,
        "description": "Another name for id.",
    },
}
# A person has to be named, by something that is not null.
NAMED = [{"required": [name], "properties": {name: {"type": ["string", "integer"]}}} for name in WHO]
EVENT_NAME = text("What happened. Stored in lower case, with . and $ as -.", most=MAX_NAME, examples=["placed-order"])
EVENT_IN = shape(
    "EventIn",
    record(
        {
            "event_name": EVENT_NAME,
            "created_at": unix("When it happened, in Unix seconds; not more than a day ahead."),
            **WHO,
            "metadata": {"anyOf": [METADATA, {"type": "null"}]},
            "uuid": {
                "type": ["string", "null"],
                "format": "uuid",
                "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
                "description": "The event's own id: two events that carry the same in the same second are one.",
            },
            "type": {"type": "string", "description": "Some SDKs send event. It is ignored."},
        },
        optional=(*WHO, "metadata", "uuid", "type"),
        anyOf=NAMED,
        description="An event: what happened, when and to whom. One of user_id, email and id must say who did it.",
        examples=[
            {
                "event_name": "placed-order",
                "created_at": 1760000000,
                "user_id": "314159",
                "metadata": {"order_date": 1759990000, "price": {"amount": 2999, "currency": "usd"}},
            }
        ],
    ),
)
EVENT = shape(
    "Event",
    record(
        {
            "type": const("event"),
            "id": {"type": "string", "format": "uuid"},
            "created_at": unix("When it happened, in Unix seconds."),
            "event_name": {"type": "string"},
            "user_id": OR_NULL,
            "email": OR_NULL,
            "intercom_user_id": CONTACT_ID,
            "metadata": METADATA,
        },
        description="An event as it is stored.",
        examples=[
            {
                "type": "event",
                "id": "cc7e2992-e6f1-51e7-9f85-25b0a92374f6",
                "created_at": 1760000000,
                "event_name": "placed-order",
                "user_id": "314159",
                "email": "ada@example.org",
                "intercom_user_id": "5f2b9c01000000000000001a",
                "metadata": {"price": {"amount": 2999, "currency": "usd"}},
            }
        ],
    ),
)
URL = {"type": "string", "format": "uri"}
EVENT_LIST = shape(
    "EventList",
    record(
        {
            "type": const("event.list"),
            "events": array(EVENT, description="The newest first."),
            "pages": record(
                {
                    "next": URL | {"description": "Where the older ones are; absent on the last page."},
                    "since": URL | {"description": "Where to ask later for what has come in since."},
                },
                optional=("next", "since"),
            ),
        },
        description="A page of a person's events.",
    ),
)
ISO = {"type": ["string", "null"], "format": "date-time"}
EVENT_SUMMARY = shape(
    "EventSummary",
    record(
        {
            "type": const("event.summary"),
            "email": OR_NULL,
            "intercom_user_id": CONTACT_ID,
            "user_id": OR_NULL,
            "events": array(
                record(
                    {
                        "name": {"type": "string"},
                        "first": ISO,
                        "last": ISO,
                        "count": {"type": "integer", "minimum": 0},
                        "description": OR_NULL,
                    }
                )
            ),
        },
        description="How often a person did what, first and last.",
    ),
)
EVENTS_OR_SUMMARY = {"oneOf": [EVENT_LIST, EVENT_SUMMARY]}
TOTAL = shape(
    "EventTotal",
    record(
        {
            "event_name": EVENT_NAME,
            "count": {"type": "integer", "minimum": 1, "maximum": MOST_COUNTED},
            "first": unix("When they first did it, in Unix seconds."),
            "last": unix("When they last did it, in Unix seconds; not before first."),
        },
        description="How often somebody did something before their first event here.",
        examples=[{"event_name": "placed-order", "count": 7, "first": 1500000000, "last": 1510000000}],
    ),
)
TOTALS_IN = shape(
    "EventTotalsIn",
    record(
        WHO | {"event_summaries": {"anyOf": [TOTAL, array(TOTAL, minItems=1)]}},
        optional=tuple(WHO),
        anyOf=NAMED,
        description="Somebody's totals: one, or a list of them.",
        examples=[
            {
                "user_id": "314159",
                "event_summaries": {
                    "event_name": "placed-order",
                    "count": 7,
                    "first": 1500000000,
                    "last": 1510000000,
                },
            }
        ],
    ),
)
BATCH_IN = shape(
    "EventBatchIn",
    {
        "anyOf": [
            array(EVENT_IN, maxItems=MOST),
            record(
                {
                    "events": array(EVENT_IN, maxItems=MOST),
                    "historical": {"type": "boolean", "description": "True fires no message.", "default": False},
                },
                optional=("historical",),
            ),
        ],
        "description": f"Up to {MOST:,} events: an array, or an object that holds it.",
        "examples": [{"events": SHAPES["EventIn"]["examples"], "historical": True}],
    },
)
EVENT_LINES = {"type": "string", "description": "NDJSON: one event a line."}
BATCH = shape(
    "EventBatchResult",
    record(
        {
            "type": const("event_batch.result"),
            "stored": {"type": "integer", "minimum": 0},
            "duplicates": {"type": "integer", "minimum": 0},
            "refused": {"type": "integer", "minimum": 0},
            "results": array(
                record(
                    {
                        "status": {"type": "integer", "enum": [202, 400, 404, 409, 422]},
                        "duplicate": {"type": "boolean", "description": "It was here already. Only beside 202."},
                        "dropped_keys": array(
                            {"type": "string"}, description="Metadata keys beyond the ten that are kept."
                        ),
                        "errors": SHAPES["ErrorList"]["properties"]["errors"],
                    },
                    optional=("duplicate", "dropped_keys", "errors"),
                ),
                description="One for each event, in the order sent.",
            ),
        },
        description="What became of each event of a batch.",
        examples=[
            {
                "type": "event_batch.result",
                "stored": 1,
                "duplicates": 1,
                "refused": 0,
                "results": [{"status": 202, "duplicate": False}, {"status": 202, "duplicate": True}],
            }
        ],
    ),
)

# People --------------------------------------------------------------------------------------------------------------

TEXT_OR_NULL = {"type": ["string", "null"], "maxLength": MAX_TEXT, "pattern": SOMETHING}
CONTACT_FIELDS = {
    "role": {"type": ["string", "null"], "enum": ["user", "lead", None], "description": "A user unless you say lead."},
    "external_id": TEXT_OR_NULL | {"description": "Your own id of the person; an event's user_id."},
    "user_id": {
        "type": ["string", "integer", "null"],
        "maxLength": MAX_TEXT,
        "pattern": SOMETHING,
        "description": "Another name for external_id.",
    },
    "email": EMAIL,
    "name": {"type": ["string", "null"], "maxLength": MAX_TEXT, "pattern": NO_NUL},
    "phone": {"type": ["string", "null"], "maxLength": 64, "pattern": NO_NUL},
    "signed_up_at": unix("In Unix seconds; not more than a day ahead.", or_null=True),
    "last_seen_at": unix("In Unix seconds; not more than a day ahead.", or_null=True),
    "unsubscribed_from_emails": {"type": ["boolean", "null"]},
    "custom_attributes": {"anyOf": [ATTRIBUTES, {"type": "null"}]},
}
A_CONTACT = {
    "external_id": "314159",
    "email": "ada@example.org",
    "name": "Ada",
    "signed_up_at": 1734537437,
    "custom_attributes": {"plan": "pro", "seats": 3},
}
CONTACT_IN = shape(
    "ContactIn",
    record(
        CONTACT_FIELDS,
        optional=tuple(CONTACT_FIELDS),
        anyOf=[
            {"required": [name], "properties": {name: {"type": ["string", "integer"]}}}
            for name in ("external_id", "user_id", "email", "role")
        ],
        description="A new person: at least one of external_id, email and role.",
        examples=[A_CONTACT],
    ),
)
CONTACT_CHANGES = shape(
    "ContactChanges",
    record(
        CONTACT_FIELDS,
        optional=tuple(CONTACT_FIELDS),
        description="What to change of a person; what is not named stays.",
        examples=[{"name": "Ada", "custom_attributes": {"seats": None}}],
    ),
)
NOTHING = shape(
    "EmptyList",
    record(
        {
            "type": const("list"),
            "data": array({"type": "object"}, maxItems=0),
            "url": {"type": "string"},
            "total_count": {"type": "integer", "const": 0},
            "has_more": {"type": "boolean", "const": False},
        },
        description="What Intercom lists here is not kept.",
    ),
)
NOT_KEPT = {"type": "null", "description": "Intercom's; not kept here."}
CONTACT = shape(
    "Contact",
    record(
        {
            "type": const("contact"),
            "id": CONTACT_ID,
            "workspace_id": {"type": "string"},
            "external_id": OR_NULL | {"description": "Your own id: an event's user_id."},
            "role": {"type": "string", "enum": ["user", "lead", "visitor"]},
            "email": OR_NULL,
            "phone": OR_NULL,
            "name": OR_NULL,
            "unsubscribed_from_emails": {"type": "boolean"},
            "created_at": unix("When they became known here, in Unix seconds."),
            "updated_at": unix("When they were last changed, in Unix seconds."),
            "signed_up_at": unix("As you said, in Unix seconds.", or_null=True),
            "last_seen_at": unix("As you said, in Unix seconds.", or_null=True),
            "custom_attributes": ATTRIBUTES,
            "has_hard_bounced": {"type": "boolean"},
            "marked_email_as_spam": {"type": "boolean"},
            "social_profiles": record({"type": const("list"), "data": array({"type": "object"}, maxItems=0)}),
            "location": record(
                {"type": const("location")}
                | dict.fromkeys(("country", "region", "city", "country_code", "continent_code"), NOT_KEPT)
            ),
            "tags": record(
                {
                    "type": const("list"),
                    "data": array(record({"type": const("tag"), "id": TAG_ID, "url": {"type": "string"}})),
                    "url": {"type": "string"},
                    "total_count": {"type": "integer", "minimum": 0},
                    "has_more": {"type": "boolean", "const": False},
                }
            ),
            **dict.fromkeys(
                ("notes", "companies", "opted_out_subscription_types", "opted_in_subscription_types"), NOTHING
            ),
            **{name: NOT_KEPT for name in NOBODY_KNOWS if name != "phone"},
        },
        description="A person, as Intercom's API 2.x shows one; what is not kept here is null.",
    ),
)


def _somebody(description: str, **flag: dict) -> dict:
    """What is told of somebody to whom something was done."""
    return record({"type": const("contact"), "id": CONTACT_ID, "external_id": OR_NULL} | flag, description=description)


TRUE = {"type": "boolean", "const": True}
CONTACT_ARCHIVED = shape(
    "ContactArchived", _somebody("Whether somebody is archived now.", archived={"type": "boolean"})
)
CONTACT_BLOCKED = shape("ContactBlocked", _somebody("Who is blocked now.", blocked=TRUE))
CONTACT_DELETED = shape("ContactDeleted", _somebody("Who is deleted now.", deleted=TRUE))
EXPORT = shape(
    "PersonExport",
    record(
        {
            "type": const("person.export"),
            "exported_at": unix("When this was written."),
            "profile": {"type": "object"},
            "tags": array({"type": "string"}),
            "event_summaries": array({"type": "object"}),
            "events": array({"type": "object"}),
            "deliveries": array({"type": "object"}),
            "notifications": array({"type": "object"}),
        },
        description="All that is kept of one person: their fields, tags, totals, events and messages, and what "
        "webhooks told of them.",
    ),
)
MERGE_IN = shape(
    "Merge",
    record(
        {
            "from": CONTACT_ID | {"description": "The lead, of whom nothing but the id stays."},
            "into": CONTACT_ID | {"description": "The user who they are."},
        },
        description="Who turned out to be whom.",
        examples=[{"from": "1a2b3c4d0000000000000007", "into": "1a2b3c4d0000000000000019"}],
    ),
)
ADMIN = {
    "type": const("admin"),
    "id": {"type": "string"},
    "email": {"type": "string"},
    "name": {"type": "string"},
    "has_inbox_seat": {"type": "boolean"},
}
ME = shape(
    "Me",
    record(
        ADMIN
        | {
            "email_verified": {"type": "boolean"},
            "avatar": record({"type": const("avatar"), "image_url": {"type": "null"}}),
            "app": record(
                {
                    "type": const("app"),
                    "id_code": {"type": "string", "description": "The workspace's app_id."},
                    "name": {"type": "string"},
                    "created_at": unix("When the workspace was made."),
                    "secure": {"type": "boolean"},
                    "identity_verification": {"type": "boolean"},
                    "timezone": {"type": "string"},
                    "region": {"type": "string"},
                }
            ),
        },
        description="The first admin of the token's workspace, and the workspace.",
    ),
)
ADMIN_LIST = shape(
    "AdminList",
    record(
        {
            "type": const("admin.list"),
            "admins": array(
                record(
                    ADMIN
                    | {
                        "away_mode_enabled": {"type": "boolean"},
                        "away_mode_reassign": {"type": "boolean"},
                        "team_ids": array({"type": "integer"}, maxItems=0),
                    }
                )
            ),
        },
        description="The colleagues of the workspace.",
    ),
)
PAGES = record(
    {
        "type": const("pages"),
        "page": {"type": "integer", "minimum": 1},
        "per_page": {"type": "integer", "minimum": 1},
        "total_pages": {"type": "integer", "minimum": 1},
        "next": {
            "anyOf": [
                record({"page": {"type": "integer", "minimum": 2}, "starting_after": {"type": "string"}}),
                {"type": "null"},
            ],
            "description": "What to send for the next page; null on the last.",
        },
    },
)
CONTACT_LIST = shape(
    "ContactList",
    record(
        {
            "type": const("list"),
            "data": array(CONTACT),
            "contacts": array(CONTACT, description="The same, for SDKs of API 1.x."),
            "total_count": {"type": "integer", "minimum": 0},
            "pages": PAGES,
        },
        optional=("contacts",),
        description="A page of people.",
    ),
)

# Tags ----------------------------------------------------------------------------------------------------------------

TAG = shape(
    "Tag",
    record(
        {"type": const("tag"), "id": TAG_ID, "name": {"type": "string"}},
        description="A word that is put on people.",
        examples=[{"type": "tag", "id": "102", "name": "VIP"}],
    ),
)
TAG_LIST = shape(
    "TagList",
    record(
        {"type": const("list"), "data": array(TAG), "tags": array(TAG, description="The same, for API 1.x.")},
        optional=("tags",),
        description="Tags, by name.",
    ),
)
TAG_IN = shape(
    "TagIn",
    record(
        {
            "name": text("Its name; in another case it is the same tag."),
            "id": {
                "type": ["string", "integer"],
                "pattern": TAG_ID["pattern"],
                "minimum": 0,
                "maximum": 10**9 - 1,
                "description": "That of the tag to rename.",
            },
            "users": {
                "anyOf": [
                    array(
                        record(
                            WHO
                            | {
                                "untag": {
                                    "enum": [True, False, "true", "false", None],
                                    "description": "True takes it off.",
                                }
                            },
                            optional=(*WHO, "untag"),
                            anyOf=NAMED,
                        ),
                        maxItems=1000,
                    ),
                    {"type": "null"},
                ],
                "description": "Whom to put it on, as API 1.x has it.",
            },
        },
        optional=("id", "users"),
        description="A tag to find or to make; with its id, to rename; with users, to put on them.",
        examples=[{"name": "VIP"}, {"name": "VIP", "users": [{"user_id": "314159"}]}],
    ),
)
ATTRIBUTE_ID = {"type": "string", "pattern": "^[0-9]{1,9}$", "examples": ["7"]}
OPTION = record({"value": text("One of them.")})
ATTRIBUTE = shape(
    "DataAttribute",
    record(
        {
            "type": const("data_attribute"),
            "id": {"type": "integer", "description": "Of custom ones alone."},
            "model": const("contact"),
            "name": {"type": "string"},
            "full_name": {"type": "string", "description": "As a search names it: custom_attributes.plan."},
            "label": {"type": "string"},
            "description": {"type": "string"},
            "data_type": {"type": "string", "enum": ["string", "integer", "float", "boolean", "date"]},
            "options": array(OPTION, description="The only texts that it may be, if any."),
            "api_writable": {"type": "boolean"},
            "ui_writable": {"type": "boolean"},
            "messenger_writable": {"type": "boolean", "description": "Whether browsers may change it unsigned."},
            "custom": {"type": "boolean"},
            "archived": {"type": "boolean"},
            "created_at": unix("In Unix seconds. Of custom ones alone."),
            "updated_at": unix("In Unix seconds. Of custom ones alone."),
        },
        optional=("id", "created_at", "updated_at"),
        description="What can be known about a person.",
    ),
)
ATTRIBUTE_LIST = shape(
    "DataAttributeList",
    record({"type": const("list"), "data": array(ATTRIBUTE)}, description="Fields, then custom attributes by name."),
)
ATTRIBUTE_TYPE = {
    "type": "string",
    "enum": ["string", "integer", "float", "boolean", "datetime", "date", "options"],
    "description": "The name of a date ends in _at. options is a string that is one of some.",
}
ATTRIBUTE_FIELDS = {
    "description": {"type": ["string", "null"], "maxLength": MAX_TEXT, "pattern": NO_NUL},
    "options": {
        "anyOf": [
            array(OPTION, maxItems=0),
            array({"anyOf": [OPTION, text("The same, as a bare text.")]}, minItems=2, uniqueItems=True),
            {"type": "null"},
        ],
        "description": "The only texts that it may be; none leaves all possible.",
    },
    "messenger_writable": {"type": ["boolean", "null"], "description": "Whether browsers may change it unsigned."},
}
ATTRIBUTE_CHANGES = shape(
    "DataAttributeChanges",
    record(
        ATTRIBUTE_FIELDS
        | {"archived": {"type": ["boolean", "null"]}, "data_type": {"anyOf": [ATTRIBUTE_TYPE, {"type": "null"}]}},
        optional=(*ATTRIBUTE_FIELDS, "archived", "data_type"),
        description="What to change of an attribute; what is not named stays.",
        examples=[{"archived": True}],
    ),
)
ATTRIBUTE_IN = shape(
    "DataAttributeIn",
    record(
        {
            "name": text("As it is written in custom_attributes.", most=MAX_KEY, pattern=ATTRIBUTE_NAME),
            "model": const("contact"),
            "data_type": ATTRIBUTE_TYPE,
            **ATTRIBUTE_FIELDS,
        },
        optional=tuple(ATTRIBUTE_FIELDS),
        description="A custom attribute to make.",
        examples=[
            {
                "name": "plan",
                "model": "contact",
                "data_type": "string",
                "options": [{"value": "free"}, {"value": "pro"}],
            }
        ],
    ),
)
TAG_OF_CONTACT_IN = shape(
    "TagOfContactIn",
    record(
        {"id": SHAPES["TagIn"]["properties"]["id"] | {"description": "The tag's id."}},
        description="A tag to put on somebody.",
        examples=[{"id": "102"}],
    ),
)

# The installation ----------------------------------------------------------------------------------------------------

AGE = {"type": ["number", "null"], "description": "Seconds; null when there is none."}
HEALTH = shape(
    "Health",
    record(
        {
            "status": {"type": "string", "enum": ["ok", "standing still"]},
            "database": const("ok"),
            "worker_heartbeat_age": AGE,
            "oldest_waiting_hand_over_age": AGE,
        },
        description="Whether it works.",
        examples=[
            {
                "status": "ok",
                "database": "ok",
                "worker_heartbeat_age": 1.2,
                "oldest_waiting_hand_over_age": None,
            }
        ],
    ),
)
NO_HEALTH = shape(
    "NoHealth",
    record(
        {"status": const("database away"), "database": {"type": "string", "description": "The kind of the error."}},
        description="The database does not answer.",
    ),
)
OPENAPI = shape(
    "OpenApi",
    record(
        {
            "openapi": {"type": "string", "pattern": r"^3\.1\."},
            "info": {"type": "object", "additionalProperties": {"type": "string"}},
            "servers": array({"type": "object", "additionalProperties": {"type": "string"}}),
            "paths": {"type": "object", "additionalProperties": {"type": "object"}},
            "components": {"type": "object", "additionalProperties": {"type": "object"}},
        },
        description="A document of OpenAPI 3.1.",
    ),
)
