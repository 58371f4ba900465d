"""How much of something happened, day by day.

The worker adds up what came in, once a minute; whatever is newer is counted when it is asked for. So ingest writes no
row that all writers would share, and a plot is exact without reading all events.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Case, Count, IntegerField, QuerySet, Value, When
from django.utils import timezone

from eventsapp.days import start_of
from eventsapp.models import EPOCH, Event, EventSummary, EventType, Volume, Workspace
from eventsapp.sql import database_now, dialect

RECENT = 30  # days
# Longer than any transaction that stores events: whatever was received before then is there to be counted.
SETTLED = timedelta(minutes=5)

ADD = f"""
    INSERT INTO eventsapp_volume (type_id, quarter, count)
    SELECT event.type_id, event.created_at / {Volume.SECONDS}, count(*)
    FROM eventsapp_eventtype AS type
    JOIN eventsapp_event AS event ON event.type_id = type.id
        AND event.received_at > type.counted_until AND event.received_at <= %(until)s
    GROUP BY 1, 2
    ON CONFLICT (type_id, quarter) DO UPDATE SET count = eventsapp_volume.count + excluded.count
"""
NOTE = """
    UPDATE eventsapp_eventtype SET counted_until = %(until)s WHERE EXISTS (
        SELECT 1 FROM eventsapp_event AS event WHERE event.type_id = eventsapp_eventtype.id
        AND event.received_at > eventsapp_eventtype.counted_until AND event.received_at <= %(until)s
    )
"""
TAKE_OUT = f"""
    UPDATE eventsapp_volume SET count = eventsapp_volume.count - gone.count FROM (
        SELECT event.type_id, event.created_at / {Volume.SECONDS} AS quarter, count(*) AS count
        FROM eventsapp_event AS event JOIN eventsapp_eventtype AS type ON type.id = event.type_id
        WHERE event.contact_id IN %s AND event.received_at <= type.counted_until GROUP BY 1, 2
    ) AS gone WHERE eventsapp_volume.type_id = gone.type_id AND eventsapp_volume.quarter = gone.quarter
"""


def roll_up(until: datetime | None = None):
    """Count what was received since the last time, up to `until` (some minutes ago), into the Volumes."""
    until = connection.ops.adapt_datetimefield_value(until or database_now() - SETTLED)
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(EventType.objects.all())
        cursor.execute(ADD, {"until": until})
        cursor.execute(NOTE, {"until": until})


def forget(type: EventType):
    """Begin again: the next `roll_up` counts all that is there of this type. For when its events were deleted."""
    with transaction.atomic():
        _lock(EventType.objects.filter(pk=type.pk))
        Volume.objects.filter(type=type).delete()
        EventType.objects.filter(pk=type.pk).update(counted_until=EPOCH)


def take_out(people: list[int]):
    """Count the events of these people (by id) no longer. Must run in the transaction that deletes them."""
    done = EventSummary.objects.filter(contact__in=people).values("type")
    _lock(EventType.objects.filter(pk__in=done))
    with connection.cursor() as cursor:
        cursor.execute(TAKE_OUT % f"({', '.join(['%s'] * len(people))})", people)


def _lock(types: QuerySet[EventType]):
    """Nobody else moves their `counted_until` now; whoever stores events of them goes on."""
    list(types.order_by("pk").select_for_update(no_key=True).values_list("pk"))


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


def daily(
    types: QuerySet[EventType], zone: ZoneInfo, *, days: int = RECENT, now: datetime | None = None
) -> dict[int, list[Bar]]:
    """Return of each type (by id) the last `days` calendar days of `zone` with the number of its events on each, the
    earliest first."""
    calendar, borders = last_days(zone, days, now)
    counts = {type: [0] * days for type in types.values_list("pk", flat=True)}
    for type, place, count in _counts(counts, borders):
        counts[type][place] += count
    return {type: _bars(calendar, of_type) for type, of_type in counts.items()}


def daily_in_all(
    types: QuerySet[EventType], zone: ZoneInfo, *, days: int = RECENT, now: datetime | None = None
) -> list[Bar]:
    """Return the last `days` calendar days of `zone` with the number of events of all `types` together on each."""
    calendar, borders = last_days(zone, days, now)
    counts = [0] * days
    for _, place, count in _counts(types.values_list("pk", flat=True), borders):
        counts[place] += count
    return _bars(calendar, counts)


def daily_of(events: QuerySet[Event], zone: ZoneInfo, *, days: int = RECENT, now: datetime | None = None) -> list[Bar]:
    """Return the last `days` calendar days of `zone` with how many of `events` happened on each, the earliest first.
    Counts the events themselves: for those of some people, of whom no sums are kept."""
    calendar, borders = last_days(zone, days, now)
    events = events.filter(created_at__gte=borders[0], created_at__lt=borders[-1]).order_by()
    counts = dict(events.values_list(place_among("created_at", borders)).annotate(n=Count("contact")))
    return _bars(calendar, [counts.get(place, 0) for place in range(days)])


def last_days(zone: ZoneInfo, days: int = RECENT, now: datetime | None = None) -> tuple[list[date], list[int]]:
    """The last days, and the Unix seconds at which each begins and the last one ends."""
    today = (now or timezone.now()).astimezone(zone).date()
    calendar = [today - timedelta(days=before) for before in reversed(range(days))]
    return calendar, [start_of(day, zone) for day in [*calendar, today + timedelta(days=1)]]


def recent(workspace: Workspace) -> dict[int, int]:
    """Return how many events of each type of the workspace (by id) happened in the last 30 days, today included."""
    bars = daily(EventType.objects.filter(workspace=workspace), workspace.zone)
    return {type: sum(bar.count for bar in of_type) for type, of_type in bars.items()}


def _counts(types: Iterable[int], borders: list[int]) -> list[tuple[int, int, int]]:
    """Return (type, place, count) of what happened between each two of the `borders` (Unix seconds); the first of these
    stretches is place 0. Both sums are read by one statement: between two, events might go from one to the other."""
    ids = ", ".join(map(str, types))
    if not ids:
        return []
    quarters = [border // Volume.SECONDS for border in borders]
    counted = f"""
        SELECT type_id, place, sum(count) FROM (
            SELECT type_id, {_place("quarter", quarters)} AS place, count FROM eventsapp_volume
            WHERE type_id IN ({ids}) AND quarter >= {quarters[0]} AND quarter < {quarters[-1]}
            UNION ALL
            SELECT type.id, {_place("event.created_at", borders)}, 1
            FROM eventsapp_eventtype AS type {dialect().not_yet_counted}
            WHERE type.id IN ({ids}) AND +event.created_at >= {borders[0]} AND +event.created_at < {borders[-1]}
        ) AS both_sums GROUP BY type_id, place
    """
    with connection.cursor() as cursor:
        cursor.execute(counted)
        return cursor.fetchall()


def _place(column: str, borders: list[int]) -> str:
    """Which of the stretches between two borders a row's time is in."""
    return f"CASE {' '.join(f'WHEN {column} < {end} THEN {place}' for place, end in enumerate(borders[1:]))} END"


def place_among(field: str, borders: list) -> Case:
    """Which of the stretches between two borders a row's time is in, the first being 0."""
    ends = enumerate(borders[1:])
    return Case(*(When(**{f"{field}__lt": end}, then=Value(place)) for place, end in ends), output_field=IntegerField())


def _bars(calendar: list[date], counts: list[int]) -> list[Bar]:
    highest = max(counts) or 1
    return [
        Bar(day, count, round(100 * count / highest, 2), day == calendar[-1])
        for day, count in zip(calendar, counts, strict=True)
    ]
