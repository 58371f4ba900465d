"""Hears what the apps below announce, and adds to their pages what it knows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.dispatch import receiver

from eventsapp import attributes, health, serializers, signals, tags
from eventsapp.models import Contact, Event, event_uuid
from eventsapp.panels import Dependent, Note, person_panels, settings_panels, timeline_notes, type_users
from eventsapp.text import fold
from eventsapp.wakeups import wake
from messaging import outbox
from messaging.frequency import allows, is_limited, lock_recipients
from messaging.models import WAITING, AutoMessage, Delivery, Mailbox, Notification, Recipient, Suppression, Wish
from messaging.settings_views import message_settings
from segments.models import attributes_in, events_in, references_in, used_by

CHUNK = 200  # deliveries of an export that are looked up together
MOST_NOTES = 200  # in a part of a timeline
Told = Delivery | Notification  # each has a copy of its event


@receiver(signals.events_handed_over)
def match_soon(sender, **kwargs):
    wake("messaging.tasks.match_events")


@receiver(signals.contact_erasing)
def forget_messages(sender, contacts, **kwargs):
    mails = Delivery.objects.filter(contact__in=contacts).only("uuid")
    ids = [delivery.mail_id for delivery in mails.iterator(chunk_size=2000)]
    people = list(Contact.objects.filter(pk__in=contacts).select_related("workspace"))
    transaction.on_commit(lambda: outbox.forget(ids, people))
    _forget_addresses(contacts)
    # What was written to one of them alone.
    AutoMessage.every.filter(trigger=None, deliveries__contact__in=contacts).delete()
    for model in (Delivery, Notification, Recipient, Mailbox):
        model.objects.filter(contact__in=contacts).delete()


def _forget_addresses(contacts: list[int]):
    """An address that bounced takes no mail when it comes back either, but it is not kept as it is."""
    gone = Contact.objects.filter(pk__in=contacts).exclude(email=None).values_list("workspace", "email")
    for workspace, email in {(workspace, fold(email)) for workspace, email in gone}:
        of_others = Contact.objects.filter(workspace=workspace, email_folded=email).present().exclude(pk__in=contacts)
        kept = Suppression.objects.filter(workspace=workspace, email=email)
        if kept.exists() and not of_others.exists():
            digest = Suppression.digest_of(email)
            Suppression.objects.filter(workspace=workspace, email=digest).delete()
            kept.update(email=digest, note="")


@receiver(signals.contact_merging)
def move_messages(sender, source, into, **kwargs):
    """What one person got of both counts for both rules and limits. A delivery on its way stays its worker's: the claim
    moves with it."""
    _move_notifications(source, into)
    theirs = Delivery.objects.filter(contact=source.pk)
    met = Q(pk__in=theirs.values("message")) | Q(pk__in=Recipient.objects.filter(contact=source.pk).values("message"))
    # In the order of their ids, as events are matched: nobody decides meanwhile who gets a message.
    rules = list(AutoMessage.objects.filter(met).order_by("pk"))
    for rule in rules:
        lock_recipients(rule, {source.pk, into.pk})
    Recipient.objects.filter(contact=source.pk).delete()
    if not theirs.exists():
        return
    _follow_events(Delivery, source, into)
    of_both = _counted_of(source) & _counted_of(into)
    _drop_doubles(Delivery, "message", source, into)
    theirs.update(contact=into)
    for rule in rules:
        if rule.pk in of_both and is_limited(rule):
            _skip_what_is_too_often(rule, into)
    Mailbox.changed(into.pk)


def _move_notifications(source: Contact, into: Contact):
    theirs = Notification.objects.filter(contact=source.pk)
    if theirs.exists():
        _follow_events(Notification, source, into)
        _drop_doubles(Notification, "subscription", source, into)
        theirs.update(contact=into)


def _follow_events(model: type[Told], source: Contact, into: Contact):
    """Give deliveries, or notifications, the ids that their events have now: those without a uuid of their own have
    others than before."""
    told = list(model.objects.filter(contact=source.pk).only("event_id", "event"))
    times = {one.event["created_at"] for one in told}
    # Some may still be the other's, for the sweep to move.
    events = Event.objects.filter(contact__in=(source.pk, into.pk), created_at__in=times, uuid=None)
    keys = set(events.values_list("created_at", "type_id", "fingerprint"))
    ids = {event_uuid(source.pk, *key): event_uuid(into.pk, *key) for key in keys}
    following = [one for one in told if one.event_id in ids]
    for one in following:
        one.event_id = ids[one.event_id]
        one.event |= {"id": str(one.event_id)}
    model.objects.bulk_update(following, ["event_id", "event"], batch_size=CHUNK)


def _counted_of(contact: Contact) -> set[int]:
    return set(Delivery.objects.counting().filter(contact=contact.pk).values_list("message", flat=True))


def _drop_doubles(model: type[Told], by: str, source: Contact, into: Contact):
    """Of two deliveries of one message (`by`) because of one event the heir's stays, unless the other is sent, or on
    its way, and the heir's is not so far. Of two notifications of one subscription likewise."""
    own = {
        (owner, event): pk
        for pk, owner, event in model.objects.filter(contact=source.pk).values_list("pk", by, "event_id")
    }
    heirs = model.objects.filter(contact=into.pk, event_id__in={event for _, event in own})
    doubled = {
        pk: own[owner, event] for pk, owner, event in heirs.values_list("pk", by, "event_id") if (owner, event) in own
    }
    if not doubled:
        return
    locked = model.objects.filter(pk__in=[*doubled, *doubled.values()]).order_by("pk").select_for_update()
    states = dict(locked.values_list("pk", "state"))
    drop = [other if _progress(states[pk]) >= _progress(states[other]) else pk for pk, other in doubled.items()]
    model.objects.filter(pk__in=drop).delete()


