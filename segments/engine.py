"""Answering a definition: each condition is one SELECT of contact ids, the tree is set algebra over bitmaps.

Complements are taken here, among People, so SQL is only asked positive questions. Another engine only has to answer one
condition with ids: `ids_of` is the seam.
"""

import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, reduce
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
    """The database was stopped: a question took longer than `settings.QUESTION_SECONDS`."""

    def __init__(self):
        message = (
            f"This took longer than {settings.QUESTION_SECONDS:g} seconds and was stopped. "
            "Ask for fewer conditions, a shorter time, or without metadata."
        )
        super().__init__(Fault("too_slow", message, "definition"), status=422)


@contextmanager
def one_moment():
    """Open a transaction that sees one moment of the data, or join the one that is open; yield now in Unix seconds.
    Raises TooSlow, unless the transaction is another's."""
    if connection.in_atomic_block:
        yield now_in_seconds()
        return
    moment = _moment_of_postgresql if connection.vendor == "postgresql" else _moment_of_sqlite
    try:
        with moment():
            yield now_in_seconds()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == QUERY_CANCELED or str(error) == "interrupted":
            raise TooSlow from error
        raise


@contextmanager
def _moment_of_postgresql():
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                f"SET LOCAL statement_timeout = {int(settings.QUESTION_SECONDS * 1000)}"
            )
        yield


@contextmanager
def _moment_of_sqlite():
    """Begun without the write lock that our transactions otherwise take, so that a question never holds up an event."""
    connection.ensure_connection()
    mode, connection.transaction_mode = connection.transaction_mode, "DEFERRED"
    until = time.monotonic() + settings.QUESTION_SECONDS
    connection.connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        with transaction.atomic():
            yield
    finally:
        connection.transaction_mode = mode
        connection.connection.set_progress_handler(None, 0)


@dataclass(frozen=True)
class Answer:
    """Who matches, at one moment."""

    ids: BitMap
    everyone: int
    row_counts: list[int]
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
    rows = [asked.who(condition) for condition in definition.conditions]
    ids = asked.joined(definition.root.match, rows) if rows else asked.people
    as_of = recent.as_of if recent else now
    return Answer(ids, len(asked.people), [len(row) for row in rows], definition.events_named(), as_of)


def everyone(workspace: Workspace, among=None) -> BitMap:
    """The universe: People of the workspace, or those of them who are `among` the given ids."""
    people = Contact.objects.filter(workspace=workspace).people()
    return ids_of((people if among is None else people.filter(pk__in=among)).values("pk"))


@dataclass(frozen=True)
class _Question:
    clock: Clock
    workspace: Workspace
    among: list[int] | None
    recent: Recent | None = None

    @cached_property
    def people(self) -> BitMap:
        return self._asked(None, lambda: everyone(self.workspace, self.among))

    def _asked(self, condition, ask) -> BitMap:
        return self.recent.get(condition, ask) if self.recent else ask()

    def who(self, condition) -> BitMap:
        """The people for whom a condition, or a group, holds."""
        if isinstance(condition, Group):
            return self.joined(condition.match, [self.who(inner) for inner in condition.conditions])
        if isinstance(condition, InSegment):
            positive = self.who(condition.group)
        else:
            positive = self._asked(condition, lambda: ids_of(condition.contacts(self.clock, self.among)))
        return self.people - positive if condition.negative else self.people & positive

    def joined(self, match: str, rows: list[BitMap]) -> BitMap:
        return reduce(and_ if match == "all" else or_, rows)


@dataclass(frozen=True)
class Verdict:
    """Whether one condition, or group, holds for one person, and the numbers behind it.

    `match` and `inner` are those of a group, or of what a segment asks.
    """

    words: str
    holds: bool
    facts: str = ""
    match: str | None = None
    inner: tuple["Verdict", ...] = ()


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
        return replace(_verdict_of_group(asked, condition.group, contact), words=str(condition), holds=holds)
    return Verdict(str(condition), holds, condition.facts(asked.clock, contact))


def ids_of(contacts) -> BitMap:
    """Run a queryset of one column of contact ids; return them as a set."""
    try:
        sql, params = contacts.query.sql_with_params()
    except EmptyResultSet:
        return BitMap()
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return BitMap([pk for (pk,) in cursor.fetchall()])
    # Imported here because numpy and psycopg weigh tens of megabytes, for which SQLite has no use.
    from segments.postgresql import set_of_ids

    return set_of_ids(sql, params)
