"""What there is to know about people, as Intercom's API has it: fields and custom attributes, each with its type."""

from rest_framework import serializers
from rest_framework.response import Response

from eventsapp import attributes, shapes
from eventsapp.attributes import CUSTOM, fault_in_name
from eventsapp.errors import Refused, invalid, missing
from eventsapp.models import DataAttribute, Scope, Workspace
from eventsapp.openapi import in_path, operation, query
from eventsapp.serializers import Text, Truth
from eventsapp.transport import ApiView, truth_in

ATTRIBUTE_ID = in_path("attribute_id", "The attribute's id.", shapes.ATTRIBUTE_ID)
MODELS = ("contact", "company")
# What everybody has: its name, label and type, and whether an app may write it.
STANDARD = (
    ("id", "Id", "string", False),
    ("external_id", "user_id", "string", True),
    ("role", "Role", "string", True),
    ("name", "Name", "string", True),
    ("email", "Email", "string", True),
    ("phone", "Phone", "string", True),
    ("signed_up_at", "Signed up", "date", True),
    ("last_seen_at", "Last seen", "date", True),
    ("created_at", "First heard of", "date", False),
    ("updated_at", "Last changed", "date", False),
    ("unsubscribed_from_emails", "Unsubscribed from emails", "boolean", True),
)
# Intercom's other words for a type: "options" is a text that is one of some.
TYPES = {type: type for type in DataAttribute.Type.values} | {"datetime": "date", "options": "string"}


class OptionIn(serializers.Serializer):
    value = Text(max_length=255)

    def to_internal_value(self, data):
        # python-intercom 4 sends bare texts.
        return super().to_internal_value({"value": data} if isinstance(data, str) else data)


class AttributeChanges(serializers.Serializer):
    """What may be changed of an attribute."""

    archived = Truth(required=False)
    data_type = serializers.ChoiceField(choices=list(TYPES), required=False)
    description = Text(required=False, allow_blank=True, max_length=255)
    options = OptionIn(many=True, required=False)
    messenger_writable = Truth(required=False)

    def validate_options(self, options):
        values = [option["value"] for option in options]
        if len(values) == 1 or len({*values}) < len(values):
            raise serializers.ValidationError("Write at least two options that differ, or none.")
        return values


class AttributeIn(AttributeChanges):
    """An attribute to make."""

    archived = None
    name = Text()
    model = serializers.ChoiceField(choices=MODELS)
    data_type = serializers.ChoiceField(choices=list(TYPES))

    def validate_name(self, name):
        if fault := fault_in_name(name):
            raise serializers.ValidationError(fault)
        return name

    def validate_model(self, model):
        if model != "contact":
            raise serializers.ValidationError("Companies are not kept here. Write contact.")
        return model


class DataAttributes(ApiView):
    """`GET /data_attributes` lists what there is to know about people, `POST /data_attributes` makes a custom one."""

    scopes = {"GET": Scope.READ, "POST": Scope.PEOPLE_WRITE}

    @operation(
        "list_data_attributes",
        "People",
        answers={200: ("What there is.", shapes.ATTRIBUTE_LIST)},
        parameters=[
            query("model", "contact; of companies there is nothing.", {"type": "string", "enum": list(MODELS)}),
            query("include_archived", "true lists those that are archived, too.", {"type": "boolean"}),
        ],
    )
    def get(self, request):
        """List the attributes of people.

        Their fields first, then the custom ones by name: each that an app has written, or that was made here.
        """
        asked = request.query_params
        if (model := asked.get("model", "contact")) not in MODELS:
            raise Refused(invalid("model", "model must be contact."))
        found = self.workspace.attributes.all()
        if not truth_in(asked, "include_archived"):
            found = found.filter(archived_at=None)
        # The settings are others' to change meanwhile.
        protected = Workspace.objects.get(pk=self.workspace.pk).protected
        rows = [_standard(*field, protected) for field in STANDARD] + [_as_json(one, protected) for one in found]
        return Response({"type": "list", "data": rows if model == "contact" else []})

    @operation(
        "create_data_attribute",
        "People",
        asks=shapes.ATTRIBUTE_IN,
        answers={200: ("The new attribute.", shapes.ATTRIBUTE)},
    )
    def post(self, request):
        """Make a custom attribute before its first use.

        Nobody has to: the first value that an app writes makes it, with that value's type. What is made here can have
        a description, and options: the only texts that it may be.
        """
        fields = _read(AttributeIn, self.sent())
        options = fields.get("options", [])
        if options and TYPES[fields["data_type"]] != DataAttribute.Type.STRING:
            raise Refused(invalid("options", "Options are texts. Write data_type: string."))
        if fields["data_type"] == "options" and not options:
            raise Refused(missing("options", 'Write at least two options: [{"value": "…"}, {"value": "…"}].'))
        made = attributes.make(
            self.workspace,
            fields["name"],
            TYPES[fields["data_type"]],
            description=fields.get("description", ""),
            options=options,
        )
        return _answer(attributes.change(made, messenger_writable=fields.get("messenger_writable")))


