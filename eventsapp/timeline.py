"""What a person did, day by day, as their page shows it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from zoneinfo import ZoneInfo

from eventsapp.days import day_of
from eventsapp.models import Event
from eventsapp.panels import Note
from eventsapp.views import Chip, chips

FEWEST = 3  # events of one type in a row that become one line


@dataclass(frozen=True)
class Line:
    """One line of a timeline: an event, several of one type in a row (the newest first), or a note."""

    events: tuple[tuple[Event, list[Chip]], ...] = ()
    note: Note | None = None

    @property
    def is_run(self) -> bool:
        return len(self.events) > 1

    @property
    def newest(self) -> Event:
        return self.events[0][0]

    @property
    def oldest(self) -> Event:
        return self.events[-1][0]


def by_day(events: Iterable[Event], notes: Iterable[Note], zone: ZoneInfo) -> list[tuple[date, list[Line]]]:
    """Return events (newest first) and notes as lines, grouped by their day in `zone`."""
    # Of what is of one second the notes stand above: they come of events.
    told = sorted([*notes, *events], key=_seconds, reverse=True)
    days = groupby(told, key=lambda one: day_of(_seconds(one), zone))
    return [(day, list(_lines(same, zone))) for day, same in days]


def _seconds(one: Event | Note) -> int:
    return one.at if isinstance(one, Note) else one.created_at


def _lines(told: Iterable[Event | Note], zone) -> Iterator[Line]:
    for type, same in groupby(told, key=lambda one: None if isinstance(one, Note) else one.type_id):
        if type is None:
            yield from (Line(note=note) for note in same)
            continue
        events = tuple((event, chips(event.metadata, zone)) for event in same)
        yield from [Line(events)] if len(events) >= FEWEST else [Line((one,)) for one in events]
