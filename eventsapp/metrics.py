"""`GET /metrics`: numbers for Prometheus and whatever else reads its text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count
from django.http import HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from eventsapp import health
from eventsapp.models import Event, EventType, HandOver

OF_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
KEPT = 10  # seconds for which one answer serves


@dataclass(frozen=True)
class Gauge:
    """A number that goes up and down, with one value for each combination of labels: [({label: value}, number)]."""

    name: str
    help: str
    values: Iterable[tuple[dict[str, str], float]]

    def __str__(self):
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} gauge"]
        for labels, number in self.values:
            said = ",".join(f'{label}="{value}"' for label, value in labels.items())
            lines.append(f"{self.name}{{{said}}} {number:g}" if said else f"{self.name} {number:g}")
        return "\n".join(lines)


# Each answers with what it knows; upper apps add theirs.
sources: list[Callable[[], Iterable[Gauge]]] = []


def of_ingest() -> Iterable[Gauge]:
    """What came in lately, and what waits to be matched."""
    minute = timezone.now() - timedelta(minutes=1)
    # By type, because the index of times received is one of each type.
    received = Event.objects.filter(type__in=EventType.objects.values("pk"), received_at__gte=minute).count()
    yield Gauge("eventsapp_events_received_last_minute", "Events stored in the last minute.", [({}, received)])
    waiting = HandOver.objects.filter(parked_at=None).count()
    yield Gauge("eventsapp_hand_overs_waiting", "Events that wait to be matched with rules.", [({}, waiting)])
    yield Gauge("eventsapp_hand_over_oldest_seconds", "Since when the oldest that is due waits.", _age_of_oldest())
    parked = HandOver.objects.exclude(parked_at=None).aggregate(n=Count("pk"))["n"]
    yield Gauge("eventsapp_hand_overs_parked", "Events that could not be matched.", [({}, parked)])
    pulse = health.Pulse.feel()
    ages = [({}, health.age(pulse.worker))] if pulse.worker else []
    yield Gauge("eventsapp_worker_heartbeat_age_seconds", "Since the worker was last seen.", ages)


def _age_of_oldest():
    oldest = health.oldest_hand_over()
    return [({}, health.age(oldest) if oldest else 0)]


sources.append(of_ingest)


@require_safe
def metrics(request):
    """For whoever has METRICS_TOKEN; without one, for programs on this machine alone."""
    if not _may_read(request):
        return HttpResponse("Send METRICS_TOKEN as a bearer token.\n", status=403, content_type="text/plain")
    text = cache.get_or_set("metrics", _text, KEPT)
    return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read(request) -> bool:
    if settings.METRICS_TOKEN:
        return constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}")
    try:
        is_near = ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
    # What comes through a proxy of this machine may come from anywhere.
    return is_near and not any(header in request.headers for header in OF_PROXIES)


def _text() -> str:
    return "\n".join(str(gauge) for source in sources for gauge in source()) + "\n"
