"""The people page with its builder, and the saved segments."""

from django.conf import settings
from django.contrib import messages as notices
from django.db import transaction
from django.db.models import Max
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from eventsapp.filters import PeopleFilter
from eventsapp.models import Contact, EventSummary, EventType
from eventsapp.pages import staff_page
from segments import suggestions, urlstate
from segments.conditions import CUSTOM, Attribute
from segments.definition import Definition, Invalid, parse
from segments.engine import TooSlow, answer, one_moment
from segments.forms import SegmentForm
from segments.models import Segment
from segments.recent import Recent

PAGE = 50
EVERYONE = {"version": 1, "match": "all", "conditions": []}


@staff_page()
def people(request, workspace):
    return _builder(request, workspace, Segment(workspace=workspace, definition=EVERYONE))


@staff_page(post="editor")
def segment(request, workspace, pk):
    """A saved segment, opened in the builder; `?q=` holds what was changed and not saved."""
    saved = get_object_or_404(workspace.segments.active().select_related("workspace"), pk=pk)
    if request.method == "POST":
        if request.POST.get("action") == "archive":
            return _archive(request, saved)
        return _save(request, saved)
    return _builder(request, workspace, saved)


def _builder(request, workspace, saved: Segment, form: SegmentForm | None = None):
    """The page, or for htmx its results alone. What cannot be asked is told row by row, and the old table stays."""
    words = request.GET.get("search", "").strip()
    if words:
        return _found_by_words(request, workspace, words)
    data, unread = _asked(request, saved)
    # Not request.path: a form that could not be saved is shown where it was posted to.
    here = saved.get_absolute_url() if saved.pk else reverse("people", args=[workspace.app_id])
    context, faults = {}, []
    try:
        context = _results(request, workspace, data, here)
    except (Invalid, TooSlow) as error:
        faults = [{"path": fault.field, "message": fault.message} for fault in error.faults]
        if request.htmx:
            return trigger_client_event(HttpResponse(status=204), "definition-faults", {"faults": faults})
    if request.htmx:
        return render(request, "segments/_results.html", context)
    context |= {
        "segment": saved,
        "definition": data,
        "saved_definition": saved.definition,
        "faults": faults,
        "sentences": [str(condition) for condition in context["definition_object"].conditions] if context else [],
        "here": here,
        "unread": unread,
        "form": form or SegmentForm(instance=saved),
        "event_names": suggestions.events(workspace),
        "fields": suggestions.fields(workspace),
        "base_url": settings.BASE_URL,
    }
    return render(request, "segments/people.html", context, status=422 if form else 200)


def _asked(request, saved: Segment) -> tuple[object, bool]:
    """The definition to show: that of `?q=`, else the saved one; and whether `?q=` could not be read."""
    if form_state := request.POST.get("definition"):
        try:
            return urlstate.read_json(form_state), False
        except ValueError:
            return saved.definition, True
    try:
        return (urlstate.decode(request.GET["q"]) if request.GET.get("q") else saved.definition), False
    except ValueError:
        return saved.definition, True


def _results(request, workspace, data, here: str) -> dict:
    """Ask, and return what the results show, all of one moment. Raises Invalid."""
    with one_moment() as now:
        definition = parse(workspace, data)
        # Who opens the page sees this moment; whoever edits a row of it waits for that row.
        result = answer(definition, now, recent=Recent(workspace, now, only_fill=not request.htmx))
        ids = result.page(before=_place(request, "before"), after=_place(request, "after"), size=PAGE)
        return {
            "result": result,
            "definition_object": definition,
            "people": _people(workspace, ids, definition),
            "custom_columns": _custom_columns(definition),
            "older": _link(request, here, before=ids[-1]) if ids and ids[-1] > result.ids.min() else None,
            "newer": _link(request, here, after=ids[0]) if ids and ids[0] < result.ids.max() else None,
        }


def _place(request, name) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= 10 and int(text) < 2**31 else None


def _link(request, here, **place) -> str:
    kept = {"q": request.GET["q"]} if request.GET.get("q") else {}
    page = "" if request.path == here else here
    return f"{page}?{urlencode(kept | place)}"


