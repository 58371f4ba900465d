"""Writing a rule: what the API is sent and what the editor's form says are both read here, so that both are told the
same, and kept here."""

import re
from collections.abc import Collection
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction

from eventsapp.errors import Fault
from eventsapp.incoming import MAX_NAME, normal_name
from eventsapp.ingest import event_type
from eventsapp.models import Workspace
from messaging import rules
from messaging.models import AutoMessage
from messaging.schedule import Hours
from messaging.text import LONGEST
from messaging.unless import read_unless
from messaging.watching import watch_what_is_asked
from segments.conditions import read_where
from segments.definition import Invalid, all_of, parse
from segments.reading import Node, Unreadable

MOST_SECONDS = 366 * 86_400  # of any wait
MOST_TIMES = 1_000_000
MOST_PER_HOUR = 1_000_000_000
TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z")
# What each channel's content may say.
CONTENT = {"email": {"from", "subject", "body"}, "webhook": {"url"}, "in_app": {"subject", "body", "display"}}
# What an answer of the API says besides: it may be sent back as it came.
TOLD = {"type", "id", "sentence", "paused_because", "version", "created_at", "updated_at"}
STATES = ("draft", "live", "paused")


# Reading -------------------------------------------------------------------------------------------------------------


def read_rule(rule: AutoMessage, data: dict, needs: Collection[str] = ("name", "trigger")) -> dict:
    """Return what decoded JSON says of a rule: its fields, `event` (the name of what triggers it) and `state`. What is
    not named is left out, of a new rule whatever it does not need. Raises Invalid with every fault."""
    node, found = Node(data), {}
    with node.going_on():
        node.object(READERS.keys() | TOLD)
    for name, read in READERS.items():
        if name in data or rule.pk is None and name in needs:
            with node.going_on():
                found |= read(node.at(name), rule, found)
    starts, stops = (found.get(day, getattr(rule, day)) for day in ("starts_on", "stops_on"))
    if starts and stops and starts > stops:
        node.at("stops_on").wrong("The last day is before the first.")
    if node.faults:
        raise Invalid(node.faults)
    return found


def _name(node, rule, found):
    return {"name": node.text(100)}


def _state(node, rule, found):
    return {"state": node.choice(STATES)}


def _trigger(node, rule, found):
    node.object({"event", "where", "nth"})
    parts = {"where": [], "nth": None} | node.parts(event=_event)
    return parts | node.parts_there(where=_wheres, nth=lambda nth: nth.integer(1, MOST_TIMES))


def _event(node) -> str:
    name = normal_name(node.text())
    if len(name) > MAX_NAME:
        raise node.wrong(f"The name has more than {MAX_NAME} characters. Write fewer.")
    return name


def _wheres(node) -> list[dict]:
    return [where.as_json() for where in read_where(node)] if node.value != [] else []


def _audience(node, rule, found):
    """A saved segment is a definition of one condition."""
    conditions = None
    if node.value is not None:
        try:
            definition = parse(rule.workspace, node.value)
        except Invalid as error:
            for fault in error.faults:
                path = "" if fault.field == "definition" else f".{fault.field}"
                node.faults.append(Fault(fault.code, fault.message, f"{node.path}{path}"))
            raise Unreadable from None
        if definition.is_empty:
            raise node.wrong("An empty filter is everyone. Write null for that, or add a condition.")
        conditions = definition.as_json()
    return {"audience_id": None, "conditions": conditions}


def _frequency(node, rule, found):
    node.object({"mode", "per_seconds", "most"})
    mode = node.at("mode").choice(AutoMessage.Frequency.values)
    parts = {"frequency": mode, "per_seconds": None, "most_times": None}
    if mode == AutoMessage.Frequency.ONCE_PER:
        parts |= node.parts(per_seconds=lambda per: per.integer(1, MOST_SECONDS))
    elif node.has("per_seconds"):
        node.at("per_seconds").wrong("per_seconds goes with once_per alone. Leave it out.")
    if mode == AutoMessage.Frequency.ONCE and node.has("most"):
        node.at("most").wrong("once is one time in all. Leave most out.")
    elif node.has("most"):
        with node.going_on():
            parts["most_times"] = node.at("most").integer(1, MOST_TIMES)
    return parts


