"""Answering a definition: each condition is one SELECT of contact ids, the tree is set algebra over bitmaps.

Complements are taken here, among People, so SQL is only asked positive questions. Another engine only has to answer one
condition with ids: `ids_of` is the seam.
"""

import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import and_, or_

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connection, transaction
from pyroaring import BitMap

from eventsapp.errors import Fault, Refused
from eventsapp.models import Contact, Workspace, now_in_seconds
from segments.days import Clock
from segments.definition import Definition, Group, InSegment
from segments.recent import Recent

QUERY_CANCELED = "57014"  # SQLSTATE of a statement that ran into its time limit
STEPS = 100_000  # of SQLite's machine between two looks at the clock, some milliseconds


class TooSlow(Refused):
    """The database was stopped: a question took longer than it may."""

    def __init__(self, seconds: float):
        message = (
            f"This took longer than {seconds:g} seconds and was stopped. "
            "Ask for fewer conditions, a shorter time, or without metadata."
        )
        super().__init__(Fault("too_slow", message, "definition"), status=422)


@contextmanager
def one_moment(seconds: float | None = None):
    """Open a transaction that sees one moment of the data, or join the one that is open; yield now in Unix seconds.
    Raises TooSlow after so many `seconds` (None: those of the settings), unless the transaction is another's."""
    seconds = seconds or settings.QUESTION_SECONDS
    if connection.in_atomic_block:
        yield now_in_seconds()
        return
    if connection.vendor == "postgresql":
        # Imported here because numpy and psycopg weigh tens of megabytes, for which SQLite has no use.
        from segments.postgresql import moment
    else:
        moment = _moment_of_sqlite
    try:
        with moment(seconds):
            yield now_in_seconds()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == QUERY_CANCELED or str(error) == "interrupted":
            raise TooSlow(seconds) from error
        raise


@contextmanager
def _moment_of_sqlite(seconds):
    """Begun without the write lock that our transactions otherwise take, so that a question never holds up an event."""
    connection.ensure_connection()
    mode, connection.transaction_mode = connection.transaction_mode, "DEFERRED"
    until = time.monotonic() + seconds
    connection.connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        with transaction.atomic():
            yield
    finally:
        connection.transaction_mode = mode
        connection.connection.set_progress_handler(None, 0)


@dataclass(frozen=True)
class Answer:
    """Who matches, at one moment. `row_counts` says of each condition and inner group how many match it alone, by the
    path of its place."""

    ids: BitMap
    everyone: int
    row_counts: dict[str, int]
    events_named: list[str]
    as_of: int

    @property
    def count(self) -> int:
        return len(self.ids)

    def page(self, before: int | None = None, after: int | None = None, size: int = 50) -> list[int]:
        """Return up to `size` contact ids, newest first: those below `before`, or the ones just above `after`."""
        if after is not None:
            place = self.ids.rank(after)
            return list(self.ids[place : place + size])[::-1]
        place = self.count if before is None else self.ids.rank(max(before, 1) - 1)
        return list(self.ids[max(place - size, 0) : place])[::-1]


def answer(
    definition: Definition, now: int, *, among: Iterable[int] | None = None, recent: Recent | None = None
) -> Answer:
    """Return who of the workspace's People matches `definition` at `now` (Unix seconds); `among` asks only these, and
    `recent` may know a part from a moment ago."""
    among = None if among is None else list(among)
    asked = _Question(Clock(now, definition.workspace.zone), definition.workspace, among, recent)
    asked.ask_all(definition.root)
    ids = asked.people if definition.is_empty else asked.who(definition.root)
    counts = {path: len(asked.who(condition)) for path, condition in definition.root.rows()}
    return Answer(ids, len(asked.people), counts, definition.events_named(), recent.as_of if recent else now)


def everyone(workspace: Workspace, among: Iterable[int] | None = None) -> BitMap:
    """The universe: People of the workspace, or those of them who are `among` the given ids."""
    return ids_of(_people(workspace, among))


def _people(workspace, among):
    people = Contact.objects.filter(workspace=workspace).people()
    return (people if among is None else people.filter(pk__in=among)).values("pk")


EVERYONE = None  # stands among the conditions for the universe that they are asked of


