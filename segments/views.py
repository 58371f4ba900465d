"""The people page with its builder."""

import json
import time

from django.conf import settings
from django.db.models import F, Max
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST
from django_htmx.http import push_url, replace_url, reswap

from eventsapp.filters import PeopleFilter
from eventsapp.metadata import kind_of, shown
from eventsapp.models import Contact, Event, EventSummary, EventType
from eventsapp.pages import came_from, staff_page
from eventsapp.volumes import daily_of
from segments import urlstate
from segments.builder import Builder, draft_of, draft_of_refused
from segments.conditions import CUSTOM, Attribute
from segments.definition import Definition, Invalid, all_of, parse
from segments.drafts import act, read_form
from segments.engine import TooSlow, answer, one_moment
from segments.forms import SegmentForm
from segments.hints import hints, widening
from segments.models import Segment
from segments.recent import Recent
from segments.sentences import Writer
from segments.starters import starters
from segments.values import IsOneOf

PAGE = 50
FIRST_LOOK = 1  # seconds that the opening of a page waits for a count; the page itself waits for it then
NEWEST = 5_000  # people of whom a slow question is answered while it is asked of all
EVERYONE = all_of()


def new_segment_in(workspace) -> Segment:
    """A segment of everyone that is not saved yet."""
    return Segment(workspace=workspace, definition=EVERYONE)


@staff_page()
def people(request, workspace):
    return builder_page(request, workspace, new_segment_in(workspace))


def builder_page(request, workspace, saved: Segment, form: SegmentForm | None = None, *, around: dict | None = None):
    """The page, or for htmx its results alone. What is wrong is told row by row, and the old table stays. `around` is
    what a saved segment shows besides."""
    words = request.GET.get("search", "").strip()
    if words:
        return _found_by_words(request, workspace, words)
    data, unread = asked(request, saved)
    writer = Writer(workspace)
    context, faults = {}, []
    try:
        context = _results(request, saved, data)
        if request.htmx:
            return render(request, "segments/_results.html", context)
        draft = draft_of(writer, context["definition_object"].as_json())
    except (Invalid, TooSlow) as error:
        if request.htmx:
            return HttpResponse(status=204)
        faults, draft = error.faults, draft_of_refused(writer, data)
    context |= _page(writer, saved, Builder(writer, draft), context, faults) | {"unread": unread} | (around or {})
    context["form"] = form or SegmentForm(instance=saved)
    return render(request, "segments/people.html", context, status=422 if form else 200)


def _address(saved: Segment) -> str:
    # Not request.path: a form that could not be saved is shown where it was posted to.
    return saved.get_absolute_url() if saved.pk else reverse("people", args=[saved.workspace.app_id])


def _page(writer: Writer, saved: Segment, builder: Builder, context: dict, faults) -> dict:
    """What the page shows around its results."""
    builder.tell(context.get("told", {}))
    definition = context["definition_object"].as_json() if context else builder.definition
    return {
        "segment": saved,
        "builder": builder,
        "loose_faults": builder.blame(faults),
        "is_changed": bool(saved.pk) and definition != saved.definition,
        "to_save": json.dumps(builder.definition),
        "here": _address(saved),
        "event_names": writer.offered_events(),
        "fields": writer.offered_fields(),
        "starters": [] if builder.root.rows else starters(writer.events),
        "base_url": settings.BASE_URL,
    }


@require_POST
@staff_page()
def people_build(request, workspace):
    """What the fields of the builder ask for now, and whatever of the page depends on that. The rows are drawn anew
    only if more than a text in them is another: nobody's typing is disturbed."""
    saved = saved_in(workspace, request.POST.get("segment"))
    draft = read_form(request.POST.items())
    focus = act(draft, request.POST.get("act", ""))
    writer = Writer(workspace)
    builder = Builder(writer, draft, focus)
    context, faults = {}, []
    try:
        context = _results(request, saved, builder.definition)
    except (Invalid, TooSlow) as error:
        faults = error.faults
    context |= _page(writer, saved, builder, context, faults)
    if not request.htmx:
        return render(request, "segments/people.html", context | {"form": SegmentForm(instance=saved)})
    redraw = builder.shape != request.POST.get("shape")
    response = render(request, "segments/_built.html", context | {"redraw": redraw})
    if faults:
        return reswap(response, "none")
    return _moved(request, response, context, redraw)


def saved_in(workspace, pk: str | None) -> Segment:
    """The segment that the builder's form was opened with, or a new one."""
    if pk and pk.isdecimal():
        return get_object_or_404(workspace.segments.active().select_related("workspace"), pk=int(pk[:9]))
    return new_segment_in(workspace)


def _moved(request, response, context, is_step: bool):
    """The address is the state. A step can be undone by Back; what is typed replaces itself."""
    as_saved = not context["is_changed"] if context["segment"].pk else context["definition_object"].is_empty
    address = context["here"] + ("" if as_saved else f"?q={context['q']}")
    if address == request.htmx.current_url_abs_path:
        return response
    return push_url(response, address) if is_step else replace_url(response, address)