def _progress(state: str) -> int:
    return {Delivery.State.SENT: 2, Delivery.State.SENDING: 1}.get(state, 0)


def _skip_what_is_too_often(rule: AutoMessage, contact: Contact):
    """What waits for somebody who is one person now, and is too much for one."""
    counting = Delivery.objects.counting().filter(message=rule, contact=contact.pk)
    is_waiting = WAITING & ~Q(state=Delivery.State.SENDING)
    times = list(counting.exclude(is_waiting).values_list(Coalesce("sent_at", "due_at"), flat=True))
    too_often = []
    for delivery, due in counting.filter(is_waiting).order_by("due_at", "pk").values_list("pk", "due_at"):
        if allows(rule, times, due):
            times.append(due)
        else:
            too_often.append(delivery)
    # Not one that a worker has taken since.
    waiting = Delivery.objects.filter(is_waiting, pk__in=too_often)
    waiting.update(state=Delivery.State.SKIPPED, reason=Delivery.Reason.FREQUENCY)


@receiver(signals.contact_exporting)
def export_messages(sender, contact, **kwargs):
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


@receiver(signals.contact_exporting)
def export_notifications(sender, contact, **kwargs):
    return "notifications", _notifications_of(contact)


def _notifications_of(contact: Contact) -> Iterator[dict]:
    """All that other systems were told of a person and is still kept, the newest first."""
    from messaging.subscription_api import notification_as_json

    before = None
    while page := contact.notifications.newest(CHUNK, before):
        for notification in page:
            yield notification_as_json(notification) | {"told_to": str(notification.subscription)}
        before = page[-1].pk


def bounces_of(contacts: Sequence[Contact]) -> dict[int, dict]:
    """Return, by contact, whether their address has bounced for good, and whether they called a mail spam."""
    emails = {contact.email_folded for contact in contacts if contact.email_folded}
    # Of somebody deleted who had the address, there is a digest of it.
    spelled = {email: {email, Suppression.digest_of(email)} for email in emails}
    kept = Suppression.objects.filter(
        workspace__in={contact.workspace_id for contact in contacts}, email__in=set().union(*spelled.values())
    )
    rows = kept.values_list("workspace", "email", "reason") if emails else ()
    reasons = {(workspace, email): reason for workspace, email, reason in rows}
    told = {}
    for contact in contacts:
        found = {reasons.get((contact.workspace_id, email)) for email in spelled.get(contact.email_folded, ())}
        told[contact.pk] = {
            "has_hard_bounced": Suppression.Reason.BOUNCE in found,
            "marked_email_as_spam": Suppression.Reason.COMPLAINT in found,
        }
    return told


def oldest_due_delivery():
    """Since when the oldest delivery that could go out has been waiting."""
    return Delivery.objects.due().order_by("due_at").values_list("due_at", flat=True).first()


def oldest_due_notification():
    """Since when the oldest notification that could go out has been waiting."""
    return Notification.objects.due().order_by("due_at").values_list("due_at", flat=True).first()


def rules_for(segment):
    """The rules whose audience a segment is, or asks for it."""
    rules = _in_use(segment.workspace_id)
    return [_dependent(rule) for rule in rules if rule.audience_id == segment.pk or _asks_for("segment", segment, rule)]


def rules_with(tag):
    """The rules whose audience asks for a tag."""
    return [_dependent(rule) for rule in _in_use(tag.workspace_id) if _asks_for("tag", tag, rule)]


def rules_comparing(attribute):
    """The rules whose audience asks for a custom attribute."""
    rules = _in_use(attribute.workspace_id)
    return [_dependent(rule) for rule in rules if attribute.name in attributes_in(rule.conditions or {})]


def rules_naming(event_type):
    """The rules that wait for an event type, with their state, or ask for it in their audience, or meanwhile."""
    rules = _in_use(event_type.workspace_id)
    naming = [
        rule for rule in rules if event_type.name in {rule.trigger.name, *events_in([rule.conditions, rule.unless])}
    ]
    return [_dependent(rule, f" ({rule.get_state_display().lower()})") for rule in naming]


def subscriptions_naming(event_type):
    """The subscriptions that are told of an event type."""
    wishes = Wish.objects.filter(type=event_type).select_related("subscription__workspace")
    asking = [wish.subscription for wish in wishes.order_by("subscription")]
    return [Dependent("Webhook", str(subscription), subscription.get_absolute_url()) for subscription in asking]


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


health.waiting_since += [oldest_due_delivery, oldest_due_notification]
used_by.append(rules_for)
person_panels.append(messages_they_got)
timeline_notes.append(messages_in_timeline)
settings_panels.append(message_settings)
type_users += [rules_naming, subscriptions_naming]
tags.used_by.append(rules_with)
serializers.known_above.append(bounces_of)
attributes.used_by.append(rules_comparing)
