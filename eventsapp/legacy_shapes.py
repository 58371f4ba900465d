"""What requests and answers of API 1.x look like: users and bulk jobs."""

from eventsapp.bulk import METHODS, MOST
from eventsapp.models import BulkJob
from eventsapp.openapi import SHAPES, record, shape
from eventsapp.shapes import ATTRIBUTES, CONTACT_FIELDS, CONTACT_ID, EVENT_IN, OR_NULL, TAG, URL, array, const, unix

USER_FIELDS = {
    "id": {"type": ["string", "null"], "description": "The contact's id. It comes before user_id and email."},
    "user_id": CONTACT_FIELDS["user_id"] | {"description": "Your own id of the person."},
    "email": CONTACT_FIELDS["email"],
    "name": CONTACT_FIELDS["name"],
    "phone": CONTACT_FIELDS["phone"],
    "signed_up_at": CONTACT_FIELDS["signed_up_at"],
    "last_request_at": CONTACT_FIELDS["last_seen_at"],
    "update_last_request_at": {"type": ["boolean", "null"], "description": "True: they were here just now."},
    "new_session": {"type": ["boolean", "null"], "description": "The same."},
    "unsubscribed_from_emails": {"type": ["boolean", "null"]},
    "custom_attributes": {"anyOf": [ATTRIBUTES, {"type": "null"}]},
}
USER_IN = shape(
    "UserIn",
    record(
        USER_FIELDS,
        optional=tuple(USER_FIELDS),
        anyOf=[
            {"required": ["id"], "properties": {"id": {"type": "string"}}},
            {"required": ["user_id"], "properties": {"user_id": {"type": ["string", "integer"]}}},
            {"required": ["email"], "properties": {"email": {"type": "string"}}},
        ],
        description="A user to make or to change, named by id, else user_id, else email. What is null says nothing.",
        examples=[{"user_id": "314159", "email": "ada@example.org", "custom_attributes": {"plan": "pro"}}],
    ),
)
NULL = {"type": "null"}


def _no(what: str, many: str) -> dict:
    """An empty list of API 1.x."""
    return record({"type": const(f"{what}.list"), many: array(NULL, maxItems=0)})


USER = shape(
    "User",
    record(
        {
            "type": {"type": "string", "enum": ["user", "contact"], "description": "A lead is a contact here."},
            "id": CONTACT_ID,
            "user_id": OR_NULL,
            "anonymous": {"type": "boolean"},
            "email": OR_NULL,
            "phone": OR_NULL,
            "name": OR_NULL,
            "pseudonym": NULL,
            "avatar": record({"type": const("avatar"), "image_url": NULL}),
            "app_id": {"type": "string"},
            "companies": _no("company", "companies"),
            "location_data": {"type": "object", "maxProperties": 0},
            "last_request_at": unix("When they were last seen, as you said.", or_null=True),
            "last_seen_ip": NULL,
            "created_at": unix("When they became known here, in Unix seconds."),
            "remote_created_at": unix("The same as signed_up_at.", or_null=True),
            "signed_up_at": unix("As you said, in Unix seconds.", or_null=True),
            "updated_at": unix("When they were last changed, in Unix seconds."),
            "session_count": {"type": "integer", "const": 0},
            "social_profiles": _no("social_profile", "social_profiles"),
            "unsubscribed_from_emails": {"type": "boolean"},
            "user_agent_data": NULL,
            "tags": record({"type": const("tag.list"), "tags": array(TAG)}),
            "segments": _no("segment", "segments"),
            "custom_attributes": ATTRIBUTES,
        },
        description="A person, as Intercom's API 1.x shows one.",
    ),
)

