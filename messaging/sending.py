"""Sending what is queued: claim, check once more, send, note the end.

A claim is an UPDATE with a token, and a lease: a worker that dies leaves it to run out. A repeat after that carries the
same Message-ID.
"""

import logging
import random
import signal
import threading
import time
from collections.abc import Collection
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from eventsapp.health import WORK
from eventsapp.models import Contact, Heartbeat
from eventsapp.wakeups import wake
from messaging import text
from messaging.audience import is_in_audience
from messaging.channels import CHANNELS
from messaging.channels.outcomes import RefusedForGood, TryAgainLater
from messaging.claims import End, claim, give_back
from messaging.frequency import allows, counted, is_limited, lock_recipients
from messaging.models import AutoMessage, Delivery, Policy, RuleVersion
from messaging.pace import may_go
from messaging.schedule import Hours
from messaging.unless import did_meanwhile
from segments.engine import TooSlow

logger = logging.getLogger(__name__)

PATIENCE = 30  # seconds that one message may take in all, well within its lease
AT_ONCE = 20  # deliveries looked up together
TURN = 20  # seconds after which a task makes room for others
QUICK = 1  # seconds after which a message has taken long, and the rest of its lane makes way for others
ENOUGH = 25  # seconds after which what was claimed together is given back: a message and these are within the lease
PAUSE_OF_PACE = 0.2  # seconds after which a channel that was used as fast as it may be is looked at again
GIVE_UP = timedelta(hours=24)
STALE = timedelta(minutes=1)  # of waiting after which what was decided at the matching is decided anew

State, Reason = Delivery.State, Delivery.Reason


def send_due() -> int:
    """Send what is due, for some seconds; return how many were taken on."""
    began, taken, full, slow = time.monotonic(), 0, set(), set()
    while time.monotonic() - began < TURN and (claimed := _next(full, slow)):
        if len(claimed) == AT_ONCE:
            # More than one task's work: another worker may join.
            wake("messaging.tasks.send_due")
        taken += _deliver_all(claimed, full, slow)
        Heartbeat.beat(WORK)
    if full:
        # As fast as it may be: what is left goes on with a later task.
        time.sleep(PAUSE_OF_PACE)
    if full or time.monotonic() - began >= TURN:
        wake("messaging.tasks.send_due")
    return taken


def _next(full: set[str], slow: set[str | int]) -> list[Delivery]:
    """Take what is next: of slow lanes one at a time, when nothing else is due."""
    return take(AT_ONCE, without=full | slow) or (take(1, without=full) if slow else [])


def _lane(delivery: Delivery) -> str | int:
    """What goes to the same far end: a channel, but of webhooks a rule (by id)."""
    rule = delivery.message
    return rule.pk if rule.channel == AutoMessage.Channel.WEBHOOK else rule.channel


def _deliver_all(claimed: list[Delivery], full: set[str], slow: set[str | int]) -> int:
    """Send what was claimed together; give back whatever its lease, the pace of its channel, or a slow lane leaves no
    time for. Channels that are used as fast as they may be are added to `full`, lanes that take long to `slow`."""
    began, given_back, policies = time.monotonic(), [], {}
    for delivery in claimed:
        channel, lane, workspace = delivery.message.channel, _lane(delivery), delivery.message.workspace
        started = time.monotonic()
        if channel in full or started - began > ENOUGH or (lane in slow and len(claimed) > 1):
            given_back.append(delivery)
        elif not may_go(channel):
            full.add(channel)
            given_back.append(delivery)
        else:
            if workspace.pk not in policies:
                policies[workspace.pk] = Policy.of(workspace)
            deliver(delivery, policies[workspace.pk])
            if time.monotonic() - started > QUICK:
                slow.add(lane)
    if given_back:
        ours = Delivery.objects.filter(claim=claimed[0].claim, state=State.SENDING)
        give_back(ours, {delivery.pk: delivery.was_due_at for delivery in given_back})
    return len(claimed) - len(given_back)


def take(number: int, *, only: int | None = None, without: Collection[str | int] = ()) -> list[Delivery]:
    """Take up to `number` due deliveries for the caller, the oldest first, and none that another worker has. `only`
    is the id of one, `without` are lanes. Each has `was_due_at`, its due_at before it was taken."""
    channels = [lane for lane in without if isinstance(lane, str)]
    rules = [lane for lane in without if isinstance(lane, int)]
    due = Delivery.objects.due().order_by("due_at", "pk")
    due = due.filter(pk=only) if only else due
    due = due.exclude(message__channel__in=channels) if channels else due
    due = due.exclude(message__in=rules) if rules else due
    found, token = claim(due, number, is_let_through=False)
    if not found:
        return []
    related = ("message__workspace", "message__audience", "message__sender", "contact__workspace", "version")
    newest = RuleVersion.objects.filter(message=OuterRef("message")).order_by("-number").values("pk")[:1]
    taken = (
        Delivery.objects.filter(pk__in=found, claim=token).select_related(*related).annotate(newest=Subquery(newest))
    )
    taken = list(taken.order_by("pk"))
    for delivery in taken:
        delivery.was_due_at = found[delivery.pk]
    return taken


