"""What a rule does, in words: the sentence above its editor and in the list."""

from messaging.schedule import Hours
from segments.definition import parse_where

UNITS = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)]
CHANNELS = {"email": "an email", "webhook": "a webhook", "in_app": "an in-app message"}


def span(seconds: int) -> str:
    """A length of time in its largest whole unit: “2 days”, “90 minutes”."""
    unit, length = next((unit, length) for unit, length in UNITS if seconds % length == 0)
    number = seconds // length
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def sentence_of(rule, event: str | None = None) -> str:
    """What an AutoMessage does, in words; `event` is its trigger's name where that is no type yet."""
    parts = [f"Sends {CHANNELS[rule.channel]}"]
    if rule.delay_seconds:
        parts.append(f"{span(rule.delay_seconds)} after someone")
    else:
        parts.append("when someone")
    if rule.audience:
        parts.append(f"in “{rule.audience}”")
    elif rule.conditions:
        parts.append("in its own audience")
    parts.append(f"does {event or rule.trigger.name}")
    if where := " and ".join(str(condition) for condition in parse_where(rule.where)):
        parts.append(f"where {where}")
    if rule.nth:
        parts.append(f"for the {_ordinal(rule.nth)} time")
    if rule.unless:
        parts.append(f"unless they do {rule.unless['event']} meanwhile")
    return ", ".join([" ".join(parts), *_limits(rule)]) + "."


def _limits(rule):
    match rule.frequency:
        case "once":
            yield "the first time only"
        case "once_per" if rule.per_seconds:
            yield f"at most once in {span(rule.per_seconds)}"
        case _:
            yield "every time"
    if rule.most_times and rule.frequency != "once":
        yield f"{rule.most_times:,} time{'' if rule.most_times == 1 else 's'} in all"
    if rule.hours:
        yield str(Hours.from_json(rule.hours))
    if rule.starts_on:
        yield f"from {rule.starts_on:%-d %B %Y} on"
    if rule.stops_on:
        yield f"until {rule.stops_on:%-d %B %Y}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
