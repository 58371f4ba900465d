"""Contacts, page by page, in the envelopes of Intercom's API."""

import base64
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from eventsapp.errors import Refused, invalid
from eventsapp.openapi import query
from eventsapp.serializers import contacts_as_json, users_as_json
from eventsapp.transport import number_in

PER_PAGE, MOST_PER_PAGE = 50, 150
LEGACY_MOST_PER_PAGE, LEGACY_MOST_PAGES = 60, 10_000
SORTS = ("created_at", "updated_at", "signed_up_at", "last_seen_at")
ALWAYS_THERE = ("created_at", "updated_at")
# By their names in API 1.x.
LEGACY_SORTS = dict(zip(SORTS, SORTS, strict=True)) | {"last_request_at": "last_seen_at"}
LEGACY_ORDER = [
    query("sort", "Of a list: by which time.", {"type": "string", "enum": [*LEGACY_SORTS, ""]}),
    query("order", "Of a list: from the earliest or the latest.", {"type": "string", "enum": ["asc", "desc", ""]}),
]


@dataclass(frozen=True)
class Order:
    """By which time, and whether from the earliest. Who has none comes before everybody; ids settle what is equal."""

    field: str = "created_at"
    ascending: bool = False

    def of(self, contacts):
        sign = "" if self.ascending else "-"
        time = F(self.field)
        # No index has what Coalesce makes of a time: it is only for those that may be missing.
        contacts = contacts.annotate(sort_key=time if self.field in ALWAYS_THERE else Coalesce(time, Value(-1)))
        return contacts.order_by(f"{sign}sort_key", f"{sign}pk")

    def after(self, cursor: "Cursor") -> Q:
        compare = "gt" if self.ascending else "lt"
        beyond = Q(**{f"sort_key__{compare}": cursor.key}) | Q(**{f"pk__{compare}": cursor.pk})
        # Said apart, so that an index begins there: none does with an OR.
        return Q(**{f"sort_key__{compare}e": cursor.key}) & beyond


NEWEST_FIRST = Order()


@dataclass(frozen=True)
class Cursor:
    """The last contact of a page: what it was sorted by and its id; and the number of the page that follows."""

    key: int
    pk: int
    page: int

    def __str__(self):
        return base64.urlsafe_b64encode(json.dumps([self.key, self.pk, self.page]).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """Raises Refused for what is none."""
        try:
            numbers = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            if len(numbers) == 3 and all(type(number) is int and -1 <= number < 2**31 for number in numbers):
                return cls(*numbers)
        except (ValueError, TypeError, RecursionError):
            pass
        message = "starting_after is not a cursor. Send what pages.next of the page before says."
        raise Refused(invalid("starting_after", message))


PAGE_PARAMETERS = [
    query(
        "per_page",
        "How many at once.",
        {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": PER_PAGE},
    ),
    query("starting_after", "What pages.next of the page before says.", {"type": "string"}),
]


def asked_page(asked) -> tuple[int, Cursor | None]:
    """Return how many contacts the query asks for, and after which place. Raises Refused."""
    per_page = number_in(asked, "per_page", PER_PAGE, most=MOST_PER_PAGE)
    starting_after = asked.get("starting_after")
    return per_page, Cursor.read(starting_after) if starting_after else None


def part_of(contacts, *, per_page: int, cursor: Cursor | None, order: Order = NEWEST_FIRST, page: int = 1):
    """Return the contacts of one page of a queryset, the page's number, and where the next one begins, or None.

    It is the one after `cursor`, or else the one with the number `page`.
    """
    found = order.of(contacts)
    if cursor:
        page, found = cursor.page, found.filter(order.after(cursor))
    else:
        found = found[(page - 1) * per_page :]
    found = list(found.select_related("workspace")[: per_page + 1])
    following = place_after(found[per_page - 1], page) if len(found) > per_page else None
    return found[:per_page], page, following


def place_after(contact, page: int) -> Cursor:
    """Return the place after a contact of `part_of`, the last of that page."""
    return Cursor(contact.sort_key, contact.pk, page + 1)


def page_of(contacts, *, per_page: int, cursor: Cursor | None, order: Order = NEWEST_FIRST) -> dict:
    """Return one page of a queryset of contacts as JSON."""
    found, page, following = part_of(contacts, per_page=per_page, cursor=cursor, order=order)
    return envelope(found, contacts.count(), page=page, per_page=per_page, following=following)


def pages_of(total: int, *, page: int, per_page: int) -> dict:
    """Return what an envelope says of its pages, the next one not named yet."""
    # python-intercom 3 stumbles where there is no `next` at all.
    total_pages = max(-(-total // per_page), 1)
    return {"type": "pages", "next": None, "page": page, "per_page": per_page, "total_pages": total_pages}


def envelope(contacts, total: int, *, page: int, per_page: int, following: Cursor | None) -> dict:
    """Return a page of contacts out of `total` as JSON; `following` is the place where the next one begins."""
    pages = pages_of(total, page=page, per_page=per_page)
    if following:
        pages["next"] = {"page": following.page, "starting_after": str(following)}
    return {"type": "list", "data": contacts_as_json(contacts), "total_count": total, "pages": pages}


def legacy_page_of(contacts, asked, kind: str, same: dict) -> dict:
    """Return the page of a queryset that a query of API 1.x asks for, as JSON. `kind` is user or contact, `same` what
    of the query, beside its order, goes for the next page, too. Raises Refused."""
    per_page = number_in(asked, "per_page", PER_PAGE, most=LEGACY_MOST_PER_PAGE)
    page = number_in(asked, "page", 1, most=LEGACY_MOST_PAGES)
    cursor = Cursor.read(asked["starting_after"]) if asked.get("starting_after") else None
    order, said = _legacy_order(asked)
    found, page, following = part_of(contacts, per_page=per_page, cursor=cursor, order=order, page=page)
    total = contacts.count()
    pages = pages_of(total, page=page, per_page=per_page)
    if following:
        query = urlencode(same | said | {"per_page": per_page, "starting_after": str(following)})
        pages["next"] = f"{settings.BASE_URL}/{kind}s?{query}"
    return {"type": f"{kind}.list", f"{kind}s": users_as_json(found), "total_count": total, "pages": pages}


def _legacy_order(asked) -> tuple[Order, dict[str, str]]:
    """Return the order that a query of API 1.x asks for, and what of the query says so. Raises Refused."""
    said = {name: asked[name] for name in ("sort", "order") if asked.get(name)}
    field, direction = said.get("sort", NEWEST_FIRST.field), said.get("order", "desc")
    if field not in LEGACY_SORTS:
        raise Refused(invalid("sort", f"sort must be one of: {', '.join(LEGACY_SORTS)}."))
    if direction not in ("asc", "desc"):
        raise Refused(invalid("order", "order must be asc or desc."))
    return Order(LEGACY_SORTS[field], ascending=direction == "asc"), said
