"""Events and people over REST, as Intercom's API has them."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.response import Response

from eventsapp import batches, contact_pages, group_commit, shapes
from eventsapp.erasing import erase
from eventsapp.errors import Fault, NotFound, Refused, invalid
from eventsapp.exporting import export
from eventsapp.filters import HistoryFilter, PeopleFilter, filtered
from eventsapp.incoming import read_event, read_totals
from eventsapp.ingest import set_totals
from eventsapp.legacy_leads import leads_asked_for, make_or_change_lead
from eventsapp.merging import merge
from eventsapp.models import Contact, Event, EventSummary, Scope, place_from
from eventsapp.openapi import JSON, filter_parameters, header, in_path, operation, query
from eventsapp.people import archive, block, change_contact, contact_by_id, contact_named, create_contact
from eventsapp.request_log import notes_of, notes_of_batch
from eventsapp.serializers import (
    ContactIn,
    contact_as_json,
    event_as_json,
    list_of_contact,
    summary_as_json,
    user_as_json,
)
from eventsapp.transport import ApiView, body_of, number_in, speaks_1_x, truth_in

PER_PAGE, MOST_PER_PAGE = 50, 200
NOT_KEPT = ("companies", "notes", "subscriptions")
WHAT = in_path("what", "What is asked for.", {"type": "string", "enum": list(NOT_KEPT)})
CONTACT_ID = in_path("contact_id", "The contact's id: 24 hex digits.", shapes.CONTACT_ID)


class Events(ApiView):
    """`POST /events` stores one; `GET /events` lists a person's, newest first, or sums them up."""

    scopes = {"POST": Scope.EVENTS_WRITE, "GET": Scope.READ}

    @operation(
        "create_event",
        "Events",
        asks=shapes.EVENT_IN,
        answers={202: ("Stored, or a duplicate of what was. Without a body.", None)},
        refuses=(404, 409, 422),
        parameters=[header("Idempotency-Key", "Stands for the event's uuid, where it has none.", {"type": "string"})],
    )
    def post(self, request):
        """Record one event.

        Answers once it is stored. An unknown user_id or email makes a person, or is a 404, as the workspace's settings
        say; an unknown id is a 404. The same person, name, second and metadata again are absorbed, and so is the same
        uuid in the same second.
        """
        event = read_event(self.sent(), key=request.META.get("HTTP_IDEMPOTENCY_KEY"))
        if isinstance(event, list):
            raise Refused(*event)
        outcome = group_commit.store(self.workspace, event)
        if outcome.fault:
            raise Refused(outcome.fault, status=outcome.status)
        self.note(notes_of(event, outcome))
        # Not one byte: python-intercom makes an object of any JSON, and stumbles over null.
        return HttpResponse(status=202, content_type="application/json")

    @operation(
        "list_events",
        "Events",
        answers={200: ("The events, or with summary=true their summary.", shapes.EVENTS_OR_SUMMARY)},
        refuses=(404, 409, 410),
        parameters=[
            query("type", "A user's events, or a lead's.", {"type": "string", "enum": ["user", "lead"]}, required=True),
            query("user_id", "Whose: your own id of the person.", {"type": "string", "examples": ["314159"]}),
            query("email", "Whose: their email.", {"type": "string"}),
            query("intercom_user_id", "Whose: the contact's id.", {"type": "string"}),
            query("summary", "true sums up instead.", {"type": "boolean"}),
            query(
                "per_page",
                "How many at once.",
                {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": PER_PAGE},
            ),
            *filter_parameters(HistoryFilter),
            query("before", "A cursor of pages.next, or milliseconds: only what is older.", {"type": "string"}),
            query("since", "A cursor of pages.since, or milliseconds: only what is newer.", {"type": "string"}),
        ],
    )
    def get(self, request):
        """List a person's events, or sum them up.

        Name the person by one of intercom_user_id, user_id and email. The newest come first; follow pages.next for
        older ones, and pages.since for what came later.
        """
        asked = request.query_params
        if asked.get("type") not in ("user", "lead"):
            raise Refused(invalid("type", "type is missing or unknown. Write type=user."))
        contact = contact_named(
            self.workspace, id=asked.get("intercom_user_id"), user_id=asked.get("user_id"), email=asked.get("email")
        )
        if truth_in(asked, "summary"):
            summaries = EventSummary.objects.filter(contact=contact).with_totals().select_related("type")
            return Response(summary_as_json(summaries.order_by("type__name"), contact))
        per_page = number_in(asked, "per_page", PER_PAGE, most=MOST_PER_PAGE)
        before, since = _place(asked, "before"), _place(asked, "since")
        events = Event.objects.filter(contact=contact).select_related("type")
        events = filtered(HistoryFilter, asked, events, workspace=self.workspace)
        if since:
            page = list(events.newer_than(since).oldest_first()[:per_page])[::-1]
            more = bool(page)  # what was there before
        else:
            found = list((events.older_than(before) if before else events).newest_first()[: per_page + 1])
            page, more = found[:per_page], len(found) > per_page
        body = {"type": "event.list", "events": [event_as_json(event, contact) for event in page], "pages": {}}
        if page:
            same = {"type": asked["type"], "intercom_user_id": contact.public_id, "per_page": per_page}
            same |= {name: asked[name] for name in HistoryFilter.base_filters if asked.get(name)}
            body["pages"]["since"] = _url(same | {"since": page[0].place})
            if more:
                body["pages"]["next"] = _url(same | {"before": page[-1].place})
        return Response(body)


class EventSummaries(ApiView):
    """`POST /events/summaries` sets the totals of a person's history from before."""

    scopes = {"POST": Scope.EVENTS_WRITE}

    @operation(
        "set_event_totals",
        "Events",
        asks=shapes.TOTALS_IN,
        answers={200: ("Set. Without a body.", None)},
        refuses=(404, 409, 422),
    )
    def post(self, request):
        """Set what somebody did before their first event here.

        It counts in totals, first and last, not in windows, and replaces what was set before.
        """
        read = read_totals(self.sent())
        if isinstance(read, list):
            raise Refused(*read)
        outcome = set_totals(self.workspace, *read)
        if outcome.fault:
            raise Refused(outcome.fault, status=outcome.status)
        return Response(status=200)


class EventBatch(ApiView):
    """`POST /events/batch` stores many; each item has a result of its own, in the order sent."""

    scopes = {"POST": Scope.EVENTS_WRITE}
    body_limit = batches.LIMIT

    @operation(
        "create_event_batch",
        "Events",
        asks={JSON: shapes.BATCH_IN, "application/x-ndjson": shapes.EVENT_LINES},
        answers={200: ("What became of each event.", shapes.BATCH)},
        refuses=(415,),
    )
    def post(self, request):
        """Record many events.

        Send an array, an object that holds one, or one event a line; with Content-Encoding: gzip if you like. Each
        event has a result of its own, in the order sent; the good are stored whatever the others are. Each counts
        against the rate limit. Send a batch again whenever you are in doubt: what is there is absorbed.
        """
        body = batches.unpack(body_of(request), request.META.get("HTTP_CONTENT_ENCODING", "").lower())
        items, historical = batches.read_batch(body)
        self.spend(max(len(items) - 1, 0))
        ends = batches.store_batch(self.workspace, items, historical=historical)
        refused = sum(bool(end.faults) for end in ends)
        duplicates = sum(end.duplicate for end in ends)
        counts = {"stored": len(ends) - refused - duplicates, "duplicates": duplicates, "refused": refused}
        self.note(notes_of_batch(counts, ends))
        return Response({"type": "event_batch.result"} | counts | {"results": [end.as_json() for end in ends]})


def _url(query: dict) -> str:
    return f"{settings.BASE_URL}/events?{urlencode(query)}"


def _place(asked, name) -> tuple[int, int, int] | None:
    text = asked.get(name)
    try:
        return place_from(text) if text else None
    except ValueError:
        message = f"{name} is not a cursor. Follow the URLs under pages, or write milliseconds."
        raise Refused(invalid(name, message)) from None


class Contacts(ApiView):
    """`POST /contacts` makes a person; it never changes one. `GET /contacts` lists people, the newest first."""

    scopes = {"POST": Scope.PEOPLE_WRITE, "GET": Scope.READ}

    @operation(
        "list_contacts",
        "People",
        answers={200: ("A page of people.", shapes.CONTACT_LIST)},
        parameters=[*filter_parameters(PeopleFilter), *contact_pages.PAGE_PARAMETERS],
    )
    def get(self, request):
        """List people, the newest first.

        Users and leads, without those who are archived. SDKs of API 1.x get leads here, as a contact.list.
        """
        if speaks_1_x(request):
            return Response(leads_asked_for(self.workspace, request.query_params))
        per_page, cursor = contact_pages.asked_page(request.query_params)
        people = Contact.objects.filter(workspace=self.workspace).people()
        people = filtered(PeopleFilter, request.query_params, people, workspace=self.workspace)
        page = contact_pages.page_of(people, per_page=per_page, cursor=cursor)
        # Scripts of API 1.x that say nothing of it look for this key.
        return Response(page | {"contacts": page["data"]})

    @operation(
        "create_contact",
        "People",
        asks=shapes.CONTACT_IN,
        answers={200: ("The new person.", shapes.CONTACT)},
        refuses=(404, 409, 410),
    )
    def post(self, request):
        """Make a person.

        Write at least one of email, external_id and role. The same person again is a 409 that names the first. SDKs of
        API 1.x make a lead here, or change the one that they name by id or user_id.
        """
        if speaks_1_x(request):
            return Response(user_as_json(make_or_change_lead(self.workspace, self.sent())))
        fields = _contact_fields(self.sent())
        if not any(fields.get(field) for field in ("email", "external_id", "role")):
            raise Refused(Fault("parameter_not_found", "Write one of email, external_id or role.", "email"))
        return Response(contact_as_json(create_contact(self.workspace, fields)))


class ContactByExternalId(ApiView):
    """`GET /contacts/find_by_external_id/{external_id}`: users, not leads."""

    scopes = {"GET": Scope.READ}

    @operation(
        "find_contact_by_external_id",
        "People",
        answers={200: ("The person.", shapes.CONTACT)},
        refuses=(404,),
        parameters=[in_path("external_id", "Your own id of the person.", {"type": "string"})],
    )
    def get(self, request, external_id):
        """Find a user by your own id."""
        contact = contact_named(self.workspace, user_id=external_id)
        if contact.role != Contact.Role.USER:
            raise NotFound("User Not Found", "external_id")
        return Response(contact_as_json(contact))


class OneContact(ApiView):
    """One person by id: `GET`, `PUT` and `DELETE /contacts/{id}`."""

    scopes = {"GET": Scope.READ, "PUT": Scope.PEOPLE_WRITE, "DELETE": Scope.PEOPLE_WRITE}

    @operation(
        "get_contact",
        "People",
        answers={200: ("The person.", shapes.CONTACT)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def get(self, request, contact_id):
        """Read one person."""
        contact = contact_by_id(self.workspace, contact_id)
        return Response(user_as_json(contact) if speaks_1_x(request) else contact_as_json(contact))

    @operation(
        "change_contact",
        "People",
        asks=shapes.CONTACT_CHANGES,
        answers={200: ("The person, changed.", shapes.CONTACT)},
        refuses=(404, 409, 410),
        parameters=[CONTACT_ID],
    )
    def put(self, request, contact_id):
        """Change a person.

        What is not named stays as it is. Custom attributes are merged; null takes one away.
        """
        contact = contact_by_id(self.workspace, contact_id)
        return Response(contact_as_json(change_contact(contact, _contact_fields(self.sent()))))

    @operation(
        "delete_contact",
        "People",
        answers={200: ("They are deleted.", shapes.CONTACT_DELETED)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def delete(self, request, contact_id):
        """Delete a person for good.

        With them go their events, their messages, and those who were merged into them; nothing but the id stays. A
        later event with their user_id makes a new person.
        """
        contact = contact_by_id(self.workspace, contact_id)
        told = _named(contact) | {"deleted": True}
        erase(contact)
        return Response(told)


class NotKeptOfContact(ApiView):
    """`GET /contacts/{id}/companies`, `/notes` and `/subscriptions`, which a contact names as what else there is."""

    scopes = {"GET": Scope.READ}

    @operation(
        "list_nothing_of_contact",
        "People",
        answers={200: ("Nothing.", shapes.NOTHING)},
        refuses=(404, 410),
        parameters=[CONTACT_ID, WHAT],
    )
    def get(self, request, contact_id, what):
        """List what is not kept here: companies, notes, and subscriptions to kinds of mails."""
        if what not in NOT_KEPT:
            raise NotFound(f"A contact has no such list. There are {', '.join(NOT_KEPT)}.", "what")
        return Response(list_of_contact(contact_by_id(self.workspace, contact_id), what, []))


class ExportContact(ApiView):
    """`GET /contacts/{id}/export`."""

    scopes = {"GET": Scope.READ}

    @operation(
        "export_contact",
        "People",
        answers={200: ("All of it.", shapes.EXPORT)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def get(self, request, contact_id):
        """Read all that is kept of a person.

        Their fields, tags, totals, every event and every message with its text: what they may ask you for.
        """
        told = export(contact_by_id(self.workspace, contact_id))
        return StreamingHttpResponse(told, content_type="application/json")


class MergeContacts(ApiView):
    """`POST /contacts/merge`."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "merge_contacts",
        "People",
        asks=shapes.MERGE_IN,
        answers={200: ("The user, with what was the lead's.", shapes.CONTACT)},
        refuses=(404, 410),
    )
    def post(self, request):
        """Merge a lead into a user.

        What the lead did is the user's from then on: events, totals, tags, messages. The user keeps what is known of
        them, and gets what was not. Whoever asks for the lead is told (410) where to look.
        """
        sent = self.sent()
        if not isinstance(sent, dict):
            raise Refused(invalid("body", 'Write an object: {"from": the id of a lead, "into": the id of a user}.'))
        lead, user = self._named(sent, "from"), self._named(sent, "into")
        if lead.role == Contact.Role.USER:
            raise Refused(invalid("from", "from is a user. Write the id of a lead: two users cannot be merged."))
        if user.role != Contact.Role.USER:
            raise Refused(invalid("into", "into is a lead. Write the id of a user."))
        return Response(contact_as_json(merge(lead, user)))

    def _named(self, sent: dict, field: str) -> Contact:
        if sent.get(field) is None:
            raise Refused(Fault("parameter_not_found", f"{field} is missing. Write the id of a contact.", field))
        if not isinstance(sent[field], str):
            raise Refused(invalid(field, f"{field} must be a text: the id of a contact."))
        return contact_by_id(self.workspace, sent[field])


class ArchiveContact(ApiView):
    """`POST /contacts/{id}/archive`."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "archive_contact",
        "People",
        answers={200: ("They are archived.", shapes.CONTACT_ARCHIVED)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def post(self, request, contact_id):
        """Archive a person.

        They belong to no segment and get no message, until they are brought back. Their events are stored as ever.
        """
        return Response(_archived(archive(contact_by_id(self.workspace, contact_id), archived=True)))


class UnarchiveContact(ApiView):
    """`POST /contacts/{id}/unarchive`."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "unarchive_contact",
        "People",
        answers={200: ("They are back.", shapes.CONTACT_ARCHIVED)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def post(self, request, contact_id):
        """Bring an archived person back."""
        return Response(_archived(archive(contact_by_id(self.workspace, contact_id), archived=False)))


class BlockContact(ApiView):
    """`POST /contacts/{id}/block`."""

    scopes = {"POST": Scope.PEOPLE_WRITE}

    @operation(
        "block_contact",
        "People",
        answers={200: ("They are blocked.", shapes.CONTACT_BLOCKED)},
        refuses=(404, 410),
        parameters=[CONTACT_ID],
    )
    def post(self, request, contact_id):
        """Block a person.

        They are archived, and events that their browsers send are refused, until they are brought back with
        /unarchive.
        """
        return Response(_named(block(contact_by_id(self.workspace, contact_id))) | {"blocked": True})


def _archived(contact: Contact) -> dict:
    return _named(contact) | {"archived": contact.archived_at is not None}


def _named(contact: Contact) -> dict:
    return {"type": "contact", "id": contact.public_id, "external_id": contact.external_id}


def _contact_fields(sent) -> dict:
    """Return the checked fields of a contact in decoded JSON. Raises Refused."""
    if not isinstance(sent, dict):
        raise Refused(invalid("body", "Write a JSON object with the fields of the contact."))
    incoming = ContactIn(data=sent)
    incoming.is_valid(raise_exception=True)
    return dict(incoming.validated_data)
