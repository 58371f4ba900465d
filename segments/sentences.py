"""Conditions as sentences with gaps to fill: the rows of the builder.

A sentence is made from a draft, which is a condition's JSON in which whatever cannot be read yet is still the text that
was typed. It is a list of words and controls; each control knows where in the JSON its value belongs and how the text
in it is read, so that the JSON can be put together from the controls alone.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from eventsapp.incoming import normal_name
from eventsapp.models import Workspace
from segments import suggestions
from segments.comparisons import BOOLEAN, DATE, NUMBER, PRESENCE, TEXT, WORDS
from segments.conditions import COUNTED, CUSTOM, SPANS, Attribute, DidEvent, EventTime
from segments.definition import KINDS
from segments.histories import Aggregate, Sequence

AMOUNT = re.compile(r"(-?[\d.,]+(?:e[+-]?\d+)?)\s*([a-z]{3})?", re.IGNORECASE)
INITIAL = {"days": 30, "days0": 30, "times": 1, "times2": 2}
LEAST = {"days": 1, "days0": 0, "times": 1, "times2": 2, "id": 1}
NARROW = {"number", *INITIAL}


# Controls ------------------------------------------------------------------------------------------------------------


@dataclass
class Control:
    """A field, or with `options` a choice. `kind` says how its text is read: text, list, number (money too, with its
    currency), money-usd, date, days (≥ 1), days0 (≥ 0), times (≥ 1), times2 (≥ 2), id, verb, or op-… for an operator
    out of those for one kind of value."""

    path: str
    kind: str
    label: str
    value: object = None
    options: list[tuple[str, str]] | None = None
    listed: str = ""
    offered: list[dict] = field(default_factory=list)
    means: object = None
    row: str = ""
    is_focused: bool = False

    @property
    def name(self) -> str:
        return f"{self.row}.{self.path}@{self.kind}".lstrip(".")

    @property
    def id(self) -> str:
        return f"gap-{self.row}.{self.path}".replace(".", "-")

    @property
    def text(self) -> str:
        """What stands in it."""
        if self.kind == "list":
            return _listed(self.value)
        first = self.value[0] if isinstance(self.value, list) and self.value else self.value
        return _plain(INITIAL.get(self.kind, "") if first is None else first)

    @property
    def is_name(self) -> bool:
        """Whether another text in it changes what the rest of its sentence offers."""
        return self.label in ("attribute", "metadata key") or self.label.endswith("event")

    @property
    def offers(self) -> str:
        """Suggestions of its own, as JSON."""
        return json.dumps(self.offered) if self.offered or self.is_name else ""

    @property
    def width(self) -> str:
        return "short" if self.kind in NARROW else ""

    @property
    def hint(self) -> str:
        if self.is_name:
            return self.label
        return "a, b, c" if self.kind == "list" else "49.00 usd" if self.kind.startswith("money") else ""

    def read(self):
        """The value that its text says; None when it is not complete."""
        return self.means or read_text(self.kind, self.text)


def read_text(kind: str, text: str):
    """Return the value that a text says in a control of this kind; None when it is not complete."""
    if kind == "verb":
        return _verbs().get(text)
    if kind == "list":
        return _parts(text)
    if kind in LEAST:
        return int(text) if text.strip().isdecimal() and LEAST[kind] <= int(text) < 10**15 else None
    if kind == "number" or kind.startswith("money"):
        return _number(text, kind.partition("-")[2])
    return text if text.strip() else None


def _parts(text: str) -> list[str] | None:
    lines = csv.reader(text.splitlines(), skipinitialspace=True)
    return [part.strip() for line in lines for part in line if part.strip()] or None


def _listed(value) -> str:
    if not isinstance(value, list):
        return _plain(value)
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(map(_plain, value))
    return line.getvalue() if '"' in line.getvalue() else line.getvalue().replace(",", ", ")


def _plain(value) -> str:
    match value:
        case None:
            return ""
        case {"amount": int() | float() as amount, "currency": str(currency)}:
            return f"{amount / 100:.2f} {currency}"
        case list():
            return _listed(value)
    return str(value)


def _number(text: str, currency: str):
    found = AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    digits, currency = found[1].replace(",", "."), (found[2] or currency).lower()
    try:
        number = int(digits) if digits.removeprefix("-").isdecimal() else float(digits)
    except ValueError:
        return None
    if currency:
        return {"amount": round(number * 100), "currency": currency}
    return number if abs(number) < float("inf") else None


# Phrases -------------------------------------------------------------------------------------------------------------

# By operator: words with a gap for each value, and the kind of what is written there.
Phrases = dict[str, tuple[str, str]]


def _phrases(operators, kind: str) -> Phrases:
    kinds = {"in": "list", "not_in": "list", "exactly_days_ago": "days0"}
    return {op: (WORDS[op], kinds.get(op) or ("days" if op.endswith("_days_ago") else kind)) for op in operators}


_PRESENCE = _phrases(PRESENCE, "text")
_ANY = _phrases(TEXT, "text") | _phrases(NUMBER, "number") | _phrases(BOOLEAN, "text") | _PRESENCE
OPERATORS = {
    "text": _phrases(TEXT, "text") | _PRESENCE,
    "number": _phrases(NUMBER, "number") | _PRESENCE,
    "money": _phrases(NUMBER, "money") | _PRESENCE,
    "boolean": _phrases(BOOLEAN, "text") | _PRESENCE,
    "date": _phrases(DATE, "date") | _PRESENCE,
    "nested": _PRESENCE,
    "any": _ANY,
    "times": _phrases(DATE, "date") | {"known": ("ever", "text"), "unknown": ("never", "text")},
}
COUNTS = {op: (words, "times2" if op == "lt" else "times") for op, words in COUNTED.items()}
WITHIN = {"ever": ("ever", "text"), "last_days": (SPANS["last_days"], "days")} | {
    side: (SPANS[side], "date") for side in ("since", "until", "between")
}


def _phrase(label: str, path: str, phrases: Phrases, chosen: str, gaps: list[tuple[str, object]], **about) -> list:
    """A choice of phrases, and the gaps of the chosen one as controls: “between {} and {}” is a choice, a field, “and”,
    a field. `gaps` are the path and the value of each."""
    words, kind = phrases[chosen]
    items = [
        Control(
            path, about.pop("op", "text"), label, chosen, [(op, _opening(text)) for op, (text, _) in phrases.items()]
        )
    ]
    for place, after in enumerate(words.split("{}")[1:]):
        items += [_gap(kind, gaps[place], place, **about), after.strip()]
    return [item for item in items if item]


def _opening(words: str) -> str:
    return words.partition("{}")[0].strip()


def _gap(kind, gap, place, *, named: str, learned: dict | None = None) -> Control:
    path, value = gap
    label = {"days": "days", "days0": "days", "times": "times", "times2": "times"}.get(kind, named)
    learned = learned or {}
    samples = [
        {"value": sample, "note": f"in {seen:,} of the newest"}
        for sample, seen in zip(learned.get("samples", ()), learned.get("seen", ()), strict=False)
    ]
    if kind == "money":
        kind = f"money-{samples[0]['value'].partition(' ')[2] if samples else ''}"
    offered = samples if kind == "text" or kind.startswith("money") else []
    return Control(path, kind, f"{label}, high" if place else label, value, offered=offered)


def _gaps(path: str, value, words: str) -> list[tuple[str, object]]:
    """Where the values of a phrase belong: one at `path`, two in a list there."""
    if words.count("{}") < 2:
        return [(path, value)]
    both = value if isinstance(value, list) else [value]
    return [(f"{path}.{place}", both[place] if place < len(both) else "") for place in (0, 1)]


def _comparison(prefix: str, test: dict, kind: str, **about) -> list:
    """An operator and what it compares to. One that is unusual for this kind of value stays, unless it was chosen for
    another kind."""
    phrases, op = OPERATORS[kind], test.get("op")
    if op not in phrases:
        unusual = (OPERATORS["date"] | _ANY).get(op) if test.get("drawn", kind) == kind else None
        op = op if unusual else next(iter(phrases))
        phrases = phrases | ({op: unusual} if unusual else {})
    gaps = _gaps(f"{prefix}value", test.get("value"), phrases[op][0])
    return _phrase("operator", f"{prefix}op", phrases, op, gaps, op=f"op-{kind}", **about)


def _kind_of_value(value) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return "money" if isinstance(first, dict) else "number" if isinstance(first, int | float) else "any"


# Sentences -----------------------------------------------------------------------------------------------------------


@dataclass
class Wheres:
    """The tests of an event's metadata, each a list of words and controls."""

    path: str
    words: str
    rows: list[list]


