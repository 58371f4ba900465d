"""Subscriptions to events over the API, as API 1.x has them, and what became of their notifications."""

from rest_framework.response import Response

from eventsapp.errors import Fault, Refused
from eventsapp.models import Scope
from eventsapp.openapi import in_path, operation, query
from eventsapp.transport import ApiView, api_path
from messaging import subscription_shapes as shapes
from messaging import subscriptions
from messaging.models import Notification, Subscription
from messaging.notifying import item_of
from messaging.row_pages import PAGE_PARAMETERS, asked_page, page_of
from messaging.subscribing import MOST, read_subscription

SUBSCRIPTION_ID = in_path("subscription_id", "The subscription's id.", shapes.SUBSCRIPTION_ID)
NOTIFICATION_ID = in_path("notification_id", "The notification's id, as it is posted.", shapes.NOTIFICATION_ID)


class Subscriptions(ApiView):
    """`GET /subscriptions` lists them, `POST /subscriptions` makes one."""

    scopes = {"GET": Scope.READ, "POST": Scope.ADMIN}

    @operation("list_subscriptions", "Webhooks", answers={200: ("The subscriptions.", shapes.SUBSCRIPTION_LIST)})
    def get(self, request):
        """List the subscriptions."""
        rows = [subscription_as_json(one) for one in _subscriptions(self.workspace)]
        pages = {"type": "pages", "next": None, "page": 1, "per_page": MOST, "total_pages": 1}
        return Response(
            {
                "type": "notification_subscription.list",
                "items": rows,
                "subscriptions": rows,
                "total_count": len(rows),
                "pages": pages,
            }
        )

    @operation(
        "create_subscription",
        "Webhooks",
        asks=shapes.SUBSCRIPTION_IN,
        answers={200: ("The new subscription.", shapes.SUBSCRIPTION)},
        refuses=(422,),
    )
    def post(self, request):
        """Subscribe an address to events.

        It is told of those that are received from now on, and gets a ping at once.
        """
        new = Subscription(workspace=self.workspace)
        return Response(_told(subscriptions.keep(new, **read_subscription(new, self.sent()))))


class OneSubscription(ApiView):
    """One subscription: read, change, delete."""

    scopes = {"GET": Scope.READ, "POST": Scope.ADMIN, "PUT": Scope.ADMIN, "DELETE": Scope.ADMIN}

    @operation(
        "get_subscription",
        "Webhooks",
        answers={200: ("The subscription.", shapes.SUBSCRIPTION)},
        refuses=(404,),
        parameters=[SUBSCRIPTION_ID],
    )
    def get(self, request, subscription_id):
        """Read one subscription."""
        return Response(subscription_as_json(_subscription(self.workspace, subscription_id)))

    @operation(
        "change_subscription",
        "Webhooks",
        asks=shapes.SUBSCRIPTION_CHANGES,
        answers={200: ("The subscription, changed.", shapes.SUBSCRIPTION)},
        refuses=(404,),
        parameters=[SUBSCRIPTION_ID],
    )
    def put(self, request, subscription_id):
        """Change a subscription, stop it, or resume it.

        event_names replace those it had. One that becomes active again is told of what is received from then on.
        """
        return Response(self._changed(subscription_id))

    @operation(
        "update_subscription",
        "Webhooks",
        asks=shapes.SUBSCRIPTION_CHANGES,
        answers={200: ("The subscription, changed.", shapes.SUBSCRIPTION)},
        refuses=(404,),
        parameters=[SUBSCRIPTION_ID],
    )
    def post(self, request, subscription_id):
        """Change a subscription, as PUT does."""
        return Response(self._changed(subscription_id))

    def _changed(self, subscription_id) -> dict:
        subscription = _subscription(self.workspace, subscription_id)
        try:
            found = read_subscription(subscription, self.sent())
        except Refused:
            # What it lacks may be missing because it was deleted just now.
            _subscription(self.workspace, subscription_id)
            raise
        return _told(subscriptions.keep(subscription, **found))

    @operation(
        "delete_subscription",
        "Webhooks",
        answers={200: ("The subscription, which is deleted now.", shapes.SUBSCRIPTION)},
        refuses=(404,),
        parameters=[SUBSCRIPTION_ID],
    )
    def delete(self, request, subscription_id):
        """Delete a subscription, with its notifications."""
        subscription = _subscription(self.workspace, subscription_id)
        told = subscription_as_json(subscription) | {"active": False}
        subscriptions.delete(subscription)
        return Response(told)


