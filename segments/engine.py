"""Answering a definition: each condition is one SELECT of contact ids, the tree is set algebra over bitmaps.

Complements are taken here, among People, so SQL is only asked positive questions. Another engine only has to answer one
condition with ids: `ids_of` is the seam.
"""

from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_, or_

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from pyroaring import BitMap

from eventsapp.models import Contact, Workspace, now_in_seconds
from segments.days import Clock
from segments.definition import Definition, Group, InSegment


@contextmanager
def one_moment():
    """Open a transaction that sees one moment of the data, or join the one that is open; yield now in Unix seconds.

    SQLite begins it without the write lock that our transactions otherwise take, so that a question never holds up
    an event.
    """
    if connection.in_atomic_block:
        yield now_in_seconds()
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield now_in_seconds()
    else:
        connection.ensure_connection()
        mode, connection.transaction_mode = connection.transaction_mode, "DEFERRED"
        try:
            with transaction.atomic():
                yield now_in_seconds()
        finally:
            connection.transaction_mode = mode


@dataclass(frozen=True)
class Answer:
    """Who matches, at one moment."""

    ids: BitMap
    everyone: int
    row_counts: list[int]
    events_named: list[str]
    now: int

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


def answer(definition: Definition, now: int, *, among: Iterable[int] | None = None) -> Answer:
    """Return who of the workspace's People matches `definition` at `now` (Unix seconds); `among` asks only these."""
    among = None if among is None else list(among)
    people = everyone(definition.workspace, among)
    asked = _Question(Clock(now, definition.workspace.zone), people, among)
    rows = [asked.who(condition) for condition in definition.conditions]
    ids = asked.joined(definition.root.match, rows) if rows else people
    return Answer(ids, len(people), [len(row) for row in rows], definition.events_named(), now)


def everyone(workspace: Workspace, among=None) -> BitMap:
    """The universe: People of the workspace, or those of them who are `among` the given ids."""
    people = Contact.objects.filter(workspace=workspace).people()
    return ids_of((people if among is None else people.filter(pk__in=among)).values("pk"))


@dataclass(frozen=True)
class _Question:
    clock: Clock
    people: BitMap
    among: list[int] | None

    def who(self, condition) -> BitMap:
        """The people for whom a condition, or a group, holds."""
        if isinstance(condition, Group):
            return self.joined(condition.match, [self.who(inner) for inner in condition.conditions])
        if isinstance(condition, InSegment):
            positive = self.who(condition.group)
        else:
            positive = ids_of(condition.contacts(self.clock, self.among))
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
    people = everyone(definition.workspace, [contact.pk])
    asked = _Question(Clock(now, definition.workspace.zone), people, [contact.pk])
    top = _verdict_of_group(asked, definition.root, contact)
    if not people:
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
    from segments.postgresql import array_of_ids

    return BitMap(array_of_ids(sql, params))