def _delay(node, rule, found):
    return {"delay_seconds": node.integer(0, MOST_SECONDS)}


def _unless(node, rule, found):
    if node.value is None:
        return {"unless": None}
    try:
        return {"unless": read_unless(node.value, node.path).as_json()}
    except Invalid as error:
        node.faults += error.faults
        raise Unreadable from None


def _day(field):
    return lambda node, rule, found: {field: None if node.value is None else node.date()}


def _hours(node, rule, found):
    """All hours of all days are none in particular."""
    if node.value is None:
        return {"hours": None}
    node.object({"days", "from", "to"})
    days = {day.integer(0, 6) for day in node.at("days").items()}
    begin, end = (_time(node.at(side)) for side in ("from", "to"))
    if len(days) == 7 and begin == end:
        return {"hours": None}
    return {"hours": Hours.from_json({"days": days, "from": begin, "to": end}).as_json()}


def _time(node) -> str:
    if not isinstance(node.value, str) or not TIME.match(node.value):
        raise node.wrong("Write a time of day as HH:MM, such as 09:00.")
    return node.value


def _channel(node, rule, found):
    return {"channel": node.choice(AutoMessage.Channel.values)}


def _content(node, rule, found):
    """What the channel does not have is left as it is: whoever comes back to it finds it there."""
    channel = found.get("channel", rule.channel)
    node.object(CONTENT[channel])
    parts = {"url": ""} if channel == "webhook" else {"subject": "", "body": ""}
    if channel == "email":
        parts |= {"sender_id": None} | node.parts(**{"from": lambda sender: _sender(sender, rule)}).get("from", {})
    elif channel == "in_app":
        parts["display"] = AutoMessage.Display.CARD
    readers = {
        "subject": lambda text: _text(text, 255),
        "body": lambda text: _text(text, LONGEST),
        "url": _url,
        "display": lambda display: display.choice(AutoMessage.Display.values),
    }
    return parts | node.parts_there(**{name: readers[name] for name in parts if name in readers})


def _sender(node, rule) -> dict:
    if node.value in (None, ""):
        return {"sender_id": None}
    sender = rule.workspace.senders.filter(email=node.text()).first()
    if sender is None:
        raise node.wrong("No sender here has this address. Add it under Settings, or leave it out.")
    return {"sender_id": sender.pk}


def _text(node, most: int) -> str:
    """A draft's text may be empty, and need not be right."""
    return node.text(most) if node.value != "" else ""


def _url(node) -> str:
    url = _text(node, 500)
    try:
        if url:
            URLValidator(schemes=["http", "https"])(url)
    except ValidationError:
        raise node.wrong("Write an address that begins with https://, or http://.") from None
    return url


def _truth(field):
    return lambda node, rule, found: {field: node.boolean()}


def _guard(node, rule, found):
    return {"guard_per_hour": node.integer(1, MOST_PER_HOUR)}


# By the names of the JSON; the content is read once its channel is.
READERS = {
    "name": _name,
    "state": _state,
    "trigger": _trigger,
    "audience": _audience,
    "frequency": _frequency,
    "delay_seconds": _delay,
    "unless": _unless,
    "starts_on": _day("starts_on"),
    "stops_on": _day("stops_on"),
    "hours": _hours,
    "channel": _channel,
    "content": _content,
    "transactional": _truth("is_transactional"),
    "allows_browser": _truth("allows_browser"),
    "guard_per_hour": _guard,
}


# Telling -------------------------------------------------------------------------------------------------------------


