"""What a CSV file says of people: what each column is for, and what a row asks for, in the words of `POST /users`."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from rest_framework.exceptions import ValidationError

from eventsapp.attributes import CUSTOM, DATES
from eventsapp.cells import NUMBER, bare, other_length, value_in
from eventsapp.days import start_of
from eventsapp.errors import faults_in
from eventsapp.incoming import MAX_KEY
from eventsapp.models import CONTACT_ID, DataAttribute, Workspace
from eventsapp.serializers import ContactIn
from eventsapp.tags import fault_in_name
from eventsapp.text import fold

MOST_COLUMNS = 200
LEFT_OUT = ""
WHO = ("id", "user_id", "email")
# What a column may be for, other than a custom attribute; with how a header may spell it, the likeliest first.
FIELDS = {
    "user_id": "userid externalid customerid uid id".split(),
    "email": "email emailaddress mail".split(),
    "name": "name fullname".split(),
    "phone": "phone phonenumber telephone mobile".split(),
    "signed_up_at": "signedupat signedup signupdate signup firstseen firstseenat createdat created".split(),
    "last_seen_at": "lastseenat lastseen lastrequestat lastactive".split(),
    "role": ["role"],
    "unsubscribed_from_emails": "unsubscribedfromemails unsubscribed optedout".split(),
    "tags": "tags tag".split(),
    "id": "id contactid".split(),
}
TIMES = ("signed_up_at", "last_seen_at")
# What a file of ours says besides: when we first heard of somebody, and why a row was refused.
OURS = ("createdat", "updatedat", "line", "error")
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
UNFIT = re.compile(r'[.$"\\\x00-\x1f]')  # for the name of an attribute
DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
DATED = re.compile(r"\d{4}-\d\d-\d\d(\Z|[T ])")
_checks = ContactIn()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file: whom it names and what it says of them, or what is wrong with it.

    `fields` are those of a Contact, checked as the API checks them; what a cell does not say is not among them.
    """

    line: int
    cells: list[str]
    public_id: str | None = None
    fields: dict = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    fault: str | None = None


class Kinds:
    """Of what kinds the cells of each column are: number, boolean, day, and text, beside which no other counts. Whoever
    reads a file shows it each row before the first is imported: then one attribute does not get values of two types."""

    def __init__(self, width: int):
        self.of: list[set[str]] = [set() for _ in range(width)]

    def see(self, cells: Sequence[str]):
        for kinds, cell in zip(self.of, cells, strict=False):
            # One text makes the whole column texts.
            if cell and "text" not in kinds and (cell := bare(cell)):
                kinds.add(_kind_of(cell))


def _kind_of(cell: str) -> str:
    match value_in(cell):
        case bool():
            return "boolean"
        case int() | float():
            return "number"
    return "day" if DATED.match(cell) else "text"


@dataclass(frozen=True)
class Columns:
    """What each column of a file is for: one of FIELDS, `custom_attributes.` with a name, or LEFT_OUT. Times that name
    no zone are in UTC, days begin in `zone`. `tags` are put on everybody; `texts` are attributes whose cells are texts,
    whatever they look like."""

    header: Sequence[str]
    targets: Sequence[str]
    zone: ZoneInfo
    tags: Sequence[str] = ()
    texts: Collection[str] = ()

    @classmethod
    def of(cls, workspace: Workspace, header, targets, kinds: Sequence[Collection[str]], tags=()) -> "Columns":
        """The columns as a workspace takes them now: the cells of a text attribute stay texts, and so do those of a new
        attribute whose cells are of several kinds."""
        types = dict(workspace.attributes.filter(is_guess=False).values_list("name", "data_type"))
        texts = {name for name, type in types.items() if type == DataAttribute.Type.STRING}
        for target, theirs in zip(targets, kinds, strict=True):
            name = target.removeprefix(CUSTOM)
            if name not in types and _are_texts(name, {*theirs}):
                texts.add(name)
        return cls(header, targets, workspace.zone, tags, texts)

    def row(self, line: int, cells: list[str]) -> Row:
        """Read a row. An empty cell says nothing."""
        if fault := other_length(cells, self.header):
            return Row(line, cells, fault=fault)
        said, attributes, faults = {}, {}, []
        for target, cell in zip(self.targets, map(bare, cells), strict=True):
            if target == LEFT_OUT or cell == "":
                continue
            try:
                if target.startswith(CUSTOM):
                    name = target.removeprefix(CUSTOM)
                    attributes[name] = cell if name in self.texts else _attribute(name, cell, self.zone)
                else:
                    said[target] = self._field(target, cell)
            except ValueError as error:
                faults.append(f"{target}: {error}")
        public_id, tags = said.pop("id", None), said.pop("tags", ())
        checked, found = _checked(said | ({"custom_attributes": attributes} if attributes else {}))
        faults += found
        if not faults and not any((public_id, checked.get("external_id"), checked.get("email"))):
            faults = ["Say who it is: write one of user_id, email or id."]
        fault = " ".join(faults).replace("\0", "\ufffd") or None
        return Row(line, cells, public_id, checked, tuple(dict.fromkeys([*tags, *self.tags])), fault)

    def _field(self, target, cell):
        if target in TIMES:
            return _seconds(cell, self.zone)
        if target == "unsubscribed_from_emails":
            if fold(cell) not in TRUTHS:
                raise ValueError("Write true or false.")
            return TRUTHS[fold(cell)]
        if target == "tags":
            return tags_in(cell)
        return fold(cell) if target == "role" else cell


