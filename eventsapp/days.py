"""Days of a time zone, and the Unix seconds in them."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def start_of(day: date, zone: ZoneInfo) -> int:
    """Return the Unix seconds at which a day begins in `zone`."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def day_of(seconds: int, zone: ZoneInfo) -> date:
    """Return the day on which these Unix seconds lie in `zone`."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).date()
