"""Which message goes to whom because of which event, and who else is told of it: from HandOver to Delivery and
Notification rows, in one transaction a batch."""

import logging
from datetime import datetime, timedelta
from functools import reduce
from operator import and_

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from eventsapp.health import WORK
from eventsapp.merging import lately_merged
from eventsapp.models import HandOver, Heartbeat, Source, now_in_seconds
from eventsapp.wakeups import wake
from messaging import notifying, rules
from messaging.audience import audience_of
from messaging.frequency import allows, counted, is_limited, lock_recipients
from messaging.models import AutoMessage, Delivery, told_of
from messaging.schedule import Hours
from segments.days import Clock
from segments.definition import parse_where

logger = logging.getLogger(__name__)

BATCH = 500
AT_ONCE = 100  # rules that are asked for by one question
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
    # What was stored for somebody while they were merged is their heir's in a moment.
    waiting = HandOver.objects.filter(parked_at=None, due_at__lte=timezone.now())
    # A set of few, asked for once: joined, each batch cost three times as much.
    waiting = waiting.exclude(contact__in=lately_merged().values("pk"))
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
                    _answer(rule, batch if _matching([rule], batch)[rule.pk] else [])
            except Exception as error:  # noqa: BLE001  it is counted, and parked where staff see it
                failure = error
        try:
            with transaction.atomic():
                notifying.queue(batch)
        except Exception as error:  # noqa: BLE001  as above
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
    """Write the deliveries and notifications of these events and delete the hand-overs. Must run in a transaction."""
    rules = list(_rules(batch))
    matching = _matching(rules, batch)
    for rule in rules:
        _answer(rule, [hand_over for hand_over in batch if hand_over.pk in matching[rule.pk]])
    notifying.queue(batch)
    _done(batch)


def _rules(batch: list[HandOver]):
    """The rules that answer one of these events, in the order of their ids, so that no two workers lock each other
    out."""
    types = {hand_over.type_id for hand_over in batch}
    answering = AutoMessage.objects.answering().filter(trigger__in=types).order_by("pk")
    return answering.select_related("workspace", "audience", "trigger")


def _answer(rule: AutoMessage, matching: list[HandOver]):
    """Write one rule's deliveries because of these events, which are as it asks."""
    if triggering := _new(rule, matching):
        Delivery.objects.bulk_create(_deliveries(rule, triggering), ignore_conflicts=True)
        if not rule.paused_because and _is_running_away(rule):
            rules.pause_itself(rule)
        transaction.on_commit(lambda: wake("messaging.tasks.send_due"))


def _done(batch: list[HandOver]):
    HandOver.objects.filter(pk__in=[hand_over.pk for hand_over in batch]).delete()


def _matching(rules: list[AutoMessage], batch: list[HandOver]) -> dict[int, set[int]]:
    """The events (by id) of this batch that are as each of these rules (by id) asks: of its type, received since it is
    live, the person's nth, with the metadata. One question for all rules that ask for metadata."""
    found, tests = {}, {}
    for rule in rules:
        found[rule.pk] = {
            hand_over.pk
            for hand_over in batch
            if hand_over.type_id == rule.trigger_id
            and hand_over.received_at >= rule.live_since
            and rule.nth in (None, hand_over.occurrence)
        }
        if found[rule.pk] and (conditions := parse_where(rule.where)):
            clock = Clock(now_in_seconds(), rule.workspace.zone)
            tests[f"rule_{rule.pk}"] = reduce(and_, (Q(condition.test(clock)) for condition in conditions))
    asked = HandOver.objects.filter(pk__in=[hand_over.pk for hand_over in batch])
    for names in _some(list(tests), AT_ONCE):
        for row in asked.annotate(**{name: tests[name] for name in names}).values("pk", *names):
            for name in names:
                if not row[name]:
                    found[int(name.removeprefix("rule_"))].discard(row["pk"])
    return found


def _some(names: list[str], number: int):
    return (names[start : start + number] for start in range(0, len(names), number))


