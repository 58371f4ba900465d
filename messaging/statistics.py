"""What a rule came to in the last 30 days."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import Count, Q
from django.utils import timezone

from eventsapp.volumes import Bar, last_days, place_among
from messaging.models import AutoMessage, Delivery


@dataclass
class Statistics:
    """How many deliveries came to be, and what became of them, in all and by day."""

    triggered: int = 0
    sent: int = 0
    opened: int = 0
    clicked: int = 0
    waiting: int = 0
    not_sent: list[tuple[str, str, int]] = field(default_factory=list)  # reason, its words, number
    days: list[tuple[Bar, Bar]] = field(default_factory=list)  # triggered, and sent of these

    @property
    def highest(self) -> int:
        return max(triggered.count for triggered, _ in self.days)


def statistics_of(rule: AutoMessage) -> Statistics:
    """Count by two statements, whatever there is."""
    zone = rule.workspace.zone
    calendar, seconds = last_days(zone)
    borders = [datetime.fromtimestamp(second, UTC) for second in seconds]
    recent = rule.deliveries.filter(created_at__gte=borders[0], created_at__lt=borders[-1]).order_by()
    found = Statistics()
    rows = recent.values_list("state", "reason").annotate(
        n=Count("pk"), opened=Count("opened_at"), clicked=Count("clicked_at")
    )
    for state, reason, n, opened, clicked in sorted(rows, key=lambda row: -row[2]):
        found.triggered += n
        found.opened += opened
        found.clicked += clicked
        if state == Delivery.State.SENT:
            found.sent += n
        elif reason:
            found.not_sent.append((reason, Delivery.Reason(reason).label, n))
        else:
            found.waiting += n
    by_day = recent.annotate(place=place_among("created_at", borders)).values_list("place")
    counts = {
        place: numbers
        for place, *numbers in by_day.annotate(n=Count("pk"), sent=Count("pk", filter=Q(state=Delivery.State.SENT)))
    }
    highest = max((triggered for triggered, _ in counts.values()), default=0) or 1
    today = timezone.now().astimezone(zone).date()
    for place, day in enumerate(calendar):
        bars = [Bar(day, n, round(100 * n / highest, 2), day == today) for n in counts.get(place, (0, 0))]
        found.days.append(tuple(bars))
    return found
