"""Deliveries and notifications over the API, page by page, the newest first."""

from collections.abc import Callable

from eventsapp.openapi import query
from eventsapp.transport import number_in

PER_PAGE, MOST_PER_PAGE = 50, 150

PAGE_PARAMETERS = [
    query(
        "per_page",
        "How many at once.",
        {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": PER_PAGE},
    ),
    query("starting_after", "What pages.next of the page before says.", {"type": "string", "pattern": "^[0-9]{0,9}$"}),
]


def asked_page(asked) -> tuple[int, int | None]:
    """Return how many rows the query asks for, and below which id. Raises Refused.

    An empty starting_after is the first page, as in the lists of people.
    """
    per_page = number_in(asked, "per_page", PER_PAGE, most=MOST_PER_PAGE)
    if not asked.get("starting_after"):
        return per_page, None
    return per_page, number_in(asked, "starting_after", 0, most=10**9 - 1)


def page_of(rows, page: tuple[int, int | None], as_json: Callable) -> dict:
    """Return a page of a queryset (one that knows `newest`) as JSON; `page` is what `asked_page` returned."""
    per_page, after = page
    found = rows.newest(per_page + 1, before=after)
    following = {"starting_after": str(found[per_page - 1].pk)} if len(found) > per_page else None
    told = [as_json(row) for row in found[:per_page]]
    return {"type": "list", "data": told, "pages": {"type": "pages", "next": following}}
