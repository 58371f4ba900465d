"""The pages of saved segments: all of them, and one, opened in the builder."""

from itertools import count

from django.contrib import messages as notices
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from eventsapp.models import Workspace
from eventsapp.pages import staff_page
from eventsapp.panels import listed
from segments import suggestions
from segments.definition import Invalid, parse
from segments.engine import TooSlow, answer, one_moment
from segments.forms import SegmentForm
from segments.models import Segment
from segments.sizes import daily_sizes, measure_soon, recent_sizes
from segments.starters import starters
from segments.views import builder_page, new_segment_in

NAMED = Segment._meta.get_field("name").max_length


@staff_page()
def segments(request, workspace):
    """The segments that are in use, or with `?archived` the others."""
    archived = "archived" in request.GET
    saved = workspace.segments.archived() if archived else workspace.segments.active()
    saved = list(saved.select_related("workspace"))
    sizes = {} if archived else recent_sizes(saved, workspace.zone)
    context = {
        "rows": [(one, _sentence(one), sizes.get(one.pk)) for one in saved],
        "archived": archived,
        "hidden": 0 if archived else workspace.segments.archived().count(),
        "starters": [] if saved else starters(suggestions.events(workspace)),
    }
    return render(request, "segments/segments.html", context)


def _sentence(segment: Segment) -> str:
    try:
        return str(parse(segment.workspace, segment.definition).root)
    except Invalid as error:
        return f"cannot be asked any more: {error}"


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


@staff_page(post="editor")
def segment(request, workspace, pk):
    """A saved segment, opened in the builder; `?q=` holds what was changed and not saved."""
    segments = workspace.segments.select_related("workspace")
    if request.method != "POST":
        return _open(request, get_object_or_404(segments.active(), pk=pk))
    saved = get_object_or_404(segments, pk=pk)
    match request.POST.get("action"):
        case "archive":
            return _archive(request, saved)
        case "unarchive":
            return _bring_back(request, saved)
        case "duplicate":
            return _duplicate(request, saved)
    if saved.archived_at:
        notices.error(request, f"“{saved.name}” was archived meanwhile. Bring it back to change it.")
        return redirect("segments", workspace.app_id)
    return _save(request, saved)


def _open(request, saved: Segment):
    around = {"users": saved.users(), "points": daily_sizes(saved), "last_size": saved.sizes.last()}
    return builder_page(request, saved.workspace, saved, around=around)


@require_POST
@staff_page("editor")
def new_segment(request, workspace):
    saved = new_segment_in(workspace)
    saved.created_by = request.user
    return _save(request, saved)


def _save(request, saved: Segment):
    """Save what the builder sent; what is wrong with it is told on the page, with everything kept as it was typed."""
    form = SegmentForm(request.POST, instance=saved)
    with transaction.atomic():
        is_saved = form.is_valid()
        if is_saved:
            form.save()
            measure_soon()
    if is_saved:
        notices.success(request, f"“{saved.name}” is saved.")
        return redirect(saved)
    shown = Segment.objects.get(pk=saved.pk) if saved.pk else new_segment_in(saved.workspace)
    shown.workspace = saved.workspace
    return builder_page(request, saved.workspace, shown, form)


def _archive(request, saved: Segment):
    if users := saved.users():
        notices.error(request, f"“{saved.name}” is used by {listed(users)}. Change that first.")
        return redirect(saved)
    saved.archive()
    notices.success(request, f"“{saved.name}” is archived.")
    return redirect("segments", saved.workspace.app_id)


def _bring_back(request, saved: Segment):
    with transaction.atomic():
        saved.name = _free_name(saved.workspace, saved.name)
        saved.archived_at = None
        saved.save(update_fields=["name", "archived_at", "updated_at"])
        measure_soon()
    notices.success(request, f"“{saved.name}” is back.")
    return redirect(saved)


def _duplicate(request, saved: Segment):
    with transaction.atomic():
        name = _free_name(saved.workspace, f"{saved.name[: NAMED - 10]} (copy)")
        copy = Segment.objects.create(
            workspace=saved.workspace,
            name=name,
            description=saved.description,
            definition=saved.definition,
            created_by=request.user,
        )
        measure_soon()
    notices.success(request, f"This is the copy of “{saved.name}”.")
    return redirect(copy)


def _free_name(workspace: Workspace, name: str) -> str:
    """The name, with a number if another segment has it; nobody else saves one before the transaction ends."""
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    taken = set(workspace.segments.active().values_list("name", flat=True))
    if name not in taken:
        return name
    numbered = (f"{name[: NAMED - 6]} {number}" for number in count(2))
    return next(one for one in numbered if one not in taken)
