"""What changed from one version of a rule to the next, in words."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from messaging.models import AutoMessage, RuleVersion
from messaging.schedule import Hours
from messaging.words import span
from segments.definition import Invalid, parse, parse_where

WORDS = {
    "channel": "Channel", "where": "Where", "nth": "Only the time of this number", "frequency": "How often",
    "per_seconds": "At most once in", "most_times": "Times in all", "delay_seconds": "Delay", "unless": "Unless",
    "starts_on": "First day", "stops_on": "Last day", "hours": "Hours", "is_transactional": "Part of a transaction",
    "allows_browser": "Unverified browsers", "sender_id": "From", "subject": "Subject", "url": "Address",
    "display": "Shown as",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What one thing was and is; of a text of several lines, `lines` are those that are gone (-) or new (+)."""

    what: str
    before: str = ""
    after: str = ""
    lines: tuple[tuple[str, str], ...] = ()


def changes(before: RuleVersion, after: RuleVersion) -> Iterator[Change]:
    """Yield what is different in the later of two versions."""
    old, new = ({"display": AutoMessage.Display.CARD} | version.rule for version in (before, after))
    if before.trigger_name != after.trigger_name:
        yield Change("Event", before.trigger_name, after.trigger_name)
    for name, what in WORDS.items():
        if old.get(name) != new.get(name):
            yield Change(what, *(_said(after.message, name, value) for value in (old.get(name), new.get(name))))
    audience = [(version.get("audience_id"), version.get("conditions")) for version in (old, new)]
    if audience[0] != audience[1]:
        yield Change("Audience", *(_audience(after.message, *one) for one in audience))
    if old.get("body") != new.get("body"):
        lines = difflib.unified_diff(old.get("body", "").splitlines(), new.get("body", "").splitlines(), n=0)
        told = [line for line in list(lines)[2:] if line[0] in "+-"]
        yield Change("Text", lines=tuple((line[0], line[1:]) for line in told))


def _said(rule: AutoMessage, name: str, value) -> str:
    match name, value:
        case _, None | "" | []:
            return "none"
        case _, bool():
            return "yes" if value else "no"
        case "channel", _:
            return AutoMessage.Channel(value).label
        case "frequency", _:
            return AutoMessage.Frequency(value).label
        case "per_seconds" | "delay_seconds", _:
            return span(value) if value else "none"
        case "where", _:
            return " and ".join(map(str, parse_where(value)))
        case "unless", _:
            where = " and ".join(map(str, parse_where(value.get("where", []))))
            same = f" with the same {', '.join(value['same'])}" if value.get("same") else ""
            return f"they do {value['event']}{f' where {where}' if where else ''}{same}"
        case "hours", _:
            return str(Hours.from_json(value))
        case "sender_id", _:
            sender = rule.workspace.senders.filter(pk=value).first()
            return str(sender or "a sender that is gone")
    return str(value)


def _audience(rule: AutoMessage, segment: int | None, definition: dict | None) -> str:
    if segment:
        saved = rule.workspace.segments.filter(pk=segment).first()
        return f"in “{saved.name if saved else 'a segment that is gone'}”"
    if definition is None:
        return "everyone"
    try:
        return str(parse(rule.workspace, definition))
    except Invalid:
        return "a filter that cannot be asked any more"
