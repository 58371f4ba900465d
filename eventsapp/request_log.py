"""What became of the latest API requests: lines in the log, and rows for the page where developers look for theirs.

A request's own thread only puts what was heard into a small buffer, which one thread per process writes down about once
a second. In a flood it is a sample of each workspace, refused requests and those with notes before plain ones, and the
rest is counted. A database that is away costs these rows alone.
"""

import logging
import os
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from django.conf import settings
from django.db import connection, transaction

from eventsapp.batches import End
from eventsapp.incoming import IncomingEvent
from eventsapp.ingest import Outcome
from eventsapp.logs import route_of
from eventsapp.models import ApiRequest
from eventsapp.redaction import without_secrets

logger = logging.getLogger(__name__)

PAUSE = 1  # seconds between two writings
QUIET = 5  # seconds for which a database that did not take them is left alone
PLAIN, TELLING = 20, 50  # of a workspace in one writing: requests with nothing to tell; refused ones or with notes
BODY = 4096  # bytes of a body
ANSWER = 65_536  # bytes of an answer, beyond which it is not kept until it is written down
ERRORS = 20  # of one answer
ITEMS = 5  # of a batch, refused or with too many keys, that are told of
NOTE = 500  # characters
UNREADABLE = re.compile(r"\A[<-]|[\0-\x08\x0b\x0c\x0e-\x1f]")  # XML, multipart, what is packed


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as its thread leaves it: nothing is read, cleaned or cut to size before it is written down."""

    workspace: int
    request_id: str
    at: float  # Unix seconds
    method: str
    path: str
    query: str
    status: int
    token_name: str
    body: bytes
    encoding: str
    answer: bytes
    notes: tuple[str, ...]


def remember(request, response):
    """Log a refusal with its request_id, and keep what the app of a known token asked. Returns at once, never fails.

    `request` is Django's; a view of the API leaves `token` and `notes` (sentences) on it, and `names_the_deleted` where
    neither its query nor its body may be kept.
    """
    token = getattr(request, "token", None)
    if response.status_code >= 400:
        logger.log(
            logging.ERROR if response.status_code >= 500 else logging.INFO,
            "%s %s answered %s (request %s, workspace %s)",
            quote(request.method or ""),
            route_of(request),
            response.status_code,
            request.request_id,
            token.workspace.app_id if token else "unknown",
        )
    if token:
        log.add(request, response, token, getattr(request, "notes", ()))


class RequestLog:
    """What one process has heard and not yet written down, and the thread that writes it."""

    def __init__(self):
        self.forget()
        # A forked child has this object, but not its thread.
        os.register_at_fork(after_in_child=self.forget)

    def forget(self):
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self.writings = 0  # since the process began
        self._heard: list[Heard] = []
        self._taken: Counter[tuple[int, bool]] = Counter()
        self._left_out: Counter[int] = Counter()
        self._thread: threading.Thread | None = None

    def add(self, request, response, token, notes: Sequence[str]):
        """Keep a request for the next writing, or count it where its workspace has had its share of it."""
        refused = response.status_code >= 400
        tells = bool(refused or notes)
        is_kept = not getattr(request, "names_the_deleted", False)
        share = token.workspace_id, tells
        with self._changed:
            if self._taken[share] >= (TELLING if tells else PLAIN):
                self._left_out[token.workspace_id] += 1
                return
            self._taken[share] += 1
            self._heard.append(
                Heard(
                    token.workspace_id,
                    request.request_id,
                    time.time(),
                    request.method,
                    request.path,
                    request.META.get("QUERY_STRING", "") if is_kept else "",
                    response.status_code,
                    token.name,
                    request.body[:BODY] if is_kept else b"",
                    request.META.get("HTTP_CONTENT_ENCODING", ""),
                    response.content if refused and len(response.content) <= ANSWER else b"",
                    tuple(notes),
                )
            )
            if self._thread is None and settings.REQUEST_LOG_WRITES:
                self._start()
            self._changed.notify()

    def _start(self):
        thread = threading.Thread(target=self._write_forever, name="request-log", daemon=True)
        # A machine that has no thread to spare may have one for a later request.
        with suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def write(self):
        """Write down what was heard, in one transaction, and forget the oldest beyond what is kept."""
        with self._writing:
            self._write()
            self.writings += 1

    def leave_out(self, workspace: int, is_meant: Callable[[ApiRequest], bool]):
        """Write down none of those heard of a workspace that are meant. What was being written down is there by now."""
        with self._writing, self._changed:
            self._heard = [one for one in self._heard if one.workspace != workspace or not is_meant(*_rows([one], {}))]

    def _write(self):
        with self._changed:
            heard, self._heard = self._heard, []
            workspaces = {one.workspace for one in heard}
            left_out = {pk: self._left_out.pop(pk, 0) for pk in workspaces}
            self._taken.clear()
        try:
            with transaction.atomic():
                ApiRequest.objects.bulk_create(_rows(heard, dict(left_out)))
                ApiRequest.objects.forget_old(workspaces)
        except Exception:
            with self._changed:
                self._left_out += Counter(left_out) + Counter(one.workspace for one in heard)
            raise

    def _write_forever(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._heard)
            time.sleep(PAUSE)
            try:
                self.write()
                connection.close()
            except Exception as error:  # noqa: BLE001  whatever it is, the next ones may fare better
                logger.warning("The latest API requests were not written down (%s).", error)
                time.sleep(QUIET)


log = RequestLog()


def _rows(heard: list[Heard], left_out: dict[int, int]) -> list[ApiRequest]:
    """The rows to insert, the oldest first; the first of a workspace tells how many were left out before it."""
    return [
        ApiRequest(
            workspace_id=one.workspace,
            request_id=one.request_id,
            at=datetime.fromtimestamp(one.at, UTC),
            method=one.method[:10],
            path=_path(one)[:500],
            status=one.status,
            token_name=one.token_name,
            body=_body(one),
            errors=_errors(one),
            notes=[_text(note)[:NOTE] for note in one.notes],
            left_out=left_out.pop(one.workspace, 0),
        )
        for one in heard
    ]


def _text(text: str) -> str:
    """`text` without its secrets, and without what PostgreSQL does not take."""
    return without_secrets(text).replace("\0", "").encode(errors="replace").decode()


def _path(one: Heard) -> str:
    return _text(f"{one.path}?{one.query}" if one.query else one.path)


def _body(one: Heard) -> str:
    """How the body begins. What is neither JSON nor a form could hold a secret anywhere, so it is not kept."""
    body = one.body
    if one.encoding.lower() == "gzip":
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, BODY)
        except zlib.error:
            body = b""
    text = body.decode(errors="ignore").strip()
    return "(neither JSON nor a form: not kept)" if UNREADABLE.search(text) else _text(text)


def _errors(one: Heard) -> list[dict]:
    """The errors of its `error.list`, without what they quote of secrets."""
    if one.status < 400:
        return []
    if not one.answer:
        return [{"code": "client_error", "message": "The answer held too many errors to be kept."}]
    errors = msgspec.json.decode(one.answer)["errors"][:ERRORS]
    return [{key: _text(value) for key, value in error.items()} for error in errors]


# Notes ---------------------------------------------------------------------------------------------------------------


def notes_of(event: IncomingEvent, outcome: Outcome) -> list[str]:
    """Return what a 202 cannot carry: sentences about what became of one event."""
    notes = []
    if outcome.duplicate:
        notes.append("duplicate: the same event is there already, so this one was absorbed")
    if outcome.person_created:
        notes.append("person created")
    if event.dropped_keys:
        notes.append(_dropped(event.dropped_keys))
    return notes


def notes_of_batch(counts: dict[str, int], ends: list[End]) -> list[str]:
    """Return the counts of a batch (stored, duplicates, refused), and what its first items have to tell: the errors of
    refused ones, the keys that others lost."""
    notes = [", ".join(f"{what} {number:,}" for what, number in counts.items())]
    refused = [(place, end) for place, end in enumerate(ends, start=1) if end.faults]
    notes += [f"item {place}: {' '.join(fault.message for fault in end.faults)}" for place, end in refused[:ITEMS]]
    if len(refused) > ITEMS:
        notes.append(f"and {len(refused) - ITEMS:,} more refused items")
    dropped = [(place, end) for place, end in enumerate(ends, start=1) if end.dropped_keys]
    notes += [f"item {place}: {_dropped(end.dropped_keys)}" for place, end in dropped[:ITEMS]]
    if len(dropped) > ITEMS:
        notes.append(f"and {len(dropped) - ITEMS:,} more items with too many keys")
    return notes


def _dropped(keys: Sequence[str]) -> str:
    which = "11th key" if len(keys) == 1 else "11th key and later ones"
    return f"{which} dropped: {', '.join(key[:100] for key in keys)}"
