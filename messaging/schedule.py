"""When a rule's messages may go out: days of the week and hours, in the workspace's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Hours:
    """The days (Monday is 0) and the hours from `begin` up to `end`, which is the next morning if it is not later.
    `begin` and `end` alike are the whole day."""

    days: frozenset[int]
    begin: time
    end: time

    @classmethod
    def from_json(cls, data: dict) -> "Hours":
        """Read what a rule keeps. Raises ValueError for what is none."""
        try:
            days = frozenset(data["days"])
            hours = cls(days, time.fromisoformat(data["from"]), time.fromisoformat(data["to"]))
        except (TypeError, KeyError) as error:
            raise ValueError("these are no hours") from error
        if not days or not days <= frozenset(range(7)) or hours.begin.tzinfo or hours.end.tzinfo:
            raise ValueError("these are no hours")
        return hours

    def as_json(self) -> dict:
        return {"days": sorted(self.days), "from": f"{self.begin:%H:%M}", "to": f"{self.end:%H:%M}"}

    def is_open(self, local: datetime) -> bool:
        """Whether something may go out when clocks show this."""
        clock, day = local.time(), local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= clock < self.end
        return (day in self.days and clock >= self.begin) or ((day - 1) % 7 in self.days and clock < self.end)

    def opening(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return the earliest moment from `moment` on at which something may go out. Clocks decide: what they leave out
        in spring is no time, and what they show twice in autumn is twice."""
        local = moment.astimezone(zone)
        if self.is_open(local):
            return moment
        # Hours that clocks leave out may close the only day of a week.
        days = [local.date() + timedelta(days=ahead) for ahead in range(16)]
        begins = [datetime.combine(day, self.begin, zone).replace(fold=fold) for day in days for fold in (0, 1)]
        changes = [change for day in days if (change := _clock_change(day, zone))]
        # A time that clocks leave out becomes what they show instead.
        candidates = sorted(one.astimezone(UTC) for one in (*begins, *changes))
        return next(one for one in candidates if one >= moment and self.is_open(one.astimezone(zone)))

    def __str__(self):
        days = sorted(self.days)
        names = [DAYS[day][:3] for day in days]
        if len(days) == 7:
            spoken = "every day"
        elif len(days) > 2 and days == list(range(days[0], days[-1] + 1)):
            spoken = f"{names[0]} to {names[-1]}"
        else:
            spoken = ", ".join(names)
        return f"on {spoken}" if self.begin == self.end else f"{spoken} from {self.begin:%H:%M} to {self.end:%H:%M}"


def _clock_change(day: date, zone: ZoneInfo) -> datetime | None:
    """The moment of a day at which clocks are set, None on most."""
    first = datetime.combine(day, time(), zone).astimezone(UTC)
    low, high = 0, 24 * 60  # minutes
    before = first.astimezone(zone).utcoffset()
    if (first + timedelta(minutes=high)).astimezone(zone).utcoffset() == before:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        changed = (first + timedelta(minutes=middle)).astimezone(zone).utcoffset() != before
        low, high = (low, middle) if changed else (middle, high)
    return first + timedelta(minutes=high)
