"""Pages of event types: all of them, and one."""

import re

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, OuterRef, Subquery, Sum
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import urlencode

from eventsapp import panels
from eventsapp.deleting import ask_to_delete
from eventsapp.filters import EventFilter, asked_in
from eventsapp.forms import EventTypeForm
from eventsapp.incoming import normal_name
from eventsapp.learned import keys_of
from eventsapp.models import Event, EventSummary, EventType, Role
from eventsapp.pages import staff_page
from eventsapp.views import chips
from eventsapp.volumes import daily

NEWEST = 50
VERB_AND_NOUN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+\Z")


@staff_page()
def events(request, workspace):
    """The event types with their volume of the last 30 days, people, and when each was last seen."""
    types = EventType.objects.filter(workspace=workspace)
    archived = "archived" in request.GET
    hidden = types.exclude(archived_at=None).count()
    types = types.exclude(archived_at=None) if archived else types.filter(archived_at=None)
    if words := request.GET.get("search", "").strip():
        types = types.filter(name__contains=normal_name(words))
    newest = Event.objects.filter(type=OuterRef("pk")).order_by("-created_at").values("created_at")[:1]
    types = list(types.annotate(last_seen=Subquery(newest)).order_by("name"))
    bars = daily(EventType.objects.filter(workspace=workspace), workspace.zone)
    people = dict(
        EventSummary.objects.filter(type__in=types).values_list("type").annotate(people=Count("contact")).order_by()
    )
    rows = [(type, bars[type.pk], sum(bar.count for bar in bars[type.pk]), people.get(type.pk, 0)) for type in types]
    rows.sort(key=lambda row: -row[2])
    context = {"rows": rows, "search": words, "archived": archived, "hidden": hidden, "base_url": settings.BASE_URL}
    return render(request, "eventsapp/events.html", context)


@staff_page(post=Role.EDITOR)
def event_type(request, workspace, pk):
    """One event type; on POST an editor describes it, archives it or brings it back."""
    type = get_object_or_404(EventType, pk=pk, workspace=workspace)
    if request.method == "POST":
        return _change(request, type)
    before = request.GET.get("before", "")
    try:
        listed = Event.objects.of_type(type, before=before).select_related("contact__workspace")
    except ValueError as error:
        raise Http404("That is no place among events.") from error
    found = EventFilter(request.GET, queryset=listed, workspace=workspace)
    page, asked = list(found.qs[: NEWEST + 1]), asked_in(found)
    context = {
        "type": type,
        "newest": [(event, chips(event.metadata, workspace.zone)) for event in page[:NEWEST]],
        "older": urlencode(asked | {"before": page[NEWEST - 1].place_in_type}) if len(page) > NEWEST else None,
        "asked": asked,
    }
    if request.htmx:
        return render(request, "eventsapp/_latest.html", context)
    bars = daily(EventType.objects.filter(pk=type.pk), workspace.zone)[type.pk]
    context |= {
        "filter": found,
        "form": EventTypeForm(instance=type),
        "hint": naming_hint(type.name),
        "totals": _totals(type),
        "bars": bars,
        "highest": max(bar.count for bar in bars),
        "recent": sum(bar.count for bar in bars),
        "keys": keys_of(type),
        "users": panels.users_of(type),
    }
    return render(request, "eventsapp/event_type.html", context)


def _totals(type: EventType) -> dict:
    """How many people did it how often, first and last, imported totals included."""
    summaries = EventSummary.objects.filter(type=type).with_totals()
    return summaries.aggregate(
        people=Count("contact"), events=Sum("total"), first_seen=Min("first"), last_seen=Max("last")
    )


def _change(request, type: EventType):
    action = request.POST.get("action")
    if action == "archive":
        type.archived_at = timezone.now()
        type.save(update_fields=["archived_at"])
        messages.success(request, f"{type} is archived. Its history stays, and so does what uses it.")
    elif action == "delete":
        _delete(request, type)
    elif action == "unarchive":
        type.archived_at = None
        type.save(update_fields=["archived_at"])
        messages.success(request, f"{type} is back.")
    else:
        form = EventTypeForm(request.POST, instance=type)
        if not form.is_valid():
            messages.error(request, " ".join(form.errors["description"]))
        else:
            form.save()
            messages.success(request, "The description is saved.")
    return redirect("event_type", type.workspace.app_id, type.pk)


def _delete(request, type: EventType):
    """Have its data deleted, if an admin asks who typed its name, and nothing would miss it."""
    if not request.membership.may(Role.ADMIN):
        raise PermissionDenied("This needs the role Admin. Ask an admin of the workspace.")
    if panels.users_of(type):
        messages.error(request, "Nothing is deleted: it is still used. Change or archive what uses it first.")
    elif normal_name(request.POST.get("confirm", "")) != type.name:
        messages.error(request, f"Nothing is deleted. Type {type.name} into the box to confirm.")
    else:
        ask_to_delete(type)
        messages.success(request, f"The data of {type} are being deleted.")


def naming_hint(name: str) -> str | None:
    """Return advice where a name breaks "past-tense verb, noun, in lower case with hyphens", or None."""
    if VERB_AND_NOUN.match(name):
        return None
    better = re.sub(r"[^a-z0-9]+", "-", name).strip("-")
    if VERB_AND_NOUN.match(better):
        return f"Names read best as a verb and a noun joined by hyphens, such as {better}."
    return "Names read best as a past-tense verb and a noun joined by hyphens, such as placed-order or invited-friend."
