"""Importing people from a file: it is uploaded, looked at, asked for, and then goes on by itself."""

from django.contrib import messages as notices
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify

from eventsapp import uploads
from eventsapp.import_forms import ColumnForms, FileForm, TagsForm
from eventsapp.models import PeopleImport, Role
from eventsapp.pages import staff_page
from eventsapp.people_import import FIRST, refused_csv
from eventsapp.text import fold

RUNS = 20
SHOWN = 3  # rows of a file


@staff_page(Role.EDITOR)
def people_imports(request, workspace):
    """Choose a file; on POST it is kept, and looked at next. Below it the last imports."""
    form = FileForm(*(request.POST, request.FILES) if request.method == "POST" else ())
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            return redirect(uploads.upload(workspace, file.name, file, by=request.user))
        except ValueError as error:
            form.add_error("file", str(error))
    runs = _imports(workspace).order_by("-pk")[:RUNS]
    context = {"form": form, "runs": runs}
    return render(request, "eventsapp/imports.html", context, status=422 if form.errors else 200)


@staff_page(Role.EDITOR)
def people_import(request, workspace, pk):
    """One import: what its columns are for, then how far it is, then what became of its rows."""
    run = get_object_or_404(_imports(workspace), pk=pk)
    if run.asked_at is None:
        return _draft(request, run)
    refused = run.refused_rows.defer("cells").order_by("pk")[:FIRST] if run.done_at else ()
    tags = workspace.tags.filter(name_folded__in=map(fold, run.tags))
    template = "_import" if request.htmx else "import"
    return render(request, f"eventsapp/{template}.html", {"run": run, "refused": refused, "tags": tags})


def _draft(request, run: PeopleImport):
    sent = request.POST if request.method == "POST" else None
    if sent is not None and sent.get("action") == "throw_away":
        return _do(request, run, lambda: uploads.throw_away(run), "people_imports", run.workspace.app_id)
    sample = uploads.first_rows(run, SHOWN)
    columns, tags = ColumnForms(sent, header=run.header, targets=run.targets, sample=sample), TagsForm(sent)
    if sent is not None and columns.is_valid() & tags.is_valid():
        targets, names = columns.targets, tags.cleaned_data["tags"]
        return _do(request, run, lambda: uploads.ask(run, targets=targets, tags=names), run)
    context = {"run": run, "columns": columns, "tags_form": tags, "places": range(1, len(sample) + 1)}
    return render(request, "eventsapp/import_draft.html", context, status=200 if sent is None else 422)


def _do(request, run, act, *then):
    try:
        act()
    except uploads.UnderWay:
        notices.error(request, "Somebody else was faster: it is under way, or thrown away.")
        return redirect("people_imports", run.workspace.app_id)
    return redirect(*then)


@staff_page(Role.EDITOR)
def people_import_refused(request, workspace, pk):
    """The rows that were refused, as a file to mend and import."""
    run = get_object_or_404(_imports(workspace), pk=pk)
    lines = refused_csv(run.header, uploads.refused_of(run))
    name = f"{slugify(run.file_name.rpartition('.')[0]) or 'people'}-refused.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _imports(workspace):
    return PeopleImport.objects.filter(workspace=workspace).select_related("uploaded_by", "workspace")
