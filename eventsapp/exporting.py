"""All that is kept of one person, as JSON for them to have."""

import json
from collections.abc import Iterable, Iterator

from eventsapp import signals
from eventsapp.models import Contact, Event, EventSummary, Tag, now_in_seconds
from eventsapp.pool import lend
from eventsapp.serializers import event_as_json, summary_as_json

CHUNK = 1000  # events that are looked up together
PROFILE = """
    role name email phone custom_attributes signed_up_at created_at updated_at last_seen_at archived_at blocked_at
    unsubscribed_from_emails
""".split()


def export(contact: Contact) -> Iterator[str]:
    """Return one JSON object, piece by piece, however long a history is. Times are Unix seconds."""
    named = dict(answer for _, answer in signals.contact_exporting.send(sender=Contact, contact=contact))
    summaries = EventSummary.objects.filter(contact=contact).with_totals().select_related("type").order_by("type__name")
    told = {
        "type": "person.export",
        "exported_at": now_in_seconds(),
        "profile": {
            "id": contact.public_id,
            "workspace": contact.workspace.app_id,
            "user_id": contact.external_id,
            **{field: getattr(contact, field) for field in PROFILE},
        },
        "tags": [tag.name for tag in Tag.objects.filter(taggings__contact=contact)],
        "event_summaries": summary_as_json(summaries, contact)["events"],
    }
    return _written(told, {"events": _events(contact)} | named)


def _events(contact) -> Iterator[dict]:
    """The oldest first, a chunk at a time: a question that took as long as the reader does would hold the database."""
    history = Event.objects.filter(contact=contact).select_related("type").oldest_first()
    chunk = history[:CHUNK]
    while events := list(chunk):
        # A reader may be slow.
        lend()
        yield from (event_as_json(event, contact) for event in events)
        last = events[-1]
        chunk = history.newer_than((last.created_at, last.type_id, last.fingerprint))[:CHUNK]


def _written(told: dict, lists: dict[str, Iterable]) -> Iterator[str]:
    yield _json(told)[:-1]
    for name, values in lists.items():
        yield f", {_json(name)}: ["
        for place, value in enumerate(values):
            yield f"{', ' if place else ''}\n{_json(value)}"
        yield "]"
    yield "}\n"


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False)
