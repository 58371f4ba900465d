"""The page of one person, and what staff do there."""

from contextlib import suppress
from datetime import date

from django.contrib import messages as notices
from django.db.models import Sum
from django.http import Http404, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from eventsapp import panels, tags
from eventsapp.days import day_of
from eventsapp.erasing import erase
from eventsapp.errors import Merged, NotFound, Refused
from eventsapp.exporting import export
from eventsapp.filters import HistoryFilter, asked_in
from eventsapp.models import Contact, Event, EventSummary, Role, Tag, place_from
from eventsapp.pages import staff_page
from eventsapp.people import archive, block, change_contact, contact_by_id
from eventsapp.person_forms import DeletionForm, PersonForm, TagForm, attribute_rows
from eventsapp.timeline import by_day
from eventsapp.views import chips

TIMELINE = 50
MOST_OFFERED = 200  # tags


def person_or_404(workspace, public_id: str) -> Contact:
    """Return the person whose page this is. Raises Http404 for somebody unknown, deleted or merged away."""
    try:
        return contact_by_id(workspace, public_id)
    except (NotFound, Merged) as error:
        raise Http404("Nobody here has this id.") from error


@staff_page(post=Role.EDITOR)
def person(request, workspace, public_id):
    """A person; on POST an editor archives or unsubscribes them, or takes that back."""
    try:
        contact = contact_by_id(workspace, public_id)
    except Merged as merged:
        return redirect("person", workspace.app_id, merged.heir)
    except NotFound as error:
        raise Http404("Nobody here has this id.") from error
    if request.method == "POST":
        try:
            return _act(request, contact)
        except NotFound as error:
            raise Http404("They were deleted a moment ago.") from error
    context = _timeline(request, contact)
    if request.htmx:
        return render(request, "eventsapp/_timeline.html", context)
    summaries = EventSummary.objects.filter(contact=contact).with_totals().select_related("type")
    context["filter"].form.fields["event_name"].widget.attrs["list"] = "their-events"
    context |= _tags(contact, TagForm()) | {
        "attributes": chips(contact.custom_attributes, workspace.zone, date_suffix="_at"),
        "summaries": summaries.order_by("-last"),
        "facts": panels.drawn(panels.person_facts, request, contact),
        "panels": panels.drawn(panels.person_panels, request, contact),
    }
    return render(request, "eventsapp/person.html", context)


def _timeline(request, contact: Contact) -> dict:
    """The newest part of a history, or the one before `?before=`; with notes only where no event is left out."""
    zone = contact.workspace.zone
    listed = Event.objects.filter(contact=contact).select_related("type")
    asked_for = HistoryFilter(request.GET, queryset=listed, workspace=contact.workspace)
    history, until, shown_day = asked_for.qs.newest_first(), None, None
    if before := request.GET.get("before"):
        place, shown_day = _place(before, zone)
        history, until = history.older_than(place), place[0]
    page = list(history[: TIMELINE + 1])
    events, older, since = page[:TIMELINE], None, None
    asked = asked_in(asked_for)
    if len(page) > TIMELINE:
        older, since = urlencode(asked | {"before": events[-1].place}), events[-1].created_at
    notes = [] if asked else panels.notes_of(contact, since, until)
    return {
        "contact": contact,
        "filter": asked_for,
        "asked": asked,
        "days": by_day(events, notes, zone),
        # Under its heading stands what was loaded before.
        "shown_day": shown_day if request.htmx else None,
        "older": older,
    }


def _place(before: str, zone) -> tuple[tuple[int, int, int], date]:
    try:
        place = place_from(before)
        return place, day_of(place[0], zone)
    except (ValueError, OverflowError, OSError) as error:
        raise Http404("That is no place in a history.") from error


