"""Many events in one request: an array or NDJSON, compressed or not, each with an end of its own."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from eventsapp.errors import Fault, Refused, invalid
from eventsapp.incoming import IncomingEvent, read_event
from eventsapp.ingest import Outcome, ingest
from eventsapp.models import Workspace
from eventsapp.transport import decode

LIMIT = 10_000_000  # bytes, as sent and unpacked
MOST = 50_000  # events in one request
AT_ONCE = 2_000  # events in one transaction


def unpack(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before its Content-Encoding, gzip or none. Raises Refused (415, 400 or 413)."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        message = f"Content-Encoding {encoding} is not known here. Send gzip, or none."
        raise Refused(invalid("Content-Encoding", message), status=415)
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(body, LIMIT + 1)
    except zlib.error as error:
        raise Refused(invalid("body", f"The body is not gzip: {error}.")) from error
    if len(unpacked) > LIMIT:
        raise Refused(invalid("body", f"Unpacked, the body is larger than {LIMIT // 10**6} MB."), status=413)
    if not unpacking.eof:
        raise Refused(invalid("body", "The gzip ends before its end: something of it is missing."))
    return unpacked


def read_batch(body: bytes) -> tuple[list, bool]:
    """Return the items of a batch and whether it is historical. Raises Refused.

    A batch is an array of events, {"events": [...], "historical": true}, or NDJSON: one event a line. An item that is
    no JSON is the error that says so.
    """
    items, historical = _read(body)
    _check_number(len(items))
    return items, historical


def _read(body: bytes) -> tuple[list, bool]:
    start = body.lstrip()[:1]
    if start == b"[":
        return decode(body), False
    if start == b"{":
        try:
            whole = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _lines(body), False
        if isinstance(events := whole.get("events"), list):
            historical = whole.get("historical", False)
            if not isinstance(historical, bool):
                raise Refused(invalid("historical", "historical must be true or false."))
            return events, historical
        return [whole], False
    raise Refused(invalid("body", 'Write an array of events, {"events": […]}, or one event a line.'))


@dataclass(frozen=True)
class Unreadable:
    """A line that is no JSON. Holds the faults alone: an exception would hold its frames, a million times."""

    faults: list[Fault]


def _lines(body: bytes) -> list:
    _check_number(body.count(b"\n"))
    items = []
    for line in body.splitlines():
        if line.strip():
            try:
                items.append(decode(line))
            except Refused as error:
                items.append(Unreadable(list(error.faults)))
    return items


def _check_number(items: int):
    if items > MOST:
        raise Refused(invalid("body", f"The batch has more than {MOST:,} events. Send them in several."), status=413)


@dataclass(frozen=True, slots=True)
class End:
    """What became of one item: the HTTP status that it alone would have been told, the faults of a refused one, whether
    a stored one was there already, and which metadata keys were too many to be kept."""

    status: int
    faults: Sequence[Fault] = ()
    duplicate: bool = False
    dropped_keys: tuple[str, ...] = ()

    def as_json(self) -> dict:
        if self.faults:
            return {"status": self.status, "errors": [fault.as_json() for fault in self.faults]}
        dropped = {"dropped_keys": list(self.dropped_keys)} if self.dropped_keys else {}
        return {"status": self.status, "duplicate": self.duplicate} | dropped


def store_batch(workspace: Workspace, items: list, *, historical: bool) -> list[End]:
    """Store what can be stored; return what became of each item, in their order."""
    read = [item.faults if isinstance(item, Unreadable) else read_event(item) for item in items]
    good = [event for event in read if isinstance(event, IncomingEvent)]
    outcomes = iter(
        [
            outcome
            for start in range(0, len(good), AT_ONCE)
            for outcome in ingest(workspace, good[start : start + AT_ONCE], historical=historical)
        ]
    )
    return [_end(event, next(outcomes)) if isinstance(event, IncomingEvent) else End(400, event) for event in read]


def _end(event: IncomingEvent, outcome: Outcome) -> End:
    if outcome.fault:
        return End(outcome.status, [outcome.fault])
    return End(outcome.status, duplicate=outcome.duplicate, dropped_keys=event.dropped_keys)
