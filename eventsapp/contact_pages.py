"""Contacts, page by page, in the envelope of Intercom's API 2.x."""

import base64
import json
from dataclasses import dataclass

from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from eventsapp.errors import Refused, invalid
from eventsapp.serializers import contact_as_json

PER_PAGE, MOST_PER_PAGE = 50, 150
SORTS = ("created_at", "updated_at", "signed_up_at", "last_seen_at")


@dataclass(frozen=True)
class Order:
    """By which time, and whether from the earliest. Who has none comes before everybody; ids settle what is equal."""

    field: str = "created_at"
    ascending: bool = False

    def of(self, contacts):
        sign = "" if self.ascending else "-"
        contacts = contacts.annotate(sort_key=Coalesce(F(self.field), Value(-1)))
        return contacts.order_by(f"{sign}sort_key", f"{sign}pk")

    def after(self, cursor: "Cursor") -> Q:
        compare = "gt" if self.ascending else "lt"
        same = Q(**{"sort_key": cursor.key, f"pk__{compare}": cursor.pk})
        return Q(**{f"sort_key__{compare}": cursor.key}) | same


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


def page_of(contacts, *, per_page: int, starting_after: str | None, order: Order = NEWEST_FIRST) -> dict:
    """Return one page of a queryset of contacts as JSON. Raises Refused for a cursor that is none."""
    page, total, found = 1, contacts.count(), order.of(contacts)
    if starting_after:
        cursor = Cursor.read(starting_after)
        page, found = cursor.page, found.filter(order.after(cursor))
    found = list(found.select_related("workspace")[: per_page + 1])
    # python-intercom 3 stumbles where there is no `next` at all.
    pages = {"type": "pages", "next": None, "page": page, "per_page": per_page}
    pages["total_pages"] = max(-(-total // per_page), 1)
    if len(found) > per_page:
        last = found[per_page - 1]
        pages["next"] = {"page": page + 1, "starting_after": str(Cursor(last.sort_key, last.pk, page + 1))}
    data = [contact_as_json(contact) for contact in found[:per_page]]
    return {"type": "list", "data": data, "total_count": total, "pages": pages}
