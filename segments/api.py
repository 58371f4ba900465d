"""Segments over the API."""

from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import Q
from rest_framework import serializers
from rest_framework.response import Response

from eventsapp.api import CONTACT_ID as CONTACT_IN_PATH
from eventsapp.contact_pages import PAGE_PARAMETERS, Cursor, asked_page, envelope, page_of
from eventsapp.errors import Fault, NotFound, Refused, invalid
from eventsapp.models import Contact, Scope, key_in
from eventsapp.openapi import in_path, operation, query
from eventsapp.panels import listed
from eventsapp.people import contact_by_id
from eventsapp.serializers import Text, contacts_as_json
from eventsapp.shapes import CONTACT_ID, CONTACT_LIST
from eventsapp.transport import ApiView, PublicView, truth_in
from segments import shapes
from segments.definition import Invalid, parse, parse_to_save
from segments.engine import Verdict, answer, explain, one_moment
from segments.membership import segments_of
from segments.models import Segment
from segments.search import read_search
from segments.values import IsOneOf

PREVIEWED = 50
SEGMENT_ID = in_path("segment_id", "The segment's id.", shapes.SEGMENT_ID)
INCLUDE_COUNT = query("include_count", "true counts the members.", {"type": "boolean"})


class Segments(ApiView):
    """`GET /segments` lists them, `POST /segments` makes one."""

    scopes = {"GET": Scope.READ, "POST": Scope.ADMIN}

    @operation(
        "list_segments",
        "Segments",
        answers={200: ("The segments.", shapes.SEGMENT_LIST)},
        refuses=(422,),
        parameters=[INCLUDE_COUNT],
    )
    def get(self, request):
        """List the segments.

        Those that are not archived, by name.
        """
        with one_moment() as now:
            saved = self.workspace.segments.active()
            rows = [_as_json(segment, _count_at(request, now)) for segment in saved]
        return Response({"type": "segment.list", "segments": rows, "pages": {}})

    @operation(
        "create_segment",
        "Segments",
        asks=shapes.SEGMENT_IN,
        answers={200: ("The new segment.", shapes.SEGMENT)},
        refuses=(409, 422),
    )
    def post(self, request):
        """Save a definition under a name."""
        segment = Segment(workspace=self.workspace)
        return Response(_as_json(_save(segment, _fields(self.sent()))))


class ContactSegments(ApiView):
    """`GET /contacts/{id}/segments`."""

    scopes = {"GET": Scope.READ}

    @operation(
        "list_contact_segments",
        "Segments",
        answers={200: ("Their segments.", shapes.SEGMENTS_OF_CONTACT)},
        refuses=(404, 410),
        parameters=[CONTACT_IN_PATH],
    )
    def get(self, request, contact_id):
        """List the segments that a person belongs to at this moment.

        Those that cannot be asked any more, or take longer than two seconds, are left out.
        """
        found = segments_of(contact_by_id(self.workspace, contact_id))
        return Response({"type": "list", "data": [_as_json(segment) for segment in found]})


class OneSegment(ApiView):
    """One segment: read, change, archive."""

    scopes = {"GET": Scope.READ, "PUT": Scope.ADMIN, "DELETE": Scope.ADMIN}

    @operation(
        "get_segment",
        "Segments",
        answers={200: ("The segment.", shapes.SEGMENT)},
        refuses=(404, 422),
        parameters=[SEGMENT_ID, INCLUDE_COUNT],
    )
    def get(self, request, segment_id):
        """Read one segment."""
        with one_moment() as now:
            return Response(_as_json(_segment(self.workspace, segment_id), _count_at(request, now)))

    @operation(
        "change_segment",
        "Segments",
        asks=shapes.SEGMENT_CHANGES,
        answers={200: ("The segment, changed.", shapes.SEGMENT)},
        refuses=(404, 409, 422),
        parameters=[SEGMENT_ID],
    )
    def put(self, request, segment_id):
        """Change a segment.

        What is not named stays as it is.
        """
        fields = _fields(self.sent(), all_of_them=False)
        return Response(_as_json(_save(_segment(self.workspace, segment_id), fields)))

    @operation(
        "archive_segment",
        "Segments",
        answers={200: ("It is archived.", shapes.SEGMENT_ARCHIVED)},
        refuses=(404, 409),
        parameters=[SEGMENT_ID],
    )
    def delete(self, request, segment_id):
        """Archive a segment.

        One that is used stays: change what uses it first.
        """
        segment = _segment(self.workspace, segment_id)
        if users := segment.users():
            message = f"“{segment.name}” is used by {listed(users)}. Change that first."
            raise Refused(Fault("conflict", message), status=409)
        segment.archive()
        return Response({"type": "segment", "id": str(segment.pk), "archived": True})


