"""Tags for everybody who matches: asked for on a page, done by the worker, some people at a time, and undone alike.

Whatever kills the worker, the next sweep goes on where it stopped.
"""

import time

from django.db import IntegrityError, transaction
from django.dispatch import receiver
from django.utils import timezone
from pyroaring import BitMap

from eventsapp import signals
from eventsapp.errors import NotFound
from eventsapp.models import Tag, Workspace
from eventsapp.tags import put_on_people, tag_by_id, take_off_people
from eventsapp.wakeups import wake
from segments.models import TagRun

AT_ONCE = 2_000  # people in one transaction
AT_A_TIME = 1  # seconds after which other work gets its turn


class NotUndoable(Exception):
    """The act is not done yet, changed nobody, was undone before, or its tag is gone."""


@transaction.atomic
def ask(tag: Tag, ids: BitMap, *, adds: bool, question: str, asked_by, undoes: TagRun | None = None) -> TagRun:
    """Have a tag put on these people (ids), or taken off them. `question` says in words who they are. Raises NotFound
    when the tag was deleted a moment ago."""
    # Nobody deletes the tag meanwhile.
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=tag.workspace_id)
    tag = tag_by_id(workspace, str(tag.pk))
    run = TagRun.objects.create(
        workspace=workspace,
        tag=tag,
        tag_name=tag.name,
        adds=adds,
        question=question,
        asked_by=asked_by,
        members=ids.serialize(),
        size=len(ids),
        undoes=undoes,
    )
    transaction.on_commit(lambda: wake("segments.tasks.tag_people"))
    return run


def undo(run: TagRun, *, asked_by) -> TagRun:
    """Have what an act changed changed back. Raises NotUndoable."""
    tag = Tag.objects.filter(pk=run.tag_id).first()
    if tag is None or not run.is_undoable:
        raise NotUndoable
    question = f"undoing what was done for {run.question}"
    try:
        return ask(tag, run.changed_ids, adds=not run.adds, question=question, asked_by=asked_by, undoes=run)
    except (IntegrityError, NotFound) as error:  # somebody else was faster
        raise NotUndoable from error


@receiver(signals.tag_deleting)
def let_go(sender, tag, **kwargs):
    """What waits for the tag is at its end. Before the tag is locked, as the worker locks an act before its tag."""
    TagRun.objects.filter(tag=tag).update(tag=None)


def work() -> int:
    """Go on with what was asked for, for a second; if there is more, the worker is woken again. Return how many people
    were gone through."""
    gone_through, until = 0, time.monotonic() + AT_A_TIME
    while (taken := _step()) is not None:
        gone_through += taken
        if time.monotonic() > until:
            wake("segments.tasks.tag_people")
            break
    return gone_through


@transaction.atomic
def _step() -> int | None:
    """Some people of the oldest act that waits; None when none does, or others are at it."""
    waiting = TagRun.objects.filter(done_at=None).order_by("pk")
    run = waiting.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
    if run is None:
        return None
    people = BitMap.deserialize(bytes(run.members))[run.position : run.position + AT_ONCE]
    tag = Tag.objects.filter(pk=run.tag_id).first()
    if tag is None:  # it was deleted meanwhile, and with it whatever was done
        run.position, people = run.size, []
    else:
        changed = (put_on_people if run.adds else take_off_people)(tag, people)
        both = run.changed_ids | BitMap(changed)
        run.changed, run.changed_size = both.serialize(), len(both)
    run.position += len(people)
    if run.position >= run.size:
        run.done_at = timezone.now()
    run.save(update_fields=["position", "changed", "changed_size", "done_at"])
    return len(people)