@dataclass(frozen=True)
class _Question:
    clock: Clock
    workspace: Workspace
    among: list[int] | None
    recent: Recent | None = None
    answers: dict[Hashable, BitMap] = field(default_factory=dict)

    @property
    def people(self) -> BitMap:
        return self._ids(EVERYONE)

    def ask_all(self, root: Group):
        """Ask for all sets that the tree is made of."""
        asked = dict.fromkeys([EVERYONE, *_asked_by(root)])
        unknown = [condition for condition in asked if self.recent is None or not self.recent.knows(condition)]
        self.answers.update(zip(unknown, ids_of_all([self._contacts(one) for one in unknown]), strict=True))

    def _contacts(self, condition):
        """The queryset of ids that answers a condition."""
        if condition is EVERYONE:
            return _people(self.workspace, self.among)
        return condition.contacts(self.clock, self.among)

    def _ids(self, condition) -> BitMap:
        def ask():
            if condition not in self.answers:
                self.answers[condition] = ids_of(self._contacts(condition))
            return self.answers[condition]

        return self.recent.get(condition, ask) if self.recent else ask()

    def who(self, condition) -> BitMap:
        """The people for whom a condition, or a group, holds."""
        if isinstance(condition, Group):
            return reduce(and_ if condition.match == "all" else or_, map(self.who, condition.conditions))
        positive = self.who(condition.group) if isinstance(condition, InSegment) else self._ids(condition)
        return self.people - positive if condition.negative else self.people & positive


def _asked_by(group: Group) -> Iterator:
    """Every condition of the tree that the database is asked, those of segments within included."""
    for leaf in group.leaves():
        if isinstance(leaf, InSegment):
            yield from _asked_by(leaf.group)
        else:
            yield leaf


@dataclass(frozen=True)
class Verdict:
    """Whether one condition, or group, holds for one person, and the numbers behind it.

    `match` and `inner` are those of a group, or of what a segment asks; the words of a segment are its name's.
    """

    words: str
    holds: bool
    facts: str = ""
    match: str | None = None
    inner: tuple["Verdict", ...] = ()
    is_segment: bool = False


def explain(definition: Definition, contact: Contact, now: int) -> Verdict:
    """Return the tree of verdicts of a definition about one person at `now` (Unix seconds). The person matches if its
    top holds: nobody does who is not among People, whatever the conditions say."""
    asked = _Question(Clock(now, definition.workspace.zone), definition.workspace, [contact.pk])
    top = _verdict_of_group(asked, definition.root, contact)
    if not asked.people:
        return replace(top, holds=False, facts="archived, a visitor, or merged: not counted among people")
    return replace(top, holds=top.holds or definition.is_empty)


def _verdict_of_group(asked: "_Question", group: Group, contact: Contact) -> Verdict:
    inner = tuple(_verdict(asked, condition, contact) for condition in group.conditions)
    join = all if group.match == "all" else any
    return Verdict(str(group), join(verdict.holds for verdict in inner), match=group.match, inner=inner)


def _verdict(asked: "_Question", condition, contact: Contact) -> Verdict:
    if isinstance(condition, Group):
        return _verdict_of_group(asked, condition, contact)
    holds = contact.pk in asked.who(condition)
    if isinstance(condition, InSegment):
        return replace(
            _verdict_of_group(asked, condition.group, contact), words=str(condition), holds=holds, is_segment=True
        )
    return Verdict(str(condition), holds, condition.facts(asked.clock, contact))


def ids_of(contacts) -> BitMap:
    """Run a queryset of one column of contact ids; return them as a set."""
    [ids] = ids_of_all([contacts])
    return ids


def ids_of_all(querysets: list) -> list[BitMap]:
    """Run querysets of one column of contact ids, all at one moment; return each one's ids as a set."""
    selects = [_compiled(queryset) for queryset in querysets]
    if connection.vendor == "postgresql":
        from segments.postgresql import sets_of_ids

        return sets_of_ids(selects)
    found = []
    with connection.cursor() as cursor:
        for select in selects:
            if select:
                cursor.execute(*select)
            found.append(BitMap([pk for (pk,) in cursor.fetchall()] if select else []))
    return found


def _compiled(queryset) -> tuple[str, tuple] | None:
    """The SQL of a queryset and its parameters; None when nothing can match."""
    try:
        return queryset.query.sql_with_params()
    except EmptyResultSet:
        return None
