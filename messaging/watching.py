"""Which events ingest hands over: those that a live rule or an active subscription asks for."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef

from eventsapp.models import Event, EventSummary, EventType, HandOver, Source
from messaging.models import AutoMessage, Wish

# By then every transaction that read "nobody watches" has ended.
CATCH_UP_AFTER = timedelta(seconds=15)


def watch_what_is_asked(type_id: int):
    """Bring `watched` of an event type in line with the rules that answer it and the subscriptions that name it."""
    answering = AutoMessage.objects.answering().filter(trigger=OuterRef("pk"))
    wishes = Wish.objects.active().filter(type=OuterRef("pk"))
    with transaction.atomic():
        # The lock first, in a statement of its own: an UPDATE that waited would still ask its old snapshot.
        EventType.objects.select_for_update().get(pk=type_id)
        EventType.objects.filter(pk=type_id).update(watched=Exists(answering) | Exists(wishes))


def hand_over_missed(type_id: int, since: datetime):
    """Hand over what was received since this moment by a transaction that did not know of who asks from then on.

    Handing an event over twice is harmless: what comes of it is unique.
    """
    received = Event.objects.filter(type=type_id, received_at__range=(since, since + CATCH_UP_AFTER))
    events = list(received.exclude(source=Source.IMPORT))
    summaries = EventSummary.objects.filter(type=type_id, contact__in={event.contact_id for event in events})
    counts = dict(summaries.values_list("contact", "count"))
    copied = (
        "contact_id",
        "type_id",
        "created_at",
        "fingerprint",
        "received_at",
        "source",
        "metadata",
        "terms",
        "uuid",
    )
    HandOver.objects.bulk_create(
        [
            HandOver(
                occurrence=counts.get(event.contact_id, 1),
                **{field: getattr(event, field) for field in copied},
            )
            for event in events
        ],
        ignore_conflicts=True,
    )