def _custom_columns(definition: Definition) -> list[str]:
    """The custom attributes that the filter talks about."""
    leaves = definition.root.leaves()
    return list(
        dict.fromkeys(leaf.label for leaf in leaves if isinstance(leaf, Attribute) and leaf.field.startswith(CUSTOM))
    )


def _people(workspace, ids: list[int], definition: Definition | None = None) -> list[dict]:
    """The rows of the table: each person with their last event, and what they did of what the filter talks about."""
    contacts = Contact.objects.in_bulk(ids)
    summaries = EventSummary.objects.filter(contact__in=ids).with_totals()
    last = dict(summaries.values_list("contact").annotate(last=Max("last_at")).order_by())
    names = definition.events_named() if definition else []
    types = dict(EventType.objects.filter(workspace=workspace, name__in=names).values_list("name", "pk"))
    done = {(row.contact_id, row.type_id): row for row in summaries.filter(type__in=types.values())}
    columns = _custom_columns(definition) if definition else []
    rows = []
    for pk in ids:
        contact = contacts[pk]
        contact.workspace = workspace
        rows.append(
            {
                "contact": contact,
                "last_event": last.get(pk),
                "done": [done.get((pk, types.get(name))) for name in names],
                "custom": [contact.custom_attributes.get(key) for key in columns],
            }
        )
    return rows


def _found_by_words(request, workspace, words):
    """The search box: exact id first, else what begins with the words. The newest fifty."""
    people = Contact.objects.filter(workspace=workspace).people()
    found = PeopleFilter(request.GET, queryset=people, workspace=workspace)
    ids = list(found.qs.order_by("-pk").values_list("pk", flat=True)[: PAGE + 1])
    context = {"search": words, "filter": found, "people": _people(workspace, ids[:PAGE]), "more": len(ids) > PAGE}
    return render(request, "segments/search.html", context)


@staff_page()
def people_keys(request, workspace):
    """The metadata keys of `?event=`, for the typeahead."""
    return JsonResponse({"keys": suggestions.keys(workspace, request.GET.get("event", ""))})


# Saved ---------------------------------------------------------------------------------------------------------------


@staff_page()
def segments(request, workspace):
    saved = workspace.segments.active().select_related("workspace", "created_by")
    rows = []
    for one in saved:
        try:
            rows.append((one, str(parse(workspace, one.definition).root)))
        except Invalid as error:
            rows.append((one, f"cannot be asked any more: {error}"))
    return render(request, "segments/segments.html", {"rows": rows})


@staff_page()
def segment_count(request, workspace, pk):
    """How many belong to a segment now, for its place in the list."""
    saved = get_object_or_404(workspace.segments.active(), pk=pk)
    try:
        with one_moment() as now:
            result = answer(parse(workspace, saved.definition), now)
    except (Invalid, TooSlow) as error:
        return HttpResponse(format_html('<span title="{}">–</span>', error))
    return render(request, "segments/_count.html", {"result": result})


@require_POST
@staff_page("editor")
def new_segment(request, workspace):
    return _save(request, Segment(workspace=workspace, definition=EVERYONE, created_by=request.user))


def _save(request, saved: Segment):
    """Save what the builder sent; what is wrong with it is told on the page, with everything kept as it was typed."""
    form = SegmentForm(request.POST, instance=saved)
    with transaction.atomic():
        is_saved = form.is_valid()
        if is_saved:
            form.save()
    if is_saved:
        notices.success(request, f"“{saved.name}” is saved.")
        return redirect(saved)
    shown = Segment.objects.get(pk=saved.pk) if saved.pk else Segment(workspace=saved.workspace, definition=EVERYONE)
    shown.workspace = saved.workspace
    return _builder(request, saved.workspace, shown, form)


def _archive(request, saved: Segment):
    if users := saved.users():
        notices.error(request, f"“{saved.name}” is used by {', '.join(users)}. Change that first.")
        return redirect(saved)
    saved.archive()
    notices.success(request, f"“{saved.name}” is archived.")
    return redirect("segments", saved.workspace.app_id)
