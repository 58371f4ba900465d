"""The live page: events as they are stored, and what became of the workspace's latest API requests."""

import hashlib
from datetime import datetime

from django.conf import settings
from django.db.models import Min, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.timesince import timesince

from eventsapp.filters import ApiRequestFilter, asked_in
from eventsapp.models import Event
from eventsapp.pages import staff_page
from eventsapp.views import chips

SHOWN = 50  # rows of each list
LATE = 60  # seconds after which an event tells when it happened, too


@staff_page()
def live(request, workspace):
    """Both lists, or for htmx the one that asks; 204 when it has shown the same rows (`?seen=`) before."""
    part = request.htmx.target if request.htmx else None
    context = {}
    if part != "requests":
        context |= _arrivals(request, workspace)
    if part != "arrivals":
        context |= _requests(request, workspace)
    if part not in ("arrivals", "requests"):
        return render(request, "eventsapp/live.html", context | {"base_url": settings.BASE_URL})
    if request.GET.get("seen") == context[part]["seen"]:
        return HttpResponse(status=204)
    return render(request, f"eventsapp/_{part}.html", context)


def arrivals(workspace, number: int) -> list[tuple]:
    """The events that were stored last: [(event, chips, whether it had happened some time before), …]."""
    newest = Event.objects.newest_received(workspace, number).select_related("type", "contact")
    events = []
    for event in newest:
        event.contact.workspace = workspace
        late = event.received_at.timestamp() - event.created_at > LATE
        events.append((event, chips(event.metadata, workspace.zone), late))
    return events


def _arrivals(request, workspace) -> dict:
    events = arrivals(workspace, SHOWN)
    seen = _mark(event.key for event, *_ in events)
    is_first = bool(events) and request.GET.get("seen") == _mark(())
    return {"arrivals": {"events": events, "seen": seen, "is_first": is_first}}


def _requests(request, workspace) -> dict:
    kept = workspace.api_requests
    found = ApiRequestFilter(request.GET, queryset=kept.all())
    before = _number(request.GET.get("before", ""))
    page = list(found.qs.newest(SHOWN + 1, before=before))
    for one in page:
        one.workspace = workspace
    requests = {
        "rows": page[:SHOWN],
        "query": urlencode(asked_in(found)),
        "is_newest": before is None,
        "older": page[SHOWN - 1].pk if len(page) > SHOWN else None,
        "seen": _mark(one.pk for one in page),
    }
    return {"requests": requests | _left_out(kept), "filter": found}


def _left_out(kept) -> dict:
    """How many requests a flood kept from being kept, and within which time."""
    told = kept.aggregate(number=Sum("left_out"), since=Min("at"))
    return {"left_out": told["number"], "left_out_in": _time_since(told["since"]) if told["number"] else None}


def _time_since(since: datetime) -> str:
    seconds = (timezone.now() - since).total_seconds()
    return "minute" if seconds < 60 else timesince(since, depth=1)


def _mark(keys) -> str:
    """A short text that is another one whenever the keys are."""
    return hashlib.blake2b(repr(list(keys)).encode(), digest_size=8).hexdigest()


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


@staff_page()
def live_request(request, workspace, pk):
    """One request whole, as a page or as the opened part of its row."""
    found = get_object_or_404(workspace.api_requests.select_related("workspace"), pk=pk)
    template = "_request" if request.htmx else "live_request"
    return render(request, f"eventsapp/{template}.html", {"asked": found})
