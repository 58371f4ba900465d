"""Single events that arrive together share one transaction: a commit waits for the disk, and many can wait at once.

The first thread that waits leads: it writes all that waits, commits, hands the lead to the next one that has come
meanwhile, and wakes the rest. Nobody is answered before the commit.
"""

import threading
from dataclasses import dataclass, field
from itertools import pairwise

from django.db import InterfaceError, OperationalError, connection, transaction

from eventsapp.incoming import IncomingEvent
from eventsapp.ingest import Outcome, ingest, ingest_known
from eventsapp.models import Source, Workspace

LARGEST = 200  # events in one transaction


@dataclass(eq=False)
class _Request:
    """One event on its way. Its thread sleeps on `asleep` until somebody wakes it: it has its end, or is to lead."""

    workspace: Workspace
    event: IncomingEvent
    source: str
    asleep: threading.Lock = field(default_factory=threading.Lock)
    leads: bool = False
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
    """The queue of one process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []
        self._has_leader = False

    def store(self, workspace: Workspace, event: IncomingEvent, source: str = Source.API) -> Outcome:
        """Store one event, together with those that arrive meanwhile; answer once it is committed.

        Raises what storing it alone raises. Inside a transaction of the caller's it is written there.
        """
        if connection.in_atomic_block:
            return ingest(workspace, [event], source=source)[0]
        request = _Request(workspace, event, source)
        with self._lock:
            self._waiting.append(request)
            request.leads, self._has_leader = not self._has_leader, True
        if not request.leads:
            _lend_connection()
            request.asleep.acquire()
            if request.next:
                request.next.wake()
        if request.leads:
            self._lead(request)
        if request.error:
            raise request.error
        return request.outcome

    def _lead(self, leader: _Request):
        """Write one group, the leader's own request in it, hand the lead on, and wake the others."""
        with self._lock:
            group, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
        try:
            _store(group)
        finally:
            with self._lock:
                heir = self._waiting[0] if self._waiting else None
                self._has_leader = heir is not None
            if heir:
                heir.leads = True
                heir.wake()
            for request in group:
                if request.outcome is None and request.error is None:
                    request.error = RuntimeError("the thread that led this group of events was stopped")
            # One wakes the next: all at once they would keep the new leader from Python's lock.
            ended = [request for request in group if request is not leader]
            for request, after in pairwise(ended):
                request.next = after
            if ended:
                ended[0].wake()


def _store(group: list[_Request]):
    """Store a group in one transaction; if that fails, each alone, so that one request's fault is its own."""
    for chance in (1, 2):
        try:
            for lot in _lots(group):
                _store_lot(lot)
        except (OperationalError, InterfaceError) as error:
            # The database was away, or two writers met: nobody's own fault, and alone each would wait for it in turn.
            _forget_connections()
            if chance == 2:
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


def _lend_connection():
    """Who waits for the leader must not hold what the leader may need: a connection of a bounded pool."""
    if connection.connection is not None and getattr(connection, "pool", None):
        connection.close()


def _forget_connections():
    """Drop what a restart of the database broke: this thread's connection, and those that lie in the pool."""
    connection.close()
    if pool := getattr(connection, "pool", None):
        pool.check()


store = GroupCommit().store
