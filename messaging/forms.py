"""The rule editor's form: a rule as the fields of its page have it, whatever was typed there."""

import json
from dataclasses import replace
from functools import cached_property

from messaging import text
from messaging.drafting import as_json, audience_as_json, of_segment, read_rule
from messaging.models import AutoMessage
from messaging.schedule import DAYS
from messaging.words import UNITS, sentence_of
from segments.builder import Builder, Tests, draft_of, draft_of_refused, focus_on, shape_of
from segments.conditions import CUSTOM
from segments.definition import Invalid, parse
from segments.drafts import act, read_form, said_in
from segments.sentences import Writer

EVERYONE, OWN = "", "conditions"
LENGTHS = {f"{unit}s": length for unit, length in UNITS}
NEW = {
    "frequency": "once", "per": "1", "per_unit": "days", "delay": "0", "delay_unit": "minutes", "at": "any",
    "from_time": "09:00", "to_time": "17:00", "channel": "email", "display": "card", "guard_per_hour": "10000",
}  # fmt: skip
PLAIN = (
    *NEW, "name", "event", "nth", "who", "most", "unless", "same", "starts_on", "stops_on", "sender", "subject", "body",
    "url", "transactional", "allows_browser", "sample", "sample_json", "as", "width",
)  # fmt: skip
# Where a fault is told, by the beginning of its path.
STEPS = {
    "name": "name", "trigger": "when", "allows_browser": "when", "audience": "who", "content": "message",
    "channel": "message", "transactional": "message",
}  # fmt: skip
LABELS = {
    "name": "Name", "trigger.event": "Event", "trigger.nth": "Only the nth time", "starts_on": "First day",
    "frequency.per_seconds": "At most once in", "frequency.most": "Times in all", "delay_seconds": "Wait",
    "unless.event": "Unless they did", "unless.same": "The same", "stops_on": "Last day", "hours.days": "Days",
    "hours.from": "From", "hours.to": "To", "guard_per_hour": "Pauses itself above", "content.from": "From",
    "content.subject": "Subject", "content.body": "Body", "content.url": "Address",
}  # fmt: skip


