"""Events with which a message is tried before it is sent to anybody."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from django.utils import timezone
from django.utils.timesince import timesince

from eventsapp.incoming import read_event
from eventsapp.models import Contact, Event, EventType
from messaging import text
from messaging.models import told_of
from segments.urlstate import read_json

OFFERED = 10
OWN = "json"


@dataclass(frozen=True)
class Sample:
    """An event with its person."""

    event: Event
    contact: Contact

    @property
    def place(self) -> str:
        return self.event.place_in_type

    @property
    def when(self) -> str:
        """How long ago it happened."""
        return f"{timesince(datetime.fromtimestamp(self.event.created_at, UTC), depth=1)} ago"

    @property
    def data(self) -> dict:
        """What a delivery copies of the event."""
        return told_of(self.event, self.event.type.name)

    @property
    def as_json(self) -> str:
        """What of it can be edited."""
        contact = self.contact
        told = {"name": contact.name, "email": contact.email, "user_id": contact.external_id}
        told["custom_attributes"] = contact.custom_attributes
        return json.dumps({"metadata": self.event.metadata, "contact": told}, indent=2, ensure_ascii=False)


def samples_of(type: EventType) -> list[Sample]:
    """The newest events of a type; when there is none, a made-up one."""
    if not type.pk:
        return [_made_up(type)]
    newest = Event.objects.filter(type=type).select_related("contact").order_by("-created_at", "-contact")[:OFFERED]
    return [_sample(type, event) for event in newest] or [_made_up(type)]


def sample_of(type: EventType, place: str, own: str) -> Sample:
    """The sample that was chosen, or the newest. Raises TextError for JSON of one's own that cannot be read."""
    if place == OWN:
        return _written(type, own)
    parts = place.split(".")
    if type.pk and len(parts) == 3 and all(part.removeprefix("-").isdecimal() and len(part) < 20 for part in parts):
        at, contact, fingerprint = map(int, parts)
        chosen = Event.objects.filter(type=type, created_at=at, contact=contact, fingerprint=fingerprint)
        if event := chosen.select_related("contact").first():
            return _sample(type, event)
    return samples_of(type)[0]


def _sample(type, event) -> Sample:
    event.type = type
    event.contact.workspace = type.workspace
    return Sample(event, event.contact)


def _made_up(type, metadata=None, **fields) -> Sample:
    contact = text.somebody(type.workspace)
    for name, value in fields.items():
        setattr(contact, name, value)
    at = int(timezone.now().timestamp())
    return Sample(Event(type=type, contact=contact, created_at=at, uuid=uuid4(), metadata=metadata or {}), contact)


def _written(type, own: str) -> Sample:
    try:
        data = read_json(own)
        metadata, contact = data.get("metadata", {}), data.get("contact", {})
        attributes = contact.get("custom_attributes", {})
        texts = [contact.get(name) for name in ("name", "email", "user_id")]
    except (ValueError, AttributeError) as error:
        raise text.TextError(f'The sample is no JSON object such as {{"metadata": {{…}}}}: {error}.') from error
    read = read_event({"event_name": "sample", "created_at": 0, "user_id": "sample", "metadata": metadata})
    if isinstance(read, list):
        raise text.TextError(" ".join(f"{fault.field}: {fault.message}" for fault in read))
    if not isinstance(attributes, dict) or any(isinstance(value, dict | list) for value in attributes.values()):
        raise text.TextError("The sample's custom_attributes are an object of texts, numbers and booleans.")
    if not all(one is None or isinstance(one, str) for one in texts):
        raise text.TextError("The sample's name, email and user_id are texts.")
    name, email, user_id = texts
    return _made_up(type, read.metadata, name=name, email=email, external_id=user_id, custom_attributes=attributes)
