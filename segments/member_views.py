"""What is done with those who match: why somebody does, a file of all, and tags for all."""

from django.contrib import messages as notices
from django.core.exceptions import ValidationError
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.text import slugify
from django_htmx.http import HttpResponseClientRedirect

from eventsapp.errors import NotFound
from eventsapp.models import Contact, Tag
from eventsapp.pages import came_from, staff_page
from eventsapp.person_views import person_or_404
from eventsapp.tags import fault_in_name, find_or_create
from eventsapp.text import fold
from segments import tagging
from segments.definition import Definition, Invalid, parse
from segments.engine import Answer, TooSlow, answer, explain, one_moment
from segments.exporting import csv_of
from segments.membership import segments_of
from segments.models import TagRun
from segments.views import asked, saved_in

FOUND = 10  # people to choose from, where several are called alike
RUNS = 50


def _question(request, workspace) -> dict:
    """What these pages are about: the segment, and the definition of `?q=` or else the segment's own."""
    saved = saved_in(workspace, request.GET.get("segment"))
    data, unread = asked(request, saved)
    named = {name: request.GET[name] for name in ("segment", "q") if request.GET.get(name)}
    return {"segment": saved, "data": data, "unread": unread, "q": named.get("q"), "question": urlencode(named)}


def _refused(request, question: dict, error: Invalid | TooSlow):
    """There is nobody to do anything with: say why, on a page, or in the dialog where this was asked."""
    words = [fault.message for fault in error.faults]
    return render(request, _template(request, "refused"), question | {"words": words}, status=422)


def _template(request, name: str) -> str:
    return f"segments/_{name}.html" if request.htmx else f"segments/{name}.html"


# Why ------------------------------------------------------------------------------------------------------------------


@staff_page()
def people_why(request, workspace):
    """Whether somebody belongs to what is asked, and why: `who` is an id, or how a name, email or user_id begins."""
    context = _question(request, workspace) | {"who": request.GET.get("who", "").strip()[:255]}
    found = []
    if context["who"]:
        present = Contact.objects.filter(workspace=workspace).present().exclude(role=Contact.Role.VISITOR)
        found = list(present.found_by(context["who"]).select_related("workspace").order_by("-pk")[: FOUND + 1])
    try:
        with one_moment() as now:
            definition = parse(workspace, context["data"])
            if len(found) == 1:
                [contact] = found
                context |= {"verdict": explain(definition, contact, now), "who": contact.external_id or str(contact)}
    except (Invalid, TooSlow) as error:
        return _refused(request, context, error)
    context |= {"definition_object": definition, "found": found[:FOUND], "more": len(found) > FOUND}
    return render(request, _template(request, "why"), context)


@staff_page()
def person_segments(request, workspace, public_id):
    """To which segments a person belongs now: a page, or for htmx what its panel shows."""
    contact = person_or_404(workspace, public_id)
    template = "_of_person" if request.htmx else "of_person"
    return render(request, f"segments/{template}.html", {"contact": contact, "segments": segments_of(contact)})


# All of them ----------------------------------------------------------------------------------------------------------


def _ask(workspace, data) -> tuple[Definition, Answer]:
    """Who matches at this moment. Raises Invalid, TooSlow."""
    with one_moment() as now:
        definition = parse(workspace, data)
        return definition, answer(definition, now)


@staff_page()
def people_export(request, workspace):
    """Everybody who matches now as CSV. The number of rows stands in a header, so that the page can show progress."""
    question = _question(request, workspace)
    try:
        definition, result = _ask(workspace, question["data"])
    except (Invalid, TooSlow) as error:
        return _refused(request, question, error)
    response = StreamingHttpResponse(csv_of(definition, result), content_type="text/csv; charset=utf-8")
    name = slugify(question["segment"].name) or "people"
    day = timezone.now().astimezone(workspace.zone).date()
    response["Content-Disposition"] = f'attachment; filename="{name}-{day}.csv"'
    response["X-Row-Count"] = str(result.count)
    return response


# Tags -----------------------------------------------------------------------------------------------------------------


@staff_page("editor")
def people_tag(request, workspace):
    """Put a tag on everybody who matches, or take one off. It is done if just as many match as its asker was told."""
    question = _question(request, workspace)
    try:
        definition, result = _ask(workspace, question["data"])
    except (Invalid, TooSlow) as error:
        return _refused(request, question, error)
    context = question | {"result": result, "definition_object": definition, "tags": workspace.tags.all()}
    if request.method == "POST":
        adds = request.POST.get("action") != "remove"
        context["tag"] = request.POST.get("tag", "").strip()
        try:
            tag = _named_tag(workspace, context["tag"], make=adds)
            if request.POST.get("count") != str(result.count):
                raise ValidationError(f"Meanwhile {result.count:,} match. Look again, then go on.")
            _ask_for_tag(tag, result.ids, adds=adds, question=str(definition), asked_by=request.user)
        except ValidationError as error:
            context["errors"] = error.messages
            return render(request, _template(request, "tag"), context, status=422)
        notices.success(request, f"Under way for {result.count:,}: below is how far it is.")
        to_log = redirect("people_tagged", workspace.app_id)
        return HttpResponseClientRedirect(to_log.url) if request.htmx else to_log
    return render(request, _template(request, "tag"), context)


def _named_tag(workspace, name: str, *, make: bool) -> Tag:
    """The tag of this name, made if there is none and it is to be put on. Raises ValidationError."""
    if fault := fault_in_name(name):
        raise ValidationError(fault)
    if make:
        return find_or_create(workspace, name)
    tag = workspace.tags.filter(name_folded=fold(name)).first()
    if tag is None:
        raise ValidationError(f"There is no tag “{name}”. Choose one of the list.")
    return tag


def _ask_for_tag(tag: Tag, *what, **how):
    try:
        tagging.ask(tag, *what, **how)
    except NotFound as error:
        raise ValidationError(f"“{tag}” was deleted a moment ago. Look again, then go on.") from error


@staff_page()
def people_tagged(request, workspace):
    """What was done with tags for many people at once, the newest first."""
    runs = _runs(workspace).order_by("-pk")[:RUNS]
    back = came_from(request, reverse("people", args=[workspace.app_id]))
    return render(request, "segments/tagged.html", {"runs": runs, "back": back})


@staff_page(post="editor")
def tag_run(request, workspace, pk):
    """One of these acts, as it goes on; POST undoes it."""
    run = get_object_or_404(_runs(workspace), pk=pk)
    if request.method != "POST":
        template = "_tag_run.html" if request.htmx else "tagged.html"
        return render(request, f"segments/{template}", {"run": run, "runs": [run]})
    try:
        tagging.undo(run, asked_by=request.user)
    except tagging.NotUndoable:
        notices.error(request, "Not undone: it is not done yet, it changed nobody, or it was undone before.")
    return redirect("people_tagged", workspace.app_id)


def _runs(workspace):
    found = TagRun.objects.filter(workspace=workspace).defer("members", "changed")
    return found.select_related("asked_by", "undone_by", "undoes")
