"""Segments over the API."""

from rest_framework.response import Response

from eventsapp.contact_pages import page_of
from eventsapp.errors import Fault, Refused
from eventsapp.models import Contact, Scope
from eventsapp.openapi import operation
from eventsapp.serializers import contact_as_json
from eventsapp.shapes import CONTACT_LIST
from eventsapp.transport import ApiView
from segments import shapes
from segments.definition import Invalid, parse
from segments.engine import answer, one_moment
from segments.search import read_search

PREVIEWED = 50


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
            try:
                asked = parse(self.workspace, definition)
            except Invalid as error:
                raise Refused(*error.faults, status=422) from error
            result = answer(asked, now)
            contacts = Contact.objects.select_related("workspace").in_bulk(result.page(size=PREVIEWED))
        newest = [contact_as_json(contacts[pk]) for pk in sorted(contacts, reverse=True)]
        return Response({"count": result.count, "contacts": newest})


class ContactSearch(ApiView):
    """`POST /contacts/search`: people by Intercom's query language, page by page."""

    scopes = {"POST": Scope.READ}

    @operation(
        "search_contacts",
        "People",
        asks=shapes.SEARCH_IN,
        answers={200: ("A page of those who match.", CONTACT_LIST)},
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
                starting_after=search.starting_after,
                order=search.order,
            )
        return Response(page)
