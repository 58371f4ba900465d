"""Files of people that staff upload: kept in the database, where every machine finds them, and imported by the worker,
some rows at a time.

Whatever kills the worker, the next sweep goes on where it stopped. A part of the file goes with the rows that it held;
a file that nobody asks to import, and rows that were refused, go after a week.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice

import msgspec
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from eventsapp.cells import bare
from eventsapp.models import Contact, ImportPart, PeopleImport, RefusedRow, Workspace
from eventsapp.naming import Names
from eventsapp.people_columns import Columns, Kinds, guess
from eventsapp.people_import import AT_ONCE, SAMPLE, Became, open_rows, store
from eventsapp.pool import lend
from eventsapp.sql import let_others_write
from eventsapp.wakeups import wake

logger = logging.getLogger(__name__)

LARGEST = 20_000_000  # bytes
KEPT = timedelta(days=7)
MOST_ATTEMPTS = 5  # at one part
AT_A_TIME = 1  # seconds after which other work gets its turn
TELLING = 5  # characters
LOOKED_AT_ONCE = 2_000  # refused rows
GONE = "It named somebody who was deleted meanwhile."


class UnderWay(Exception):
    """Somebody asked for this import already, or threw it away."""


def upload(workspace: Workspace, name: str, raw: Iterable[bytes], *, by) -> PeopleImport:
    """Keep a CSV file, to be looked at and imported. Raises ValueError that says what is wrong with the file."""
    header, rows = open_rows(raw)
    run = PeopleImport(workspace=workspace, file_name=name[:255], header=header, targets=[], uploaded_by=by)
    kinds, parts = Kinds(len(header)), []
    # All of it is read before the database hears of it: others write meanwhile.
    while some := list(islice(rows, AT_ONCE)):
        if not run.size:
            run.targets = guess(workspace, header, [cells for _, cells in some[:SAMPLE]])
        for _, cells in some:
            kinds.see(cells)
        run.size += len(some)
        parts.append(ImportPart(of=run, rows=msgspec.json.encode(some)))
    if not run.size:
        raise ValueError("The file has no rows below its first line, which names the columns.")
    run.kinds = [sorted(of) for of in kinds.of]
    with transaction.atomic():
        run.save()
        ImportPart.objects.bulk_create(parts, batch_size=100)
    return run


def first_rows(run: PeopleImport, number: int) -> list[list[str]]:
    """Return the cells of the first rows that still wait."""
    part = run.parts.order_by("pk").first()
    return [cells for _, cells in _rows_in(part.rows)[:number]] if part else []


def _rows_in(rows: bytes) -> list[tuple[int, list[str]]]:
    return msgspec.json.decode(bytes(rows), type=list[tuple[int, list[str]]])


@transaction.atomic
def ask(run: PeopleImport, *, targets: Sequence[str], tags: Sequence[str]):
    """Have the people of an uploaded file imported. Raises UnderWay."""
    draft = PeopleImport.objects.filter(pk=run.pk, asked_at=None)
    if not draft.update(asked_at=timezone.now(), targets=list(targets), tags=list(tags)):
        raise UnderWay
    transaction.on_commit(lambda: wake("eventsapp.tasks.import_people"))


def throw_away(run: PeopleImport):
    """Forget a file that nobody asked to import. Raises UnderWay."""
    if not _forget_drafts(PeopleImport.objects.filter(pk=run.pk)):
        raise UnderWay


@transaction.atomic
def _forget_drafts(imports) -> int:
    """Forget those of these imports (a queryset) that nobody asked for; return how many."""
    # Locked first: whoever asks for one at this moment is before this, or too late.
    drafts = [run.pk for run in imports.filter(asked_at=None).select_for_update().only("pk").order_by("pk")]
    PeopleImport.objects.filter(pk__in=drafts).delete()
    return len(drafts)


def forget_old():
    """Forget what is a week old: files that nobody asked to import, or that were given up, and what refused rows
    said."""
    old = timezone.now() - KEPT
    _forget_drafts(PeopleImport.objects.filter(uploaded_at__lt=old))
    ImportPart.objects.filter(of__done_at__lt=old).delete()
    RefusedRow.objects.filter(of__done_at__lt=old).delete()


# The worker ----------------------------------------------------------------------------------------------------------


def work() -> int:
    """Go on with what was asked for, for a second; if there is more, the worker is woken again. Return how many rows
    were gone through."""
    gone_through, until = 0, time.monotonic() + AT_A_TIME
    while (taken := _next_step()) is not None:
        gone_through += taken
        let_others_write()
        if time.monotonic() > until:
            wake("eventsapp.tasks.import_people")
            break
    return gone_through


def _next_step() -> int | None:
    """One part of the oldest import that waits; None when none does, or others are at it. One that fails is tried
    again later, and makes way for others; after some times it is given up, where staff see it."""
    waiting = PeopleImport.objects.waiting().filter(due_at__lte=timezone.now()).order_by("pk")
    pk = None
    try:
        with transaction.atomic():
            run = (
                waiting.select_related("workspace")
                .select_for_update(of=("self",), skip_locked=True, no_key=True)
                .first()
            )
            if run is None:
                return None
            pk = run.pk
            return _step(run)
    except Exception:  # whatever is wrong with one file must not hold up the others
        if pk is None:
            raise
        logger.exception("The import %s could not go on.", pk)
        _note_failure(pk)
        return 0


def _note_failure(pk: int):
    with transaction.atomic():
        run = PeopleImport.objects.select_for_update(no_key=True).filter(pk=pk).first()
        if run is None:
            return
        run.attempts += 1
        run.due_at = timezone.now() + timedelta(seconds=5 * 2**run.attempts)
        if run.attempts >= MOST_ATTEMPTS:
            run.done_at = timezone.now()
        run.save(update_fields=["attempts", "due_at", "done_at"])


def _step(run: PeopleImport) -> int:
    """Import one part; return how many rows that were."""
    part, rows = run.parts.order_by("pk").first(), []
    if part:
        columns = Columns.of(run.workspace, run.header, run.targets, run.kinds, run.tags)
        rows = [columns.row(line, cells) for line, cells in _rows_in(part.rows)]
        outcomes = store(run.workspace, rows)
        for what, number in Counter(outcome.what for outcome in outcomes).items():
            setattr(run, what, getattr(run, what) + number)
        _keep_refused(
            run,
            (
                (row.line, outcome.sentence, row.cells)
                for row, outcome in zip(rows, outcomes, strict=True)
                if outcome.what == Became.REFUSED
            ),
        )
        part.delete()
    if not run.parts.exists():
        run.done_at = timezone.now()
    run.attempts = 0
    run.save(update_fields=[*Became, "done_at", "attempts"])
    return len(rows)


# Refused rows --------------------------------------------------------------------------------------------------------


def _keep_refused(run: PeopleImport, refused: Iterable[tuple[int, str, Sequence[str]]]):
    RefusedRow.objects.bulk_create(
        RefusedRow(of=run, line=line, error=error, cells=msgspec.json.encode(cells)) for line, error, cells in refused
    )


def refused_of(run: PeopleImport) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line number, sentence, cells) of the refused rows."""
    for some in _by_and_by(run.refused_rows, AT_ONCE, "line", "error", "cells"):
        # A reader may be slow.
        lend()
        yield from ((line, error, _cells_in(cells)) for _, line, error, cells in some)


