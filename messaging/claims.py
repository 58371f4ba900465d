"""Who works on what is due: a claim is an UPDATE with a token and a lease, so that a worker that dies leaves what it
had to run out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import models, transaction
from django.utils import timezone

LEASE = timedelta(seconds=60)


@dataclass
class End:
    """How an attempt ended, and when what waits goes on."""

    state: str
    reason: str = ""
    detail: str = ""
    due_at: datetime | None = None


def claim(due: models.QuerySet, number: int, **noted) -> tuple[dict[int, datetime], UUID]:
    """Take up to `number` of these rows for the caller, and none that another worker has; return since when each was
    due, by its id, and the token of the claim. `noted` is written with it."""
    token, now = uuid4(), timezone.now()
    with transaction.atomic():
        rows = due.select_for_update(skip_locked=True, of=("self",)).only("pk", "due_at")[:number]
        found = {row.pk: row.due_at for row in rows}
        if found:
            taken = due.model.objects.filter(pk__in=found)
            taken.update(state="sending", claim=token, due_at=now + LEASE, **noted)
    return found, token


def give_back(claimed: models.QuerySet, due: dict[int, datetime]):
    """Leave claimed rows to others: those with these ids, due as they were before."""
    was_due_at = models.Case(*(models.When(pk=pk, then=models.Value(at)) for pk, at in due.items()))
    claimed.filter(pk__in=due).update(claim=None, due_at=was_due_at)
