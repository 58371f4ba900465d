"""What requests and answers of the API say of subscriptions."""

from eventsapp.incoming import MAX_NAME
from eventsapp.openapi import record, shape
from eventsapp.shapes import METADATA, NO_NUL, OR_NULL, array, const, text, unix
from messaging.models import Notification, Subscription
from messaging.subscribing import EXAMPLE, LONGEST_SECRET, LONGEST_URL, MOST_NAMES

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SUBSCRIPTION_ID = {
    "type": "string",
    "pattern": f"^nsub_{UUID}$",
    "examples": ["nsub_60ca7690-4020-4e1f-b789-4961958e51bd"],
}
NOTIFICATION_ID = {
    "type": "string",
    "pattern": f"^notif_{UUID}$",
    "examples": ["notif_ccd8a4d0-f965-41e3-a367-c779cae3e1b3"],
}
URL = {"type": "string", "maxLength": LONGEST_URL, "description": "Where it is posted to.", "examples": [EXAMPLE]}
TOPICS = array({"type": "string", "enum": list(Subscription.TOPICS)}, minItems=1)
NAMES = array(
    text("A name as events have it.", most=MAX_NAME, examples=["placed-order"]),
    maxItems=MOST_NAMES,
    description="The events it is told of; needed for event.created. They replace those it had.",
)


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


WRITTEN = {
    "service_type": {"type": ["string", "null"], "enum": ["web", None]},
    "url": URL,
    "topics": TOPICS,
    "metadata": _or_null(record({"event_names": _or_null(NAMES)}, optional=("event_names",))),
    "hub_secret": {
        "type": ["string", "null"],
        "maxLength": LONGEST_SECRET,
        "pattern": NO_NUL,
        "description": "Signs what is posted; empty: the workspace's secret does. Null changes nothing.",
    },
    "active": {"type": ["boolean", "null"], "description": "False: it is told nothing until it is true again."},
}
IN_EXAMPLE = {
    "service_type": "web",
    "url": EXAMPLE,
    "topics": ["event.created"],
    "metadata": {"event_names": ["placed-order"]},
}
SUBSCRIPTION_IN = shape(
    "SubscriptionIn",
    record(
        WRITTEN,
        optional=tuple(WRITTEN.keys() - {"url", "topics"}),
        description="An address that is to be told of events.",
        examples=[IN_EXAMPLE],
    ),
)
SUBSCRIPTION_CHANGES = shape(
    "SubscriptionChanges",
    record(
        {name: _or_null(schema) if name in ("url", "topics") else schema for name, schema in WRITTEN.items()},
        optional=tuple(WRITTEN),
        description="What is not named, or null, stays as it is.",
        examples=[{"metadata": {"event_names": ["placed-order", "cancelled-plan"]}}],
    ),
)
SUBSCRIPTION = shape(
    "Subscription",
    record(
        {
            "type": const("notification_subscription"),
            "id": SUBSCRIPTION_ID,
            "created_at": unix("When it was made."),
            "updated_at": unix("When it was last changed."),
            "service_type": const("web"),
            "topics": TOPICS,
            "url": URL,
            "active": {"type": "boolean", "description": "Whether it is told of what happens."},
            "hub_secret": {"type": "null", "description": "Never shown."},
            "metadata": record({"event_names": array({"type": "string"})}),
            "paused_until": unix("Nothing is posted before, if it is paused.", or_null=True),
            "stopped_because": OR_NULL | {"description": "Why it stopped by itself, if it did."},
        },
        description="An address that is told of events.",
    ),
)
SUBSCRIPTION_LIST = shape(
    "SubscriptionList",
    record(
        {
            "type": const("notification_subscription.list"),
            "items": array(SUBSCRIPTION),
            "subscriptions": array(SUBSCRIPTION, description="The same: some SDKs look for them here."),
            "total_count": {"type": "integer", "minimum": 0},
            "pages": record(
                {
                    "type": const("pages"),
                    "next": {"type": "null"},
                    "page": {"type": "integer", "const": 1},
                    "per_page": {"type": "integer", "minimum": 1},
                    "total_pages": {"type": "integer", "const": 1},
                }
            ),
        },
        description="All subscriptions, the oldest first.",
    ),
)
EVENT_ITEM = record(
    {
        "type": const("event"),
        "id": {"type": "string", "format": "uuid"},
        "event_name": {"type": "string"},
        "created_at": unix("When it happened."),
        "user_id": OR_NULL,
        "intercom_user_id": {"type": "string"},
        "email": OR_NULL,
        "metadata": METADATA,
    },
    title="event",
)
PING_ITEM = record({"type": const("ping"), "message": {"type": "string"}}, title="ping")
NOTIFICATION = shape(
    "Notification",
    record(
        {
            "type": const("notification"),
            "id": NOTIFICATION_ID | {"description": "As it is posted."},
            "topic": {"type": "string", "enum": list(Subscription.TOPICS)},
            "state": {"type": "string", "enum": Notification.State.values},
            "reason": {
                "type": ["string", "null"],
                "enum": [*filter(None, Notification.Reason.values), None],
                "description": "Why it failed.",
            },
            "detail": OR_NULL | {"description": "The last error in its own words."},
            "attempts": {"type": "integer", "minimum": 0},
            "created_at": unix("When it was made."),
            "first_sent_at": unix("When it was first tried.", or_null=True),
            "due_at": unix("When it is tried next, if it is queued.", or_null=True),
            "ended_at": unix("When it was taken, or given up.", or_null=True),
            "item": {"anyOf": [EVENT_ITEM, PING_ITEM], "description": "What it tells of."},
        },
        description="One event told to one subscription.",
    ),
)
NOTIFICATION_LIST = shape(
    "NotificationList",
    record(
        {
            "type": const("list"),
            "data": array(NOTIFICATION),
            "pages": record(
                {
                    "type": const("pages"),
                    "next": _or_null(record({"starting_after": {"type": "string", "pattern": "^[0-9]{1,9}$"}})),
                }
            ),
        },
        description="A page of notifications.",
    ),
)
