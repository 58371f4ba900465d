"""How large segments are over time: a point a day and one at each save, counted by the worker."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from eventsapp.days import start_of
from eventsapp.models import Workspace
from eventsapp.wakeups import wake
from segments.definition import Invalid, parse
from segments.engine import TooSlow, answer, one_moment
from segments.models import Segment, SegmentSize

SECONDS = 300  # that one may take here, where nobody waits for it
LOST = timedelta(seconds=2 * SECONDS)  # after which who began to count one must have died
DAYS, FEWEST = 90, 30  # of a plot


def measure_soon():
    """Have the worker count what was just saved, once that is committed."""
    transaction.on_commit(lambda: wake("segments.tasks.measure_sizes"))


def measure_due() -> int:
    """Count each active segment that was saved since it was counted, or not counted yet on this day of its workspace's
    time zone; return how many that were."""
    measured = 0
    for workspace in Workspace.objects.filter(segments__archived_at=None).distinct():
        for segment in _due(workspace):
            measured += _measure(segment)
    return measured


def _due(workspace: Workspace):
    now = timezone.now()
    today = now.astimezone(workspace.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    never = Q(measured_at=None)
    old = Q(measured_at__lt=today) | Q(measured_at__lt=F("updated_at"))
    lost = Q(measured_at__lt=now - LOST) & (Q(counted=None) | Q(counted__lt=F("measured_at")))
    return workspace.segments.active().annotate(counted=Max("sizes__at")).filter(never | old | lost).order_by("pk")


def _measure(segment: Segment) -> bool:
    """Count one, unless another worker has begun to."""
    mine = Segment.objects.filter(pk=segment.pk, measured_at=segment.measured_at)
    if not mine.update(measured_at=timezone.now()):
        return False
    size = SegmentSize(segment=segment)
    try:
        with one_moment(SECONDS) as now:
            found = answer(parse(segment.workspace, segment.definition), now)
    except (Invalid, TooSlow) as error:
        size.problem = str(error)
    else:
        size.count, size.everyone = found.count, found.everyone
    size.at = timezone.now()
    size.save()
    return True


@dataclass(frozen=True)
class Point:
    """The last size of a segment on one day, None where it was not counted; `height` in percent of the highest."""

    day: date
    size: SegmentSize | None
    height: float

    @property
    def top(self) -> float:
        return round(100 - self.height, 2)


def daily_sizes(segment: Segment) -> list[Point]:
    """Return one point for each of the last 30 to 90 days, the earliest first; none if it was not counted in these."""
    return recent_sizes([segment], segment.workspace.zone, days=DAYS).get(segment.pk, [])


def recent_sizes(segments: list[Segment], zone: ZoneInfo, *, days: int = FEWEST) -> dict[int, list[Point]]:
    """Return the same of several segments of one workspace, by their ids; who was never counted is left out."""
    today = timezone.now().astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    since = datetime.fromtimestamp(start_of(first, zone), UTC)
    counted: dict[int, dict[date, SegmentSize]] = {}
    # Of one day the last point counts.
    for size in SegmentSize.objects.filter(segment__in=segments, at__gte=since, problem="").order_by("at", "pk"):
        counted.setdefault(size.segment_id, {})[size.at.astimezone(zone).date()] = size
    return {pk: _points(by_day, today) for pk, by_day in counted.items()}


def _points(by_day: dict[date, SegmentSize], today: date) -> list[Point]:
    # A plot of two days would be two blocks.
    begin = min(*by_day, today - timedelta(days=FEWEST - 1))
    highest = max(size.count for size in by_day.values()) or 1
    days = [begin + timedelta(days=place) for place in range((today - begin).days + 1)]
    sizes = [(day, by_day.get(day)) for day in days]
    return [Point(day, size, round(100 * size.count / highest, 2) if size else 0) for day, size in sizes]
