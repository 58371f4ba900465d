"""Telling subscriptions what happened: from matched events to signed posts, by the rules of Intercom's webhooks.

A notification is a row until its receiver took it: a worker claims it, posts it within 5 seconds, and notes the end if
it still holds the claim. One that dies leaves its lease to run out; the next attempt carries the same id.
"""

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.db import DatabaseError, InterfaceError, models, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from eventsapp.health import WORK
from eventsapp.merging import lately_merged
from eventsapp.models import HandOver, Heartbeat, Occurrence, Role
from eventsapp.sql import dialect
from eventsapp.wakeups import wake
from messaging import alarm, subscriptions
from messaging.channels import outgoing
from messaging.channels.outcomes import RefusedForGood, TryAgainLater
from messaging.claims import End, claim
from messaging.models import Notification, Policy, Subscription, Wish, told_of
from messaging.subscriptions import may_post_at
from messaging.watching import CATCH_UP_AFTER, missed

logger = logging.getLogger(__name__)

SECONDS = 5  # that a receiver has
AT_ONCE = 20  # notifications posted side by side
QUICK = 1  # seconds in which a receiver answers that holds up no other
TURN = 10  # seconds after which a task makes room for others
RETRY_AFTER = timedelta(minutes=1)
MOST_ERRORS = 2  # an attempt and its one repeat
MOST_THROTTLED = 8  # waits after a 429: from one minute, doubled each time, that is up to two hours
KEPT, KEPT_FAILED = timedelta(days=7), timedelta(days=30)
FORGOTTEN_AT_ONCE = 5_000

# What receivers of such webhooks may know theirs by.
USER_AGENT = "intercom-parrot-service-client/1.0"

State, Reason = Notification.State, Notification.Reason


# Queueing ------------------------------------------------------------------------------------------------------------


def queue(batch: list[HandOver]):
    """Write a notification for each subscription that names one of these events. Must run in a transaction."""
    types = {hand_over.type_id for hand_over in batch}
    wishes = list(Wish.objects.active().filter(type__in=types).select_related("subscription", "type").order_by("pk"))
    if wishes:
        _queue(wishes, batch)


def catch_up():
    """Write those of what was received after a subscription began to ask, by a transaction that did not know of it."""
    fresh = Wish.objects.active().filter(caught_up=False, since__lte=timezone.now() - CATCH_UP_AFTER)
    for wish in fresh.select_related("subscription", "type"):
        with transaction.atomic():
            # What was stored for somebody while they were merged is their heir's in a moment.
            _queue([wish], missed(wish.type_id, wish.since).exclude(contact__in=lately_merged().values("pk")))
            Wish.objects.filter(pk=wish.pk, since=wish.since).update(caught_up=True)


def _queue(wishes: list[Wish], events: Iterable[Occurrence]):
    there = set(dialect().hold(Subscription, {wish.subscription_id for wish in wishes}))
    wishes = [wish for wish in wishes if wish.subscription_id in there]
    queued = [
        Notification(
            subscription=wish.subscription,
            topic=Subscription.EVENT_CREATED,
            contact_id=event.contact_id,
            event_id=event.public_id,
            event=told_of(event, wish.type.name),
            due_at=may_post_at(wish.subscription),
        )
        for event in events
        for wish in wishes
        if event.type_id == wish.type_id and event.received_at >= wish.since
    ]
    if queued:
        # An event may come here twice.
        Notification.objects.bulk_create(queued, ignore_conflicts=True)
        transaction.on_commit(lambda: wake("messaging.tasks.post_notifications"))


# Posting -------------------------------------------------------------------------------------------------------------


def post_due() -> int:
    """Post what is due, for some seconds; return how many were taken on."""
    began, taken, slow = time.monotonic(), 0, set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="post") as lines:
        while time.monotonic() - began < TURN and (claimed := take(AT_ONCE, without=slow)):
            slow |= _post_all(claimed, lines)
            taken += len(claimed)
            Heartbeat.beat(WORK)
    if slow or time.monotonic() - began >= TURN:
        # What is left goes on with a later task: other work gets its turn.
        wake("messaging.tasks.post_notifications")
    return taken


