"""Home: what happened, what needs attention, the ways on from there; and the search for everything by words."""

from datetime import timedelta

from django.conf import settings
from django.shortcuts import render
from django.utils import timezone

from eventsapp import panels
from eventsapp.live_views import arrivals
from eventsapp.models import Contact, EventType, Workspace
from eventsapp.pages import staff_page
from eventsapp.volumes import daily_in_all

LATEST = 6  # events
NEW = 7  # days for which a person is new
MOST_WORDS = 255  # characters


@staff_page()
def dashboard(request, workspace):
    """How much happened and who is here, or, before the first event, how to begin."""
    context = {
        "attention": panels.needing_attention(workspace),
        "latest": arrivals(workspace, LATEST),
        "base_url": settings.BASE_URL,
    }
    if context["latest"]:
        bars = daily_in_all(EventType.objects.filter(workspace=workspace), workspace.zone)
        context |= _people(workspace) | {
            "bars": bars,
            "highest": max(bar.count for bar in bars),
            "recent": sum(bar.count for bar in bars),
            "panels": panels.on_dashboard(request),
        }
    return render(request, "eventsapp/dashboard.html", context)


def _people(workspace: Workspace) -> dict:
    """How many people there are, and how many are new."""
    people = Contact.objects.filter(workspace=workspace).people()
    new = people.filter(created_at__gt=int((timezone.now() - timedelta(days=NEW)).timestamp()))
    return {"people": people.count(), "new_people": new.count(), "new_days": NEW}


@staff_page()
def search(request, workspace):
    """What is found by `?words=`: a page of its own, or for htmx the list in the dialog."""
    words = request.GET.get("words", "").strip()[:MOST_WORDS]
    template = "_found" if request.htmx else "search"
    return render(request, f"eventsapp/{template}.html", {"words": words, "kinds": panels.found(workspace, words)})
