"""Questions to begin with, made of what a workspace's people do most."""

from dataclasses import dataclass

from segments.definition import all_of
from segments.urlstate import encode


@dataclass(frozen=True)
class Starter:
    """A question with a name and words of what it finds."""

    name: str
    words: str
    definition: dict

    @property
    def q(self) -> str:
        """The definition, as a link to the people page has it."""
        return encode(self.definition)


def starters(events: list[dict]) -> list[Starter]:
    """Return what somebody who begins may ask, of the first of `events` (as `suggestions.events` has them)."""
    busiest = [event["name"] for event in events if event["last"]][:2]
    found = [_starter("New", "first heard of in the last 7 days", _heard("less_than_days_ago", 7))]
    if not busiest:
        return found
    event = busiest[0]
    found += [
        _starter("Active", f"{event} in the last 7 days", _did(event, within={"last_days": 7})),
        _starter("Slipping away", f"last {event} more than 30 days ago", _last(event, "more_than_days_ago", 30)),
    ]
    if len(busiest) > 1:
        never = _did(busiest[1]) | {"did": False}
        found.append(_starter("Did one, never the other", f"{event}, never {busiest[1]}", _did(event), never))
    return found


def _starter(name: str, words: str, *conditions: dict) -> Starter:
    return Starter(name, words, all_of(*conditions))


def _heard(op: str, days: int) -> dict:
    return {"kind": "attribute", "field": "created_at", "op": op, "value": days}


def _did(event: str, **parts) -> dict:
    return {"kind": "event", "event": event, "did": True} | parts


def _last(event: str, op: str, days: int) -> dict:
    return {"kind": "event_time", "event": event, "occurrence": "last", "op": op, "value": days}
