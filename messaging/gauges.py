"""What messages add to the numbers for Prometheus."""

from collections.abc import Iterable

from django.db.models import Count, Min

from eventsapp import health, metrics
from eventsapp.metrics import Gauge
from messaging.models import AutoMessage, Delivery, Notification


def of_messages() -> Iterable[Gauge]:
    """What became of deliveries, and how long those wait that could go out."""
    counted = Delivery.objects.values_list("state", "reason").annotate(n=Count("pk")).order_by("state", "reason")
    by_state = [({"state": state, "reason": reason or "none"}, n) for state, reason, n in counted]
    yield Gauge("eventsapp_deliveries", "Deliveries by their state and its reason.", by_state)
    due = Delivery.objects.due().values_list("message__channel").annotate(since=Min("due_at"), n=Count("pk")).order_by()
    rows = list(due)
    waits = [({"channel": channel}, health.age(since)) for channel, since, _ in rows]
    yield Gauge("eventsapp_delivery_oldest_due_seconds", "Since when the oldest that is due waits.", waits)
    numbers = [({"channel": channel}, n) for channel, _, n in rows]
    yield Gauge("eventsapp_deliveries_due", "Deliveries that could go out now.", numbers)
    told = Notification.objects.values_list("state").annotate(n=Count("pk")).order_by("state")
    yield Gauge(
        "eventsapp_notifications", "Notifications by their state.", [({"state": state}, n) for state, n in told]
    )
    waiting = Notification.objects.due().aggregate(since=Min("due_at"))["since"]
    since = [({}, health.age(waiting) if waiting else 0)]
    yield Gauge("eventsapp_notification_oldest_due_seconds", "Since when the oldest that is due waits.", since)
    rules = AutoMessage.objects.values_list("state").annotate(n=Count("pk")).order_by("state")
    yield Gauge("eventsapp_rules", "Auto-messages by their state.", [({"state": state}, n) for state, n in rules])


metrics.sources.append(of_messages)
