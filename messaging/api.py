"""Auto-messages over the API, and what became of them."""

from rest_framework.response import Response

from eventsapp.errors import Fault, NotFound, Refused, invalid
from eventsapp.filters import filtered
from eventsapp.models import Scope
from eventsapp.openapi import filter_parameters, in_path, operation
from eventsapp.transport import ApiView
from messaging import rules, sending, shapes
from messaging.drafting import alone, as_json, keep, read_rule
from messaging.filters import DeliveryFilter
from messaging.models import AutoMessage, Delivery
from messaging.row_pages import PAGE_PARAMETERS, asked_page, page_of
from segments.definition import Invalid

MESSAGE_ID = in_path("message_id", "The auto-message's id.", shapes.MESSAGE_ID)
DELIVERY_ID = in_path("delivery_id", "The delivery's id.", shapes.MESSAGE_ID)


# Rules ---------------------------------------------------------------------------------------------------------------


class AutoMessages(ApiView):
    """`GET /auto_messages` lists them, `POST /auto_messages` makes one."""

    scopes = {"GET": Scope.READ, "POST": Scope.ADMIN}

    @operation("list_auto_messages", "Messages", answers={200: ("The auto-messages.", shapes.MESSAGE_LIST)})
    def get(self, request):
        """List the auto-messages.

        Those that are not archived, by name.
        """
        rows = [_rule_as_json(rule) for rule in _rules(self.workspace).in_use()]
        return Response({"type": "auto_message.list", "auto_messages": rows, "pages": {}})

    @operation(
        "create_auto_message",
        "Messages",
        asks=shapes.MESSAGE_IN,
        answers={200: ("The new auto-message.", shapes.MESSAGE)},
        refuses=(422,),
    )
    def post(self, request):
        """Make an auto-message.

        It is a draft unless its state says live: then it answers events that are received from now on. Each error names
        the path of its field.
        """
        return Response(_kept(AutoMessage(workspace=self.workspace), self.sent()))


class OneAutoMessage(ApiView):
    """One auto-message: read, change, archive."""

    scopes = {"GET": Scope.READ, "PUT": Scope.ADMIN, "DELETE": Scope.ADMIN}

    @operation(
        "get_auto_message",
        "Messages",
        answers={200: ("The auto-message.", shapes.MESSAGE)},
        refuses=(404,),
        parameters=[MESSAGE_ID],
    )
    def get(self, request, message_id):
        """Read one auto-message."""
        return Response(_rule_as_json(_rule(self.workspace, message_id)))

    @operation(
        "change_auto_message",
        "Messages",
        asks=shapes.MESSAGE_CHANGES,
        answers={200: ("The auto-message, changed.", shapes.MESSAGE)},
        refuses=(404, 422),
        parameters=[MESSAGE_ID],
    )
    def put(self, request, message_id):
        """Change an auto-message, let it go live, or pause it.

        What is not named stays as it is; what is named is replaced as a whole. A change of a live one is a new version,
        and is refused if it could send nothing.
        """
        return Response(_kept(_rule(self.workspace, message_id), self.sent()))

    @operation(
        "archive_auto_message",
        "Messages",
        answers={200: ("It is archived.", shapes.MESSAGE_ARCHIVED)},
        refuses=(404,),
        parameters=[MESSAGE_ID],
    )
    def delete(self, request, message_id):
        """Archive an auto-message.

        It sends nothing any more: what is queued or held of it is cancelled.
        """
        rule = _rule(self.workspace, message_id)
        rules.archive(rule)
        return Response({"type": "auto_message", "id": str(rule.pk), "archived": True})


def _rules(workspace):
    return workspace.auto_messages.select_related("workspace", "trigger", "sender")


def _rule(workspace, message_id: str) -> AutoMessage:
    try:
        return _rules(workspace).in_use().get(pk=int(message_id))
    except AutoMessage.DoesNotExist:
        raise NotFound("Resource Not Found", "id") from None


