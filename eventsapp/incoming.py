"""Reading an event as apps send it: what is asked of it, and the sentence for each fault.

The rules are Intercom's (POST /events, "The data event model"); where those are silent, docs/api.md says what we chose.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import msgspec

from eventsapp import errors
from eventsapp.errors import Fault
from eventsapp.metadata import LINK, MILLISECONDS, SAFE_INTEGER, kind_of, terms
from eventsapp.text import fold

MAX_NAME = 255
MAX_TEXT = 255
MAX_LINK = 2000
MAX_KEYS = 10
MAX_KEY = 190
MAX_NESTED = 4000  # characters of JSON in one nested value
MOST_LEVELS = 20  # of one nested value
FUTURE = 24 * 3600  # a clock may be a time zone wrong, not more
NO_METADATA = 0
MOST_COUNTED = 10**9
UNFIT_FOR_KEY = re.compile(r'["\\\x00-\x1f]')
EMAIL = re.compile(r"[^@\s,;<>\x00-\x1f\x7f]+@[^@\s,;<>\x00-\x1f\x7f]+\Z")  # one address that a mail's header can carry


@dataclass(frozen=True, slots=True)
class Who:
    """How a request names a person. One of `id` (ours), `user_id` (the app's) and `email` is asked, in that order."""

    id: str | None = None
    user_id: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """An event that may be stored: checked, its name normalised, at most ten metadata keys.

    `created_at` is in Unix seconds, `fingerprint` a signed 64-bit number, `uuid` the sender's own id or None.
    """

    who: Who
    name: str
    created_at: int
    metadata: dict
    terms: dict | None
    fingerprint: int
    uuid: UUID | None = None
    dropped_keys: tuple[str, ...] = ()


def normal_name(name: str) -> str:
    """Return an event name as it is stored: lower case, `.` and `$` as `-`."""
    return fold(name).replace(".", "-").replace("$", "-")


def read_event(data, *, now: int | None = None, key: str | None = None) -> IncomingEvent | list[Fault]:
    """Return what the decoded JSON `data` says, or every fault in it.

    `now` is in Unix seconds; `key` is the request's Idempotency-Key, for an event without a `uuid` of its own.
    """
    if not isinstance(data, dict):
        return [errors.invalid("event", 'An event is a JSON object, such as {"event_name": "placed-order", …}.')]
    faults: list[Fault] = []
    name = _name(data, faults)
    created_at = _time(data, int(time.time()) if now is None else now, faults)
    who = read_who(data, faults)
    metadata, dropped = _metadata(data, faults)
    own, key = _own_id(data, key, faults)
    if faults:
        return faults
    fingerprint = _hash(f"own {own or key}".encode()) if own or key else fingerprint_of(metadata)
    return IncomingEvent(who, name, created_at, metadata, terms(metadata), fingerprint, own, dropped)


def fingerprint_of(metadata: dict) -> int:
    """Return what tells apart two events of one name, person and second: a hash of the metadata, whatever its order."""
    return _hash(msgspec.json.encode(_canonical(metadata), order="deterministic")) if metadata else NO_METADATA


def _canonical(value):
    """1 and 1.0 are the same number to JSON, true is none."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _canonical(inner) for key, inner in value.items()}
        case list():
            return [_canonical(inner) for inner in value]
    return value


def _hash(content: bytes) -> int:
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


@dataclass(frozen=True, slots=True)
class ImportedTotal:
    """How often somebody did something before we heard of them; `first` and `last` in Unix seconds."""

    name: str
    count: int
    first: int
    last: int


def read_totals(data, *, now: int | None = None) -> tuple[Who, list[ImportedTotal]] | list[Fault]:
    """Return whose totals the decoded JSON of `POST /events/summaries` sets, and which; or every fault in it.

    `event_summaries` is one object, as Intercom's schema says, or a list of them, as its text does.
    """
    if not isinstance(data, dict):
        return [errors.invalid("body", "Write a JSON object with a user_id and event_summaries.")]
    now = int(time.time()) if now is None else now
    faults: list[Fault] = []
    who = read_who(data, faults)
    sent = data.get("event_summaries")
    if sent is None or sent == []:
        faults.append(errors.missing("event_summaries", "event_summaries is missing. Write an object, or a list."))
    totals = [_total(one, f"event_summaries[{place}]", now, faults) for place, one in enumerate(_listed(sent))]
    return faults or (who, totals)


def _listed(sent) -> list:
    return sent if isinstance(sent, list) else [] if sent is None else [sent]


def _total(data, path, now, faults) -> ImportedTotal | None:
    own: list[Fault] = []
    if not isinstance(data, dict):
        faults.append(errors.invalid(path, "Write an object with event_name, count, first and last."))
        return None
    name = _name(data, own)
    times = [_time({"created_at": data.get(side)}, now, own, side) for side in ("first", "last")]
    count = data.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_COUNTED:
        own.append(errors.invalid("count", f"count must be a whole number from 1 to {MOST_COUNTED:,}."))
    elif None not in times and times[0] > times[1]:
        own.append(errors.invalid("first", "first is after last."))
    faults += [Fault(fault.code, fault.message, f"{path}.{fault.field}") for fault in own]
    return None if own else ImportedTotal(name, count, *times)


def _name(data, faults) -> str | None:
    name = data.get("event_name")
    if name is None:
        faults.append(errors.missing("event_name", "event_name is missing. Write what happened, such as placed-order."))
    elif not isinstance(name, str):
        faults.append(errors.invalid("event_name", "event_name must be a text, such as placed-order."))
    elif not name.strip():
        faults.append(errors.invalid("event_name", "event_name is empty. Write what happened, such as placed-order."))
    elif len(normal_name(name)) > MAX_NAME:
        faults.append(errors.invalid("event_name", f"event_name has more than {MAX_NAME} characters. Write fewer."))
    elif "\0" in name:
        faults.append(errors.invalid("event_name", "event_name holds a NUL character. Leave it out."))
    else:
        return normal_name(name)


def _time(data, now, faults, field="created_at") -> int | None:
    at = data.get("created_at")
    if at is None:
        faults.append(errors.missing(field, f"{field} is missing. Write when it happened, such as {now}."))
    elif isinstance(at, bool) or not isinstance(at, int):
        faults.append(errors.invalid(field, f"{field} must be whole Unix seconds (UTC), such as {now}."))
    elif at >= MILLISECONDS:
        faults.append(errors.invalid(field, f"{field} looks like milliseconds. Write seconds, such as {now}."))
    elif at < 0:
        faults.append(errors.invalid(field, f"{field} is before 1970. Write Unix seconds (UTC), such as {now}."))
    elif at > now + FUTURE:
        faults.append(
            errors.invalid(field, f"{field} is more than a day in the future. It is now {now} (Unix seconds, UTC).")
        )
    else:
        return at


def read_who(data: dict, faults: list[Fault]) -> Who | None:
    """Return whom decoded JSON names, or None after adding to `faults`."""
    own_id = data.get("id", data.get("intercom_user_id"))
    named = {"id": own_id, "user_id": data.get("user_id"), "email": data.get("email")}
    found = len(faults)
    for field, value in named.items():
        if field == "user_id" and isinstance(value, int) and not isinstance(value, bool):
            # Many apps send their numeric key as it is; Intercom takes it too.
            value = named[field] = str(value)
        if value is None:
            continue
        if not isinstance(value, str):
            faults.append(errors.invalid(field, f"{field} must be a text."))
        elif not value.strip():
            faults.append(errors.invalid(field, f"{field} is empty. Write one, or leave the field out."))
        elif len(value) > MAX_TEXT:
            faults.append(errors.invalid(field, f"{field} has {len(value)} characters. Write at most {MAX_TEXT}."))
        elif "\0" in value:
            faults.append(errors.invalid(field, f"{field} holds a NUL character. Leave it out."))
        elif field == "email" and not EMAIL.match(value):
            faults.append(
                errors.invalid(field, f"“{value}” is not an email address. Write one, such as ada@example.org.")
            )
    if len(faults) > found:
        return None
    if not any(named.values()):
        faults.append(
            errors.missing("user_id", "Say who did it: write one of user_id (your own), email or id (the contact's).")
        )
        return None
    return Who(**named)


def _metadata(data, faults) -> tuple[dict, tuple[str, ...]]:
    metadata = data.get("metadata")
    if metadata is None:
        return {}, ()
    if not isinstance(metadata, dict):
        faults.append(
            errors.invalid("metadata", 'metadata must be an object of keys and values, such as {"plan": "pro"}.')
        )
        return {}, ()
    kept = dict(islice(metadata.items(), MAX_KEYS))
    for key, value in kept.items():
        if fault := fault_in_value(key, value):
            faults.append(errors.invalid(f"metadata.{key}"[:300], fault))
    return kept, tuple(islice(metadata, MAX_KEYS, MAX_KEYS + 20))


def fault_in_value(key: str, value) -> str | None:
    """Return what is wrong with one metadata value or custom attribute, as a sentence, or None."""
    if not key:
        return "A key is empty. Give every value a name."
    if len(key) > MAX_KEY:
        return f"A key has {len(key)} characters. Write at most {MAX_KEY}."
    if UNFIT_FOR_KEY.search(key):
        return "A key holds a quote, a backslash or a control character. Leave it out."
    match value:
        case str():
            if "\0" in value:
                return "The text holds a NUL character. Leave it out."
            limit = MAX_LINK if LINK.match(value) else MAX_TEXT
            if len(value) > limit:
                return f"The text has {len(value)} characters. Write at most {limit}."
        case bool() | None:
            return None
        case int() | float():
            if isinstance(value, float) and not abs(value) < float("inf"):
                return "The number is not finite. Leave it out."
            if abs(value) > SAFE_INTEGER:
                return "The number is beyond ±9,007,199,254,740,992 and would lose digits. Send it as a text."
        case _ if _is_deeper(value, MOST_LEVELS):
            return f"The value is nested more than {MOST_LEVELS} levels deep. Send it flat, or as a text."
        case _:
            text = json.dumps(value, ensure_ascii=False)
            if len(text) > MAX_NESTED:
                return f"The nested value has {len(text)} characters of JSON. Send at most {MAX_NESTED}."
            if "\\u0000" in text:
                return "A nested text holds a NUL character. Leave it out."
            if kind_of(key, value) == "money" and abs(value["amount"]) > SAFE_INTEGER:
                return "The amount is beyond ±9,007,199,254,740,992 cents. Send a smaller one."
            if kind_of(key, value) == "rich_link" and not isinstance(value["value"], str):
                return fault_in_value(key, value["value"])
    return None


def _is_deeper(value, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _own_id(data, key, faults) -> tuple[UUID | None, str | None]:
    own = data.get("uuid")
    if own is not None:
        try:
            return UUID(own), None
        except (ValueError, AttributeError, TypeError):
            faults.append(errors.invalid("uuid", "uuid must be a UUID, such as 9b2a3c1e-5d1f-4e8a-9c55-0d8f2b7a6e10."))
    return None, key
