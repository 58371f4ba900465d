"""Deleting a person for good: what they did, what they are called, and what upper apps keep of them.

What stays is a tombstone: an id that is nobody's any more.
"""

import json

import msgspec
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast

from eventsapp import signals, uploads, volumes
from eventsapp.models import (
    ApiRequest,
    BulkJob,
    Contact,
    Event,
    EventSummary,
    HandOver,
    PeopleImport,
    Tagging,
    Workspace,
    now_in_seconds,
)
from eventsapp.naming import Names
from eventsapp.request_log import log

LATELY = 3600  # seconds for which somebody deleted is looked after; no transaction that stores events takes as long
AT_ONCE = 500  # people in one transaction


@transaction.atomic
def erase(contact: Contact) -> Names:
    """Delete a person for good, and those who were merged into them. A later event with their user_id makes a new
    person. Doing it twice is harmless. Return their names, for a caller that still holds what may name them."""
    imports = uploads.hold(contact.workspace_id)
    ids, locked = [], []
    # Whoever was merged into them while they were being locked is seen when it is done.
    while (found := _with_merged(contact.pk)) != ids:
        ids, people = found, Contact.objects.filter(pk__in=found)
        # Nobody changes them now. Who stores an event of theirs goes on: it looks last at the person, who goes last.
        locked = list(people.select_related("workspace").order_by("pk").select_for_update(of=("self",), no_key=True))
    _delete_what_they_did(ids)
    names = _forget_requests(locked)
    # What superusers repaired: it is noted there under the name of the person.
    LogEntry.objects.filter(content_type__model="contact", object_id__in=[str(pk) for pk in ids]).delete()
    _forget_files(locked, imports)
    now = now_in_seconds()
    # Whatever columns there are, what is kept is what a row cannot be without.
    blank = {field.attname: field.get_default() for field in Contact._meta.concrete_fields}
    del blank["id"], blank["workspace_id"]
    people.update(**blank | {"created_at": now, "updated_at": now, "deleted_at": now})
    return names


def finish():
    """Delete what was being stored for somebody at the very moment of their end. Asked by the sweep."""
    lately = Contact.objects.filter(deleted_at__gte=now_in_seconds() - LATELY)
    gone = list(lately.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(gone), AT_ONCE):
        with transaction.atomic():
            _delete_what_they_did(gone[start : start + AT_ONCE])


def _with_merged(pk: int) -> list[int]:
    ids, found = [], [pk]
    while found:
        ids += found
        heirs = Contact.objects.filter(merged_into__in=found).exclude(pk__in=ids)
        found = list(heirs.order_by("pk").values_list("pk", flat=True))
    return ids


def _delete_what_they_did(ids: list[int]):
    """What is stored at this very moment may stay behind, for `finish`."""
    # Whoever stores an event holds, or waits for, its summary, in this order. What is new since then is not waited for.
    summaries = EventSummary.objects.filter(contact__in=ids).order_by("type_id", "contact_id").select_for_update()
    types = set(summaries.values_list("type_id", flat=True))
    # Before upper apps delete theirs: whoever matches holds hand-overs, and then decides who gets a message.
    HandOver.objects.filter(contact__in=ids).delete()
    signals.contact_erasing.send(sender=Contact, contacts=ids)
    volumes.take_out(ids)
    Tagging.objects.filter(contact__in=ids).delete()
    for model in (Event, EventSummary):
        model.objects.filter(contact__in=ids, type__in=types).delete()


# What apps said of them ----------------------------------------------------------------------------------------------


def _forget_requests(people: list[Contact]) -> Names:
    """Delete the API requests of their workspace that name them, and what failed of bulk jobs likewise."""
    names = {name for one in people for name in (one.public_id, one.external_id, one.email) if name}
    workspace, named, writings = people[0].workspace, Names(names), log.writings

    def names_them(request: ApiRequest) -> bool:
        told = json.dumps([request.errors, request.notes], ensure_ascii=False)
        return named.are_in("\n".join([request.path, request.body, told]))

    def forget_the_latest():
        log.leave_out(workspace.pk, names_them)
        if log.writings != writings:
            _delete_requests(workspace, names_them)

    _delete_requests(workspace, names_them)
    transaction.on_commit(forget_the_latest)
    _forget_failed(workspace, named)
    return named


def _forget_failed(workspace: Workspace, named: Names):
    jobs = BulkJob.objects.filter(workspace=workspace).exclude(failed=[]).order_by("pk").select_for_update()
    # As a text: to read its JSON as Django does costs more than all the rest.
    read = jobs.annotate(items=Cast("failed", TextField())).values_list("pk", "items")
    left = {}
    for pk, items in read.iterator(chunk_size=50):
        failed = msgspec.json.decode(items, type=list[str])
        if named.may_be_in("\n".join(failed)):
            others = [item for item in failed if not named.are_in(item)]
            if len(others) < len(failed):
                left[pk] = others
    for pk, failed in left.items():
        BulkJob.objects.filter(pk=pk).update(failed=failed)


def _delete_requests(workspace: Workspace, are_meant):
    requests = ApiRequest.objects.filter(workspace=workspace)
    read = requests.only("path", "body", "errors", "notes").iterator(chunk_size=500)
    requests.filter(pk__in=[request.pk for request in read if are_meant(request)]).delete()


def _forget_files(people: list[Contact], imports: list[PeopleImport]):
    """Take them out of files that wait to be imported, and of rows that were refused."""
    names = {name for one in people for name in (one.public_id, one.email) if name}
    uploads.forget_people(imports, people, Names(names))
