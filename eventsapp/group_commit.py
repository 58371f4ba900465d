"""Single events that arrive together share one transaction: a commit waits for the disk, and many can wait at once.

One thread of the process writes: all that waits, then all that has come meanwhile. Nobody is answered before the
commit.
"""

import os
import threading
from dataclasses import dataclass, field
from itertools import pairwise

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections, transaction

from eventsapp.incoming import IncomingEvent
from eventsapp.ingest import Outcome, ingest, ingest_known
from eventsapp.models import Source, Workspace
from eventsapp.pool import lend

LARGEST = 200  # events in one transaction
CHANCES = 3  # that a database which is away gets to come back, each as long as the pool waits for a connection


@dataclass(eq=False)
class _Request:
    """One event on its way. Its thread sleeps on `asleep` until it has its end."""

    workspace: Workspace
    event: IncomingEvent
    source: str
    asleep: threading.Lock = field(default_factory=threading.Lock)
    next: "_Request | None" = None
    outcome: Outcome | None = None
    error: Exception | None = None

    def __post_init__(self):
        # A lock is a third of the cost of a threading.Event.
        self.asleep.acquire()

    def wake(self):
        self.asleep.release()

    def run_alone(self):
        try:
            [self.outcome] = ingest(self.workspace, [self.event], source=self.source)
        except Exception as error:  # noqa: BLE001  it belongs to the thread that waits for it, and is raised there
            self.error = error


class GroupCommit:
    """The queue of one process, and the thread that writes what is in it."""

    def __init__(self):
        self.forget()
        # A forked child has this object, but not its thread.
        os.register_at_fork(after_in_child=self.forget)

    def forget(self):
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._thread: threading.Thread | None = None

    def store(self, workspace: Workspace, event: IncomingEvent, source: str = Source.API) -> Outcome:
        """Store one event, together with those that arrive meanwhile; answer once it is committed.

        Raises what storing it alone raises. Inside a transaction of the caller's it is written there.
        """
        own = connections[DEFAULT_DB_ALIAS]
        if own.in_atomic_block:
            return ingest(workspace, [event], source=source)[0]
        # Who waits for the thread that writes must not hold what it may need.
        lend()
        request = _Request(workspace, event, source)
        with self._changed:
            if self._thread is None:
                self._start()
            self._waiting.append(request)
            self._changed.notify()
        request.asleep.acquire()
        if request.next:
            request.next.wake()
        if request.error:
            raise request.error
        return request.outcome

    def _start(self):
        thread = threading.Thread(target=self._write_forever, name="group-commit", daemon=True)
        thread.start()
        self._thread = thread

    def _write_forever(self):
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting)
                while group := self._next_group():
                    self._write(group)
                # Others may need it, while nobody needs this thread.
                connection.close()
        finally:
            # Whatever ended it: the next event begins another.
            with self._changed:
                self._thread = None

    def _next_group(self) -> list[_Request]:
        with self._changed:
            group, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
        return group

    def _write(self, group: list[_Request]):
        """Store a group and wake those who wait for it."""
        try:
            _store(group)
        finally:
            for request in group:
                if request.outcome is None and request.error is None:
                    request.error = RuntimeError("the thread that wrote this group of events was stopped")
            # One wakes the next: all at once they would keep this thread from Python's lock.
            for request, after in pairwise(group):
                request.next = after
            group[0].wake()


def _store(group: list[_Request]):
    """Store a group in one transaction; if that fails, each alone, so that one request's fault is its own."""
    for chance in range(CHANCES):
        try:
            for lot in _lots(group):
                _store_lot(lot)
        except (OperationalError, InterfaceError) as error:
            # The database was away, or two writers met: nobody's own fault, and alone each would wait for it in turn.
            _forget_connections()
            if chance == CHANCES - 1:
                for request in _waiting(group):
                    request.error = error
        except Exception:  # noqa: BLE001  whatever it is: whoever caused it meets it again alone
            for request in _waiting(group):
                request.run_alone()
            return
        else:
            return


def _waiting(group: list[_Request]) -> list[_Request]:
    return [request for request in group if request.outcome is None]


def _lots(group: list[_Request]) -> list[list[_Request]]:
    """Those that still wait, by workspace and source."""
    lots: dict[tuple[int, str], list[_Request]] = {}
    for request in _waiting(group):
        lots.setdefault((request.workspace.pk, request.source), []).append(request)
    return [lot for _, lot in sorted(lots.items())]


def _store_lot(lot: list[_Request]):
    """Store what one workspace sent: most of it in a statement of its own, whoever and whatever is new after it."""
    workspace, source = lot[-1].workspace, lot[0].source
    outcomes = ingest_known(workspace, [request.event for request in lot], source=source)
    for request, outcome in zip(lot, outcomes, strict=True):
        request.outcome = outcome
    if rest := _waiting(lot):
        with transaction.atomic(durable=True):
            outcomes = ingest(workspace, [request.event for request in rest], source=source)
        for request, outcome in zip(rest, outcomes, strict=True):
            request.outcome = outcome


def _forget_connections():
    """Drop what a restart of the database broke: this thread's connection, and those that lie in the pool."""
    connection.close()
    if pool := getattr(connection, "pool", None):
        pool.check()


store = GroupCommit().store
