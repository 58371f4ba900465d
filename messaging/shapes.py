"""What requests and answers of the API say of messages."""

from eventsapp.incoming import MAX_KEY
from eventsapp.openapi import record, shape
from eventsapp.shapes import ADMIN, CONTACT_ID, METADATA, NO_NUL, OR_NULL, array, const, text, unix
from messaging.conditions import STATES
from messaging.drafting import MOST_PER_HOUR, MOST_SECONDS, MOST_TIMES
from messaging.drafting import STATES as WRITTEN_STATES
from messaging.models import AutoMessage, Delivery
from messaging.text import LONGEST
from segments.shapes import DAY, DEFINITION, EVENT_NAME, ID, KEY, WHERE, add_kind

add_kind(
    "message",
    shape(
        "MessageCondition",
        record(
            {
                "kind": const("message"),
                "message": ID | {"description": "The auto-message's id."},
                "state": {"type": "string", "enum": list(STATES)},
            },
            additionalProperties=False,
            description="Was sent an auto-message, opened it, clicked in it, or was never sent it.",
        ),
    ),
)

MESSAGE_ID = {"type": "string", "pattern": "^[0-9]{1,9}$", "examples": ["5"]}
DELIVERY = shape(
    "Delivery",
    record(
        {
            "type": const("delivery"),
            "id": MESSAGE_ID,
            "contact_id": CONTACT_ID,
            "event_id": {"type": "string", "format": "uuid"},
            "event": record(
                {
                    "id": {"type": "string", "format": "uuid"},
                    "event_name": {"type": "string"},
                    "created_at": unix("When it happened."),
                    "metadata": METADATA,
                },
                optional=("id",),
                description="The event because of which it was made.",
            ),
            "state": {"type": "string", "enum": Delivery.State.values},
            "reason": {
                "type": ["string", "null"],
                "enum": [*filter(None, Delivery.Reason.values), None],
                "description": "Why it is not sent.",
            },
            "detail": OR_NULL | {"description": "The error in its own words."},
            "attempts": {"type": "integer", "minimum": 0},
            "version": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "Which version of its auto-message it was made from.",
            },
            "subject": OR_NULL | {"description": "As sent."},
            "created_at": unix("When it was made."),
            "sent_at": unix("When it was handed over.", or_null=True),
            "opened_at": unix("When it was first opened, as far as is known.", or_null=True),
            "clicked_at": unix("When a link in it was first followed.", or_null=True),
            "dismissed_at": unix("When its reader was done with an in-app message.", or_null=True),
        },
        description="One message to one person because of one event.",
    ),
)
DELIVERY_LIST = shape(
    "DeliveryList",
    record(
        {
            "type": const("list"),
            "data": array(DELIVERY),
            "pages": record(
                {
                    "type": const("pages"),
                    "next": {"anyOf": [record({"starting_after": MESSAGE_ID}), {"type": "null"}]},
                }
            ),
        },
        description="A page of deliveries.",
    ),
)

# Rules ---------------------------------------------------------------------------------------------------------------