class RuleForm:
    """The fields of a rule's page, as it is stored or as `posted`; an `act` that was pressed is done to its rows."""

    def __init__(self, rule: AutoMessage, posted=None, writer: Writer | None = None):
        self.rule, self.writer, focus = rule, writer or Writer(rule.workspace), None
        if posted is None:
            self.typed, self.days, self.draft = self._stored()
        else:
            # A NUL is nothing that anybody types.
            clean = [(name, value.replace("\0", "")) for name, values in posted.lists() for value in values]
            given = dict(clean)
            self.typed = dict.fromkeys(PLAIN, "") | NEW | {name: given[name] for name in PLAIN if name in given}
            self.typed["body"] = self.typed["body"].replace("\r\n", "\n")
            self.days = [value for name, value in clean if name == "day"]
            self.draft = read_form(clean)
            focus = act(self.draft, given.get("act", ""))
        self.builder = Builder(self.writer, {"conditions": [], **self.draft})
        self.when = Tests(self.writer, self.draft.get("where", []), self.typed["event"])
        self.unless = Tests(self.writer, self._unless.get("where", []), self.typed["unless"], "then.where")
        if focus is not None:
            focus_on([*self.builder.controls(), *self.when.controls(), *self.unless.controls()], focus)
        self.faults: dict[str, list[str]] = {}

    @property
    def _unless(self) -> dict:
        return self.draft.get("then") or {}

    def _stored(self) -> tuple[dict, list[str], dict]:
        rule = self.rule
        told = as_json(rule) if rule.trigger_id else {}
        unless, hours, audience = rule.unless or {}, rule.hours or {}, audience_as_json(rule)
        typed = dict.fromkeys(PLAIN, "") | NEW
        for name in ("name", "frequency", "starts_on", "stops_on", "channel", "guard_per_hour"):
            typed[name] = _typed(told.get(name, getattr(rule, name)))
        if told:
            typed |= {"event": rule.trigger.name, "nth": _typed(rule.nth), "frequency": rule.frequency}
            typed |= {"subject": rule.subject, "body": rule.body, "url": rule.url}
            typed |= {"sender": rule.sender.email if rule.sender else "", "display": rule.display}
        typed |= {"most": _typed(rule.most_times), "unless": unless.get("event", "")}
        typed["same"] = ", ".join(unless.get("same", []))
        for name, seconds in (("per", rule.per_seconds), ("delay", rule.delay_seconds)):
            if seconds:
                typed[name], typed[f"{name}_unit"] = _length(seconds)
        if hours:
            typed |= {"at": "hours", "from_time": hours["from"], "to_time": hours["to"]}
        for name, is_so in (("transactional", rule.is_transactional), ("allows_browser", rule.allows_browser)):
            typed[name] = "on" if is_so else ""
        draft = {"where": rule.where, "then": {"where": unless.get("where", [])}}
        if audience is not None:
            typed["who"] = _segment_in(audience) or OWN
        if typed["who"] == OWN:
            draft |= self._draft_of(audience)
        return typed, [str(day) for day in hours.get("days", range(5))], draft

    def _draft_of(self, audience: dict) -> dict:
        try:
            return draft_of(self.writer, parse(self.rule.workspace, audience).as_json())
        except Invalid:
            return draft_of_refused(self.writer, audience)

    # What it says

    def said(self) -> dict:
        """The JSON that the fields say, to be checked as any other."""
        typed = self.typed
        frequency = {"mode": typed["frequency"]}
        if typed["frequency"] == "once_per":
            frequency["per_seconds"] = _seconds(typed["per"], typed["per_unit"])
        if typed["frequency"] != "once":
            frequency["most"] = _number(typed["most"])
        return {
            "name": typed["name"],
            "trigger": {
                "event": typed["event"],
                "where": said_in(self.draft.get("where", [])),
                "nth": _number(typed["nth"]),
            },
            "audience": self._audience(),
            "frequency": frequency,
            "delay_seconds": _seconds(typed["delay"] or "0", typed["delay_unit"]),
            "unless": self._said_unless(),
            "starts_on": typed["starts_on"] or None,
            "stops_on": typed["stops_on"] or None,
            "hours": self._hours(),
            "channel": typed["channel"],
            "content": self._content(),
            "transactional": bool(typed["transactional"]),
            "allows_browser": bool(typed["allows_browser"]),
            "guard_per_hour": _number(typed["guard_per_hour"]) or typed["guard_per_hour"],
        }

    def _audience(self) -> dict | None:
        match self.typed["who"]:
            case "":
                return None
            case "conditions":
                return self.builder.definition
        return of_segment(_number(self.typed["who"]))

    def _said_unless(self) -> dict | None:
        where, same = said_in(self._unless.get("where", [])), self.typed["same"].split(",")
        found = {"event": self.typed["unless"]} | ({"where": where} if where else {})
        if same := [key.strip() for key in same if key.strip()]:
            found["same"] = same
        return found if found != {"event": ""} else None

    def _hours(self) -> dict | None:
        if self.typed["at"] != "hours":
            return None
        # A browser may send seconds, too.
        sides = {"from": self.typed["from_time"][:5], "to": self.typed["to_time"][:5]}
        return {"days": [_number(day) for day in self.days], **sides}

    def _content(self) -> dict:
        match self.typed["channel"]:
            case "webhook":
                return {"url": self.typed["url"].strip()}
            case "email":
                return {"from": self.typed["sender"], **self._texts()}
        return self._texts() | {"display": self.typed["display"]}

    def _texts(self) -> dict:
        return {name: self.typed[name] for name in ("subject", "body")}

    def read(self, *parts: str) -> dict | None:
        """Return the fields that it says, or only those `parts`, as drafting.read_rule does; None when something is
        wrong, which is then told at its place."""
        said, found = self.said(), None
        try:
            found = read_rule(self.rule, {part: said[part] for part in parts or said}, parts or said)
        except Invalid as error:
            self.tell(error.faults)
        rows = self.builder.root.all() if self.typed["who"] == OWN else ()
        for row in [row for row in rows if row.is_unfinished]:
            found = None
            if not parts:
                row.about.setdefault("faults", []).append("Finish this condition, or remove it.")
                self.faults.setdefault("who", [])
        if found and self.typed["who"] not in (EVERYONE, OWN):
            found |= {"audience_id": int(self.typed["who"]), "conditions": None}
        return found

    def tell(self, faults: list):
        """Note the sentence of each fault at the step, or at the row, that has it."""
        for fault in faults:
            path = fault.field or ""
            first = path.partition(".")[0].partition("[")[0]
            step, words = STEPS.get(first, "often"), f"{LABELS.get(path, path)}: {fault.message}"
            if step == "who":
                row = replace(fault, field=path.removeprefix("audience").removeprefix("."))
                [words] = self.builder.blame([row]) or [None]
            if words:
                self.faults.setdefault(step, []).append(words)

    # What its page shows

    @cached_property
    def shape(self) -> str:
        """Changes with whatever is not only text typed into a field."""
        return shape_of([self.builder.shape, self.when.shape, self.unless.shape])

    def sentence(self, found: dict | None) -> str:
        """What the rule does, as it is written now; nothing while it cannot be read."""
        if found is None:
            return ""
        fields = {name: value for name, value in found.items() if name != "event"}
        return sentence_of(AutoMessage(workspace=self.rule.workspace, **fields), found["event"])

    @property
    def variables(self) -> list[dict]:
        """What a text may use, each with how it is written there."""
        named = [("event", "metadata", one["key"]) for one in self.when.keys]
        named += [("contact", field) for field in ("name", "email", "user_id")]
        named += [("contact", "custom_attributes", key) for key in self._attributes]
        return [{"words": words, "written": f"{{{{ {words} }}}}"} for words in (text.variable(*path) for path in named)]

    @cached_property
    def _attributes(self) -> list[str]:
        return [one["label"] for one in self.writer.fields if one["field"].startswith(CUSTOM)]

    def warnings(self) -> list[dict]:
        """What would go wrong with the texts as they are written: words, and for an unknown variable how which field
        has it `written`."""
        found, keys = [], [one["key"] for one in self.when.keys]
        if self.typed["channel"] == "webhook":
            return found
        for name, source in self._texts().items():
            if fault := text.fault_in(source):
                found.append({"words": f"The {name}: {fault}"})
            for unknown, written in text.unknown_in(source, keys=keys, attributes=self._attributes).items():
                words = f"{{{{ {unknown} }}}} in the {name} is not known here: it would be empty."
                found.append({"words": words, "field": name, "written": json.dumps(written)})
        return found

    units = tuple(LENGTHS)

    @property
    def week(self) -> list[tuple[str, str, bool]]:
        return [(str(day), name, str(day) in self.days) for day, name in enumerate(DAYS)]

    @property
    def audiences(self) -> list[tuple[str, str]]:
        saved = self.rule.workspace.segments.active().values_list("pk", "name")
        found = [(EVERYONE, "everyone"), (OWN, "those who match …"), *((str(pk), name) for pk, name in saved)]
        return _with(found, self.typed["who"], "a segment that is archived")

    @property
    def senders(self) -> list[tuple[str, str]]:
        found = [("", "the usual sender"), *((one.email, str(one)) for one in self.rule.workspace.senders.all())]
        return _with(found, self.typed["sender"], "an address that is no sender any more")


def _with(options: list[tuple[str, str]], chosen: str, words: str) -> list[tuple[str, str]]:
    """The options, and what is chosen if it is none of them."""
    return options if chosen in dict(options) else [*options, (chosen, words)]


def _typed(value) -> str:
    return "" if value is None else str(value)


def _number(typed: str):
    """The number that a text says, None for none; what says no number is left to be refused."""
    typed = typed.strip()
    return int(typed) if typed.isdecimal() and len(typed) < 16 else typed or None


def _seconds(typed: str, unit: str):
    number = _number(typed)
    return number * LENGTHS.get(unit, 1) if isinstance(number, int) else number


def _length(seconds: int) -> tuple[str, str]:
    return next((str(seconds // length), unit) for unit, length in LENGTHS.items() if seconds % length == 0)


def _segment_in(audience: dict) -> str | None:
    """The id of the saved segment that a definition is about alone."""
    match audience:
        case {"conditions": [{"kind": "segment", "op": "in", "segment": pk}]}:
            return str(pk)
    return None