def deliver(delivery: Delivery, policy: Policy):
    """Send what is claimed, and note the end if it is still ours."""
    end = _tried(delivery, policy)
    delivery.state, delivery.reason, delivery.detail = end.state, end.reason, end.detail
    delivery.due_at = end.due_at or delivery.due_at
    if end.state == State.SENT:
        delivery.sent_at = timezone.now()
    noted = ("state", "reason", "detail", "attempts", "sent_at", "due_at", "subject", "body", "version_id")
    ours = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim, state=State.SENDING)
    ours.update(claim=None, **{field: getattr(delivery, field) for field in noted})


def _reason_not_to(delivery: Delivery, policy: Policy) -> End | None:
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
    if _has_had_enough(delivery, policy):
        return End(State.SKIPPED, Reason.CAP)
    return None


def _has_had_enough(delivery: Delivery, policy: Policy) -> bool:
    """Whether the person got as many messages lately as the workspace sends anybody. Decided under a lock on them, by
    which of two that are about to be sent the later one sees the earlier."""
    rule = delivery.message
    # What was sent to one person alone counts no more than it is counted.
    if not rule.trigger_id or rule.is_transactional or delivery.is_unverified or policy.most is None:
        return False
    since = timezone.now() - timedelta(days=policy.most_days)
    with transaction.atomic():
        Contact.objects.select_for_update(no_key=True).get(pk=delivery.contact_id)
        others = Delivery.objects.filter(
            contact=delivery.contact_id,
            message__is_transactional=False,
            message__trigger__isnull=False,
            is_unverified=False,
        )
        # One that is being sent counts once it has passed this point.
        passed = Q(state=State.SENT, sent_at__gte=since) | Q(state=State.SENDING, is_let_through=True)
        if others.filter(passed).exclude(pk=delivery.pk).count() >= policy.most:
            return True
        Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim).update(is_let_through=True)
    return False


def _tried(delivery: Delivery, policy: Policy) -> End:
    try:
        if end := _reason_not_to(delivery, policy):
            return end
        _attempt(delivery)
    except text.TextError as error:
        return End(State.FAILED, Reason.TEMPLATE_ERROR, str(error))
    except RefusedForGood as error:
        return End(State.FAILED, Reason.REFUSED, str(error))
    except (TryAgainLater, TooSlow) as error:
        if timezone.now() - delivery.queued_at > GIVE_UP:
            return End(State.FAILED, Reason.GAVE_UP, str(error))
        return End(State.QUEUED, Reason.NONE, str(error), due_at=timezone.now() + _pause(delivery.attempts))
    except (DatabaseError, InterfaceError):
        # Nothing can be noted either. The lease runs out, and then it is tried again.
        raise
    except Exception as error:  # noqa: BLE001  a fault of ours must not send it round and round, nor hold up the others
        logger.exception("Delivery %s could not be sent.", delivery.pk)
        return End(State.FAILED, Reason.BROKEN, f"{type(error).__name__}: {error}")
    return End(State.SENT)


def _attempt(delivery: Delivery):
    channel = CHANNELS[delivery.message.channel]
    delivery.attempts += 1
    channel.write(delivery)
    delivery.version_id = delivery.newest
    with _time_limit(PATIENCE):
        channel.send(delivery)


def _pause(attempts: int) -> timedelta:
    """Half a minute, then twice as long each time up to an hour, with some chance so that a crowd does not return
    together."""
    return timedelta(seconds=min(30 * 2 ** max(attempts - 1, 0), 3600) * random.uniform(0.8, 1.2))


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
        others = counted(rule, {delivery.contact_id}, without=delivery.pk)[delivery.contact_id, delivery.is_unverified]
        if not allows(rule, others, timezone.now()):
            return False
        released = Delivery.objects.releasable().filter(pk=delivery.pk).update(**_queued_anew())
        transaction.on_commit(lambda: wake("messaging.tasks.send_due"))
    return bool(released)


def _queued_anew() -> dict:
    now = timezone.now()
    return {"state": State.QUEUED, "reason": Reason.NONE, "detail": "", "due_at": now, "queued_at": now}


def cancel(delivery: Delivery) -> bool:
    """Cancel a delivery that is not on its way; False if it is, or has ended."""
    waiting = Delivery.objects.filter(pk=delivery.pk).filter(CANCELLABLE)
    return bool(waiting.update(state=State.CANCELLED, reason=Reason.BY_STAFF))


CANCELLABLE = Q(state__in=(State.QUEUED, State.HELD, State.FAILED))


def release_all(rule: AutoMessage, state: str) -> int:
    """Queue all deliveries of a rule that are held, or have failed; return of how many that came to be."""
    waiting = Delivery.objects.releasable().filter(message=rule, state=state).order_by("pk")
    if is_limited(rule):
        waiting = waiting.select_related("message", "contact").iterator(chunk_size=500)
        return sum(release(delivery) for delivery in waiting)
    with transaction.atomic():
        transaction.on_commit(lambda: wake("messaging.tasks.send_due"))
        return waiting.update(**_queued_anew())


def cancel_all(rule: AutoMessage, state: str) -> int:
    """Cancel all deliveries of a rule that are held, or have failed; return how many."""
    waiting = Delivery.objects.filter(CANCELLABLE, message=rule, state=state)
    return waiting.update(state=State.CANCELLED, reason=Reason.BY_STAFF)
