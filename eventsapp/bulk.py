"""Bulk jobs, as Intercom's API 1.x has them. Ours are done when they are answered: each request is a task of its job,
stored like a batch, and the job stays open for a while for those who append."""

import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from eventsapp import batches
from eventsapp.batches import store_batch
from eventsapp.erasing import erase
from eventsapp.errors import Fault, Refused, faults_in, invalid, missing
from eventsapp.models import BulkJob, Workspace
from eventsapp.naming import Names
from eventsapp.people import contact_named
from eventsapp.people_columns import Row
from eventsapp.people_import import store
from eventsapp.serializers import UserIn

OPEN = timedelta(minutes=15)
KEPT = timedelta(days=30)
# Items of one request. A hundred users are what Intercom takes; more at once are a file to import.
MOST = {BulkJob.Of.EVENTS: batches.MOST, BulkJob.Of.USERS: 100}
MOST_FAILED = 1_000  # items kept of one job
METHODS = {BulkJob.Of.EVENTS: ["post"], BulkJob.Of.USERS: ["post", "delete"]}
EXAMPLE = '{"method": "post", "data_type": "%s", "data": {…}}'


def read_job(data, of: BulkJob.Of) -> tuple[list, str | None]:
    """Return the items of a decoded bulk request and the id of the job that it names. Raises Refused."""
    if not isinstance(data, dict) or "items" not in data:
        raise Refused(missing("items", f"items is missing. Write [{EXAMPLE % of}]."))
    items, job = data["items"], data.get("job")
    if not isinstance(items, list) or not items:
        raise Refused(invalid("items", "items must be a list with at least one entry."))
    if len(items) > MOST[of]:
        message = f"There are more than {MOST[of]:,} items. Send them in several requests."
        raise Refused(invalid("items", message), status=413)
    if job is not None and not (isinstance(job, dict) and isinstance(job.get("id"), str)):
        raise Refused(invalid("job.id", 'job must name a job that is open, such as {"id": "job_…"}.'))
    return items, job["id"] if job else None


def open_job(workspace: Workspace, of: BulkJob.Of) -> BulkJob:
    """Return a new job that takes items for a quarter of an hour; jobs of a month ago go."""
    now = timezone.now()
    BulkJob.objects.filter(workspace=workspace, created_at__lt=now - KEPT).delete()
    return BulkJob.objects.create(workspace=workspace, of=of, closing_at=now + OPEN)


def deletes_somebody(items: list) -> bool:
    return any(isinstance(item, dict) and item.get("method") == "delete" for item in items)


def append(job: BulkJob, items: list) -> BulkJob:
    """Do what the items say as a task of the job; return the job as it is then. Raises Refused when it is closed."""
    if job.closing_at < timezone.now():
        raise Refused(Fault("job_closed", "This job takes no more items. Send them without a job.", "job.id"))
    deleted: list[Names] = []
    ends = [_faults_of(job.of, item) for item in items]
    good = [item for item, faults in zip(items, ends, strict=True) if not faults]
    done = iter(_store_events(job, good) if job.of == BulkJob.Of.EVENTS else _write_users(job, good, deleted))
    failed = []
    for item, faults in zip(items, ends, strict=True):
        if found := faults or next(done):
            # As a text: PostgreSQL's JSON takes no NUL, and what failed may hold one.
            failed.append(json.dumps({"item": item, "errors": [one.as_json() for one in found]}))
    # Of those who are deleted nothing is kept here, either.
    kept = [item for item in failed if not any(names.are_in(item) for names in deleted)]
    with transaction.atomic():
        # Others may append at the same moment.
        job = BulkJob.objects.select_for_update(of=("self",)).select_related("workspace").get(pk=job.pk)
        job.tasks.append({"item_count": len(items), "failed": len(failed)})
        job.failed = (job.failed + kept)[:MOST_FAILED]
        job.updated_at = timezone.now()
        job.save(update_fields=["tasks", "failed", "updated_at"])
    return job


def _faults_of(of: str, item) -> list[Fault]:
    """What is wrong with an item before its event or user is looked at."""
    if not isinstance(item, dict):
        return [invalid("items", f"An item is an object, such as {EXAMPLE % of}.")]
    if item.get("method") not in METHODS[of]:
        return [invalid("method", f"Write {' or '.join(METHODS[of])}.")]
    if item.get("data_type") != of:
        return [invalid("data_type", f"Only {of}s are taken here. Write {of}.")]
    if "data" not in item:
        return [missing("data", f"data is missing. Write the {of}.")]
    return []


def _store_events(job, items) -> list[Sequence[Fault]]:
    ends = store_batch(job.workspace, [item["data"] for item in items], historical=False)
    return [end.faults for end in ends]


def _write_users(job, items, deleted: list[Names]) -> list[Sequence[Fault]]:
    """Make, change and delete users one after the other; `deleted` gets the names of those who are gone."""
    ends = []
    for method, some in groupby(items, key=lambda item: item["method"]):
        read = [_read_user(item["data"]) for item in some]
        good = [user for user in read if isinstance(user, Row)]
        if method == "post":
            done = iter([outcome.faults for outcome in store(job.workspace, good)])
        else:
            done = iter([_delete(job.workspace, user, deleted) for user in good])
        ends += [next(done) if isinstance(user, Row) else user for user in read]
    return ends


def _read_user(data) -> Row | Sequence[Fault]:
    try:
        public_id, fields = UserIn.read(data)
    except Refused as refused:
        return refused.faults
    except ValidationError as error:
        return list(faults_in(error.detail))
    return Row(line=0, cells=[], public_id=public_id, fields=fields)


def _delete(workspace, user: Row, deleted: list[Names]) -> Sequence[Fault]:
    named = {"id": user.public_id, "user_id": user.fields.get("external_id"), "email": user.fields.get("email")}
    try:
        deleted.append(erase(contact_named(workspace, **named)))
    except Refused as refused:
        return refused.faults
    return ()