def _kept(rule: AutoMessage, sent) -> dict:
    if not isinstance(sent, dict):
        raise Refused(invalid("body", "Write a JSON object with the fields of the auto-message."))
    try:
        with alone(rule.workspace):
            rule = keep(rule, read_rule(rule, sent))
    except (Invalid, rules.NotReady) as error:
        raise Refused(*error.faults, status=422) from error
    return _rule_as_json(rule)


def _rule_as_json(rule: AutoMessage) -> dict:
    told = {"type": "auto_message", "id": str(rule.pk), "sentence": rule.sentence()}
    told["paused_because"] = rule.paused_because or None
    times = {name: int(getattr(rule, name).timestamp()) for name in ("created_at", "updated_at")}
    return told | as_json(rule) | times


# What became of them -------------------------------------------------------------------------------------------------


class Deliveries(ApiView):
    """`GET /auto_messages/{id}/deliveries`: a rule's, the newest first."""

    scopes = {"GET": Scope.READ}

    @operation(
        "list_deliveries",
        "Messages",
        answers={200: ("A page of deliveries.", shapes.DELIVERY_LIST)},
        refuses=(404,),
        parameters=[
            MESSAGE_ID,
            *filter_parameters(DeliveryFilter, without=("message",)),
            *PAGE_PARAMETERS,
        ],
    )
    def get(self, request, message_id):
        """List what became of an auto-message, the newest first."""
        page = asked_page(request.query_params)
        try:
            message = self.workspace.auto_messages.get(pk=int(message_id))
        except AutoMessage.DoesNotExist:
            raise NotFound("Resource Not Found", "id") from None
        found = filtered(
            DeliveryFilter, request.query_params, Delivery.objects.filter(message=message), workspace=self.workspace
        )
        return Response(page_of(found, page, delivery_as_json))


class Replay(ApiView):
    """`POST /auto_messages/{id}/deliveries/{id}/replay`."""

    scopes = {"POST": Scope.ADMIN}

    @operation(
        "replay_delivery",
        "Messages",
        answers={200: ("The delivery, queued.", shapes.DELIVERY)},
        refuses=(404, 409),
        parameters=[MESSAGE_ID, DELIVERY_ID],
    )
    def post(self, request, message_id, delivery_id):
        """Send a failed delivery again, or a held one after all.

        As far as the frequency of its auto-message allows this person another.
        """
        delivery = _delivery(self.workspace, message_id, delivery_id)
        if not sending.release(delivery):
            message = "It is on its way or sent, or its auto-message allows this person no other one."
            raise Refused(Fault("conflict", message), status=409)
        return Response(delivery_as_json(_delivery(self.workspace, message_id, delivery_id)))


class Cancel(ApiView):
    """`POST /auto_messages/{id}/deliveries/{id}/cancel`."""

    scopes = {"POST": Scope.ADMIN}

    @operation(
        "cancel_delivery",
        "Messages",
        answers={200: ("The delivery, cancelled.", shapes.DELIVERY)},
        refuses=(404, 409),
        parameters=[MESSAGE_ID, DELIVERY_ID],
    )
    def post(self, request, message_id, delivery_id):
        """Cancel a delivery that is queued, held or failed."""
        delivery = _delivery(self.workspace, message_id, delivery_id)
        if not sending.cancel(delivery):
            raise Refused(Fault("conflict", "It is on its way, or has come to its end."), status=409)
        return Response(delivery_as_json(_delivery(self.workspace, message_id, delivery_id)))


def _delivery(workspace, message_id: str, delivery_id: str) -> Delivery:
    own = Delivery.objects.filter(message__workspace=workspace, message=int(message_id))
    try:
        return own.select_related("message", "contact__workspace", "version").get(pk=int(delivery_id))
    except Delivery.DoesNotExist:
        raise NotFound("Resource Not Found", "id") from None


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
        "version": delivery.version and delivery.version.number,
        "subject": delivery.subject or None,
        "created_at": unix(delivery.created_at),
        "sent_at": unix(delivery.sent_at),
        "opened_at": unix(delivery.opened_at),
        "clicked_at": unix(delivery.clicked_at),
        "dismissed_at": unix(delivery.dismissed_at),
    }
