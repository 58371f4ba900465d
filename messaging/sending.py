"""Sending what is queued: claim, check once more, send, note the end.

A claim is an UPDATE that must hit one row, and a lease: a worker that dies leaves it to run out. A repeat after that
carries the same Message-ID.
"""

import logging
import random
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from eventsapp.health import WORK
from eventsapp.models import Contact, Heartbeat
from eventsapp.wakeups import wake
from messaging import text
from messaging.audience import is_in_audience
from messaging.channels import CHANNELS
from messaging.channels.outcomes import RefusedForGood, TryAgainLater
from messaging.frequency import allows, counted, lock_recipients
from messaging.models import AutoMessage, Delivery, Policy
from messaging.pace import may_go
from messaging.schedule import Hours
from messaging.unless import did_meanwhile

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
PATIENCE = 30  # seconds that one message may take in all, well within its lease
AT_ONCE = 20  # deliveries looked up together
TURN = 20  # seconds after which a task makes room for others
PAUSE_OF_PACE = 0.2  # seconds after which a channel that was used as fast as it may be is looked at again
GIVE_UP = timedelta(hours=24)
STALE = timedelta(minutes=1)  # of waiting after which what was decided at the matching is decided anew

State, Reason = Delivery.State, Delivery.Reason


def send_due() -> int:
    """Send what is due, for some seconds; return how many were taken on."""
    began, taken, full = time.monotonic(), 0, set()
    while due := _some_due(full):
        if len(due) == AT_ONCE or time.monotonic() - began > TURN:
            # More than one task's work: another worker may join, or go on when this one stops.
            wake("messaging.tasks.send_due")
        if time.monotonic() - began > TURN:
            break
        # Workers that look at the same moment see the same rows; each begins elsewhere.
        for pk, channel in random.sample(due, len(due)):
            if time.monotonic() - began > TURN:
                break
            if channel in full or not may_go(channel):
                full.add(channel)
            elif claim := take(pk):
                deliver(claim)
                taken += 1
        Heartbeat.beat(WORK)
        if full:
            # As fast as it may be: what is left goes on with a later task.
            time.sleep(PAUSE_OF_PACE)
            wake("messaging.tasks.send_due")
            break
    return taken


def _some_due(full: set[str]) -> list[tuple[int, str]]:
    """Ids and channels of what waited longest, of channels that have room."""
    due = Delivery.objects.due().exclude(message__channel__in=full).order_by("due_at")
    return list(due.values_list("pk", "message__channel")[:AT_ONCE])


def take(pk: int) -> Delivery | None:
    """Take a due delivery for the caller; None if another worker has it."""
    claim = uuid4()
    lease = {"state": State.SENDING, "claim": claim, "due_at": timezone.now() + LEASE, "is_let_through": False}
    if Delivery.objects.due().filter(pk=pk).update(**lease):
        related = ("message__workspace", "message__audience", "message__sender", "contact__workspace", "version")
        return Delivery.objects.select_related(*related).filter(pk=pk, claim=claim).first()
    return None


@dataclass
class End:
    """How an attempt ended, and when a delivery that waits goes on."""

    state: str
    reason: str = Reason.NONE
    detail: str = ""
    due_at: datetime | None = None


def deliver(delivery: Delivery):
    """Send what is claimed, and note the end if it is still ours."""
    end = _reason_not_to(delivery) or _attempt(delivery)
    delivery.state, delivery.reason, delivery.detail = end.state, end.reason, end.detail
    delivery.due_at = end.due_at or delivery.due_at
    if end.state == State.SENT:
        delivery.sent_at = timezone.now()
    noted = ("state", "reason", "detail", "attempts", "sent_at", "due_at", "subject", "body", "version")
    ours = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim, state=State.SENDING)
    ours.update(claim=None, **{field: getattr(delivery, field) for field in noted})


def _reason_not_to(delivery: Delivery) -> End | None:
    """What may have changed since the event was matched."""
    rule, contact = delivery.message, delivery.contact
    now = timezone.now()
    if rule.state == AutoMessage.State.ARCHIVED:
        return End(State.CANCELLED, Reason.ARCHIVED)
    if rule.state != AutoMessage.State.LIVE:
        return End(State.HELD, Reason.NOT_LIVE)
    if contact.role == Contact.Role.VISITOR or contact.archived_at or contact.deleted_at or contact.merged_into_id:
        return End(State.SKIPPED, Reason.GONE)
    if rule.unless and did_meanwhile(rule, delivery):
        return End(State.CANCELLED, Reason.UNLESS)
    if reason := CHANNELS[rule.channel].reason_not_to(delivery):
        return End(State.SKIPPED, reason)
    if now - delivery.created_at > STALE and not is_in_audience(rule, contact):
        return End(State.SKIPPED, Reason.NOT_IN_AUDIENCE)
    if rule.hours and (opening := Hours.from_json(rule.hours).opening(now, rule.workspace.zone)) > now:
        return End(State.HELD, Reason.HOURS, due_at=opening)
    if _has_had_enough(delivery):
        return End(State.SKIPPED, Reason.CAP)
    return None


