"""Tags over REST, as Intercom's API has them."""

from dataclasses import replace

from rest_framework import serializers
from rest_framework.response import Response

from eventsapp import shapes, tags
from eventsapp.api import CONTACT_ID
from eventsapp.errors import Fault, Refused, invalid
from eventsapp.incoming import read_who
from eventsapp.ingest import look_up
from eventsapp.models import Scope, Tag
from eventsapp.openapi import in_path, operation
from eventsapp.people import contact_by_id
from eventsapp.serializers import Text, tag_as_json
from eventsapp.transport import ApiView

MOST_TAGGED = 1_000  # people in one request
UNTAG = (True, False, "true", "false", None)  # some SDKs send texts
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
        listed = _list(self.workspace.tags.all())
        # python-intercom 3 looks for this key.
        return Response(listed | {"tags": listed["data"]})

    @operation(
        "create_tag", "Tags", asks=shapes.TAG_IN, answers={200: ("The tag.", shapes.TAG)}, refuses=(404, 409, 410)
    )
    def post(self, request):
        """Make a tag, rename one, or tag people with it.

        A name that is there already, in whatever case, is that tag. With an id, the tag gets a new name. With users, as
        API 1.x has it, it is put on them, or taken off those that say untag; one of them who is unknown leaves all as
        they are.
        """
        sent = self.sent()
        fields = _read(TagIn, sent)
        if sent.get("companies"):
            raise Refused(invalid("companies", "Companies are not kept here. Write users."))
        tagged, untagged = _people_in(self.workspace, sent)
        if "id" in fields:
            tag = tags.rename(tags.tag_by_id(self.workspace, fields["id"]), fields["name"])
            tags.put_on_each(tag, tagged)
        else:
            tag = tags.put_on_by_name(self.workspace, fields["name"], tagged)
        if untagged:
            tags.take_off_people(tag, untagged)
        return Response(tag_as_json(tag))


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


def _people_in(workspace, sent: dict) -> tuple[set[int], set[int]]:
    """Return the contacts (ids) that a body of API 1.x tags, and those that it untags. Raises Refused with the fault of
    each that cannot be found."""
    named = [] if sent.get("users") is None else sent["users"]
    if not isinstance(named, list) or len(named) > MOST_TAGGED:
        raise Refused(invalid("users", f'users must be a list of at most {MOST_TAGGED:,}: [{{"user_id": "25"}}].'))
    faults, whose = [], []
    for place, one in enumerate(named):
        own: list[Fault] = []
        if isinstance(one, dict):
            whose.append((read_who(one, own), one.get("untag")))
            if one.get("untag") not in UNTAG:
                own.append(invalid("untag", "untag must be true or false."))
        else:
            own = [Fault("parameter_invalid", 'must be an object, such as {"user_id": "25"}.')]
        faults += [replace(fault, field=_place(place, fault)) for fault in own]
    if faults:
        raise Refused(*faults)
    found, refused = look_up(workspace, {who for who, _ in whose}) if whose else ({}, {})
    if refused:
        unknown = [(place, *refused[who]) for place, (who, _) in enumerate(whose) if who in refused]
        raise Refused(
            *(replace(fault, field=_place(place, fault)) for place, fault, _ in unknown), status=unknown[0][2]
        )
    untagged = {found[who] for who, untag in whose if untag in (True, "true")}
    return {found[who] for who, _ in whose} - untagged, untagged


def _place(place: int, fault: Fault) -> str:
    return f"users[{place}].{fault.field}" if fault.field else f"users[{place}]"


def _list(found) -> dict:
    return {"type": "list", "data": [tag_as_json(tag) for tag in found]}