def take(number: int, *, without: Iterable[int] = ()) -> list[Notification]:
    """Take up to `number` due notifications for the caller, the oldest first, and none that another worker has.
    `without` are ids of subscriptions."""
    due = Notification.objects.due().order_by("due_at", "pk")
    found, token = claim(due.exclude(subscription__in=without) if without else due, number)
    taken = Notification.objects.filter(pk__in=found, claim=token)
    return list(taken.select_related("subscription__workspace", "contact__workspace").order_by("pk")) if found else []


def _post_all(claimed: list[Notification], lines: ThreadPoolExecutor) -> set[int]:
    """Post what was claimed together, side by side; note each end as it comes. Return the subscriptions (by id) whose
    receivers were slow or silent: the rest of theirs makes way for others."""
    workspaces = {notification.subscription.workspace for notification in claimed}
    secrets = {workspace.pk: Policy.of(workspace).webhook_secret for workspace in workspaces}
    began, now, slow, stopped, posted = time.monotonic(), timezone.now(), set(), [], {}
    for notification in claimed:
        subscription = notification.subscription
        if not subscription.active:
            _note(notification, _failed(Reason.STOPPED))
            continue
        secret = subscription.hub_secret or secrets[subscription.workspace_id]
        posted[lines.submit(_post, subscription.url, _write(notification, now), secret)] = notification
    waiting = set(posted)
    while waiting:
        answered, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        answers = {posted[one]: one for one in answered}
        if time.monotonic() - began > QUICK:
            slow |= {notification.subscription_id for notification in answers}
        stopped += _note_answers(answers, now)
    for subscription in stopped:
        words = f"The webhook to {subscription} has stopped"
        alarm.tell_staff(subscription, words, subscription.stopped_because, roles=(Role.ADMIN,))
    return slow


def _write(notification: Notification, now: datetime) -> bytes:
    """Return what is posted; it is the next attempt from then on."""
    notification.attempts += 1
    notification.first_sent_at = notification.first_sent_at or now
    body = {
        "type": "notification_event",
        "app_id": notification.subscription.workspace.app_id,
        "id": notification.public_id,
        "topic": notification.topic,
        "created_at": int(notification.created_at.timestamp()),
        "delivery_attempts": notification.attempts,
        "first_sent_at": int(notification.first_sent_at.timestamp()),
        "data": {"type": "notification_event_data", "item": item_of(notification)},
    }
    return json.dumps(body).encode()


def item_of(notification: Notification) -> dict:
    """What a notification tells of: the event as `GET /events` shows it, of whoever its person is by now."""
    if notification.contact is None:
        return {"type": "ping", "message": f"A greeting from {notification.subscription.workspace}."}
    contact = notification.contact
    whose = {"user_id": contact.external_id, "intercom_user_id": contact.public_id, "email": contact.email}
    return {"type": "event"} | notification.event | whose


