"""Comparing one value: the operators of each kind, as SQL and as words.

A negative operator is the exact complement of its positive one. SQL is only asked the positive question; whoever holds
the comparison takes the complement, among people or, inside `where`, among events.
"""

from dataclasses import dataclass
from functools import reduce
from operator import and_

from django.db.models import BooleanField, Q, Value
from django.db.models.functions import Coalesce, Left, Right, StrIndex
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, In, LessThan, LessThanOrEqual

from eventsapp.metadata import kind_of, money_text
from eventsapp.text import fold
from segments.days import Clock
from segments.reading import MOST_DAYS, Node
from segments.values import Column, InJson

POSITIVE = {"is_not": "is", "not_contains": "contains", "not_in": "in", "ne": "eq", "unknown": "known"}
PRESENCE = ("known", "unknown")
TEXT = ("is", "is_not", "contains", "not_contains", "starts_with", "ends_with", "in", "not_in")
NUMBER = ("eq", "ne", "gt", "gte", "lt", "lte", "between")
BOOLEAN = ("is_true", "is_false")
DATE = ("less_than_days_ago", "more_than_days_ago", "exactly_days_ago", "on", "before", "after", "between")
MOST_LISTED = 100

WORDS = {
    "is": "is {}", "is_not": "is not {}", "contains": "contains {}", "not_contains": "does not contain {}",
    "starts_with": "starts with {}", "ends_with": "ends with {}", "in": "is one of {}", "not_in": "is none of {}",
    "eq": "= {}", "ne": "≠ {}", "gt": "> {}", "gte": "≥ {}", "lt": "< {}", "lte": "≤ {}",
    "between": "is between {} and {}",
    "known": "is known", "unknown": "is unknown", "is_true": "is true", "is_false": "is false",
    "less_than_days_ago": "less than {} days ago", "more_than_days_ago": "more than {} days ago",
    "exactly_days_ago": "exactly {} days ago", "on": "on {}", "before": "before {}", "after": "after {}",
}  # fmt: skip


@dataclass(frozen=True)
class Money:
    """A monetary amount: cents and a currency in lower case."""

    amount: int
    currency: str

    def __str__(self):
        return money_text({"amount": self.amount, "currency": self.currency})

    def __gt__(self, other):
        if not isinstance(other, Money) or other.currency != self.currency:
            raise TypeError("amounts of different currencies have no order")
        return self.amount > other.amount


@dataclass(frozen=True)
class Comparison:
    """An operator with the value it compares to, both checked: a text folded when compared, a day as `date`."""

    op: str
    value: object = None

    @property
    def negative(self) -> bool:
        return self.op in POSITIVE

    @property
    def positive_op(self) -> str:
        return POSITIVE.get(self.op, self.op)

    def positive_test(self, place: Column | InJson, clock: Clock):
        """Return the positive operator as a conditional expression about `place`."""
        op, value = self.positive_op, self.value
        if op == "known":
            return place.present()
        if op in BOOLEAN:
            return Exact(place.boolean(), op == "is_true")
        if op in TEXT:
            return _text_test(op, value, place)
        if op in NUMBER and not _has_days(value):
            return _number_test(op, value, place)
        return place.within(clock.compared(op, value))

    def test(self, place, clock: Clock):
        """Return the operator itself as a conditional expression that is never NULL."""
        held = Coalesce(self.positive_test(place, clock), Value(False), output_field=BooleanField())
        return Exact(held, not self.negative)

    def as_json(self) -> dict:
        return {"op": self.op} | ({} if self.value is None else {"value": _as_json(self.value)})

    def __str__(self):
        if self.op == "between":
            return WORDS[self.op].format(*self.value)
        listed = isinstance(self.value, tuple)
        return WORDS[self.op].format(" or ".join(map(str, self.value)) if listed else self.value)


def _has_days(value) -> bool:
    first = value[0] if isinstance(value, tuple) else value
    return hasattr(first, "isoformat")


def _as_json(value):
    match value:
        case tuple():
            return [_as_json(inner) for inner in value]
        case Money():
            return {"amount": value.amount, "currency": value.currency}
    return value.isoformat() if hasattr(value, "isoformat") else value


def _text_test(op, value, place):
    text = place.text()
    match op:
        case "is":
            return place.equals(fold(value))
        case "in":
            return In(text, sorted({fold(one) for one in value}))
        case "contains":
            return GreaterThan(StrIndex(text, Value(fold(value))), 0)
        case "starts_with":
            return Exact(Left(text, len(fold(value))), fold(value))
        case "ends_with":
            return Exact(Right(text, len(fold(value))), fold(value))
    raise AssertionError(op)


SYMBOLS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
COMPARED = {"eq": Exact, "gt": GreaterThan, "gte": GreaterThanOrEqual, "lt": LessThan, "lte": LessThanOrEqual}


def number_test(op, value, number):
    """Return a positive number operator about an expression: `between` takes (low, high), ends included."""
    if op == "between":
        return Q(GreaterThanOrEqual(number, value[0])) & Q(LessThanOrEqual(number, value[1]))
    return Q(COMPARED[op](number, value))


def _number_test(op, value, place):
    first = value[0] if isinstance(value, tuple) else value
    if not isinstance(first, Money):
        limits = [("gte", value[0]), ("lte", value[1])] if op == "between" else [(op, value)]
        return reduce(and_, (Q(place.compared(SYMBOLS[op], float(limit))) for op, limit in limits))
    amount, currency = place.money()
    plain = tuple(money.amount for money in value) if isinstance(value, tuple) else value.amount
    return Q(Exact(currency, first.currency)) & number_test(op, plain, amount)


# Reading -------------------------------------------------------------------------------------------------------------


def read_comparison(node: Node, kind: str | None, *, money: bool = False) -> Comparison:
    """Read `op` and `value` of an object. `kind` is text, number, boolean or date, or None when values of the place may
    be of any kind but date: then the operator says which."""
    known = {"text": TEXT, "number": NUMBER, "boolean": BOOLEAN, "date": DATE, None: (*TEXT, *NUMBER, *BOOLEAN)}[kind]
    op = node.at("op").choice([*known, *PRESENCE])
    if op in (*PRESENCE, *BOOLEAN):
        if node.has("value"):
            raise node.at("value").wrong(f"“{op}” takes no value. Leave it out.")
        return Comparison(op)
    value = node.at("value")
    if kind == "date":
        return Comparison(op, read_day_value(op, value))
    if op in ("in", "not_in"):
        texts = value.items()
        if len(texts) > MOST_LISTED:
            raise value.wrong(f"The list has {len(texts)} entries. Write at most {MOST_LISTED}.")
        return Comparison(op, tuple(text.text() for text in texts))
    if op in TEXT:
        return Comparison(op, value.text())
    read = _read_money_or_number if money else Node.number
    return Comparison(op, value.pair(read) if op == "between" else read(value))


def read_day_value(op: str, value: Node):
    """Read what a date operator compares to: a number of days, a day, or two."""
    if op.endswith("_days_ago"):
        return value.integer(0 if op == "exactly_days_ago" else 1, MOST_DAYS)
    return value.pair(Node.date) if op == "between" else value.date()


def _read_money_or_number(node: Node):
    if not isinstance(node.value, dict):
        return node.number()
    if kind_of("", node.value) != "money":
        raise node.wrong('Write a number, or an amount in cents such as {"amount": 4900, "currency": "usd"}.')
    return Money(node.at("amount").number(), node.at("currency").text(10).lower())