@dataclass
class Sentence:
    """The words and controls of one condition, and the tests below them."""

    items: list
    wheres: list[Wheres]

    def controls(self) -> Iterator[Control]:
        for items in [self.items, *(row for wheres in self.wheres for row in wheres.rows)]:
            yield from (item for item in items if isinstance(item, Control))

    @cached_property
    def condition(self) -> dict | None:
        """The JSON that the controls say; None while one of them is not complete."""
        found: dict = {"kind": Attribute.kind}  # the only one without a verb
        for control in self.controls():
            value = control.read()
            if value is None:
                return None
            put(found, control.path, value)
        return without_defaults(found)


def without_defaults(condition: dict) -> dict:
    """What a row says, without what only its drawing needs."""
    condition.pop("span", None)
    if condition.get("count") == {"op": "gte", "value": 1}:
        del condition["count"]
    return condition


def put(data: dict, path: str, value):
    """Set what is at a path such as `where.0.value`; at none, the fields of `value` themselves."""
    if not path:
        data.update(value)
        return
    keys, place = path.split("."), data
    for key, following in pairwise(keys):
        if isinstance(place, list):
            if int(key) >= len(place):
                place.append({})
            place = place[-1]
        else:
            place = place.setdefault(key, [] if following.isdecimal() else {})
    if isinstance(place, list):
        place.append(value)
    else:
        place[keys[-1]] = value


