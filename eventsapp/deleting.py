"""Deleting the data of an event that was only a test: asked for on its page, done by the worker, some people at a time.

Whatever kills the worker, the next sweep goes on where it stopped. Between any two steps every summary says what its
events say.
"""

from django.db import transaction
from django.utils import timezone

from eventsapp.models import Event, EventSummary, EventType, HandOver
from eventsapp.volumes import forget
from eventsapp.wakeups import wake

AT_ONCE = 500  # people in one transaction


def ask_to_delete(type: EventType):
    """Have the events, totals and waiting hand-overs of this type deleted; it is archived at once."""
    now = timezone.now()
    type.archived_at, type.delete_from = type.archived_at or now, now
    with transaction.atomic():
        type.save(update_fields=["archived_at", "delete_from"])
        transaction.on_commit(lambda: wake("eventsapp.tasks.delete_events"))


def delete_what_was_asked() -> int:
    """Delete what waits to be deleted; return of how many people's events."""
    deleted = 0
    for type in EventType.objects.exclude(delete_from=None).order_by("pk"):
        people = AT_ONCE
        # A step that finds fewer is the last: what comes in meanwhile is a new beginning, and stored as ever.
        while people == AT_ONCE:
            people = _delete_some(type)
            deleted += people
        forget(type)
        EventType.objects.filter(pk=type.pk).update(delete_from=None)
    return deleted


def _delete_some(type: EventType) -> int:
    with transaction.atomic():
        # Who stores an event at this moment holds, or waits for, its summary: then it is counted before or after this.
        locked = EventSummary.objects.filter(type=type).order_by("contact_id").select_for_update()
        people = list(locked.values_list("contact_id", flat=True)[:AT_ONCE])
        for model in (HandOver, Event, EventSummary):
            model.objects.filter(type=type, contact__in=people).delete()
    return len(people)
