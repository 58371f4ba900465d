"""What became of messages, over the API."""

from rest_framework.response import Response

from eventsapp.errors import NotFound
from eventsapp.filters import filtered
from eventsapp.models import Scope
from eventsapp.openapi import filter_parameters, in_path, operation, query
from eventsapp.transport import ApiView, number_in
from messaging import shapes
from messaging.filters import DeliveryFilter
from messaging.models import AutoMessage, Delivery

PER_PAGE, MOST_PER_PAGE = 50, 150


class Deliveries(ApiView):
    """`GET /auto_messages/{id}/deliveries`: a rule's, the newest first."""

    scopes = {"GET": Scope.READ}

    @operation(
        "list_deliveries",
        "Messages",
        answers={200: ("A page of deliveries.", shapes.DELIVERY_LIST)},
        refuses=(404,),
        parameters=[
            in_path("message_id", "The auto-message's id.", shapes.MESSAGE_ID),
            *filter_parameters(DeliveryFilter, without=("message",)),
            query(
                "per_page",
                "How many at once.",
                {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": PER_PAGE},
            ),
            query(
                "starting_after",
                "What pages.next of the page before says.",
                {"type": "string", "pattern": "^[0-9]{0,9}$"},
            ),
        ],
    )
    def get(self, request, message_id):
        """List what became of an auto-message, the newest first."""
        per_page = number_in(request.query_params, "per_page", PER_PAGE, most=MOST_PER_PAGE)
        after = number_in(request.query_params, "starting_after", 0, most=10**9 - 1)
        try:
            message = self.workspace.auto_messages.get(pk=int(message_id))
        except AutoMessage.DoesNotExist:
            raise NotFound("Resource Not Found", "id") from None
        found = filtered(
            DeliveryFilter, request.query_params, Delivery.objects.filter(message=message), workspace=self.workspace
        )
        page = found.newest(per_page + 1, before=after or None)
        following = {"starting_after": str(page[per_page - 1].pk)} if len(page) > per_page else None
        rows = [delivery_as_json(delivery) for delivery in page[:per_page]]
        return Response({"type": "list", "data": rows, "pages": {"type": "pages", "next": following}})


def delivery_as_json(delivery: Delivery) -> dict:
    """A delivery without the text that was sent."""

    def unix(moment):
        return moment and int(moment.timestamp())

    return {
        "type": "delivery",
        "id": str(delivery.pk),
        "contact_id": delivery.contact.public_id,
        "event_id": str(delivery.event_id),
        "event": delivery.event,
        "state": delivery.state,
        "reason": delivery.reason or None,
        "detail": delivery.detail or None,
        "attempts": delivery.attempts,
        "subject": delivery.subject or None,
        "created_at": unix(delivery.created_at),
        "sent_at": unix(delivery.sent_at),
        "opened_at": unix(delivery.opened_at),
        "clicked_at": unix(delivery.clicked_at),
    }
