"""What requests and answers of the API say of messages."""

from eventsapp.openapi import record, shape
from eventsapp.shapes import CONTACT_ID, METADATA, OR_NULL, array, const, unix
from messaging.conditions import STATES
from messaging.models import Delivery
from segments.shapes import ID, add_kind

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
                    "event_name": {"type": "string"},
                    "created_at": unix("When it happened."),
                    "metadata": METADATA,
                },
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
            "subject": OR_NULL | {"description": "As sent."},
            "created_at": unix("When it was made."),
            "sent_at": unix("When it was handed over.", or_null=True),
            "opened_at": unix("When it was first opened, as far as is known.", or_null=True),
            "clicked_at": unix("When a link in it was first followed.", or_null=True),
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
