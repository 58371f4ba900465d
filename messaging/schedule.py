"""When a rule's messages may go out: days of the week and hours, in the workspace's time zone."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
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

    def opening(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return the earliest moment from `moment` on at which something may go out."""
        local = moment.astimezone(zone)
        # A window that began yesterday may still be open.
        for ahead in range(-1, 8):
            day = local.date() + timedelta(days=ahead)
            if day.weekday() not in self.days:
                continue
            begin = datetime.combine(day, self.begin, zone)
            until_next_day = self.end <= self.begin
            end = datetime.combine(day + timedelta(days=until_next_day), self.end, zone)
            if moment.timestamp() < end.timestamp():
                return max(moment, begin, key=datetime.timestamp)
        raise AssertionError("a week has a day of each name")

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