def tags_in(text: str) -> list[str]:
    """Return the names of tags between commas or semicolons. Raises ValueError."""
    names = [name for part in re.split("[,;]", text) if (name := part.strip())]
    for fault in filter(None, map(fault_in_name, names)):
        raise ValueError(fault)
    return names


def _seconds(cell: str, zone: ZoneInfo) -> int | float:
    """Unix seconds, also of an ISO day or time. Raises ValueError."""
    if NUMBER.match(cell):
        return value_in(cell)
    try:
        if DAY.match(cell):
            return start_of(date.fromisoformat(cell), zone)
        moment = datetime.fromisoformat(cell)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        message = f"“{cell}” is no time. Write Unix seconds, such as 1760000000, or a date, such as 2026-03-31."
        raise ValueError(message) from error


def _attribute(name: str, cell: str, zone: ZoneInfo):
    """As cells of events' imports; besides, a day is a date where the name says so."""
    return _seconds(cell, zone) if _is_date(name) and DATED.match(cell) else value_in(cell)


def _are_texts(name: str, kinds: set[str]) -> bool:
    """Whether cells of these kinds must be read as texts, since no other single type fits them all."""
    return "text" in kinds or len(kinds) > 1 and not (_is_date(name) and kinds == {"day", "number"})


def _is_date(name: str) -> bool:
    return name.endswith(DATES)


def _checked(said: dict) -> tuple[dict, list[str]]:
    """Return the fields of a contact, and what the API has against them."""
    try:
        return dict(_checks.run_validation(said)), []
    except ValidationError as error:
        return {}, [f"{fault.field}: {fault.message}" for fault in faults_in(error.detail)]


# What columns are for ------------------------------------------------------------------------------------------------


def guess(workspace: Workspace, header: Sequence[str], sample: Iterable[Sequence[str]]) -> list[str]:
    """Return what each column is likely for, by its name, also that of an attribute which is there, and, for an id, by
    the cells of the first rows."""
    targets: list[str | None] = [None] * len(header)
    spelled = [_spelled(name) for name in header]
    of_ours = {
        place for place, name in enumerate(spelled) if name in FIELDS["id"] and _are_ids(workspace, sample, place)
    }
    for target, spellings in FIELDS.items():
        for spelling in spellings:
            places = [place for place, name in enumerate(spelled) if name == spelling and targets[place] is None]
            if target in ("id", "user_id"):
                places = [place for place in places if (place in of_ours) == (target == "id")]
            if places:
                targets[places[0]] = target
                break
    names = list(workspace.attributes.values_list("name", flat=True))
    known = {_spelled(name): name for name in names} | {name: name for name in names}
    taken = set()
    for place, name in enumerate(map(str.strip, header)):
        own = known.get(name) or known.get(spelled[place] or name) or UNFIT.sub("_", name)[:MAX_KEY]
        if targets[place] is None:
            is_left_out = not own or own in taken or spelled[place] in OURS
            targets[place] = LEFT_OUT if is_left_out else f"{CUSTOM}{own}"
            taken.add(own)
    return targets


def _spelled(name: str) -> str:
    """A name without what people write now one way, now another."""
    return re.sub(r"[\W_]+", "", fold(name))


def _are_ids(workspace, sample, place) -> bool:
    cells = [bare(row[place]) for row in sample if len(row) > place and row[place].strip()]
    return bool(cells) and all(CONTACT_ID.match(cell) for cell in cells) and bool(workspace.contact_pk(cells[0]))


def faults_in_targets(targets: Sequence[str]) -> dict[int, str]:
    """Return what is wrong with what columns are for, as sentences by their places."""
    faults, seen = {}, set()
    for place, target in enumerate(targets):
        name = target.removeprefix(CUSTOM)
        if target.startswith(CUSTOM):
            if found := _checked({"custom_attributes": {name: None}})[1]:
                faults[place] = found[0].partition(": ")[2]
        elif target != LEFT_OUT and target not in FIELDS:
            known = ", ".join(FIELDS)
            faults[place] = f"“{target}” is nothing that is known of a person. Write one of {known}, {CUSTOM}…"
        if target in seen and target != LEFT_OUT:
            faults[place] = f"Another column is {name} already. Leave one of them out."
        seen.add(target)
    return faults


def names_somebody(targets: Sequence[str]) -> bool:
    """Whether some column says who a row is about."""
    return any(target in WHO for target in targets)
