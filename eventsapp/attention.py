"""What Home tells staff to look at, of people and events."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from eventsapp import health, panels
from eventsapp.models import Workspace
from eventsapp.panels import Link

REFUSED_FOR = timedelta(hours=1)


def of_events(workspace: Workspace) -> list[Link]:
    """The worker that stands still, and the API requests that were refused lately."""
    return _standstill() + _refused(workspace)


def _standstill() -> list[Link]:
    sentence = health.standstill()
    return [Link(sentence, "/healthz")] if sentence else []


def _refused(workspace: Workspace) -> list[Link]:
    refused = workspace.api_requests.refused().filter(at__gte=timezone.now() - REFUSED_FOR).count()
    if not refused:
        return []
    what = "One API request was" if refused == 1 else f"{refused:,} API requests were"
    return [Link(f"{what} refused in the last hour.", f"{reverse('live', args=[workspace.app_id])}?show=refused")]


panels.attention.append(of_events)
