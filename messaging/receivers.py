"""Hears what the apps below announce, and adds to their pages what it knows."""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models.functions import Coalesce
from django.dispatch import receiver

from eventsapp import health, signals, tags
from eventsapp.models import Contact
from eventsapp.panels import Dependent, Note, person_panels, settings_panels, timeline_notes, type_users
from eventsapp.wakeups import wake
from messaging.models import AutoMessage, Delivery, Recipient
from messaging.settings_views import message_settings
from segments.models import events_in, references_in, used_by

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
    """The rules whose audience a segment is, or asks for it."""
    rules = _in_use(segment.workspace_id)
    return [_dependent(rule) for rule in rules if rule.audience_id == segment.pk or _asks_for("segment", segment, rule)]


def rules_with(tag):
    """The rules whose audience asks for a tag."""
    return [_dependent(rule) for rule in _in_use(tag.workspace_id) if _asks_for("tag", tag, rule)]


def rules_naming(event_type):
    """The rules that wait for an event type, with their state, or ask for it in their audience, or meanwhile."""
    rules = _in_use(event_type.workspace_id)
    naming = [
        rule for rule in rules if event_type.name in {rule.trigger.name, *events_in([rule.conditions, rule.unless])}
    ]
    return [_dependent(rule, f" ({rule.get_state_display().lower()})") for rule in naming]


def _dependent(rule: AutoMessage, words: str = "") -> Dependent:
    return Dependent("Auto-message", f"{rule.name}{words}", rule.get_absolute_url())


def _asks_for(kind: str, what, rule: AutoMessage) -> bool:
    return what.pk in references_in(rule.conditions or {}, kind)


def _in_use(workspace_id: int):
    return (
        AutoMessage.objects.in_use()
        .filter(workspace=workspace_id)
        .select_related("workspace", "trigger")
        .order_by("name")
    )


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
type_users.append(rules_naming)
tags.used_by.append(rules_with)