def _has_had_enough(delivery: Delivery) -> bool:
    """Whether the person got as many messages lately as the workspace sends anybody. Decided under a lock on them, by
    which of two that are about to be sent the later one sees the earlier."""
    rule = delivery.message
    policy = Policy.of(rule.workspace)
    if rule.is_transactional or policy.most is None:
        return False
    since = timezone.now() - timedelta(days=policy.most_days)
    with transaction.atomic():
        Contact.objects.select_for_update(no_key=True).get(pk=delivery.contact_id)
        others = Delivery.objects.filter(contact=delivery.contact_id, message__is_transactional=False)
        # One that is being sent counts once it has passed this point.
        passed = Q(state=State.SENT, sent_at__gte=since) | Q(state=State.SENDING, is_let_through=True)
        if others.filter(passed).exclude(pk=delivery.pk).count() >= policy.most:
            return True
        Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim).update(is_let_through=True)
    return False


def _attempt(delivery: Delivery) -> End:
    channel = CHANNELS[delivery.message.channel]
    delivery.attempts += 1
    try:
        channel.write(delivery)
        delivery.version = delivery.message.versions.last() or delivery.version
        with _time_limit(PATIENCE):
            channel.send(delivery)
    except text.TextError as error:
        return End(State.FAILED, Reason.TEMPLATE_ERROR, str(error))
    except RefusedForGood as error:
        return End(State.FAILED, Reason.REFUSED, str(error))
    except TryAgainLater as error:
        if timezone.now() - delivery.queued_at > GIVE_UP:
            return End(State.FAILED, Reason.GAVE_UP, str(error))
        return End(State.QUEUED, Reason.NONE, str(error), due_at=timezone.now() + _pause(delivery.attempts))
    except Exception as error:  # noqa: BLE001  a fault of ours must not send it round and round, nor hold up the others
        logger.exception("Delivery %s could not be sent.", delivery.pk)
        return End(State.FAILED, Reason.BROKEN, f"{type(error).__name__}: {error}")
    return End(State.SENT)


def _pause(attempts: int) -> timedelta:
    """Half a minute, then twice as long each time up to an hour, with some chance so that a crowd does not return
    together."""
    return timedelta(seconds=min(30 * 2 ** (attempts - 1), 3600) * random.uniform(0.8, 1.2))


@contextmanager
def _time_limit(seconds: int):
    """Stop a server that keeps the line open by drops: time-outs of a socket see only the silence between them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise TimeoutError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# What staff do with what waits for them -------------------------------------------------------------------------------


def release(delivery: Delivery) -> bool:
    """Queue a held or failed delivery (again), under the frequency of its rule; False if that forbids it now."""
    rule = delivery.message
    with transaction.atomic():
        lock_recipients(rule, {delivery.contact_id})
        others = counted(rule, {delivery.contact_id}, without=delivery.pk)[delivery.contact_id]
        if not allows(rule, others, timezone.now()):
            return False
        waiting = Delivery.objects.releasable().filter(pk=delivery.pk)
        now = timezone.now()
        released = waiting.update(state=State.QUEUED, reason=Reason.NONE, detail="", due_at=now, queued_at=now)
        transaction.on_commit(lambda: wake("messaging.tasks.send_due"))
    return bool(released)


def cancel(delivery: Delivery) -> bool:
    """Cancel a delivery that is not on its way; False if it is, or has ended."""
    waiting = Delivery.objects.filter(pk=delivery.pk).filter(CANCELLABLE)
    return bool(waiting.update(state=State.CANCELLED, reason=Reason.BY_STAFF))


CANCELLABLE = Q(state__in=(State.QUEUED, State.HELD, State.FAILED))


def release_all(rule: AutoMessage, state: str) -> int:
    """Queue all deliveries of a rule that are held, or have failed; return of how many that came to be."""
    waiting = Delivery.objects.releasable().filter(message=rule, state=state).order_by("pk")
    return sum(release(delivery) for delivery in waiting.select_related("message", "contact").iterator(chunk_size=500))


def cancel_all(rule: AutoMessage, state: str) -> int:
    """Cancel all deliveries of a rule that are held, or have failed; return how many."""
    waiting = Delivery.objects.filter(CANCELLABLE, message=rule, state=state)
    return waiting.update(state=State.CANCELLED, reason=Reason.BY_STAFF)
