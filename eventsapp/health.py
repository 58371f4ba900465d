"""Is it standing still? What `/healthz` answers, and what the banner on every page says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache
from django.db import connection
from django.db.models import Min
from django.utils import timezone
from django.utils.timesince import timesince

from eventsapp.models import HandOver, Heartbeat

WORKER = "worker"  # beats with each sweep
WORK = "work"  # beats whenever it has done something
STILL = 60  # seconds after which waiting work without progress is a standstill

# Each answers since when the oldest piece of its work waits, or None. Upper apps add theirs.
waiting_since: list[Callable[[], datetime | None]] = []


def oldest_hand_over() -> datetime | None:
    """Since when the oldest event that is due to be matched has been waiting."""
    due = HandOver.objects.filter(parked_at=None, due_at__lte=timezone.now())
    return due.aggregate(oldest=Min("due_at"))["oldest"]


waiting_since.append(oldest_hand_over)


@dataclass(frozen=True)
class Pulse:
    """When the worker was last alive and last got something done, and since when work waits; each may be None."""

    worker: datetime | None
    work: datetime | None
    waiting: datetime | None

    @classmethod
    def feel(cls) -> "Pulse":
        beats = dict(Heartbeat.objects.values_list("name", "at"))
        waits = [since for question in waiting_since if (since := question())]
        alive = max(filter(None, (beats.get(WORKER), beats.get(WORK))), default=None)
        return cls(alive, beats.get(WORK), min(waits, default=None))

    @property
    def standstill(self) -> str | None:
        """A sentence, when work waits and nothing was processed for a minute."""
        if not self.waiting or age(self.waiting) < STILL or (self.work and age(self.work) < STILL):
            return None
        seen = f"was last seen {timesince(self.worker)} ago" if self.worker else "has never been seen"
        return (
            f"Messages are standing still: work has been waiting for {timesince(self.waiting)}, and the worker {seen}. "
            "Nothing is lost; it goes on when the worker runs again."
        )


def age(moment: datetime) -> float:
    """Seconds since then."""
    return (timezone.now() - moment).total_seconds()


def standstill() -> str | None:
    """The sentence of the banner, or None. Asked of the database at most every five seconds per process."""
    return cache.get_or_set("standstill", lambda: Pulse.feel().standstill or "", 5) or None


def report() -> dict:
    """What `/healthz` answers, with the worker's age and that of the oldest waiting event in seconds.

    Raises DatabaseError.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    pulse = Pulse.feel()
    oldest = HandOver.objects.filter(parked_at=None).aggregate(since=Min("received_at"))["since"]
    return {
        "status": "standing still" if pulse.standstill else "ok",
        "database": "ok",
        "worker_heartbeat_age": pulse.worker and round(age(pulse.worker), 1),
        "oldest_waiting_hand_over_age": oldest and round(age(oldest), 1),
    }