def audience_as_json(rule: AutoMessage) -> dict | None:
    """The definition of a rule's audience; a saved segment is one of a single condition."""
    return of_segment(rule.audience_id) if rule.audience_id else rule.conditions


def of_segment(pk: int) -> dict:
    return all_of({"kind": "segment", "segment": pk, "op": "in"})


def as_json(rule: AutoMessage) -> dict:
    """A rule as `read_rule` reads it."""
    content = {"subject": rule.subject, "body": rule.body}
    if rule.channel == AutoMessage.Channel.WEBHOOK:
        content = {"url": rule.url}
    elif rule.channel == AutoMessage.Channel.EMAIL:
        content["from"] = rule.sender and rule.sender.email
    else:
        content["display"] = rule.display
    return {
        "name": rule.name,
        "state": rule.state,
        "trigger": {"event": rule.trigger.name, "where": rule.where, "nth": rule.nth},
        "audience": audience_as_json(rule),
        "frequency": {"mode": rule.frequency, "per_seconds": rule.per_seconds, "most": rule.most_times},
        "delay_seconds": rule.delay_seconds,
        "unless": rule.unless,
        "starts_on": rule.starts_on and rule.starts_on.isoformat(),
        "stops_on": rule.stops_on and rule.stops_on.isoformat(),
        "hours": rule.hours,
        "channel": rule.channel,
        "content": content,
        "transactional": rule.is_transactional,
        "allows_browser": rule.allows_browser,
        "guard_per_hour": rule.guard_per_hour,
    }


# Keeping -------------------------------------------------------------------------------------------------------------


@contextmanager
def alone(workspace: Workspace):
    """Let nobody take away meanwhile what an audience asks for; whatever fails within is undone."""
    with transaction.atomic():
        Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
        yield


@transaction.atomic
def keep(rule: AutoMessage, found: dict, *, by=None) -> AutoMessage:
    """Keep what was read of a rule, and bring it to the state that is named; return it as it is then. Raises NotReady
    or Invalid, and keeps nothing, if it would be live and could send nothing."""
    found = dict(found)
    state, event = found.pop("state", None), found.pop("event", None)
    before = None
    if rule.pk:
        # A colleague may have changed it since it was read.
        rule = _locked(rule)
        before = rule.trigger
        if state == AutoMessage.State.DRAFT != rule.state:
            message = "It was live, so it is no draft any more. Write paused."
            raise Invalid([Fault("parameter_invalid", message, "state")])
        if state == AutoMessage.State.PAUSED != rule.state:
            rules.pause(rule)
    for name, value in found.items():
        setattr(rule, name, value)
    if event:
        rule.trigger = event_type(rule.workspace, event)
    if rule.state == AutoMessage.State.LIVE:
        rules.check_ready(rule)
    rule.save(update_fields=[*found, "trigger", "updated_at"] if before else None)
    if before is None and state == AutoMessage.State.PAUSED:
        rules.pause(rule)
    is_moved = before is not None and before != rule.trigger
    if state == AutoMessage.State.LIVE or is_moved and rule.state == AutoMessage.State.LIVE:
        rules.go_live(rule, anew=is_moved, by=by)
    elif rule.is_answering:
        rules.note_version(rule, by=by)
    if is_moved:
        for type_id in sorted({before.pk, rule.trigger_id}):
            watch_what_is_asked(type_id)
    return rule


def _locked(rule: AutoMessage) -> AutoMessage:
    related = AutoMessage.objects.select_related("workspace", "trigger")
    return related.select_for_update(of=("self",)).get(pk=rule.pk)


def duplicate(rule: AutoMessage) -> AutoMessage:
    """Make a draft that says the same under another name."""
    same = {name: getattr(rule, name) for name in (*AutoMessage.VERSIONED, "guard_per_hour")}
    name = f"{rule.name[:93]} (copy)"
    return AutoMessage.objects.create(workspace=rule.workspace, name=name, trigger=rule.trigger, **same)