def asked(request, saved: Segment) -> tuple[dict, bool]:
    """The definition to show: the one to be saved, that of `?q=`, or the saved one; and whether it was unreadable."""
    if form_state := request.POST.get("definition"):
        try:
            return urlstate.read_definition(form_state), False
        except ValueError:
            return saved.definition, True
    try:
        return (urlstate.decode(request.GET["q"]) if request.GET.get("q") else saved.definition), False
    except ValueError:
        return saved.definition, True


def _results(request, saved: Segment, data) -> dict:
    """Ask, and return what the results show, all of one moment. A question that takes long is answered for the newest
    people alone. Raises Invalid."""
    workspace, stopped = saved.workspace, None
    if "quick" not in request.POST:
        try:
            with one_moment(None if request.htmx else min(FIRST_LOOK, settings.QUESTION_SECONDS)) as now:
                # Who opens the page sees this moment; whoever edits a row of it waits for that row.
                recent = Recent(workspace, now, only_fill=not request.htmx)
                return _answered(request, saved, data, now, recent=recent)
        except TooSlow as error:
            stopped = error if request.htmx else None
    newest = Contact.objects.filter(workspace=workspace).people().order_by("-pk").values_list("pk", flat=True)
    with one_moment() as now:
        context = _answered(request, saved, data, now, among=newest[:NEWEST])
    return context | {"partial": True, "stopped": stopped}


def _answered(request, saved: Segment, data, now, **how) -> dict:
    began = time.monotonic()
    workspace, here = saved.workspace, _address(saved)
    definition = parse(workspace, data)
    result = answer(definition, now, **how)
    q = "" if definition.is_empty and not saved.pk else urlstate.encode(definition.as_json())
    ids = result.page(before=_place(request, "before"), after=_place(request, "after"), size=PAGE)
    return {
        "segment": saved,
        "result": result,
        "definition_object": definition,
        "told": _told(definition, result),
        "widening": widening(definition, result),
        "q": q,
        "question": urlencode(({"segment": saved.pk} if saved.pk else {}) | ({"q": q} if q else {})),
        "seconds": time.monotonic() - began,
        "people": _people(workspace, ids, definition),
        "custom_columns": _custom_columns(definition),
        "older": _link(here, q, before=ids[-1]) if ids and ids[-1] > result.ids.min() else None,
        "newer": _link(here, q, after=ids[0]) if ids and ids[0] < result.ids.max() else None,
    }


def _told(definition: Definition, result) -> dict[str, dict]:
    """What the builder shows beside each row, by its path: how many match it alone, its words, and a hint."""
    rows = {path: {"words": str(condition)} for path, condition in definition.root.rows()}
    if len(rows) > 1:
        for path, row in rows.items():
            row["count"] = result.row_counts[path]
    for hint in hints(definition):
        rows[hint.path]["hint"] = hint
    return rows


def _place(request, name) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= 10 and int(text) < 2**31 else None


def _link(here: str, q: str, **place) -> str:
    return f"{here}?{urlencode(({'q': q} if q else {}) | place)}"


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
                "custom": [_custom(contact, key) for key in columns],
            }
        )
    return rows


def _custom(contact: Contact, key: str) -> str | None:
    """A custom attribute as staff read it."""
    value = contact.custom_attributes.get(key)
    return None if value is None else shown(kind_of(key, value, date_suffix="_at"), value, contact.workspace.zone)


def _found_by_words(request, workspace, words):
    """The search box: exact id first, else what begins with the words. The newest fifty."""
    people = Contact.objects.filter(workspace=workspace).people()
    found = PeopleFilter(request.GET, queryset=people, workspace=workspace)
    ids = list(found.qs.order_by("-pk").values_list("pk", flat=True)[: PAGE + 1])
    context = {"search": words, "filter": found, "people": _people(workspace, ids[:PAGE]), "more": len(ids) > PAGE}
    everybody = reverse("people", args=[workspace.app_id])
    # From one search to the next it is a field of the form, and may be anybody's words.
    back = request.GET.get("back") or came_from(request, everybody)
    context["back"] = back if back.startswith(f"/app/{workspace.app_id}/") else everybody
    return render(request, "segments/search.html", context)


@staff_page()
def people_activity(request, workspace):
    """A sparkline of what those who match `?q=` did in the last 30 days, of what it asks about."""
    data, _ = asked(request, new_segment_in(workspace))
    try:
        with one_moment() as now:
            definition = parse(workspace, data)
            result = answer(definition, now, recent=Recent(workspace, now, only_fill=False))
            types = EventType.objects.filter(workspace=workspace)
            if result.events_named:
                types = types.filter(name__in=result.events_named)
            events = Event.objects.filter(IsOneOf(F("type_id"), types.values_list("pk", flat=True)))
            if result.count < result.everyone:
                events = events.filter(IsOneOf(F("contact_id"), result.ids))
            bars = daily_of(events, workspace.zone)
    except (Invalid, TooSlow):
        return HttpResponse("")
    return render(request, "segments/_activity.html", {"bars": bars, "events": sum(bar.count for bar in bars)})