class SegmentContacts(ApiView):
    """`GET /segments/{id}/contacts`: who belongs to it now, page by page."""

    scopes = {"GET": Scope.READ}

    @operation(
        "list_segment_contacts",
        "Segments",
        answers={200: ("A page of its members.", CONTACT_LIST)},
        refuses=(404, 422),
        parameters=[SEGMENT_ID, *PAGE_PARAMETERS],
    )
    def get(self, request, segment_id):
        """List who belongs to a segment at this moment, the newest first."""
        per_page, cursor = asked_page(request.query_params)
        with one_moment() as now:
            segment = _segment(self.workspace, segment_id)
            result = answer(_parsed(parse, self.workspace, segment.definition), now)
            ids = result.page(before=cursor.pk if cursor else None, size=per_page)
            contacts = Contact.objects.select_related("workspace").in_bulk(ids)
        page = cursor.page if cursor else 1
        following = Cursor(0, ids[-1], page + 1) if ids and ids[-1] > result.ids.min() else None
        members = [contacts[pk] for pk in ids]
        return Response(envelope(members, result.count, page=page, per_page=per_page, following=following))


class Explanation(ApiView):
    """`GET /segments/{id}/explain?contact_id=`: why somebody belongs to it, or does not."""

    scopes = {"GET": Scope.READ}

    @operation(
        "explain_segment",
        "Segments",
        answers={200: ("Each condition with its verdict and its numbers.", shapes.EXPLANATION)},
        refuses=(404, 410, 422),
        parameters=[SEGMENT_ID, query("contact_id", "The contact's id.", CONTACT_ID, required=True)],
    )
    def get(self, request, segment_id):
        """Explain why somebody belongs to a segment, or why not."""
        contact_id = request.query_params.get("contact_id")
        if not contact_id:
            raise Refused(Fault("parameter_not_found", "Write contact_id=, the contact's id.", "contact_id"))
        with one_moment() as now:
            segment = _segment(self.workspace, segment_id)
            contact = contact_by_id(self.workspace, contact_id)
            verdict = explain(_parsed(parse, self.workspace, segment.definition), contact, now)
        body = {"type": "segment.explanation", "segment_id": str(segment.pk), "contact_id": contact.public_id}
        return Response(body | _verdict_as_json(verdict))


def _verdict_as_json(verdict: Verdict) -> dict:
    body = {"condition": verdict.words, "holds": verdict.holds}
    if verdict.facts:
        body["facts"] = verdict.facts
    if verdict.match:
        body |= {"match": verdict.match, "conditions": [_verdict_as_json(inner) for inner in verdict.inner]}
    return body


class SegmentIn(serializers.Serializer):
    """What an app may write of a segment."""

    name = Text(max_length=100)
    description = Text(max_length=255, required=False, allow_blank=True)
    definition = serializers.JSONField()


def _fields(sent, *, all_of_them: bool = True) -> dict:
    if not isinstance(sent, dict):
        raise Refused(invalid("body", "Write a JSON object with the fields of the segment."))
    incoming = SegmentIn(data=sent, partial=not all_of_them)
    incoming.is_valid(raise_exception=True)
    return dict(incoming.validated_data)


def _parsed(read, workspace, definition):
    try:
        return read(workspace, definition)
    except Invalid as error:
        raise Refused(*error.faults, status=422) from error


def _segment(workspace, segment_id: str) -> Segment:
    try:
        return workspace.segments.active().get(pk=key_in(segment_id))
    except Segment.DoesNotExist:
        raise NotFound("Resource Not Found", "id") from None


