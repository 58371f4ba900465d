"""What came in, as it is offered and shown: the keys of metadata with their kind and sample values."""

from collections import Counter
from collections.abc import Iterable

from django.db import connection
from django.db.models import CharField, F, Func

from eventsapp.metadata import FILTER_KINDS, kind_of
from eventsapp.models import Contact, Event, EventType, Workspace

LOOKED_AT = 300  # newest events, or people, from which keys and samples are learned
SAMPLES = 5


def keys_of(type: EventType) -> list[dict]:
    """The metadata keys of an event: [{key, kind, samples, seen}]."""
    newest = Event.objects.filter(type=type).order_by("-created_at").values_list("metadata", flat=True)
    return learn(newest[:LOOKED_AT], "_date")


class EachKey(Func):
    """The keys of a JSON object, a row each. PostgreSQL alone has functions that answer with rows."""

    function = "jsonb_object_keys"
    set_returning = True
    output_field = CharField()


def attribute_keys(workspace: Workspace) -> list[str]:
    """Every custom attribute that somebody among the workspace's People has, in order."""
    people = Contact.objects.filter(workspace=workspace).people().exclude(custom_attributes={})
    if connection.vendor == "postgresql":
        return sorted(people.annotate(key=EachKey(F("custom_attributes"))).values_list("key", flat=True).distinct())
    sql, params = people.values("custom_attributes").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT key FROM ({sql}) AS people, json_each(people.custom_attributes)", params)
        return sorted(key for (key,) in cursor.fetchall())


def learn(documents: Iterable[dict], date_suffix: str) -> list[dict]:
    """Which keys there are, of which kind mostly, with the values seen most: [{key, kind, samples, seen}]. `seen` says
    how many of the documents have each sample."""
    kinds: dict[str, Counter] = {}
    samples: dict[str, Counter] = {}
    for document in documents:
        for key, value in document.items():
            kind = kind_of(key, value, date_suffix=date_suffix)
            kinds.setdefault(key, Counter())["money" if kind == "money" else FILTER_KINDS.get(kind, kind)] += 1
            samples.setdefault(key, Counter())[_sample(kind, value)] += 1
    found = []
    for key in sorted(kinds):
        common = {sample: seen for sample, seen in samples[key].most_common(SAMPLES) if sample}
        kind = kinds[key].most_common(1)[0][0]
        found.append({"key": key, "kind": kind, "samples": list(common), "seen": list(common.values())})
    return found


def _sample(kind, value) -> str:
    match kind:
        case "money":
            return f"{value['amount'] / 100:.2f} {value['currency'].lower()}"
        case "rich_link":
            return str(value["value"])
        case "text" | "link" | "stripe" | "number":
            return str(value)
    return ""
