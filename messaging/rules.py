"""The life of a rule: going live, pausing, and the events that came in while it did."""

import json
from collections.abc import Iterator

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone

from eventsapp.errors import Fault, invalid, missing
from eventsapp.models import EventType
from eventsapp.sql import database_now
from messaging import alarm, text
from messaging.channels.outgoing import fault_in_url
from messaging.models import AutoMessage, Delivery, RuleVersion
from messaging.unless import read_unless
from messaging.watching import CATCH_UP_AFTER, hand_over_missed, watch_what_is_asked
from segments.definition import parse, parse_where


class NotReady(Exception):
    """The rule cannot go live as it is. `faults` say what is missing, by the paths of the API."""

    def __init__(self, faults: list[Fault]):
        super().__init__(" ".join(fault.message for fault in faults))
        self.faults = faults


def check_ready(message: AutoMessage):
    """Raises NotReady for a rule that could send nothing, or Invalid for what it asks."""
    parse_where(message.where)
    if message.unless:
        read_unless(message.unless)
    if message.conditions is not None:
        parse(message.workspace, message.conditions)
    if faults := list(_missing(message)):
        raise NotReady(faults)


def _missing(message: AutoMessage) -> Iterator[Fault]:
    if message.audience and message.audience.archived_at:
        yield invalid("audience", f"The segment “{message.audience}” is archived. Choose another audience.")
    if message.channel == AutoMessage.Channel.WEBHOOK:
        if not message.url:
            yield missing("content.url", "The address of the webhook is missing.")
        elif fault := fault_in_url(message.url):
            yield invalid("content.url", fault)
        return
    for name in ("subject", "body"):
        source = getattr(message, name)
        if not source.strip() and (name == "body" or message.channel == AutoMessage.Channel.EMAIL):
            yield missing(f"content.{name}", f"The {name} is empty.")
        elif fault := text.fault_in(source):
            yield invalid(f"content.{name}", f"The {name}: {fault}")


def go_live(message: AutoMessage, *, anew: bool = False, by=None):
    """Let the rule answer events received from now on. Raises NotReady, or Invalid for its conditions.

    One that is live stays live since then, and keeps the events that wait for it, unless it is to begin `anew`; so does
    one that paused itself.
    """
    check_ready(message)
    with transaction.atomic():
        stored = AutoMessage.objects.select_for_update().get(pk=message.pk)
        note_version(message, by=by)
        goes_on = stored.state == AutoMessage.State.LIVE or bool(stored.paused_because)
        message.state, message.paused_because = AutoMessage.State.LIVE, ""
        written = ["state", "paused_because", "updated_at"]
        if anew or not goes_on:
            EventType.objects.filter(pk=message.trigger_id).update(watched=True)
            message.live_since = database_now()
            message.caught_up = False
            written += ["live_since", "caught_up"]
        message.save(update_fields=written)


def pause(message: AutoMessage):
    """Stop the rule. What it has queued is held when its turn comes."""
    _stop(message, AutoMessage.State.PAUSED)


def archive(message: AutoMessage):
    """End the rule. What it has queued is cancelled when its turn comes, what is held at once."""
    _stop(message, AutoMessage.State.ARCHIVED)
    held = Delivery.objects.filter(message=message, state=Delivery.State.HELD)
    held.update(state=Delivery.State.CANCELLED, reason=Delivery.Reason.ARCHIVED)


def _stop(message: AutoMessage, state: str):
    with transaction.atomic():
        message.state, message.paused_because = state, ""
        message.save(update_fields=["state", "paused_because", "updated_at"])
        watch_what_is_asked(message.trigger_id)


def pause_itself(message: AutoMessage):
    """Stop a rule of which more messages came to be than its guard allows. Its events still become deliveries, all of
    them held; staff are told."""
    because = (
        f"More than {message.guard_per_hour:,} messages came to be within an hour. Whatever came after is held: "
        "release or cancel it, then let the rule go on."
    )
    paused = AutoMessage.objects.live().filter(pk=message.pk)
    if paused.update(state=AutoMessage.State.PAUSED, paused_because=because, updated_at=timezone.now()):
        transaction.on_commit(lambda: alarm.tell_staff(message, f"“{message.name}” has paused itself", because))


def note_version(message: AutoMessage, *, by=None) -> RuleVersion:
    """Return the version of a rule as it is now, made unless it is the last one."""
    rule = {name: getattr(message, name) for name in AutoMessage.VERSIONED}
    kept = json.loads(json.dumps(rule, cls=DjangoJSONEncoder))
    last = message.versions.last()
    if last and {"display": AutoMessage.Display.CARD} | last.rule == kept and last.trigger_name == message.trigger.name:
        return last
    number = last.number + 1 if last else 1
    return RuleVersion.objects.create(
        message=message, number=number, rule=kept, trigger_name=message.trigger.name, made_by=by
    )


def catch_up():
    """Hand over what was received after a rule went live by a transaction that did not know of it yet."""
    fresh = AutoMessage.objects.live().filter(caught_up=False, live_since__lte=timezone.now() - CATCH_UP_AFTER)
    for message in fresh:
        with transaction.atomic():
            hand_over_missed(message.trigger_id, message.live_since)
            AutoMessage.objects.filter(pk=message.pk, live_since=message.live_since).update(caught_up=True)