class OneDataAttribute(ApiView):
    """`PUT /data_attributes/{id}`."""

    scopes = {"PUT": Scope.PEOPLE_WRITE}

    @operation(
        "change_data_attribute",
        "People",
        asks=shapes.ATTRIBUTE_CHANGES,
        answers={200: ("The attribute, changed.", shapes.ATTRIBUTE)},
        refuses=(404, 422),
        parameters=[ATTRIBUTE_ID],
    )
    def put(self, request, attribute_id):
        """Describe a custom attribute, archive it, bring it back, or change its options.

        An archived one is offered to staff no more; what people have of it stays. Its name stays, and so does its type
        as long as somebody has a value of it.
        """
        attribute = attributes.attribute_by_id(self.workspace, attribute_id)
        fields = read_changes(attribute, self.sent())
        return _answer(attributes.change(attribute, **fields))


def read_changes(attribute: DataAttribute, sent) -> dict:
    """Return what decoded JSON changes of an attribute, for `attributes.change`. Raises Refused, or DRF's
    ValidationError."""
    for name in ("name", "model"):
        if isinstance(sent, dict) and name in sent:
            raise Refused(invalid(name, f"The {name} of an attribute cannot be changed. Leave it out."))
    fields = _read(AttributeChanges, sent)
    if "data_type" in fields:
        fields["data_type"] = TYPES[fields["data_type"]]
    data_type = fields.get("data_type", attribute.data_type)
    if fields.get("options") and data_type != DataAttribute.Type.STRING:
        label = DataAttribute.Type(data_type).label
        raise Refused(invalid("options", f"{attribute} is {label}: it has no options."))
    return fields


def _read(serializer, sent) -> dict:
    if not isinstance(sent, dict):
        raise Refused(invalid("body", "Write a JSON object with the fields of the attribute."))
    incoming = serializer(data={name: value for name, value in sent.items() if value is not None})
    incoming.is_valid(raise_exception=True)
    return dict(incoming.validated_data)


def _answer(attribute: DataAttribute) -> Response:
    return Response(_as_json(attribute, Workspace.objects.get(pk=attribute.workspace_id).protected))


def _standard(name: str, label: str, data_type: str, is_writable: bool, protected: set[str]) -> dict:
    told = _told(name, data_type, protected) | {"label": label}
    return told if is_writable else told | dict.fromkeys(("api_writable", "ui_writable", "messenger_writable"), False)


def _as_json(attribute: DataAttribute, protected: set[str]) -> dict:
    return _told(attribute.name, attribute.data_type, protected) | {
        "id": attribute.pk,
        "full_name": f"{CUSTOM}{attribute.name}",
        "description": attribute.description,
        "options": [{"value": value} for value in attribute.options],
        "custom": True,
        "archived": attribute.archived_at is not None,
        "created_at": int(attribute.created_at.timestamp()),
        "updated_at": int(attribute.updated_at.timestamp()),
    }


def _told(name: str, data_type: str, protected: set[str]) -> dict:
    """What is so of a field of everybody that an app may write."""
    return {
        "type": "data_attribute",
        "model": "contact",
        "name": name,
        "full_name": name,
        "label": name,
        "description": "",
        "data_type": data_type,
        "options": [],
        "api_writable": True,
        "ui_writable": True,
        "messenger_writable": name not in protected,
        "custom": False,
        "archived": False,
    }
