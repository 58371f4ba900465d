"""What messages add to Home and to the search."""

from datetime import UTC, datetime, timedelta

from django.db.models import Count, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from eventsapp import panels
from eventsapp.models import Event, HandOver, Workspace
from eventsapp.panels import Link
from eventsapp.text import holds
from messaging.models import AutoMessage, Delivery

RECENTLY = timedelta(days=30)
FAILED_FOR = timedelta(hours=24)
FEW = 5
WAITING = (Delivery.State.QUEUED, Delivery.State.SENDING)


def recent_deliveries(request):
    """How many messages were sent in the last 30 days, and how many were not."""
    recent = Delivery.objects.filter(message__workspace=request.workspace, created_at__gte=timezone.now() - RECENTLY)
    numbers = recent.aggregate(
        all=Count("pk"),
        sent=Count("pk", filter=Q(state=Delivery.State.SENT)),
        waiting=Count("pk", filter=Q(state__in=WAITING)),
        failed=Count("pk", filter=Q(state=Delivery.State.FAILED)),
    )
    numbers["not_sent"] = numbers["all"] - numbers["sent"] - numbers["waiting"]
    live = request.workspace.auto_messages.live().count()
    return "messaging/_home.html", {"numbers": numbers, "live": live, "days": RECENTLY.days}


def troubles(workspace: Workspace) -> list[Link]:
    """Rules that paused themselves, webhooks that stopped, events that could not be matched, deliveries that failed,
    and live rules that wait in vain."""
    found = _ran_away(workspace) + _stopped(workspace)
    return found + _parked(workspace) + _failed(workspace) + _waiting_in_vain(workspace)


def _ran_away(workspace: Workspace) -> list[Link]:
    paused = workspace.auto_messages.exclude(paused_because="").select_related("workspace")
    return [Link(f"“{rule}” has paused itself. {rule.paused_because}", rule.get_absolute_url()) for rule in paused]


def _stopped(workspace: Workspace) -> list[Link]:
    stopped = workspace.subscriptions.stopped().select_related("workspace")
    return [Link(f"The webhook to {one} has stopped. {one.stopped_because}", one.get_absolute_url()) for one in stopped]


def parked_events(workspace: Workspace) -> int:
    """How many events could not be matched with the rules after several attempts."""
    return HandOver.objects.filter(type__workspace=workspace).exclude(parked_at=None).count()


def _parked(workspace: Workspace) -> list[Link]:
    parked = parked_events(workspace)
    if not parked:
        return []
    what = "One event" if parked == 1 else f"{parked:,} events"
    return [Link(f"{what} could not be matched with the messages.", reverse("deliveries", args=[workspace.app_id]))]


def _failed(workspace: Workspace) -> list[Link]:
    # The last attempt moved `due_at` to the end of its lease, and nothing moves it once it has failed.
    lately = Q(state=Delivery.State.FAILED, due_at__gte=timezone.now() - FAILED_FOR)
    failed = Delivery.objects.filter(lately, message__workspace=workspace).count()
    if not failed:
        return []
    what = "One delivery" if failed == 1 else f"{failed:,} deliveries"
    address = f"{reverse('deliveries', args=[workspace.app_id])}?state={Delivery.State.FAILED}"
    return [Link(f"{what} failed in the last 24 hours.", address)]


def _waiting_in_vain(workspace: Workspace) -> list[Link]:
    newest = Event.objects.filter(type=OuterRef("trigger")).order_by("-created_at").values("created_at")[:1]
    live = workspace.auto_messages.live().select_related("trigger").annotate(seen=Subquery(newest))
    since = int((timezone.now() - RECENTLY).timestamp())
    return [
        Link(f"“{rule}” is live, but {_last_seen(rule)}.", rule.get_absolute_url())
        for rule in live.filter(Q(seen=None) | Q(seen__lt=since))
    ]


def _last_seen(rule: AutoMessage) -> str:
    if rule.seen is None:
        return f"{rule.trigger} has never been seen"
    ago = timesince(datetime.fromtimestamp(rule.seen, UTC), depth=1)
    return f"{rule.trigger} was last seen {ago} ago"


def find_messages(workspace: Workspace, words: str) -> list[Link]:
    if not words:
        return []
    named = [one for one in workspace.auto_messages.defer("body", "where") if holds(one.name, words)]
    return [Link(one.name, one.get_absolute_url(), one.get_state_display().lower()) for one in named[:FEW]]


panels.dashboard_panels.append(recent_deliveries)
panels.attention.append(troubles)
panels.finders.append(("Auto messages", find_messages))
