"""Which events ingest hands over: those that a live rule or an active subscription asks for."""

from bisect import bisect_right
from collections.abc import Sequence
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


def missed(type_id: int, since: datetime):
    """Return the queryset of what was received since this moment, perhaps by a transaction that did not know of who
    asks from then on."""
    received = Event.objects.filter(type=type_id, received_at__range=(since, since + CATCH_UP_AFTER))
    return received.exclude(source=Source.IMPORT)


def hand_over_missed(type_id: int, since: datetime):
    """Hand over what may have been missed. Handing an event over twice is harmless: it says the same, and what comes of
    it is unique."""
    events = list(missed(type_id, since))
    contacts = {event.contact_id for event in events}
    summaries = EventSummary.objects.filter(type=type_id, contact__in=contacts)
    counts = dict(summaries.values_list("contact", "count"))
    # What came later does not count yet.
    times: dict[int, list[datetime]] = {}
    of_theirs = Event.objects.filter(type=type_id, contact__in=contacts, received_at__gte=since)
    for contact, received_at in of_theirs.order_by("received_at").values_list("contact", "received_at"):
        times.setdefault(contact, []).append(received_at)
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
                occurrence=counts.get(event.contact_id, 1) - _later(times.get(event.contact_id, ()), event.received_at),
                **{field: getattr(event, field) for field in copied},
            )
            for event in events
        ],
        ignore_conflicts=True,
    )


def _later(times: Sequence[datetime], moment: datetime) -> int:
    """How many of these times, in order, come after a moment."""
    return len(times) - bisect_right(times, moment)