def _new(rule: AutoMessage, hand_overs: list[HandOver]) -> list[HandOver]:
    """Those that the rule has not answered yet: an event may be handed over twice."""
    if not hand_overs:
        return []
    ids = [hand_over.public_id for hand_over in hand_overs]
    answered = Delivery.objects.filter(message=rule, event_id__in=ids).values_list("contact_id", "event_id")
    known = set(answered)
    return [hand_over for hand_over in hand_overs if (hand_over.contact_id, hand_over.public_id) not in known]


def _deliveries(rule: AutoMessage, triggering: list[HandOver]) -> list[Delivery]:
    people = {hand_over.contact_id for hand_over in triggering}
    audience = audience_of(rule, people)
    times = {}
    if is_limited(rule):
        likely = people & set(audience)
        lock_recipients(rule, likely)
        times = counted(rule, likely)
    due, version = _due_at(rule), rule.versions.last()
    deliveries = []
    for hand_over in triggering:
        delivery = Delivery(
            message=rule,
            contact_id=hand_over.contact_id,
            event_id=hand_over.public_id,
            event=told_of(hand_over, rule.trigger.name),
            version=version,
            due_at=due,
            is_unverified=_is_unverified(rule, hand_over),
        )
        own = times.get((hand_over.contact_id, delivery.is_unverified), [])
        if reason := _reason_to_skip(rule, hand_over, audience, own, due):
            delivery.state, delivery.reason = Delivery.State.SKIPPED, reason
        else:
            delivery.state, delivery.reason = _how_it_waits(rule, hand_over, due)
            own.append(due)
        deliveries.append(delivery)
    return deliveries


def _is_unverified(rule: AutoMessage, hand_over: HandOver) -> bool:
    """Whether whoever reads the message in a browser may not be the person. Emails and webhooks leave no doubt where
    they go to."""
    return rule.channel == AutoMessage.Channel.IN_APP and hand_over.source == Source.BROWSER


def _due_at(rule: AutoMessage) -> datetime:
    """When what is matched now may go out: after the rule's delay, in its hours."""
    now = timezone.now()
    due = now + timedelta(seconds=rule.delay_seconds)
    return Hours.from_json(rule.hours).opening(due, rule.workspace.zone) if rule.hours else due


def _reason_to_skip(rule: AutoMessage, hand_over: HandOver, audience, times: list[datetime], due: datetime):
    day = hand_over.received_at.astimezone(rule.workspace.zone).date()
    if (rule.starts_on and day < rule.starts_on) or (rule.stops_on and day > rule.stops_on):
        return Delivery.Reason.OUTSIDE_DATES
    # What tells nothing of the person may be shown to whoever claims to be them: not whether they are in an audience,
    # nor what they did before or meanwhile.
    asks = rule.audience_id, rule.conditions, rule.nth, rule.unless
    tells_nothing = rule.channel == AutoMessage.Channel.IN_APP and not any(asks)
    if hand_over.source == Source.BROWSER and not tells_nothing and not rule.allows_browser:
        return Delivery.Reason.UNVERIFIED
    if hand_over.contact_id not in audience:
        return Delivery.Reason.NOT_IN_AUDIENCE
    if not allows(rule, times, due):
        return Delivery.Reason.FREQUENCY
    return None


def _how_it_waits(rule: AutoMessage, hand_over: HandOver, due: datetime) -> tuple[str, str]:
    if rule.paused_because:
        return Delivery.State.HELD, Delivery.Reason.NOT_LIVE
    if hand_over.received_at.timestamp() - hand_over.created_at > TOO_OLD:
        return Delivery.State.HELD, Delivery.Reason.TOO_OLD
    if not rule.delay_seconds and due > timezone.now():
        return Delivery.State.HELD, Delivery.Reason.HOURS
    return Delivery.State.QUEUED, Delivery.Reason.NONE


def _is_running_away(rule: AutoMessage) -> bool:
    """Whether more messages than its guard allows came to be of the rule in an hour."""
    recent = Delivery.objects.filter(message=rule).exclude(state=Delivery.State.SKIPPED).order_by("-pk")
    beyond = recent.values_list("created_at", flat=True)[rule.guard_per_hour : rule.guard_per_hour + 1].first()
    return beyond is not None and beyond > timezone.now() - timedelta(hours=1)
