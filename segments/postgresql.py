"""How PostgreSQL answers conditions: each with a million ids as one binary value, two to three times faster than rows,
and several at a time, on connections that see the same moment."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from queue import SimpleQueue

import numpy
import psycopg
from django.conf import settings
from django.db import Error, connection, transaction
from pyroaring import BitMap

CHUNK = 1 << 16  # the ids of which a roaring bitmap keeps one container
MOST_LISTED = 4096  # a container of no more than these is a list
MOST_LOOKED_UP = 8192  # ids of which a statement is given a list
SPARSEST = 64  # one of so many ids must be there, or bits for all of them are a waste
COOKIE = 12346  # how the portable form of a roaring bitmap without runs begins

# How long a statement of this thread may take, if its transaction is a moment of its own, in which nothing was written.
_limit: ContextVar[float | None] = ContextVar("limit", default=None)


@contextmanager
def moment(seconds: float, snapshot: str | None = None):
    """Open a transaction that sees one moment of the data: that of an exported snapshot, or this one. No statement in
    it takes longer than so many `seconds`."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                + (f"SET TRANSACTION SNAPSHOT '{snapshot}';" if snapshot else "")
                + f"SET LOCAL statement_timeout = {int(seconds * 1000)}"
            )
        before = _limit.set(seconds)
        try:
            yield
        finally:
            _limit.reset(before)


def sets_of_ids(selects: Sequence[tuple[str, tuple] | None]) -> list[BitMap]:
    """Run SELECTs of one int4 column, as Django compiled them; return the values of each, each once. None has none.

    Inside a `moment` other connections take their share of them, and see the same.
    """
    waiting = deque((place, select) for place, select in enumerate(selects) if select)
    answers = SimpleQueue()

    def work():
        while waiting:
            try:
                place, select = waiting.popleft()
            except IndexError:  # another was faster
                return
            try:
                answers.put((place, _set_of_ids(*select)))
            except Exception as error:  # noqa: BLE001  it is raised by the thread that asked
                waiting.clear()
                answers.put((place, error))

    expected = len(waiting)
    if seconds := _limit.get():
        _start_helpers(work, min(expected, settings.QUESTION_CONNECTIONS) - 1, seconds)
    work()
    found = [BitMap() for _ in selects]
    for _ in range(expected):
        place, answer = answers.get()
        if isinstance(answer, Exception):
            raise answer
        found[place] = answer
    return found


def _start_helpers(work: Callable, number: int, seconds: float):
    """Let `work` be done by other threads as well. Nobody waits for one that finds nothing to do."""
    if number < 1:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        [snapshot] = cursor.fetchone()
    for _ in range(number):
        threading.Thread(target=_help, args=(work, seconds, snapshot), name="question", daemon=True).start()


def _help(work: Callable, seconds: float, snapshot: str):
    try:
        with moment(seconds, snapshot):
            work()
    except Error:
        # No connection to spare, or the moment is over. Whatever work it took has told its own end.
        pass
    finally:
        connection.close()


def _set_of_ids(sql: str, params) -> BitMap:
    connection.ensure_connection()
    whole = f"SELECT string_agg(int4send(id), '') FROM ({connection.ops.compose_sql(sql, params)}) AS asked(id)"
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(whole, binary=True)
        found = cursor.pgresult.get_value(0, 0)
    return bitmap_of(numpy.frombuffer(found or b"", ">u4"))


def bits_of(ids: BitMap) -> bytes | None:
    """Return a bit for each id from the first of `ids` to the last, as get_bit counts them: whether it is among them.
    None where a list is better: few ids are looked up by an index, and very scattered ones make too long a text.

    PostgreSQL takes a list of 200,000 ids to pieces, estimates and hashes them for each statement: half a second.
    """
    if len(ids) <= MOST_LOOKED_UP:
        return None
    first, last = ids.min(), ids.max()
    if last - first > SPARSEST * len(ids):
        return None
    is_there = numpy.zeros(last - first + 1, bool)
    is_there[numpy.asarray(ids.to_array()) - numpy.uint32(first)] = True
    return numpy.packbits(is_there, bitorder="little").tobytes()


def bitmap_of(ids: numpy.ndarray) -> BitMap:
    """Return the set of `ids`, in whatever order and however often they come.

    A bitmap that is given a million ids takes them one by one; here numpy writes it as it would be stored.
    """
    if not len(ids):
        return BitMap()
    first, last = int(ids.min()) // CHUNK, int(ids.max()) // CHUNK
    size = (last - first + 1) * CHUNK
    if size > SPARSEST * len(ids):
        return BitMap(ids.astype("uint32"))
    is_there = numpy.zeros(size, bool)
    is_there[ids - numpy.uint32(first * CHUNK)] = True
    chunks = is_there.reshape(-1, CHUNK)
    sizes = numpy.count_nonzero(chunks, axis=1)
    kept = numpy.flatnonzero(sizes)
    containers = [_container(chunks[place], sizes[place]) for place in kept]
    heads = numpy.stack([kept + first, sizes[kept] - 1], axis=1).astype("<u2").tobytes()
    start = 8 + len(heads) + 4 * len(kept)
    places = numpy.cumsum([start] + [len(container) for container in containers[:-1]]).astype("<u4").tobytes()
    begin = numpy.array([COOKIE, len(kept)], "<u4").tobytes()
    return BitMap.deserialize(b"".join([begin, heads, places, *containers]))


def _container(chunk: numpy.ndarray, size: int) -> bytes:
    if size <= MOST_LISTED:
        return numpy.flatnonzero(chunk).astype("<u2").tobytes()
    return numpy.packbits(chunk, bitorder="little").tobytes()