class Ping(ApiView):
    """`POST /subscriptions/{id}/ping`."""

    scopes = {"POST": Scope.ADMIN}

    @operation(
        "ping_subscription",
        "Webhooks",
        answers={200: ("The ping, queued.", shapes.NOTIFICATION)},
        refuses=(404, 409),
        parameters=[SUBSCRIPTION_ID],
    )
    def post(self, request, subscription_id):
        """Post a greeting to a subscription."""
        subscription = _subscription(self.workspace, subscription_id)
        if not subscription.active:
            raise Refused(Fault("conflict", 'It is not active. Write {"active": true} to it first.'), status=409)
        return Response(notification_as_json(subscriptions.ping(subscription)))


class Notifications(ApiView):
    """`GET /subscriptions/{id}/notifications`: the newest first."""

    scopes = {"GET": Scope.READ}

    @operation(
        "list_notifications",
        "Webhooks",
        answers={200: ("A page of notifications.", shapes.NOTIFICATION_LIST)},
        refuses=(404,),
        parameters=[
            SUBSCRIPTION_ID,
            query("state", "Those in this state.", {"type": "string", "enum": Notification.State.values}),
            *PAGE_PARAMETERS,
        ],
    )
    def get(self, request, subscription_id):
        """List what a subscription was told, or is to be told, the newest first.

        What was taken is forgotten after a week, what failed after a month.
        """
        asked, page = request.query_params, asked_page(request.query_params)
        found, state = _subscription(self.workspace, subscription_id).notifications.all(), asked.get("state")
        if state:
            if state not in Notification.State.values:
                known = ", ".join(Notification.State.values)
                raise Refused(Fault("parameter_invalid", f"There is no such state. There are {known}.", "state"))
            found = found.filter(state=state)
        return Response(page_of(found, page, notification_as_json))


class ReplayNotification(ApiView):
    """`POST /subscriptions/{id}/notifications/{id}/replay`."""

    scopes = {"POST": Scope.ADMIN}

    @operation(
        "replay_notification",
        "Webhooks",
        answers={200: ("The notification, queued.", shapes.NOTIFICATION)},
        refuses=(404, 409),
        parameters=[SUBSCRIPTION_ID, NOTIFICATION_ID],
    )
    def post(self, request, subscription_id, notification_id):
        """Post a failed notification again, under the same id."""
        theirs = _subscription(self.workspace, subscription_id).notifications
        asked = theirs.filter(uuid=notification_id.removeprefix("notif_"))
        if not asked.exists():
            raise subscriptions.gone()
        if not subscriptions.replay(asked):
            message = "It has not failed, or its subscription is not active."
            raise Refused(Fault("conflict", message), status=409)
        told = asked.newest(1)
        if not told:
            raise subscriptions.gone()
        return Response(notification_as_json(told[0]))


def _subscriptions(workspace):
    return workspace.subscriptions.select_related("workspace").prefetch_related("wishes__type")


def _subscription(workspace, subscription_id: str) -> Subscription:
    found = _subscriptions(workspace).filter(public_id=subscription_id).first()
    if found is None:
        raise subscriptions.gone()
    return found


def _told(subscription: Subscription) -> dict:
    return subscription_as_json(_subscription(subscription.workspace, subscription.public_id))


def _unix(moment):
    return moment and int(moment.timestamp())


def subscription_as_json(subscription: Subscription) -> dict:
    return {
        "type": "notification_subscription",
        "id": subscription.public_id,
        "created_at": _unix(subscription.created_at),
        "updated_at": _unix(subscription.updated_at),
        "service_type": "web",
        "topics": subscription.topics,
        "url": subscription.url,
        "active": subscription.active,
        "hub_secret": None,
        "metadata": {"event_names": subscription.event_names()},
        "paused_until": _unix(subscription.paused_until) if subscription.is_paused else None,
        "stopped_because": subscription.stopped_because or None,
    }


def notification_as_json(notification: Notification) -> dict:
    return {
        "type": "notification",
        "id": notification.public_id,
        "topic": notification.topic,
        "state": notification.state,
        "reason": notification.reason or None,
        "detail": notification.detail or None,
        "attempts": notification.attempts,
        "created_at": _unix(notification.created_at),
        "first_sent_at": _unix(notification.first_sent_at),
        "due_at": _unix(notification.due_at) if notification.state == Notification.State.QUEUED else None,
        "ended_at": _unix(notification.ended_at),
        "item": item_of(notification),
    }


ONE = f"subscriptions/(?P<subscription_id>nsub_{shapes.UUID})"
NOTIFICATION = f"{ONE}/notifications/(?P<notification_id>notif_{shapes.UUID})"

urlpatterns = [
    api_path("subscriptions", Subscriptions),
    api_path(ONE, OneSubscription),
    api_path(f"{ONE}/ping", Ping),
    api_path(f"{ONE}/notifications", Notifications),
    api_path(f"{NOTIFICATION}/replay", ReplayNotification),
]