def in_segment(workspace, segment_id: str) -> Q:
    """The test that somebody belongs to a segment at this moment. Raises NotFound, and Refused for one that cannot be
    asked."""
    segment = _segment(workspace, segment_id)
    with one_moment() as now:
        members = answer(_parsed(parse, workspace, segment.definition), now).ids
    return Q(IsOneOf("pk", members))


@transaction.atomic
def _save(segment: Segment, fields: dict) -> Segment:
    if "definition" in fields:
        read = partial(parse_to_save, of=segment.pk)
        fields["definition"] = _parsed(read, segment.workspace, fields["definition"]).as_json()
    for name, value in fields.items():
        setattr(segment, name, value)
    try:
        with transaction.atomic():
            segment.save()
    except IntegrityError as error:
        message = "A segment of this name exists. Choose another name."
        raise Refused(Fault("conflict", message, "name"), status=409) from error
    return segment


def _count_at(request, now: int) -> int | None:
    """The moment for which members are to be counted, None when nobody asked."""
    return now if truth_in(request.query_params, "include_count") else None


def _as_json(segment: Segment, count_at: int | None = None) -> dict:
    """A segment as Intercom's API has it, with what it asks. What can't be asked any more has no count."""
    body = {
        "type": "segment",
        "id": str(segment.pk),
        "name": segment.name,
        "description": segment.description,
        "created_at": int(segment.created_at.timestamp()),
        "updated_at": int(segment.updated_at.timestamp()),
        "person_type": "user",
        "definition": segment.definition,
    }
    if count_at is not None:
        try:
            body["count"] = answer(parse(segment.workspace, segment.definition), count_at).count
        except Invalid:
            body["count"] = None
    return body


class DefinitionSchema(PublicView):
    """`GET /segments/schema.json`: the language, for editors and validators."""

    @operation("get_definition_schema", "Segments", answers={200: ("The JSON Schema.", shapes.JSON_SCHEMA)})
    def get(self, request):
        """Describe the language of segments as JSON Schema.

        What it refuses cannot be asked. It says nothing of the ids, tags and messages of your workspace, nor of depth.
        """
        return Response(shapes.json_schema())


class Preview(ApiView):
    """`POST /segments/preview {"definition"}`: how many match now, and the newest of them."""

    scopes = {"POST": Scope.READ}

    @operation(
        "preview_segment",
        "Segments",
        asks=shapes.PREVIEW_IN,
        answers={200: ("Who matches.", shapes.PREVIEW)},
        refuses=(422,),
    )
    def post(self, request):
        """Ask who matches a definition at this moment.

        Counts them and shows the newest fifty. Nothing is saved.
        """
        sent = self.sent()
        definition = sent.get("definition") if isinstance(sent, dict) else None
        if definition is None:
            raise Refused(Fault("parameter_not_found", 'Write {"definition": {…}}.', "definition"))
        with one_moment() as now:
            result = answer(_parsed(parse, self.workspace, definition), now)
            contacts = Contact.objects.select_related("workspace").in_bulk(result.page(size=PREVIEWED))
        newest = [contacts[pk] for pk in sorted(contacts, reverse=True)]
        return Response({"count": result.count, "contacts": contacts_as_json(newest)})


class ContactSearch(ApiView):
    """`POST /contacts/search`: people by Intercom's query language, page by page."""

    scopes = {"POST": Scope.READ}

    @operation(
        "search_contacts",
        "People",
        asks=shapes.SEARCH_IN,
        answers={200: ("A page of those who match.", CONTACT_LIST)},
        refuses=(422,),
    )
    def post(self, request):
        """Search people by what is known about them.

        Texts are compared regardless of case; a negative operator also finds those without a value. Moments are
        compared by their day in the workspace's time zone: > begins with the next day.
        """
        with one_moment() as now:
            search = read_search(self.workspace, self.sent(), now)
            page = page_of(
                search.of(self.workspace),
                per_page=search.per_page,
                cursor=Cursor.read(search.starting_after) if search.starting_after else None,
                order=search.order,
            )
        return Response(page)
