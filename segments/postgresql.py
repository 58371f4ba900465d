"""How PostgreSQL hands over a million ids: as one binary value, two to three times faster than rows."""

import numpy
import psycopg
from django.db import connection
from pyroaring import BitMap

CHUNK = 1 << 16  # the ids of which a roaring bitmap keeps one container
MOST_LISTED = 4096  # a container of no more than these is a list
COOKIE = 12346  # how the portable form of a roaring bitmap without runs begins


def set_of_ids(sql: str, params) -> BitMap:
    """Run a SELECT of one int4 column, as Django compiled it; return its values, each once."""
    connection.ensure_connection()
    whole = f"SELECT string_agg(int4send(id), '') FROM ({connection.ops.compose_sql(sql, params)}) AS asked(id)"
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(whole, binary=True)
        found = cursor.pgresult.get_value(0, 0)
    return bitmap_of(numpy.frombuffer(found or b"", ">u4"))


def bitmap_of(ids: numpy.ndarray) -> BitMap:
    """Return the set of `ids`, in whatever order and however often they come.

    A bitmap that is given a million ids takes them one by one; here numpy writes it as it would be stored.
    """
    if not len(ids):
        return BitMap()
    first, last = int(ids.min()) // CHUNK, int(ids.max()) // CHUNK
    size = (last - first + 1) * CHUNK
    if size > 64 * len(ids):
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