def _act(request, contact: Contact):
    match request.POST.get("action"):
        case "archive":
            archive(contact, archived=True)
            notices.success(request, f"{contact} is archived: in no list, segment or audience until brought back.")
        case "block":
            block(contact)
            notices.success(request, f"{contact} is blocked: archived, and their browsers are not heard any more.")
        case "unarchive":
            archive(contact, archived=False)
            notices.success(request, f"{contact} is back.")
        case "unsubscribe":
            change_contact(contact, {"unsubscribed_from_emails": True})
            notices.success(request, f"{contact} gets no more emails.")
        case "subscribe":
            change_contact(contact, {"unsubscribed_from_emails": False})
            notices.success(request, f"{contact} gets emails again.")
    return redirect(contact)


@staff_page(Role.EDITOR)
def edit_person(request, workspace, public_id):
    """What is known of a person; on POST what was changed on the page is written, and nothing else."""
    contact = person_or_404(workspace, public_id)
    sent = request.POST if request.method == "POST" else None
    form, rows = PersonForm(sent, contact=contact), attribute_rows(sent, contact)
    if sent is not None and form.is_valid() & rows.is_valid() and _saved(contact, form, rows):
        notices.success(request, "Saved." if form.changes or rows.changes else "Nothing was changed.")
        return redirect(contact)
    context = {"contact": contact, "form": form, "rows": rows}
    return render(request, "eventsapp/edit_person.html", context, status=200 if sent is None else 422)


def _saved(contact: Contact, form: PersonForm, rows) -> bool:
    changes = form.changes | ({"custom_attributes": rows.changes} if rows.changes else {})
    try:
        if changes:
            change_contact(contact, changes)
    except NotFound as error:
        raise Http404("They were deleted a moment ago.") from error
    except Refused as error:
        form.add_error(None, f"Somebody else is known by this user_id or email. {error}")
    return form.is_valid()


@require_POST
@staff_page(Role.EDITOR)
def tag_person(request, workspace, public_id):
    """Put a tag on a person, made if it is new, or take one off."""
    contact, form = person_or_404(workspace, public_id), TagForm()
    if "remove" in request.POST:
        # A colleague may have taken it off already.
        with suppress(NotFound):
            tags.take_off(tags.tag_by_id(workspace, request.POST["remove"]), contact)
    else:
        form = TagForm(request.POST)
        if form.is_valid():
            tags.put_on_by_name(workspace, form.cleaned_data["name"], [contact.pk])
            form = TagForm()
    if request.htmx:
        context = {"contact": contact} | _tags(contact, form)
        return render(request, "eventsapp/_tags.html", context, status=422 if form.errors else 200)
    if form.errors:
        notices.error(request, " ".join(form.errors["name"]))
    return redirect(contact)


def _tags(contact: Contact, form: TagForm) -> dict:
    theirs = Tag.objects.filter(taggings__contact=contact)
    others = contact.workspace.tags.exclude(taggings__contact=contact)[:MOST_OFFERED]
    return {"tags": theirs, "other_tags": others, "tag_form": form}


@staff_page(Role.EDITOR)
def export_person(request, workspace, public_id):
    """All that is kept of a person, as a file."""
    contact = person_or_404(workspace, public_id)
    headers = {"Content-Disposition": f'attachment; filename="person-{contact.public_id}.json"'}
    return StreamingHttpResponse(export(contact), content_type="application/json", headers=headers)


@staff_page(Role.ADMIN)
def delete_person(request, workspace, public_id):
    """Ask whether a person is to be deleted for good; on POST do it, for whoever typed what they are known by."""
    contact = person_or_404(workspace, public_id)
    form = DeletionForm(request.POST if request.method == "POST" else None, contact=contact)
    if form.is_valid():
        erase(contact)
        notices.success(request, "They are deleted for good.")
        return redirect("people", workspace.app_id)
    done = EventSummary.objects.filter(contact=contact).with_totals().aggregate(events=Sum("total"))
    context = {"contact": contact, "form": form} | done
    return render(request, "eventsapp/delete_person.html", context, status=422 if form.errors else 200)
