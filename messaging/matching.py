"""Which message goes to whom because of which event: from HandOver to Delivery rows, in one transaction a batch."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from eventsapp.health import WORK
from eventsapp.models import HandOver, Heartbeat, now_in_seconds
from eventsapp.wakeups import wake
from messaging.models import AutoMessage, Delivery, Recipient
from segments.days import Clock
from segments.definition import parse, parse_where
from segments.engine import answer, everyone

logger = logging.getLogger(__name__)

BATCH = 500
TOO_OLD = 24 * 3600  # seconds between happening and being received after which nobody expects a message
MOST_ATTEMPTS = 5


def match_waiting() -> int:
    """Match what is due, batch by batch; return how many events that were."""
    matched, taken = 0, BATCH
    # What comes in meanwhile wakes a worker of its own: to look again at once would match a flood one by one.
    while taken == BATCH:
        taken, done = _match_batch()
        matched += done
        if taken:
            Heartbeat.beat(WORK)
    return matched


def _due():
    waiting = HandOver.objects.filter(parked_at=None, due_at__lte=timezone.now())
    # Another worker's rows are left to it. On SQLite the transaction itself is the lock.
    return waiting.select_for_update(skip_locked=True, of=("self",)).order_by("pk")


def _match_batch() -> tuple[int, int]:
    """Match up to BATCH events; return how many were taken, and how many of these are matched."""
    batch = []
    try:
        with transaction.atomic():
            batch = list(_due()[:BATCH])
            _match(batch)
        return len(batch), len(batch)
    except Exception:  # whatever is wrong with one event must not hold up the others
        if not batch:
            raise
        logger.exception("A batch of %d events could not be matched; trying them one by one.", len(batch))
    return len(batch), sum(_match_alone(hand_over.pk) for hand_over in batch)


def _match_alone(pk: int) -> int:
    """Match one event, rule by rule: one that fails is tried again, and keeps no other from answering."""
    failure = None
    with transaction.atomic():
        batch = list(_due().filter(pk=pk))
        for rule in _rules(batch):
            try:
                with transaction.atomic():
                    _answer(rule, batch)
            except Exception as error:  # noqa: BLE001  it is counted, and parked where staff see it
                failure = error
        if failure is None:
            _done(batch)
        else:
            _note_failure(pk, failure)
    return 0 if failure else 1


def _note_failure(pk: int, error: Exception):
    hand_over = HandOver.objects.filter(pk=pk).first()
    if hand_over is None:
        return
    hand_over.attempts += 1
    hand_over.error = f"{type(error).__name__}: {error}"[:1000]
    hand_over.due_at = timezone.now() + timedelta(seconds=5 * 2**hand_over.attempts)
    if hand_over.attempts >= MOST_ATTEMPTS:
        hand_over.parked_at = timezone.now()
    hand_over.save(update_fields=["attempts", "error", "due_at", "parked_at"])


def _match(batch: list[HandOver]):
    """Write the deliveries of these events and delete the hand-overs. Must run in a transaction."""
    for rule in _rules(batch):
        _answer(rule, batch)
    _done(batch)


def _rules(batch: list[HandOver]):
    """The live rules that wait for one of these events, in the order of their ids, so that no two workers lock each
    other out."""
    types = {hand_over.type_id for hand_over in batch}
    rules = AutoMessage.objects.live().filter(trigger__in=types).order_by("pk")
    return rules.select_related("workspace", "audience", "trigger")


def _answer(rule: AutoMessage, batch: list[HandOver]):
    """Write one rule's deliveries because of these events."""
    own = [hand_over for hand_over in batch if hand_over.type_id == rule.trigger_id]
    if triggering := _new(rule, _triggering(rule, own)):
        Delivery.objects.bulk_create(_deliveries(rule, triggering), ignore_conflicts=True)
        transaction.on_commit(lambda: wake("messaging.tasks.send_due"))


def _done(batch: list[HandOver]):
    HandOver.objects.filter(pk__in=[hand_over.pk for hand_over in batch]).delete()


def _triggering(rule: AutoMessage, hand_overs: list[HandOver]) -> list[HandOver]:
    """Those received since the rule is live whose metadata are as it asks, in the order they came in."""
    received = [hand_over for hand_over in hand_overs if hand_over.received_at >= rule.live_since]
    conditions = parse_where(rule.where)
    if not conditions or not received:
        return received
    clock = Clock(now_in_seconds(), rule.workspace.zone)
    asked = HandOver.objects.filter(pk__in=[hand_over.pk for hand_over in received])
    for condition in conditions:
        asked = asked.filter(condition.test(clock))
    matching = set(asked.values_list("pk", flat=True))
    return [hand_over for hand_over in received if hand_over.pk in matching]


def _new(rule: AutoMessage, hand_overs: list[HandOver]) -> list[HandOver]:
    """Those that the rule has not answered yet: an event may be handed over twice."""
    ids = [hand_over.public_id for hand_over in hand_overs]
    answered = Delivery.objects.filter(message=rule, event_id__in=ids).values_list("contact_id", "event_id")
    known = set(answered)
    return [hand_over for hand_over in hand_overs if (hand_over.contact_id, hand_over.public_id) not in known]


def _deliveries(rule: AutoMessage, triggering: list[HandOver]) -> list[Delivery]:
    people = {hand_over.contact_id for hand_over in triggering}
    audience = _audience(rule, people)
    once = rule.frequency == AutoMessage.Frequency.ONCE
    had_it = _had_it(rule, people & set(audience)) if once else set()
    deliveries = []
    for hand_over in triggering:
        delivery = Delivery(
            message=rule,
            contact_id=hand_over.contact_id,
            event_id=hand_over.public_id,
            event={
                "id": str(hand_over.public_id),
                "event_name": rule.trigger.name,
                "created_at": hand_over.created_at,
                "metadata": hand_over.metadata,
            },
        )
        if hand_over.contact_id not in audience:
            delivery.state, delivery.reason = Delivery.State.SKIPPED, Delivery.Reason.NOT_IN_AUDIENCE
        elif hand_over.received_at.timestamp() - hand_over.created_at > TOO_OLD:
            delivery.state, delivery.reason = Delivery.State.HELD, Delivery.Reason.TOO_OLD
        elif hand_over.contact_id in had_it:
            delivery.state, delivery.reason = Delivery.State.SKIPPED, Delivery.Reason.FREQUENCY
        elif once:
            had_it.add(hand_over.contact_id)
        deliveries.append(delivery)
    return deliveries


def _audience(rule: AutoMessage, people: set[int]):
    """Those of `people` who belong to the rule's audience now, the triggering events counted."""
    if rule.audience is None:
        return everyone(rule.workspace, people)
    return answer(parse(rule.workspace, rule.audience.definition), now_in_seconds(), among=people).ids


def _had_it(rule: AutoMessage, people: set[int]) -> set[int]:
    """Lock these people for this rule; return those who already have its message, or will."""
    lock_recipients(rule, people)
    counting = Delivery.objects.counting().filter(message=rule, contact__in=people)
    return set(counting.values_list("contact_id", flat=True))


def lock_recipients(rule: AutoMessage, people: set[int]):
    """Take the lock under which it is decided whether these people get the rule's message. Held until commit."""
    rows = [Recipient(message=rule, contact_id=contact) for contact in sorted(people)]
    Recipient.objects.bulk_create(rows, ignore_conflicts=True)
    list(Recipient.objects.filter(message=rule, contact__in=people).order_by("contact_id").select_for_update())
