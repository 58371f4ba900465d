"""Hears what the apps below announce, and adds to their pages what it knows."""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models.functions import Coalesce
from django.dispatch import receiver

from eventsapp import health, signals
from eventsapp.models import Contact
from eventsapp.panels import Dependent, Note, person_panels, settings_panels, timeline_notes, type_users
from eventsapp.wakeups import wake
from messaging.models import AutoMessage, Delivery, Recipient
from messaging.settings_views import message_settings
from segments.models import used_by

CHUNK = 200  # deliveries of an export that are looked up together
MOST_NOTES = 200  # in a part of a timeline


@receiver(signals.events_handed_over)
def match_soon(sender, **kwargs):
    wake("messaging.tasks.match_events")


@receiver(signals.contact_erasing)
def forget_messages(sender, contacts, **kwargs):
    for model in (Delivery, Recipient):
        model.objects.filter(contact__in=contacts).delete()


@receiver(signals.contact_exporting)
def name_messages(sender, contact, **kwargs):
    return "deliveries", _exported(contact)


def _exported(contact: Contact) -> Iterator[dict]:
    """All messages to a person, the newest first, with their text."""
    # Here, because the worker has no use for what the API weighs.
    from messaging.api import delivery_as_json

    before = None
    while page := contact.deliveries.newest(CHUNK, before):
        for delivery in page:
            yield delivery_as_json(delivery) | {"message": delivery.message.name, "body": delivery.body or None}
        before = page[-1].pk


def oldest_due_delivery():
    """Since when the oldest delivery that could go out has been waiting."""
    return Delivery.objects.due().order_by("due_at").values_list("due_at", flat=True).first()


def rules_for(segment):
    """The rules whose audience a segment is."""
    rules = segment.auto_messages.select_related("workspace")
    return [Dependent("Auto-message", rule.name, rule.get_absolute_url()) for rule in rules]


def rules_triggered_by(event_type):
    """The rules that wait for an event type, with their state."""
    rules = AutoMessage.objects.filter(trigger=event_type).select_related("workspace").order_by("name")
    named = [(f"{rule.name} ({rule.get_state_display().lower()})", rule.get_absolute_url()) for rule in rules]
    return [Dependent("Auto-message", *one) for one in named]


def messages_they_got(request, contact):
    """The panel on a person's page: the newest fifty, with why they were not sent."""
    return "messaging/_person.html", {"deliveries": contact.deliveries.newest(50), "contact": contact}


def messages_in_timeline(contact: Contact, since: int | None, until: int | None) -> list[Note]:
    """When they got which message, or are to get it; not those that were never meant to be sent."""
    found = contact.deliveries.exclude(state=Delivery.State.SKIPPED).select_related("message")
    found = found.annotate(at=Coalesce("sent_at", "created_at")).order_by("-at", "-pk")
    if since is not None:
        found = found.filter(at__gte=datetime.fromtimestamp(since, UTC))
    if until is not None:
        found = found.filter(at__lt=datetime.fromtimestamp(until, UTC))
    return [
        Note(
            int(delivery.at.timestamp()),
            delivery.message.name,
            delivery.get_absolute_url(),
            delivery.state,
            delivery.get_state_display(),
        )
        for delivery in found[:MOST_NOTES]
    ]


health.waiting_since.append(oldest_due_delivery)
used_by.append(rules_for)
person_panels.append(messages_they_got)
timeline_notes.append(messages_in_timeline)
settings_panels.append(message_settings)
type_users.append(rules_triggered_by)
