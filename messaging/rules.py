"""The life of a rule: going live, pausing, and the events that came in while it did."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from eventsapp.models import Event, EventSummary, EventType, HandOver, Source
from eventsapp.sql import database_now
from messaging.models import AutoMessage
from segments.definition import parse_where

# By then every transaction that read "nobody watches" has ended.
CATCH_UP_AFTER = timedelta(seconds=15)


class NotReady(Exception):
    """The rule cannot go live as it is. Says what is missing."""


def go_live(message: AutoMessage, *, anew: bool = False):
    """Let the rule answer events received from now on. Raises NotReady, or Invalid for its conditions.

    One that is live stays live since then, and keeps the events that wait for it, unless it is to begin `anew`.
    """
    from messaging import text

    parse_where(message.where)
    for name, source in (("subject", message.subject), ("body", message.body)):
        if not source.strip():
            raise NotReady(f"The {name} is empty.")
        if fault := text.fault_in(source):
            raise NotReady(f"The {name}: {fault}")
    if message.audience and message.audience.archived_at:
        raise NotReady(f"The segment “{message.audience}” is archived. Choose another audience.")
    with transaction.atomic():
        stored = AutoMessage.objects.select_for_update().get(pk=message.pk)
        if stored.state == AutoMessage.State.LIVE and not anew:
            return
        EventType.objects.filter(pk=message.trigger_id).update(watched=True)
        message.state = AutoMessage.State.LIVE
        message.live_since = database_now()
        message.caught_up = False
        message.save(update_fields=["state", "live_since", "caught_up", "updated_at"])


def pause(message: AutoMessage):
    """Stop the rule. What it has queued is held when its turn comes."""
    with transaction.atomic():
        message.state = AutoMessage.State.PAUSED
        message.save(update_fields=["state", "updated_at"])
        watch_what_is_live(message.trigger_id)


def watch_what_is_live(type_id: int):
    """Bring `watched` of an event type in line with the rules that are live."""
    live = AutoMessage.objects.live().filter(trigger=OuterRef("pk"))
    with transaction.atomic():
        # The lock first, in a statement of its own: an UPDATE that waited would still ask its old snapshot.
        EventType.objects.select_for_update().get(pk=type_id)
        EventType.objects.filter(pk=type_id).update(watched=Exists(live))


def catch_up():
    """Hand over what was received after a rule went live by a transaction that did not know of it yet.

    Handing an event over twice is harmless: its delivery is unique.
    """
    fresh = AutoMessage.objects.live().filter(caught_up=False, live_since__lte=timezone.now() - CATCH_UP_AFTER)
    for message in fresh.select_related("trigger"):
        with transaction.atomic():
            until = message.live_since + CATCH_UP_AFTER
            missed = Event.objects.filter(type=message.trigger, received_at__range=(message.live_since, until))
            _hand_over(missed.exclude(source=Source.IMPORT))
            AutoMessage.objects.filter(pk=message.pk, live_since=message.live_since).update(caught_up=True)


def _hand_over(events):
    events = list(events)
    summaries = EventSummary.objects.filter(
        type__in={event.type_id for event in events}, contact__in={event.contact_id for event in events}
    )
    counts = {(summary.type_id, summary.contact_id): summary.count for summary in summaries}
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
                occurrence=counts.get((event.type_id, event.contact_id), 1),
                **{field: getattr(event, field) for field in copied},
            )
            for event in events
        ],
        ignore_conflicts=True,
    )
