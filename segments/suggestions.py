"""What the builder offers: events with their volume, keys and attributes with their kind and sample values, learned
from what came in."""

from datetime import date, datetime

from django.db.models import OuterRef, Q, Subquery

from eventsapp.attributes import KINDS
from eventsapp.incoming import normal_name
from eventsapp.learned import LOOKED_AT, keys_of, learn
from eventsapp.models import Contact, Event, EventType, Workspace
from eventsapp.volumes import recent
from segments.conditions import CUSTOM, FIELDS

LABELS = {
    "name": "Name",
    "email": "Email",
    "user_id": "user_id",
    "role": "Role",
    "unsubscribed_from_emails": "Unsubscribed from emails",
    "created_at": "First heard of",
    "signed_up_at": "Signed up",
    "last_seen_at": "Last seen",
}
SAMPLES = {"role": [Contact.Role.USER, Contact.Role.LEAD]}


def events(workspace: Workspace) -> list[dict]:
    """Every event type that is not archived, the busiest of the last 30 days first: [{name, volume, last}]. `last` are
    words for the day on which it happened last, in the workspace's time zone, None when it never did."""
    today = datetime.now(workspace.zone).date()
    volumes = recent(workspace)
    newest = Event.objects.filter(type=OuterRef("pk")).order_by("-created_at").values("created_at")[:1]
    types = EventType.objects.filter(Q(workspace=workspace) & Q(archived_at=None)).annotate(last=Subquery(newest))
    found = [
        {
            "name": name,
            "volume": volumes.get(pk, 0),
            "last": last and _day(datetime.fromtimestamp(last, workspace.zone).date(), today),
        }
        for pk, name, last in types.values_list("pk", "name", "last")
    ]
    return sorted(found, key=lambda event: (-event["volume"], event["name"]))


def _day(day: date, today: date) -> str:
    match (today - day).days:
        case 0:
            return "today"
        case 1:
            return "yesterday"
    return f"{day:%-d %b}" if day.year == today.year else f"{day:%-d %b %Y}"


def keys(workspace: Workspace, event: str) -> list[dict]:
    """The metadata keys of an event: [{key, kind, samples, seen}]."""
    type = EventType.objects.filter(workspace=workspace, name=normal_name(event)).first()
    return keys_of(type) if type else []


def fields(workspace: Workspace) -> list[dict]:
    """What can be asked of a person: [{field, label, kind, samples, seen}]. Attributes that are archived are not
    offered."""
    own = [
        {"field": field, "label": LABELS[field], "kind": column.kind, "samples": SAMPLES.get(field, []), "seen": []}
        for field, column in FIELDS.items()
    ]
    return own + [row | {"field": f"{CUSTOM}{row['key']}", "label": row["key"]} for row in _custom(workspace)]


def _custom(workspace: Workspace) -> list[dict]:
    """Custom attributes as `learn` tells them: those of the newest people, and those that nobody of these has."""
    newest = Contact.objects.filter(workspace=workspace).order_by("-pk").values_list("custom_attributes", flat=True)
    seen = {row["key"]: row for row in learn(newest[:LOOKED_AT], "_at")}
    for attribute in workspace.attributes.all():
        row = seen.setdefault(attribute.name, {"key": attribute.name, "samples": [], "seen": []})
        if not (attribute.is_guess and "kind" in row):
            row["kind"] = KINDS[attribute.data_type]
        unseen = [option for option in attribute.options if option not in row["samples"]]
        row["samples"], row["seen"] = row["samples"] + unseen, row["seen"] + [0] * len(unseen)
        if attribute.archived_at:
            del seen[attribute.name]
    return [seen[key] for key in sorted(seen)]