TIMES = {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_TIMES}
SECONDS = {"type": "integer", "minimum": 0, "maximum": MOST_SECONDS}
TEXT = {"type": ["string", "null"], "maxLength": LONGEST, "pattern": NO_NUL}
WHERES = {"anyOf": [array(WHERE), {"type": "null"}], "description": "All must hold on that very event."}
TRIGGER = shape(
    "Trigger",
    record(
        {
            "event": EVENT_NAME,
            "where": WHERES,
            "nth": TIMES | {"description": "Only if it is somebody's nth of these events."},
        },
        optional=("where", "nth"),
        additionalProperties=False,
        description="The event that makes it go out.",
        examples=[{"event": "placed-order", "where": [{"key": "code", "op": "known"}]}],
    ),
)
FREQUENCY = shape(
    "Frequency",
    record(
        {
            "mode": {"type": "string", "enum": AutoMessage.Frequency.values},
            "per_seconds": {
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": MOST_SECONDS,
                "description": "With once_per, and with it alone: the time in which it is sent at most once.",
            },
            "most": TIMES | {"description": "How often one person gets it at all; not with once."},
        },
        optional=("per_seconds", "most"),
        additionalProperties=False,
        description="How often one person gets it.",
        examples=[{"mode": "once_per", "per_seconds": 86400, "most": 3}],
    ),
)
UNLESS = shape(
    "Unless",
    record(
        {
            "event": EVENT_NAME,
            "where": {"anyOf": [array(WHERE, minItems=1), {"type": "null"}]},
            "same": {
                "anyOf": [
                    array(text("A key of the metadata.", most=MAX_KEY, pattern=KEY), minItems=1),
                    {"type": "null"},
                ],
                "description": "Keys under which it has the same values as the event that triggered.",
            },
        },
        optional=("where", "same"),
        additionalProperties=False,
        description="What cancels a message that waits: that its person did this meanwhile.",
        examples=[{"event": "paid-order", "same": ["order_id"]}],
    ),
)
CLOCK_TIME = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
HOURS = shape(
    "Hours",
    record(
        {
            "days": array({"type": "integer", "minimum": 0, "maximum": 6}, minItems=1, description="Monday is 0."),
            "from": CLOCK_TIME,
            "to": CLOCK_TIME | {"description": "Of the next day, if it is not later."},
        },
        additionalProperties=False,
        description="When it may go out, in the workspace's time zone; outside of these hours it waits.",
        examples=[{"days": [0, 1, 2, 3, 4], "from": "09:00", "to": "17:00"}],
    ),
)
CONTENT = shape(
    "Content",
    {
        "anyOf": [
            record(
                {
                    "subject": TEXT | {"maxLength": 255},
                    "body": TEXT | {"description": "Liquid: HTML, or plain text."},
                    "from": OR_NULL | {"description": "The address of a sender of the workspace; null: the usual one."},
                },
                optional=("subject", "body", "from"),
                title="email",
                additionalProperties=False,
            ),
            record(
                {"url": {"type": ["string", "null"], "maxLength": 500, "pattern": NO_NUL}},
                optional=("url",),
                title="webhook",
                additionalProperties=False,
            ),
            record(
                {
                    "subject": TEXT | {"maxLength": 255},
                    "body": TEXT,
                    "display": {"type": ["string", "null"], "enum": ["card", "banner", None]},
                },
                optional=("subject", "body", "display"),
                title="in_app",
                additionalProperties=False,
            ),
        ],
        "description": "What is sent; its fields are those of the channel.",
        "examples": [
            {"subject": "Thank you, {{ contact.name }}", "body": "<p>Your code is {{ event.metadata.code }}.</p>"}
        ],
    },
)


def _or_null(schema: dict, description: str) -> dict:
    return {"anyOf": [schema, {"type": "null"}], "description": description}


