"""Bulk jobs, as Intercom's API 1.x has them. Ours are done when they are answered: each request is a task of its job,
stored like a batch, and the job stays open for a while for those who append."""

import json
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from eventsapp.batches import MOST, store_batch
from eventsapp.errors import Fault, Refused, invalid, missing
from eventsapp.models import BulkJob, Workspace

OPEN = timedelta(minutes=15)
KEPT = timedelta(days=30)
MOST_FAILED = 1_000  # items kept of one job


def read_job(data) -> tuple[list, str | None]:
    """Return the items of a decoded bulk request and the id of the job that it names. Raises Refused."""
    if not isinstance(data, dict) or "items" not in data:
        message = 'items is missing. Write [{"method": "post", "data_type": "event", "data": {…}}].'
        raise Refused(missing("items", message))
    items, job = data["items"], data.get("job")
    if not isinstance(items, list) or not items:
        raise Refused(invalid("items", "items must be a list with at least one entry."))
    if len(items) > MOST:
        raise Refused(invalid("items", f"The job has more than {MOST:,} items. Send them in several."), status=413)
    if job is not None and not (isinstance(job, dict) and isinstance(job.get("id"), str)):
        raise Refused(invalid("job.id", 'job must name a job that is open, such as {"id": "job_…"}.'))
    return items, job["id"] if job else None


def open_job(workspace: Workspace) -> BulkJob:
    """Return a new job that takes items for a quarter of an hour; jobs of a month ago go."""
    now = timezone.now()
    BulkJob.objects.filter(workspace=workspace, created_at__lt=now - KEPT).delete()
    return BulkJob.objects.create(workspace=workspace, closing_at=now + OPEN)


def append(job: BulkJob, items: list) -> BulkJob:
    """Store the items as a task of the job; return the job as it is then. Raises Refused when it is closed."""
    if job.closing_at < timezone.now():
        raise Refused(Fault("job_closed", "This job takes no more items. Send them without a job.", "job.id"))
    faults = [_fault_of(item) for item in items]
    good = [item["data"] for item, fault in zip(items, faults, strict=True) if not fault]
    ends = iter(store_batch(job.workspace, good, historical=False))
    failed = []
    for item, fault in zip(items, faults, strict=True):
        found = [fault] if fault else next(ends).faults
        if found:
            # As a text: PostgreSQL's JSON takes no NUL, and what failed may hold one.
            failed.append(json.dumps({"item": item, "errors": [one.as_json() for one in found]}))
    with transaction.atomic():
        # Others may append at the same moment.
        job = BulkJob.objects.select_for_update(of=("self",)).select_related("workspace").get(pk=job.pk)
        job.tasks.append({"item_count": len(items), "failed": len(failed)})
        job.failed = (job.failed + failed)[:MOST_FAILED]
        job.updated_at = timezone.now()
        job.save(update_fields=["tasks", "failed", "updated_at"])
    return job


def _fault_of(item) -> Fault | None:
    """What is wrong with an item before its event is looked at."""
    if not isinstance(item, dict):
        return invalid("items", 'An item is an object, such as {"method": "post", "data_type": "event", "data": {…}}.')
    if item.get("method") != "post":
        return invalid("method", "Events can only be posted. Write post.")
    if item.get("data_type") != "event":
        return invalid("data_type", "Only events are taken here. Write event.")
    if "data" not in item:
        return missing("data", "data is missing. Write the event.")
