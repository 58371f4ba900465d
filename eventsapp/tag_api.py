"""Tags over REST, as Intercom's API 2.x has them."""

from rest_framework import serializers
from rest_framework.response import Response

from eventsapp import shapes, tags
from eventsapp.api import CONTACT_ID
from eventsapp.errors import Fault, Refused, invalid
from eventsapp.models import Scope, Tag
from eventsapp.openapi import in_path, operation
from eventsapp.people import contact_by_id
from eventsapp.serializers import Text, tag_as_json
from eventsapp.transport import ApiView

# What Intercom tags in one request.
MANY = ("users", "contacts", "companies")
TAG_ID = in_path("tag_id", "The tag's id.", shapes.TAG_ID)


class TagIn(serializers.Serializer):
    """A tag to find, to make or, with its id, to rename."""

    id = Text(required=False)
    name = Text(max_length=255)


class TagOfContactIn(serializers.Serializer):
    """A tag to put on somebody."""

    id = Text()


class Tags(ApiView):
    """`GET /tags` lists them, `POST /tags` makes or renames one."""

    scopes = {"GET": Scope.READ, "POST": Scope.PEOPLE_WRITE}

    @operation("list_tags", "Tags", answers={200: ("The tags.", shapes.TAG_LIST)})
    def get(self, request):
        """List the tags, by name."""
        return Response(_list(self.workspace.tags.all()))

    @operation("create_tag", "Tags", asks=shapes.TAG_IN, answers={200: ("The tag.", shapes.TAG)}, refuses=(404, 409))
    def post(self, request):
        """Make a tag, or rename one.

        A name that is there already, in whatever case, is that tag. With an id, the tag gets a new name.
        """
        sent = self.sent()
        for many in MANY:
            if isinstance(sent, dict) and many in sent:
                raise Refused(invalid(many, "Tag one contact at a time: POST /contacts/{id}/tags."))
        fields = _read(TagIn, sent)
        if "id" in fields:
            return Response(tag_as_json(tags.rename(tags.tag_by_id(self.workspace, fields["id"]), fields["name"])))
        return Response(tag_as_json(tags.find_or_create(self.workspace, fields["name"])))


class OneTag(ApiView):
    """One tag: read, delete."""

    scopes = {"GET": Scope.READ, "DELETE": Scope.PEOPLE_WRITE}

    @operation("get_tag", "Tags", answers={200: ("The tag.", shapes.TAG)}, refuses=(404,), parameters=[TAG_ID])
    def get(self, request, tag_id):
        """Read one tag."""
        return Response(tag_as_json(tags.tag_by_id(self.workspace, tag_id)))

    @operation(
        "delete_tag",
        "Tags",
        answers={200: ("It is gone. Without a body.", None)},
        refuses=(404,),
        parameters=[TAG_ID],
    )
    def delete(self, request, tag_id):
        """Delete a tag, and take it off everybody.

        One that a segment asks for stays: change the segment first.
        """
        tags.delete(tags.tag_by_id(self.workspace, tag_id))
        return Response(status=200)


class ContactTags(ApiView):
    """The tags of one person."""

    scopes = {"GET": Scope.READ, "POST": Scope.PEOPLE_WRITE}

    @operation(
        "list_contact_tags",
        "Tags",
        answers={200: ("Their tags.", shapes.TAG_LIST)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def get(self, request, contact_id):
        """List the tags of a person."""
        contact = contact_by_id(self.workspace, contact_id)
        return Response(_list(Tag.objects.filter(taggings__contact=contact)))

    @operation(
        "tag_contact",
        "Tags",
        asks=shapes.TAG_OF_CONTACT_IN,
        answers={200: ("The tag.", shapes.TAG)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def post(self, request, contact_id):
        """Put a tag on a person."""
        contact = contact_by_id(self.workspace, contact_id)
        tag = tags.tag_by_id(self.workspace, _read(TagOfContactIn, self.sent())["id"])
        tags.put_on(tag, contact)
        return Response(tag_as_json(tag))


class OneTagOfContact(ApiView):
    """`DELETE /contacts/{id}/tags/{tag_id}`."""

    scopes = {"DELETE": Scope.PEOPLE_WRITE}

    @operation(
        "untag_contact",
        "Tags",
        answers={200: ("The tag.", shapes.TAG)},
        refuses=(404, 410),
        parameters=[CONTACT_ID, TAG_ID],
    )
    def delete(self, request, contact_id, tag_id):
        """Take a tag off a person."""
        contact, tag = contact_by_id(self.workspace, contact_id), tags.tag_by_id(self.workspace, tag_id)
        tags.take_off(tag, contact)
        return Response(tag_as_json(tag))


def _read(serializer, sent) -> dict:
    """Return checked fields. A body that is none gets the words of Intercom's own refusal."""
    if not isinstance(sent, dict):
        raise Refused(Fault("parameter_invalid", "invalid tag parameters", "body"))
    # Some SDKs send ids as numbers.
    if isinstance(id := sent.get("id"), int) and not isinstance(id, bool):
        sent = sent | {"id": str(id)}
    incoming = serializer(data=sent)
    incoming.is_valid(raise_exception=True)
    return dict(incoming.validated_data)


def _list(found) -> dict:
    return {"type": "list", "data": [tag_as_json(tag) for tag in found]}
