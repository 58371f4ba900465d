"""Reading a definition's JSON: every fault is kept, with the path of its place and a sentence of what to write."""

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date

from eventsapp.errors import Fault
from eventsapp.metadata import SAFE_INTEGER

MOST_DAYS = 36_500
MOST_ID = 2**31 - 1
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9000, 12, 31)  # well within what can be reckoned with in any time zone
MISSING = object()


class Invalid(Exception):
    """The definition cannot be asked. `faults` name the places, such as `conditions[0].where[1].value`."""

    def __init__(self, faults: list[Fault]):
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = faults


class Unreadable(Exception):
    """This part has a fault, already noted: whoever reads a list goes on with the next part."""


@dataclass
class Node:
    """One JSON value with its place in the tree. Readers of a wrong value note the fault and raise Unreadable."""

    value: object
    path: str = ""
    faults: list[Fault] = field(default_factory=list)

    def wrong(self, message: str) -> Unreadable:
        """Note a fault at this place; return the exception to raise."""
        self.faults.append(Fault("parameter_invalid", message, self.path or "definition"))
        return Unreadable()

    def has(self, key: str) -> bool:
        return self.value.get(key) is not None

    def at(self, key: str) -> "Node":
        """The value under `key`, None when absent. Only for objects."""
        return Node(self.value.get(key), f"{self.path}.{key}" if self.path else key, self.faults)

    def object(self, allowed: set[str] | None = None) -> "Node":
        """This node, once it is known to be an object without any key but the `allowed`."""
        if not isinstance(self.value, dict):
            raise self.wrong("Write an object.")
        if allowed is not None and (unknown := sorted(self.value.keys() - allowed)):
            raise self.at(unknown[0]).wrong(
                f"“{unknown[0]}” is not known here. Known are: {', '.join(sorted(allowed))}."
            )
        return self

    def items(self) -> list["Node"]:
        """The nodes of a list that is not empty."""
        if not isinstance(self.value, list):
            raise self.wrong("Write a list.")
        if not self.value:
            raise self.wrong("The list is empty. Write at least one entry, or leave it out.")
        return [Node(value, f"{self.path}[{place}]", self.faults) for place, value in enumerate(self.value)]

    def choice(self, among, default=MISSING) -> str:
        if self.value is None and default is not MISSING:
            return default
        if not isinstance(self.value, str) or self.value not in among:
            raise self.wrong(f"Write one of: {', '.join(among)}.")
        return self.value

    def boolean(self, default=MISSING) -> bool:
        if self.value is None and default is not MISSING:
            return default
        if not isinstance(self.value, bool):
            raise self.wrong("Write true or false.")
        return self.value

    def text(self, most: int = 255) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("Write a text.")
        if not self.value.strip():
            raise self.wrong("The text is empty. Write one.")
        if len(self.value) > most:
            raise self.wrong(f"The text has {len(self.value)} characters. Write at most {most}.")
        if "\0" in self.value:
            raise self.wrong("The text holds a NUL character. Leave it out.")
        return self.value

    def integer(self, low: int, high: int, hint: str = "") -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.wrong(f"Write a whole number from {low} to {high:,}.{hint}")
        return self.value

    def number(self) -> int | float:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong("Write a number.")
        if not abs(value) < float("inf") or isinstance(value, int) and abs(value) > SAFE_INTEGER:
            raise self.wrong("Write a number between ±9,007,199,254,740,992.")
        return value

    def date(self) -> date:
        try:
            if len(self.value) == 10 and FIRST_DAY <= (day := date.fromisoformat(self.value)) <= LAST_DAY:
                return day
        except (TypeError, ValueError):
            pass
        raise self.wrong("Write a day as YYYY-MM-DD, such as 2026-01-31, from 1900 to 9000.")

    def pair(self, read) -> tuple:
        """[low, high], each read by `read(node)`, low not above high."""
        if not isinstance(self.value, list) or len(self.value) != 2:
            raise self.wrong("Write two values: [low, high].")
        low, high = (read(node) for node in self.items())
        try:
            backwards = low > high
        except TypeError:
            raise self.wrong("The two values are of different kinds or currencies. Write two of the same.") from None
        if backwards:
            raise self.wrong("The first value is above the second. Write [low, high].")
        return low, high

    def parts(self, **readers) -> dict:
        """Read each part of an object; a fault in one hides none in the others, and leaves it out."""
        found = {}
        for name, read in readers.items():
            with self.going_on():
                found[name] = read(self.at(name))
        return found

    def parts_there(self, **readers) -> dict:
        """The same for parts that may be absent."""
        return self.parts(**{name: read for name, read in readers.items() if self.has(name)})

    @contextmanager
    def going_on(self):
        """Lets the reading of the parts that follow go on after a fault in this one."""
        with suppress(Unreadable):
            yield