WRITTEN = {
    "name": text("What staff call it.", most=100),
    "state": {"type": "string", "enum": [*WRITTEN_STATES], "default": "draft"},
    "trigger": TRIGGER,
    "audience": _or_null(DEFINITION, "Who may get it; null: everyone. A saved segment is a condition of that kind."),
    "frequency": FREQUENCY,
    "delay_seconds": SECONDS | {"description": "How long it waits before it goes out."},
    "unless": _or_null(UNLESS, "What cancels it meanwhile."),
    "starts_on": _or_null(DAY, "The first day on which events count, in the workspace's time zone."),
    "stops_on": _or_null(DAY, "The last one."),
    "hours": _or_null(HOURS, "When it may go out; null: at any time."),
    "channel": {"type": "string", "enum": AutoMessage.Channel.values, "default": "email"},
    "content": CONTENT,
    "transactional": {
        "type": "boolean",
        "description": "Part of what somebody ordered: it goes to those who unsubscribed, too.",
    },
    "allows_browser": {
        "type": "boolean",
        "description": "Whether events from browsers that prove nothing make emails and webhooks go out.",
    },
    "guard_per_hour": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_PER_HOUR,
        "description": "Above this many in an hour it pauses itself.",
    },
}
MESSAGE_EXAMPLE = {
    "name": "Thanks",
    "state": "draft",
    "trigger": {
        "event": "placed-order",
        "where": [{"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}],
    },
    "audience": None,
    "frequency": {"mode": "every_time"},
    "channel": "email",
    "content": {"subject": "Thank you, {{ contact.name }}", "body": "<p>Your code is {{ event.metadata.code }}.</p>"},
}
MESSAGE_IN = shape(
    "AutoMessageIn",
    record(
        WRITTEN,
        optional=tuple(WRITTEN.keys() - {"name", "trigger"}),
        description="A rule: when somebody does this, send them that.",
        examples=[MESSAGE_EXAMPLE],
    ),
)
MESSAGE_CHANGES = shape(
    "AutoMessageChanges",
    record(
        WRITTEN,
        optional=tuple(WRITTEN),
        description="What is not named stays as it is; what is named is replaced as a whole.",
        examples=[{"state": "live"}],
    ),
)
MESSAGE = shape(
    "AutoMessage",
    record(
        {
            "type": const("auto_message"),
            "id": MESSAGE_ID,
            "sentence": {"type": "string", "description": "What it does, in words."},
            "paused_because": OR_NULL | {"description": "Why it paused itself, if it did."},
            **WRITTEN,
            "created_at": unix("When it was made."),
            "updated_at": unix("When it was last changed."),
        },
        description="A rule as it is kept.",
    ),
)
MESSAGE_LIST = shape(
    "AutoMessageList",
    record(
        {"type": const("auto_message.list"), "auto_messages": array(MESSAGE), "pages": {"type": "object"}},
        description="The auto-messages that are not archived.",
    ),
)
MESSAGE_ARCHIVED = shape(
    "AutoMessageArchived", record({"type": const("auto_message"), "id": MESSAGE_ID, "archived": {"type": "boolean"}})
)

# To one person --------------------------------------------------------------------------------------------------------

ONE_MESSAGE_IN = shape(
    "OneMessageIn",
    record(
        {
            "message_type": {"type": "string", "enum": ["email", "inapp", "in_app"]},
            "subject": {"type": ["string", "null"], "maxLength": 255, "pattern": NO_NUL}
            | {"description": "Of an email; of others a heading."},
            "body": text("HTML or plain text, with {{ contact.name }} and the like.", most=LONGEST),
            "template": {"type": "string", "description": "Some SDKs send plain or personal. It is ignored."},
            "from": {
                "anyOf": [
                    record(
                        {"type": const("admin"), "id": {"type": ["string", "integer"]}},
                        description="A colleague: see GET /admins.",
                    ),
                    {"type": "null"},
                ]
            },
            "to": record(
                {
                    "type": {"type": "string"},
                    "id": CONTACT_ID | {"type": ["string", "null"], "description": "The contact's id."},
                    "user_id": text("Your own id of the person.") | {"type": ["string", "integer", "null"]},
                    "email": text("Their email.") | {"type": ["string", "null"]},
                },
                optional=("type", "id", "user_id", "email"),
                anyOf=[
                    {"required": [name], "properties": {name: {"type": types}}}
                    for name, types in (("id", "string"), ("user_id", ["string", "integer"]), ("email", "string"))
                ],
            ),
        },
        optional=("subject", "template", "from"),
        description="A message to one person.",
        examples=[
            {
                "message_type": "email",
                "subject": "Your order",
                "body": "Hello {{ contact.name }}, it is on its way.",
                "to": {"type": "user", "user_id": "314159"},
            }
        ],
    ),
)
ONE_MESSAGE = shape(
    "OneMessage",
    record(
        {
            "type": const("admin_message"),
            "id": MESSAGE_ID,
            "created_at": unix("In Unix seconds."),
            "subject": {"type": "string"},
            "body": {"type": "string", "description": "As it was written."},
            "message_type": {"type": "string", "enum": ["email", "inapp"]},
            "owner": {"anyOf": [record(ADMIN), {"type": "null"}]},
            "delivery": DELIVERY,
        },
        description="A message to one person, and what became of it.",
    ),
)
