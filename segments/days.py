"""Days of a workspace as spans of Unix seconds, so that every database only compares numbers."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from eventsapp.days import day_of, start_of

DAY = 24 * 3600


@dataclass(frozen=True)
class Span:
    """The seconds t with low ≤ t < high; None is an open side."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Clock:
    """The instant an answer is given for (whole Unix seconds) and the time zone in which its days are counted."""

    now: int
    zone: ZoneInfo

    def start_of(self, day: date) -> int:
        return start_of(day, self.zone)

    def days(self, first: date | None, last: date | None) -> Span:
        """The calendar days from `first` to `last`, both included."""
        return Span(
            None if first is None else self.start_of(first),
            None if last is None else self.start_of(last + timedelta(days=1)),
        )

    def last_days(self, n: int) -> Span:
        """n × 24 hours up to now, both ends included."""
        return Span(self.now - n * DAY, self.now + 1)

    def spoken(self, seconds: int) -> str:
        """A moment as staff read it beside a question: its day, and how many times 24 hours it is ago."""
        day = f"{datetime.fromtimestamp(seconds, self.zone):%-d %b %Y}"
        days = (self.now - seconds) // DAY
        if seconds > self.now:
            return f"on {day}, still to come"
        if days == 0:
            return f"on {day}, less than a day ago"
        return f"on {day}, a day ago" if days == 1 else f"on {day}, {days:,} days ago"

    def compared(self, op: str, value) -> Span:
        """The seconds for which a date operator (see docs/segments.md) holds."""
        today = day_of(self.now, self.zone)
        match op:
            case "less_than_days_ago":
                return Span(self.now - value * DAY + 1, None)
            case "more_than_days_ago":
                return Span(None, self.now - value * DAY)
            case "exactly_days_ago":
                day = today - timedelta(days=value)
                return self.days(day, day)
            case "on":
                return self.days(value, value)
            case "before":
                return Span(None, self.start_of(value))
            case "after":
                return Span(self.start_of(value + timedelta(days=1)), None)
            case "between":
                return self.days(*value)
        raise AssertionError(op)
