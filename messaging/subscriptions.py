"""The life of a subscription: made, changed, stopped, resumed, deleted; and when it stops or pauses by itself.

The rules are those of Intercom's webhooks. An error is an attempt that was not taken.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import models, transaction
from django.utils import timezone

from eventsapp.errors import NotFound
from eventsapp.ingest import event_type
from eventsapp.models import EventType
from eventsapp.sql import database_now, dialect
from eventsapp.wakeups import wake
from messaging.models import Notification, Subscription, Wish
from messaging.watching import watch_what_is_asked

STRAIGHT_ERRORS, IN = 1000, timedelta(minutes=15)  # beyond which it pauses
PAUSE = timedelta(minutes=15)
PATIENCE = timedelta(days=7)  # of errors and nothing else, after which it is stopped
SHORTEST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=2)  # after a 429

GONE = "Its receiver answered 410 Gone: nothing more is wanted there."
FAILED_FOR_DAYS = f"For {PATIENCE.days} days its receiver took nothing of what was posted there."

State, Reason = Notification.State, Notification.Reason


# What staff and programs do. Each raises NotFound for one that was deleted a moment ago ------------------------------


def keep(subscription: Subscription, *, event_names: Collection[str] | None = None, **fields) -> Subscription:
    """Make a subscription, or change these fields of it; `event_names` replace those it had. A new one is pinged.

    What it asks for anew, or at all when it is active again, it is told of from now on.
    """
    is_new = subscription.pk is None
    with transaction.atomic():
        if not is_new:
            subscription = _locked(subscription.pk)
        was_active = not is_new and subscription.active
        was_url = subscription.url
        for name, value in fields.items():
            setattr(subscription, name, value)
        if subscription.active and (not was_active or subscription.url != was_url):
            _forget_the_past(subscription)
        subscription.save()
        if event_names is not None:
            _name(subscription, event_names)
        if subscription.active and not was_active:
            _ask_from_now_on(subscription.wishes.all())
        elif was_active and not subscription.active:
            _drop_what_waits(subscription)
        if is_new and subscription.active:
            ping(subscription)
    return subscription


def stop(subscription: Subscription, because: str = ""):
    """Tell it nothing more; what waits for it has failed, and can be replayed once it is resumed. `because` if it stops
    by itself. Must run in a transaction that has locked it."""
    subscription.active, subscription.stopped_because = False, because
    subscription.save()
    _drop_what_waits(subscription)


def resume(subscription: Subscription):
    """Tell it of what happens from now on, or go on at once if it has only paused."""
    with transaction.atomic():
        subscription = _locked(subscription.pk)
        was_active = subscription.active
        subscription.active = True
        _forget_the_past(subscription)
        subscription.save()
        if was_active:
            subscription.notifications.filter(state=State.QUEUED).update(due_at=timezone.now())
        else:
            _ask_from_now_on(subscription.wishes.all())
        _wake_soon()


def delete(subscription: Subscription):
    """Forget it and all that was told to it."""
    with transaction.atomic():
        # Whoever queues something for it holds it: they are before this, or too late.
        subscription = _locked(subscription.pk, no_key=False)
        types = list(subscription.wishes.values_list("type", flat=True))
        subscription.delete()
        _watch(types)


def ping(subscription: Subscription) -> Notification:
    """Post a greeting there, to see whether it arrives."""
    with transaction.atomic():
        if not dialect().hold(Subscription, [subscription.pk]):
            raise gone()
        _wake_soon()
        return Notification.objects.create(
            subscription=subscription, topic=Subscription.PING, due_at=may_post_at(subscription)
        )


def replay(failed) -> int:
    """Queue failed notifications (a queryset) again, those of active subscriptions; return how many."""
    active = Subscription.objects.filter(active=True)
    anew = {"state": State.QUEUED, "reason": Reason.NONE, "detail": "", "errors": 0, "throttled": 0, "ended_at": None}
    with transaction.atomic():
        _wake_soon()
        return failed.failed().filter(subscription__in=active).update(due_at=timezone.now(), **anew)


def may_post_at(subscription: Subscription) -> datetime:
    """Now, or when its pause is over."""
    return subscription.paused_until if subscription.is_paused else timezone.now()


def _wake_soon():
    transaction.on_commit(lambda: wake("messaging.tasks.post_notifications"))


def gone() -> NotFound:
    """As when nobody ever knew it."""
    return NotFound("Resource Not Found", "id")


def _locked(pk: int, *, no_key: bool = True) -> Subscription:
    subscription = Subscription.objects.select_for_update(no_key=no_key).filter(pk=pk).first()
    if subscription is None:
        raise gone()
    return subscription


def _forget_the_past(subscription: Subscription):
    subscription.stopped_because = ""
    subscription.failing_since = subscription.counted_since = subscription.paused_until = None
    subscription.straight_errors = subscription.throttles = 0


def _drop_what_waits(subscription: Subscription):
    waiting = subscription.notifications.filter(state=State.QUEUED)
    waiting.update(state=State.FAILED, reason=Reason.STOPPED, ended_at=timezone.now())
    _watch(subscription.wishes.values_list("type", flat=True))


# What it asks for ----------------------------------------------------------------------------------------------------


def _name(subscription: Subscription, event_names: Collection[str]):
    named = {event_type(subscription.workspace, name).pk for name in event_names}
    before = set(subscription.wishes.values_list("type", flat=True))
    subscription.wishes.exclude(type__in=named).delete()
    new = [Wish(subscription=subscription, type_id=pk, since=database_now()) for pk in sorted(named - before)]
    Wish.objects.bulk_create(new)
    if subscription.active:
        _ask_from_now_on(subscription.wishes.filter(type__in=named - before))
        _watch(before - named)


def _ask_from_now_on(wishes: models.QuerySet[Wish]):
    EventType.objects.filter(pk__in=wishes.values("type")).update(watched=True)
    wishes.update(since=database_now(), caught_up=False)


def _watch(types: Collection[int]):
    for type_id in sorted(types):
        watch_what_is_asked(type_id)


# How its receiver does -----------------------------------------------------------------------------------------------


def went_well(pk: int):
    """Something was taken: whatever was held against it is forgotten, unless another answer has just paused it."""
    failing = Subscription.objects.filter(pk=pk).exclude(failing_since=None).exclude(paused_until__gt=timezone.now())
    failing.update(failing_since=None, counted_since=None, straight_errors=0, throttles=0, paused_until=None)


def went_wrong(subscription: Subscription):
    """Count an error: more than a thousand within fifteen minutes pause it, seven days of nothing else stop it. Must
    run in a transaction that has locked it."""
    now = timezone.now()
    if subscription.counted_since is None or now - subscription.counted_since > IN:
        subscription.counted_since, subscription.straight_errors = now, 0
    subscription.straight_errors += 1
    if subscription.straight_errors > STRAIGHT_ERRORS:
        subscription.counted_since, subscription.straight_errors = None, 0
        _pause(subscription, now + PAUSE)
    _note_failing(subscription, now)


def was_throttled(subscription: Subscription, retry_after: timedelta | None) -> datetime:
    """It answered 429: return until when nothing is posted there, as long as it says or longer each time. Must run in a
    transaction that has locked it."""
    now = timezone.now()
    if not subscription.is_paused:
        # Of several that met a 429 at once the first decides.
        wait = retry_after or SHORTEST_WAIT * 2 ** min(subscription.throttles, 10)
        subscription.throttles += 1
        _pause(subscription, now + min(wait, LONGEST_WAIT))
    until = subscription.paused_until
    _note_failing(subscription, now)
    return until


def _pause(subscription: Subscription, until: datetime):
    subscription.paused_until = until
    subscription.notifications.filter(state=State.QUEUED, due_at__lt=until).update(due_at=until)


def _note_failing(subscription: Subscription, now: datetime):
    subscription.failing_since = subscription.failing_since or now
    if now - subscription.failing_since >= PATIENCE:
        stop(subscription, FAILED_FOR_DAYS)
    else:
        subscription.save()
