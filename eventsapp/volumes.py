"""How much of something happened, day by day."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, F

from eventsapp.models import Event, EventType

QUARTER = 900  # seconds; every time zone's day begins with one


@dataclass(frozen=True)
class Bar:
    """One day of a plot, `height` in percent of the highest; today's is not over."""

    day: date
    count: int
    height: float
    is_today: bool

    @property
    def top(self) -> float:
        """Where it begins, counted from above."""
        return round(100 - self.height, 2)


def daily(type: EventType, zone: ZoneInfo, days: int, now: datetime) -> list[Bar]:
    """Return the last `days` calendar days of `zone` with the number of events on each, the earliest first."""
    today = now.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    start = int(datetime(first.year, first.month, first.day, tzinfo=zone).timestamp())
    # By quarters of an hour in SQL, whose rows are few however many events there are; days are a matter of the zone.
    recent = Event.objects.filter(type=type, created_at__gte=start).order_by()
    quarters = recent.values_list(F("created_at") / QUARTER).annotate(n=Count("contact"))
    counts = dict.fromkeys((first + timedelta(days=place) for place in range(days)), 0)
    for quarter, count in quarters:
        day = datetime.fromtimestamp(quarter * QUARTER, UTC).astimezone(zone).date()
        if day in counts:
            counts[day] += count
    highest = max(counts.values()) or 1
    return [Bar(day, count, round(100 * count / highest, 2), day == today) for day, count in counts.items()]