USER_LIST = shape(
    "UserList",
    record(
        {
            "type": const("user.list"),
            "users": array(USER),
            "total_count": {"type": "integer", "minimum": 0},
            "pages": record(
                {
                    "type": const("pages"),
                    "next": OR_NULL | {"description": "Where the next page is."},
                    "page": {"type": "integer", "minimum": 1},
                    "per_page": {"type": "integer", "minimum": 1},
                    "total_pages": {"type": "integer", "minimum": 1},
                }
            ),
        },
        description="Users, the newest first.",
    ),
)
SCROLL = shape(
    "UserScroll",
    record(
        {
            "type": const("user.list"),
            "users": array(USER),
            "scroll_param": OR_NULL | {"description": "Send it back for what follows; an empty list is the end."},
        },
        description="Users, the newest first.",
    ),
)
VISITOR = shape(
    "Visitor",
    SHAPES["User"]
    | {
        "properties": SHAPES["User"]["properties"] | {"type": const("visitor")},
        "description": "Somebody anonymous in a browser. They belong to no segment and get no message.",
    },
)
WHICH = [
    {"required": ["id"], "properties": {"id": {"type": "string"}}},
    {"required": ["user_id"], "properties": {"user_id": {"type": "string"}}},
]
A_VISITOR = "6f1c1c0e-6f2b-4d0a-9d0e-0b7f6f1c1c0e"
VISITOR_IN = shape(
    "VisitorIn",
    record(
        {name: USER_FIELDS[name] for name in ("id", "user_id", "name", "email", "phone", "custom_attributes")},
        optional=("id", "user_id", "name", "email", "phone", "custom_attributes"),
        anyOf=WHICH,
        description="What is known of a visitor, named by id or user_id.",
        examples=[{"user_id": A_VISITOR, "name": "Ada"}],
    ),
)
CONVERT_IN = shape(
    "VisitorConversion",
    record(
        {
            "visitor": record({"user_id": {"type": "string"}, "id": {"type": "string"}}, optional=("user_id", "id")),
            "user": {"type": "object", "description": "Who they are: id, user_id or email, and fields of a contact."},
            "type": {"type": "string", "enum": ["user", "lead", "contact"]},
        },
        optional=("user",),
        description="Who a visitor turned out to be.",
        examples=[{"visitor": {"user_id": A_VISITOR}, "user": {"email": "ada@example.org"}, "type": "user"}],
    ),
)

CONVERT_LEAD_IN = shape(
    "LeadConversion",
    record(
        {
            "contact": record(
                {"user_id": {"type": "string"}, "id": {"type": "string"}}, optional=("user_id", "id"), anyOf=WHICH
            ),
            "user": {"type": "object", "description": "Who they are: id, user_id or email, and fields of a contact."},
        },
        description="Who a lead turned out to be.",
        examples=[{"contact": {"user_id": A_VISITOR}, "user": {"email": "ada@example.org"}}],
    ),
)

# Jobs ----------------------------------------------------------------------------------------------------------------


def _job_in(name: str, of: BulkJob.Of, data: dict, example: dict) -> dict:
    item = record({"method": {"type": "string", "enum": METHODS[of]}, "data_type": const(of.value), "data": data})
    return shape(
        name,
        record(
            {
                "items": array(item, minItems=1, maxItems=MOST[of]),
                "job": {
                    "anyOf": [record({"id": {"type": "string"}}, description="A job that is open."), NULL],
                    "description": "To append to a job.",
                },
            },
            optional=("job",),
            description=f"{of.label} for a job.",
            examples=[{"items": [{"method": "post", "data_type": of.value, "data": example}]}],
        ),
    )


EVENT_JOB_IN = _job_in("EventJobIn", BulkJob.Of.EVENTS, EVENT_IN, SHAPES["EventIn"]["examples"][0])
USER_JOB_IN = _job_in("UserJobIn", BulkJob.Of.USERS, USER_IN, SHAPES["UserIn"]["examples"][0])
STATE = {"type": "string", "enum": ["completed", "completed_with_errors"]}
JOB = shape(
    "Job",
    record(
        {
            "type": const("job"),
            "id": {"type": "string", "examples": ["job_5f2b9c01a3"]},
            "app_id": {"type": "string"},
            "created_at": unix("In Unix seconds."),
            "updated_at": unix("In Unix seconds."),
            "completed_at": unix("When the last items were done, in Unix seconds."),
            "closing_at": unix("Until when it takes more items, in Unix seconds."),
            "name": NULL,
            "state": STATE,
            "links": record({"self": URL, "error": URL}),
            "tasks": array(
                record({"id": {"type": "string"}, "item_count": {"type": "integer", "minimum": 1}, "state": STATE}),
                description="One for each request.",
            ),
        },
        description="Items that were sent together. Ours are done as soon as they are answered.",
    ),
)
JOB_ERRORS = shape(
    "JobErrors",
    record(
        {
            "app_id": {"type": "string"},
            "job_id": {"type": "string"},
            "pages": {"type": "object", "maxProperties": 0},
            "items": array(
                record(
                    {
                        "data": {"type": ["object", "array", "string", "number", "boolean", "null"]},
                        "error": {"$ref": "#/components/schemas/Error"},
                        "errors": SHAPES["ErrorList"]["properties"]["errors"],
                    },
                    optional=("data",),
                    description="The item as it was sent, with what is wrong with it.",
                    additionalProperties={"type": ["object", "array", "string", "number", "boolean", "null"]},
                )
            ),
        },
        description="The items of a job that could not be done; of more than a thousand the first.",
    ),
)