@dataclass
class Writer:
    """Writes the sentences of one workspace; what its pages offer is asked for once."""

    workspace: Workspace

    @cached_property
    def events(self) -> list[dict]:
        return suggestions.events(self.workspace)

    @cached_property
    def fields(self) -> list[dict]:
        return suggestions.fields(self.workspace)

    def offered_events(self) -> list[dict]:
        """What is suggested where an event is named: [{value, note}]."""
        return [
            {
                "value": event["name"],
                "note": f"{event['volume']:,} in 30 days · last {event['last']}" if event["last"] else "not yet",
            }
            for event in self.events
        ]

    def offered_fields(self) -> list[dict]:
        """What is suggested where an attribute is named: [{value, note}]."""
        own_first = sorted(self.fields, key=lambda one: not one["field"].startswith(CUSTOM))
        return [{"value": one["label"], "note": ", ".join(one["samples"][:3]) or one["kind"]} for one in own_first]

    @cached_property
    def _keys(self) -> dict[str, list[dict]]:
        return {}

    def keys(self, event: str | None) -> list[dict]:
        name = normal_name(event or "")
        if name not in self._keys:
            self._keys[name] = suggestions.keys(self.workspace, name)
        return self._keys[name]

    def sentence(self, draft: dict, row: str = "") -> Sentence | None:
        """The sentence of a draft, whose controls are named after `row`; None for what has none."""
        kind = KINDS.get(draft.get("kind"))
        if kind is None:
            return None
        if hasattr(kind, "choices"):
            items = [_verb(draft, is_membership=True), self._choice(kind, draft)]
        else:
            items = WRITTEN[kind](self, draft)
            if kind is not Attribute:
                items.insert(0, _verb(draft, is_membership=False))
        items = [part for item in items for part in (item if isinstance(item, list) else [item])]
        found = Sentence(
            [item for item in items if not isinstance(item, Wheres)],
            [item for item in items if isinstance(item, Wheres)],
        )
        for control in found.controls():
            control.row = row
        return found

    def _choice(self, kind, draft) -> Control:
        name = kind.kind
        options = [("", f"choose a {name}"), *((str(pk), words) for pk, words in kind.choices(self.workspace))]
        chosen = draft.get(name)
        if chosen and str(chosen) not in dict(options):
            options.append((str(chosen), f"{name} {chosen}, which is not here"))
        return Control(name, "id", name, "" if chosen is None else chosen, options)

    def event(self, path: str, draft: dict, label: str = "event") -> list:
        value = draft.get("event")
        seen = not value or normal_name(str(value)) in {event["name"] for event in self.events}
        return [Control(path, "text", label, value, listed="event-names"), *([] if seen else ["· not seen yet"])]

    def key(self, path: str, value, event) -> Control:
        offered = [
            {"value": one["key"], "note": ", ".join([one["kind"], *one["samples"][:3]])} for one in self.keys(event)
        ]
        return Control(path, "text", "metadata key", value, offered=offered)

    def wheres(self, path: str, tests, event, words: str = "where") -> Wheres:
        rows = []
        for place, test in enumerate(tests or ()):
            here, key = f"{path}.{place}.", str(test.get("key") or "")
            learned = next((one for one in self.keys(event) if one["key"] == key), {})
            kind = "date" if key.endswith("_date") else learned.get("kind") or _kind_of_value(test.get("value"))
            compared = _comparison(here, test, kind, named=f"value of {key or 'the key'}", learned=learned)
            rows.append([words, self.key(f"{here}key", test.get("key"), event), *compared])
        return Wheres(path, words, rows)

    def did_event(self, draft) -> list:
        items = self.event("event", draft)
        if draft.get("did") is not False:
            count = draft.get("count") or {}
            op = count.get("op") or "gte"
            gaps = _gaps("count.value", count.get("value"), COUNTS[op][0])
            items += _phrase("how often", "count.op", COUNTS, op, gaps, named="times")
        return [*items, *self._which(draft)]

    def _which(self, draft) -> list:
        return [*_within(draft), self.wheres("where", draft.get("where"), draft.get("event"))]

    def event_time(self, draft) -> list:
        return [*self.event("event", draft), *_comparison("", draft, "times", named="day")]

    def aggregate(self, draft) -> list:
        learned = next((one for one in self.keys(draft.get("event")) if one["key"] == draft.get("key")), {})
        is_money = "money" in (learned.get("kind"), _kind_of_value(draft.get("value")))
        compared = _comparison("", draft, "money" if is_money else "number", named="amount", learned=learned)
        key = self.key("key", draft.get("key"), draft.get("event"))
        return [key, "of", *self.event("event", draft), *compared, *self._which(draft)]

    def sequence(self, draft) -> list:
        first, then = draft.get("first") or {}, draft.get("then") or {}
        return [
            *self.event("first.event", first, "first event"),
            "but not" if draft.get("did") is False else "then",
            *self.event("then.event", then, "then event"),
            "within",
            Control("within_days", "days", "days", draft.get("within_days", 7)),
            "days",
            self.wheres("first.where", first.get("where"), first.get("event"), "where the first"),
            self.wheres("then.where", then.get("where"), then.get("event"), "where the second"),
        ]

    def attribute(self, draft) -> list:
        text = str(draft.get("field") or "").strip()
        about = next((one for one in self.fields if text in (one["field"], one["label"])), {})
        label = about.get("label") or text.removeprefix(CUSTOM)
        kind = about.get("kind") or ("date" if label.endswith("_at") else _kind_of_value(draft.get("value")))
        compared = _comparison("", draft, kind, named=f"value of {label or 'the attribute'}", learned=about)
        means = about.get("field") or (f"{CUSTOM}{label}" if label else None)
        return [Control("field", "text", "attribute", label, listed="fields", means=means), *compared]


