"""How fast a channel may be used, by all workers together."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from messaging.models import Pace

BURST = 1  # seconds of which what was not used may be caught up with


def may_go(channel: str) -> bool:
    """Whether one more message may go out by a channel at this moment; if so, it is counted."""
    rate = settings.PER_SECOND[channel]
    if not rate:
        return True
    now = timezone.now()
    with transaction.atomic():
        Pace.objects.bulk_create([Pace(channel=channel, at=now, left=1)], ignore_conflicts=True)
        pace = Pace.objects.select_for_update().get(channel=channel)
        left = min(pace.left + rate * max((now - pace.at).total_seconds(), 0), max(rate * BURST, 1))
        if left < 1:
            return False
        pace.at, pace.left = now, left - 1
        pace.save()
    return True