def _by_and_by(rows, number: int, *columns: str) -> Iterator[list[tuple]]:
    """Yield the key and these columns of some rows at a time, in the order of their keys, up to the last one of now."""
    rows = rows.order_by("pk").values_list("pk", *columns)
    until, reached = rows.values_list("pk", flat=True).last(), 0
    while until and (some := list(rows.filter(pk__gt=reached, pk__lte=until)[:number])):
        yield some
        reached = some[-1][0]


def _cells_in(cells: bytes) -> list[str]:
    return msgspec.json.decode(bytes(cells))


# Who is deleted ------------------------------------------------------------------------------------------------------


def hold(workspace_id: int) -> list[PeopleImport]:
    """Let no file of a workspace be imported until the transaction ends; return what is kept of them. To be asked for
    before people are locked, as the worker does."""
    imports = PeopleImport.objects.filter(workspace=workspace_id).order_by("pk")
    return list(imports.select_for_update(no_key=True))


def forget_people(imports: Iterable[PeopleImport], people: Sequence[Contact], named: Names):
    """Forget what waiting and refused rows say of these people; `named` looks for them in a text. Of these rows stays
    that they were there."""
    user_ids = {contact.external_id for contact in people if contact.external_id}
    # Where it is not said yet what a column is, a short number may be anything.
    telling = {user_id for user_id in user_ids if len(user_id) >= TELLING}
    for run in imports:
        # A user_id may be a short number: it names somebody where user_ids stand.
        places = {place for place, target in enumerate(run.targets) if target == "user_id"}
        elsewhere = telling if run.asked_at is None else set()

        def is_about(cells, places=places, elsewhere=elsewhere) -> bool:
            if any(bare(cells[place]) in user_ids for place in places if place < len(cells)):
                return True
            if elsewhere and any(bare(cell) in elsewhere for cell in cells):
                return True
            return named.may_be_in("\n".join(cells)) and any(map(named.are_in, cells))

        for some in _by_and_by(run.refused_rows, LOOKED_AT_ONCE, "error", "cells"):
            text = _text_of(some)
            # A cell that is a user_id, `bare` or not, holds it.
            if named.may_be_in(text) or any(user_id in text for user_id in user_ids):
                about = [pk for pk, error, cells in some if named.are_in(error) or is_about(_cells_in(cells))]
                run.refused_rows.filter(pk__in=about).update(error=GONE, cells=msgspec.json.encode([]))
        for [(pk, rows)] in _by_and_by(run.parts, 1, "rows"):
            # To look at the text is much cheaper than to read it.
            text = bytes(rows).decode()
            if named.are_in(text) or any(_as_written(user_id) in text for user_id in user_ids):
                _take_out(run, pk, _rows_in(rows), is_about)


def _text_of(refused: Iterable[tuple[int, str, bytes]]) -> str:
    """All that refused rows (key, sentence, cells) say, joined by line ends or by what stands between cells in JSON."""
    text = b"\n".join(cells for *_, cells in refused).decode()
    if "\\" in text:
        # Only without one it is as each cell was.
        text = "\n".join(cell for *_, cells in refused for cell in _cells_in(cells))
    return "\n".join([text, *{error for _, error, _ in refused}])


def _as_written(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _take_out(run: PeopleImport, part: int, rows: list[tuple[int, list[str]]], is_about: Callable[[list[str]], bool]):
    gone = {line for line, cells in rows if is_about(cells)}
    if gone:
        _keep_refused(run, ((line, GONE, []) for line in sorted(gone)))
        left = msgspec.json.encode([row for row in rows if row[0] not in gone])
        # Of an import that was given up it may just have been forgotten.
        ImportPart.objects.filter(pk=part).update(rows=left)
        PeopleImport.objects.filter(pk=run.pk).update(refused=F("refused") + len(gone))