def _post(url: str, body: bytes, secret: str) -> outgoing.Answer:
    """In a thread of its own, so without the database."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "X-Hub-Signature": signature(secret, body),
        "Connection": "close",
    }
    return outgoing.post(url, body, headers, seconds=SECONDS)


def signature(secret: str, body: bytes) -> str:
    """By which the receiver knows that we posted this body."""
    return "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


# What came of it -----------------------------------------------------------------------------------------------------


def _note_answers(answers: dict[Notification, Future], now: datetime) -> list[Subscription]:
    """Note what attempts begun at `now` came to, and hold it against their subscriptions or for them; return those that
    stopped because of it."""
    taken = [notification for notification, answered in answers.items() if _is_taken(answered)]
    stopped = []
    if taken:
        with _or_posted_again(taken):
            _note_taken(taken, now)
    for notification in answers.keys() - set(taken):
        with _or_posted_again([notification]):
            stopped += _note_refusal(notification, answers[notification])
    return stopped


@contextmanager
def _or_posted_again(notifications: list[Notification]):
    """When the database does not take a note, leases run out, and these are posted again under the same ids."""
    try:
        yield
    except (DatabaseError, InterfaceError):
        logger.exception("What became of the notifications %s could not be noted.", [one.pk for one in notifications])


def _is_taken(answered: Future) -> bool:
    return answered.exception() is None and 200 <= answered.result().status < 300


def _note_taken(notifications: list[Notification], now: datetime):
    """Note all of a claim together: each of them alone would cost a commit."""
    _ours(*notifications).update(
        claim=None,
        state=State.SENT,
        reason=Reason.NONE,
        detail="",
        ended_at=timezone.now(),
        attempts=models.F("attempts") + 1,
        first_sent_at=Coalesce("first_sent_at", models.Value(now)),
    )
    for subscription in {notification.subscription_id for notification in notifications}:
        subscriptions.went_well(subscription)


def _note_refusal(notification: Notification, answered: Future) -> list[Subscription]:
    try:
        answer = answered.result()
    except TryAgainLater as error:
        return _note_error(notification, Reason.NO_ANSWER, str(error))
    except RefusedForGood as error:
        return _note_error(notification, Reason.NOT_ALLOWED, str(error))
    except Exception as error:  # noqa: BLE001  a fault of ours must not send it round and round, nor hold up the others
        logger.exception("Notification %s could not be posted.", notification.pk)
        _note(notification, _failed(Reason.BROKEN, f"{type(error).__name__}: {error}"))
        return []
    reasons = {410: Reason.GONE, 429: Reason.THROTTLED}
    return _note_error(notification, reasons.get(answer.status, Reason.REFUSED), str(answer), answer.retry_after)


def _failed(reason: str, detail: str = "") -> End:
    return End(State.FAILED, reason, detail)


def _note_error(notification: Notification, reason: str, detail: str, retry_after: str = "") -> list[Subscription]:
    with transaction.atomic():
        locked = Subscription.objects.select_for_update(no_key=True, of=("self",)).select_related("workspace")
        subscription = locked.filter(pk=notification.subscription_id).first()
        if subscription is None or not _ours(notification).exists():
            return []
        was_active, due_at = subscription.active, None
        # Of several that met the same end at once the first stops it, and nothing more is held against it.
        if was_active and reason == Reason.GONE:
            subscriptions.stop(subscription, subscriptions.GONE)
        elif was_active and reason == Reason.THROTTLED:
            notification.throttled += 1
            due_at = subscriptions.was_throttled(subscription, wait_in(retry_after))
        elif was_active:
            notification.errors += 1
            subscriptions.went_wrong(subscription)
            due_at = max(timezone.now() + RETRY_AFTER, may_post_at(subscription))
        # A stopped subscription is told nothing more, and an address to which nothing may be posted stays one.
        ends = reason == Reason.NOT_ALLOWED or not subscription.active
        ends = ends or notification.errors >= MOST_ERRORS or notification.throttled > MOST_THROTTLED
        _note(notification, _failed(reason, detail) if ends else End(State.QUEUED, Reason.NONE, detail, due_at))
    return [subscription] if was_active and not subscription.active else []


def _ours(*notifications: Notification) -> models.QuerySet:
    """Those of one claim that are still ours."""
    keys = [notification.pk for notification in notifications]
    return Notification.objects.filter(pk__in=keys, claim=notifications[0].claim, state=State.SENDING)


def _note(notification: Notification, end: End):
    """Note an end, or what it waits for, if it is still ours."""
    has_ended = end.state != State.QUEUED
    noted = {name: getattr(notification, name) for name in ("attempts", "errors", "throttled", "first_sent_at")}
    noted |= {"due_at": end.due_at} if end.due_at else {}
    _ours(notification).update(
        claim=None,
        state=end.state,
        reason=end.reason,
        detail=end.detail,
        ended_at=timezone.now() if has_ended else None,
        **noted,
    )


def wait_in(retry_after: str) -> timedelta | None:
    """How long a Retry-After says to wait, in seconds or until a time; None if it says nothing."""
    if retry_after.isascii() and retry_after.isdecimal():
        return timedelta(seconds=min(max(int(retry_after[:9]), 1), 10**6))
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(until - datetime.now(UTC), timedelta(seconds=1))


# Forgetting ----------------------------------------------------------------------------------------------------------


def forget_ended() -> int:
    """Delete what was taken a week ago, or given up a month ago; return how many."""
    now, forgotten = timezone.now(), 0
    for state, age in ((State.SENT, KEPT), (State.FAILED, KEPT_FAILED)):
        found = FORGOTTEN_AT_ONCE
        while found == FORGOTTEN_AT_ONCE:
            old = Notification.objects.filter(state=state, ended_at__lt=now - age).order_by("ended_at")
            found = Notification.objects.filter(
                pk__in=list(old.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
            ).delete()[0]
            forgotten += found
    return forgotten