WRITTEN: dict[type, Callable[[Writer, dict], list]] = {
    DidEvent: Writer.did_event,
    EventTime: Writer.event_time,
    Aggregate: Writer.aggregate,
    Sequence: Writer.sequence,
    Attribute: Writer.attribute,
}


def _verbs() -> dict[str, dict]:
    """The words of each verb, with the fields of a condition that say the same."""
    kinds = [kind for kind in KINDS.values() if hasattr(kind, "verbs")]
    return {words: {"kind": kind.kind} | fields for kind in kinds for words, fields in kind.verbs.items()}


def _verb(draft: dict, *, is_membership: bool) -> Control:
    """What somebody did, or what they belong to: another of the same sort may be chosen."""
    verbs = {
        words: fields
        for words, fields in _verbs().items()
        if hasattr(KINDS[fields["kind"]], "choices") == is_membership
    }
    told = {"did": True} | draft
    fitting = [words for words, fields in verbs.items() if all(told.get(key) == value for key, value in fields.items())]
    alike = [words for words, fields in verbs.items() if fields["kind"] == draft["kind"]]
    return Control("", "verb", "what they did", (fitting + alike)[0], [(words, words) for words in verbs])


def _within(draft: dict) -> list:
    within = draft.get("within") or {}
    span = draft.get("span") or ("between" if len(within) > 1 else next(iter(within), "ever"))
    sides = ("since", "until") if span == "between" else (span,)
    return _phrase("when", "span", WITHIN, span, [(f"within.{side}", within.get(side)) for side in sides], named="day")
