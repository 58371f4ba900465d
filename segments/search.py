"""The query language of `POST /contacts/search`, as Intercom's API 2.x describes it.

A query is one filter, or a group of them joined by AND or OR. Fields are asked with the comparisons of segments, so
that both answer alike: text regardless of case, a negative operator as the exact complement. What a custom attribute is
asked with depends on its type.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from django.db.models import BooleanField, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, In

from eventsapp.attributes import CUSTOM, KINDS
from eventsapp.contact_pages import MOST_PER_PAGE, NEWEST_FIRST, PER_PAGE, SORTS, Order
from eventsapp.errors import Fault, Refused
from eventsapp.incoming import MAX_KEY
from eventsapp.metadata import FIRST_DAY
from eventsapp.models import Contact, Workspace
from segments.comparisons import Comparison
from segments.conditions import FIELDS
from segments.days import Clock
from segments.definition import parse
from segments.engine import answer
from segments.reading import Invalid, Node, Unreadable
from segments.values import Column, InJson, IsOneOf

DEEPEST = 2  # groups in groups
MOST_FILTERS = 15  # in one group
LATEST = 2**37  # Unix seconds, in a far enough future
DECIMAL = re.compile(r"-?[0-9]{1,17}(\.[0-9]{1,17})?")
TEXTS = {
    "name": FIELDS["name"],
    "email": FIELDS["email"],
    "external_id": FIELDS["user_id"],
    "phone": Column("phone", "text"),
}
TIMES = {name: Column(name, "date") for name in SORTS}
COMPARED = TEXTS | TIMES
TEXT_OPERATORS = {
    "=": "is", "!=": "is_not", "IN": "in", "NIN": "not_in", "~": "contains", "!~": "not_contains", "^": "starts_with",
    "$": "ends_with",
}  # fmt: skip
NUMBER_OPERATORS = {"=": "eq", "!=": "ne", ">": "gt", "<": "lt", ">=": "gte", "<=": "lte"}
EXACT_OPERATORS = ("=", "!=", "IN", "NIN")
NEGATIVE = ("!=", "NIN", "!~")
KNOWN = (*COMPARED, "id", "role", "unsubscribed_from_emails", "segment_id", "tag_id")


@dataclass(frozen=True)
class Search:
    """Who is asked for, in which order, and which page of them."""

    test: Q
    order: Order
    per_page: int
    starting_after: str | None

    def of(self, workspace: Workspace):
        return Contact.objects.filter(workspace=workspace).people().filter(self.test)


def read_search(workspace: Workspace, data, now: int) -> Search:
    """Return what the decoded JSON of a search asks. `now` is in Unix seconds. Raises Refused with every fault."""
    if not isinstance(data, dict):
        raise Refused(
            Fault("parameter_invalid", 'Write {"query": {"field": …, "operator": "=", "value": …}}.', "query")
        )
    top, found = Node(data), {}
    with top.going_on():
        if not top.has("query"):
            raise top.at("query").wrong('Write {"field": …, "operator": "=", "value": …}, or a group of these.')
        found["test"] = _Reader(workspace, Clock(now, workspace.zone)).read(top.at("query"))
    with top.going_on():
        found["order"] = _order(top.at("sort"))
    with top.going_on():
        found |= _place(top.at("pagination"))
    if top.faults:
        raise Refused(*top.faults)
    return Search(**found)


def _order(node: Node) -> Order:
    if node.value is None:
        return NEWEST_FIRST
    node.object({"field", "order"})
    field = node.at("field").choice(SORTS, default=NEWEST_FIRST.field)
    direction = node.at("order").value
    if direction not in ("ascending", "descending", None):
        # Intercom's own code for it.
        node.faults.append(Fault("invalid_sort_order", "order must be ascending or descending.", "sort.order"))
        raise Unreadable()
    return Order(field, ascending=direction == "ascending")


def _place(node: Node) -> dict:
    if node.value is None:
        return {"per_page": PER_PAGE, "starting_after": None}
    node.object()
    per_page, after = node.at("per_page"), node.at("starting_after")
    return {
        "per_page": per_page.integer(1, MOST_PER_PAGE) if node.has("per_page") else PER_PAGE,
        "starting_after": after.text() if node.has("starting_after") else None,
    }


@dataclass(frozen=True)
class _Reader:
    workspace: Workspace
    clock: Clock

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What custom attributes are asked as, by name: text, number, boolean or date. Guesses settle nothing."""
        types = self.workspace.attributes.filter(is_guess=False).values_list("name", "data_type")
        return {name: KINDS[type] for name, type in types}

    def read(self, node: Node, depth: int = 0):
        """Return the test of a filter or a group as a conditional expression that is never NULL."""
        node.object()
        if node.value.get("operator") in ("AND", "OR") and "field" not in node.value:
            return self._group(node, depth)
        node.object({"field", "operator", "value"})
        field = node.at("field").text(len(CUSTOM) + MAX_KEY)
        if field.startswith(CUSTOM):
            return self._attribute(node, field.removeprefix(CUSTOM))
        if field in COMPARED:
            return self._compared(node, COMPARED[field], COMPARED[field].kind)
        special = {
            "id": self._id,
            "role": self._role,
            "unsubscribed_from_emails": self._unsubscribed,
            "segment_id": self._segment,
            "tag_id": self._tag,
        }
        if field not in special:
            raise node.at("field").wrong(f"Write one of: {', '.join(KNOWN)}; or {CUSTOM}… with the attribute's name.")
        return special[field](node)

    def _group(self, node: Node, depth: int):
        if depth >= DEEPEST:
            raise node.wrong(f"Groups may be nested {DEEPEST} levels deep.")
        node.object({"operator", "value"})
        filters, joined = node.at("value").items(), []
        if len(filters) > MOST_FILTERS:
            raise node.at("value").wrong(f"The group has {len(filters)} filters. Write at most {MOST_FILTERS}.")
        for inner in filters:
            with inner.going_on():
                joined.append(Q(self.read(inner, depth + 1)))
        return Q(*joined, _connector=node.value["operator"])

    def _attribute(self, node: Node, key: str):
        if not key or '"' in key or "\\" in key:
            raise node.at("field").wrong("No attribute's name is empty, or holds a quote or a backslash.")
        kind = self.kinds.get(key) or _kind_sent(node.value.get("value"))
        return self._compared(node, InJson("custom_attributes", key), kind)

    def _compared(self, node: Node, place, kind: str):
        operator = node.value.get("operator")
        if node.value.get("value") is None and operator in ("=", "!="):
            return Comparison("unknown" if operator == "=" else "known").test(place, self.clock)
        ask = {"text": self._text, "number": self._number, "boolean": self._truth, "date": self._time}[kind]
        return ask(node, place)

    def _text(self, node: Node, place):
        operator = node.at("operator").choice(TEXT_OPERATORS)
        value = self._values(node, operator, Node.text)
        return Comparison(TEXT_OPERATORS[operator], value).test(place, self.clock)

    def _number(self, node: Node, place):
        operator = node.at("operator").choice((*NUMBER_OPERATORS, "IN", "NIN"))
        value = self._values(node, operator, _number)
        if operator in ("IN", "NIN"):
            return _never_null(In(place.number(), value), operator)
        return Comparison(NUMBER_OPERATORS[operator], value).test(place, self.clock)

    def _truth(self, node: Node, place):
        operator = node.at("operator").choice(EXACT_OPERATORS)
        value = self._values(node, operator, _truth)
        return _never_null(In(place.boolean(), value if isinstance(value, tuple) else (value,)), operator)

    def _time(self, node: Node, place):
        """Days of the workspace's time zone, as Intercom counts: `>` begins with the next day."""
        operator = node.at("operator").choice(("=", ">", "<"))
        day = _day(node.at("value"), self.clock)
        return Comparison({"=": "on", ">": "after", "<": "before"}[operator], day).test(place, self.clock)

    def _values(self, node: Node, operator: str, read: Callable):
        value = node.at("value")
        return tuple(read(one) for one in value.items()) if operator in ("IN", "NIN") else read(value)

    def _id(self, node: Node):
        operator = node.at("operator").choice(EXACT_OPERATORS)
        ids = self._values(node, operator, Node.text)
        keys = {self.workspace.contact_pk(one) for one in (ids if isinstance(ids, tuple) else (ids,))} - {None}
        # 0 is nobody's: SQL knows no empty list.
        return _never_null(Q(pk__in=keys or {0}), operator)

    def _role(self, node: Node):
        operator = node.at("operator").choice(EXACT_OPERATORS)
        roles = self._values(node, operator, lambda one: one.choice(("user", "lead")))
        return _never_null(Q(role__in=roles if isinstance(roles, tuple) else (roles,)), operator)

    def _segment(self, node: Node):
        """Who belongs to it at this moment."""
        operator, segment = self._one_of(node, self.workspace.segments.active())
        try:
            members = answer(parse(self.workspace, segment.definition), self.clock.now).ids
        except Invalid as error:
            raise node.at("value").wrong(f"“{segment}” cannot be asked: {error.faults[0].message}") from error
        belongs = Q(IsOneOf("pk", members))
        return ~belongs if operator in NEGATIVE else belongs

    def _tag(self, node: Node):
        operator, tag = self._one_of(node, self.workspace.tags.all())
        return _never_null(Q(pk__in=tag.taggings.values("contact")), operator)

    def _one_of(self, node: Node, there):
        """Read an operator and the id of one of the rows that are `there`, which may be a text or a number."""
        operator, value = node.at("operator").choice(("=", "!=")), node.at("value").value
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        found = None
        if isinstance(value, str) and value.isdecimal() and len(value) <= 9:
            found = there.filter(pk=int(value)).first()
        if found is None:
            name = there.model._meta.verbose_name
            raise node.at("value").wrong(f"No {name} here has this id. Write that of one, as a text.")
        return operator, found

    def _unsubscribed(self, node: Node):
        operator = node.at("operator").choice(("=", "!="))
        return _never_null(Q(unsubscribed_from_emails=node.at("value").boolean()), operator)


def _never_null(positive, operator: str):
    held = Coalesce(positive, Value(False), output_field=BooleanField())
    return Exact(held, operator not in NEGATIVE)


def _kind_sent(value) -> str:
    """What an attribute without a type is asked as."""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, bool):
        return "boolean"
    return "number" if isinstance(first, int | float) else "text"


def _number(node: Node) -> int | float:
    """Read a number or, as Intercom's own examples have it, a text of one."""
    value = node.value
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        value = float(value) if "." in value else int(value)
    return replace(node, value=value).number()


def _truth(node: Node) -> bool:
    is_text = node.value in ("true", "false")
    return node.value == "true" if is_text else node.boolean()


def _day(node: Node, clock: Clock):
    """Read Unix seconds, as a number or a text of one; return their day."""
    value = node.value
    if isinstance(value, str) and DECIMAL.fullmatch(value) and "." not in value:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not FIRST_DAY <= value < LATEST:
        raise node.wrong("Write Unix seconds (UTC), such as 1760000000.")
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)).astimezone(clock.zone).date()
