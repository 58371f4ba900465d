"""Real purchases of 2,357 people, and a demo set: what pages and API say is what plain Python counts."""

import csv
import html
import io
import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from django.core.management import call_command
from django.urls import reverse

from eventsapp.models import Contact
from segments.definition import parse
from segments.engine import answer, one_moment
from segments.urlstate import encode

pytestmark = pytest.mark.django_db
ORDER = "placed-order"


def definition(*conditions):
    return {"version": 1, "match": "all", "conditions": list(conditions)}


def ordered(**parts):
    return {"kind": "event", "event": ORDER, "did": True} | parts


def preview(api, *conditions) -> int:
    return api.post("/segments/preview", {"definition": definition(*conditions)}).json()["count"]


def check(api, viewer, shop, expected: dict[str, list[int]], pages: int):
    """Everybody's count, first and last through the API, and through pages: the builder's for all, `pages` of people's."""
    for user_id, times in expected.items():
        body = api.get(f"/events?type=user&user_id={user_id}&summary=true").json()
        [row] = [row for row in body["events"] if row["name"] == ORDER]
        first, last = (int(datetime.fromisoformat(row[side]).timestamp()) for side in ("first", "last"))
        assert (row["count"], first, last) == (len(times), min(times), max(times)), user_id

    shown, links = {}, {}
    link = f"{reverse('people', args=[shop.app_id])}?q={encode(definition(ordered()))}"
    while link:
        page = viewer.get(link).content.decode()
        for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", page, re.S):
            user_id = re.search(r"</th><td>([^<]+)</td>", row)[1]
            count = int(re.search(r'<td class="number">([\d,]+)</td>', row)[1].replace(",", ""))
            last = re.search(r'<td class="number">[\d,]+</td><td><time datetime="([^"]+)"', row)[1]
            shown[user_id] = count, int(datetime.fromisoformat(last).timestamp())
            links[user_id] = re.search(r'href="([^"]+)"', row)[1]
        older = re.search(r'href="([^"]*)"[^>]*>Older', page)
        link = older and html.unescape(older[1])
    assert shown == {user_id: (len(times), max(times)) for user_id, times in expected.items()}

    for user_id in list(expected)[:: max(len(expected) // pages, 1)]:
        page = viewer.get(links[user_id]).content.decode()
        row = re.search(rf'<tr><th scope="row"><a[^>]*>{ORDER}</a></th>.*?</tr>', page, re.S)[0]
        first, last = (int(datetime.fromisoformat(at).timestamp()) for at in re.findall(r'datetime="([^"]+)"', row))
        assert (first, last) == (min(expected[user_id]), max(expected[user_id])), user_id


def test_cdnow(api, viewer, shop, cdnow):
    out = io.StringIO()
    call_command("import_events", str(cdnow), stdout=out, stderr=io.StringIO())
    assert out.getvalue().startswith("6,919 stored, 0 were there, 0 refused.")
    call_command("import_events", str(cdnow), stdout=out, stderr=io.StringIO())
    assert "0 stored, 6,919 were there" in out.getvalue()
    expected, spent = defaultdict(list), defaultdict(list)
    with cdnow.open() as file:
        for row in csv.DictReader(file):
            expected[row["user_id"]].append(int(row["created_at"]))
            spent[row["user_id"]].append(int(row["total_amount"]))
    assert sum(map(len, expected.values())) == 6919
    assert preview(api, ordered()) == len(expected) == 2357
    assert preview(api, ordered(count={"op": "gte", "value": 3})) == 746
    first = {"kind": "event_time", "event": ORDER, "occurrence": "first"}
    assert preview(api, first | {"op": "between", "value": ["1997-01-01", "1997-03-25"]}) == 2357
    rich = {"key": "total", "op": "gt", "value": {"amount": 10_000, "currency": "usd"}}
    assert preview(api, ordered(where=[rich])) == sum(any(cents > 10_000 for cents in all_) for all_ in spent.values())
    spring = int(datetime(1998, 4, 1, tzinfo=UTC).timestamp())
    late = sum(max(times) >= spring for times in expected.values())
    assert preview(api, ordered(within={"since": "1998-04-01"})) == late
    assert preview(api, ordered(within={"since": "1998-04-01"}) | {"did": False}) == 2357 - late
    check(api, viewer, shop, expected, pages=100)


DAY = 24 * 3600


class Order(NamedTuple):
    """One purchase of CDNOW: Unix seconds, number of CDs, cents."""

    at: int
    quantity: int
    cents: int


def noon(day: str) -> int:
    """The data know days alone: none of their orders is earlier on its day."""
    return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())


def usd(cents):
    return {"amount": cents, "currency": "usd"}


def asked(key, op, *value):
    return {"key": key, "op": op} | ({"value": value[0]} if value else {})


def summed(function, key, op, value, **parts):
    return {"kind": "aggregate", "event": ORDER, "key": key, "function": function, "op": op, "value": value} | parts


def followed(days, *, first=(), then=(), **parts):
    first, then = ({"event": ORDER} | ({"where": list(tests)} if tests else {}) for tests in (first, then))
    return {"kind": "sequence", "first": first, "then": then, "within_days": days} | parts


def time_of(occurrence, op, value):
    return {"kind": "event_time", "event": ORDER, "occurrence": occurrence, "op": op, "value": value}


def any_of(*conditions):
    return {"match": "any", "conditions": list(conditions)}


SPRING = {"since": "1998-04-01"}
AUTUMN = {"since": "1997-09-01", "until": "1997-11-30"}
# What is asked, and what plain Python asks of somebody's orders, in the order of time.
CDNOW = [
    (ordered(count={"op": "eq", "value": 1}), lambda own: len(own) == 1),
    (ordered(count={"op": "between", "value": [4, 9]}), lambda own: 4 <= len(own) <= 9),
    (ordered(count={"op": "ne", "value": 2}), lambda own: len(own) != 2),
    (ordered(within=AUTUMN), lambda own: any(noon("1997-09-01") <= order.at < noon("1997-12-01") for order in own)),
    (
        ordered(within=AUTUMN, count={"op": "gte", "value": 2}),
        lambda own: sum(noon("1997-09-01") <= order.at < noon("1997-12-01") for order in own) >= 2,
    ),
    (ordered(within=SPRING) | {"did": False}, lambda own: all(order.at < noon("1998-04-01") for order in own)),
    (
        ordered(where=[asked("quantity", "gte", 5), asked("total", "lt", usd(5000))]),
        lambda own: any(order.quantity >= 5 and order.cents < 5000 for order in own),
    ),
    (
        ordered(where=[asked("quantity", "ne", 1)], count={"op": "gte", "value": 3}),
        lambda own: sum(order.quantity != 1 for order in own) >= 3,
    ),
    (
        ordered(where=[asked("total", "between", [usd(1000), usd(1500)])], within=SPRING),
        lambda own: any(1000 <= order.cents <= 1500 and order.at >= noon("1998-04-01") for order in own),
    ),
    (ordered(where=[asked("total", "gt", {"amount": 1, "currency": "eur"})]), lambda own: False),
    (time_of("first", "on", "1997-02-14"), lambda own: noon("1997-02-14") <= own[0].at < noon("1997-02-15")),
    (time_of("last", "before", "1997-04-01"), lambda own: own[-1].at < noon("1997-04-01")),
    (time_of("last", "after", "1998-06-15"), lambda own: own[-1].at >= noon("1998-06-16")),
    (summed("sum", "total", "gte", usd(50_000)), lambda own: sum(order.cents for order in own) >= 50_000),
    (
        summed("sum", "total", "between", [usd(2000), usd(4000)], within=AUTUMN),
        lambda own: (
            2000 <= sum(order.cents for order in own if noon("1997-09-01") <= order.at < noon("1997-12-01")) <= 4000
        ),
    ),
    (summed("avg", "quantity", "gt", 3), lambda own: sum(order.quantity for order in own) / len(own) > 3),
    (summed("max", "total", "lt", usd(1500)), lambda own: max(order.cents for order in own) < 1500),
    (
        summed("min", "total", "ne", usd(1177), where=[asked("quantity", "eq", 1)]),
        lambda own: min((order.cents for order in own if order.quantity == 1), default=None) != 1177,
    ),
    (followed(30), lambda own: any(one.at < other.at <= one.at + 30 * DAY for one in own for other in own)),
    (
        followed(30, did=False),
        lambda own: any(all(not one.at < other.at <= one.at + 30 * DAY for other in own) for one in own),
    ),
    (
        followed(90, first=[asked("quantity", "eq", 1)], then=[asked("total", "gt", usd(10_000))]),
        lambda own: any(
            one.quantity == 1 and other.cents > 10_000 and one.at < other.at <= one.at + 90 * DAY
            for one in own
            for other in own
        ),
    ),
    (
        any_of(ordered(count={"op": "gte", "value": 10}), summed("sum", "total", "gt", usd(100_000))),
        lambda own: len(own) >= 10 or sum(order.cents for order in own) > 100_000,
    ),
    (
        any_of(
            {"match": "all", "conditions": [ordered(within=SPRING), ordered(count={"op": "lte", "value": 2})]},
            {
                "match": "all",
                "conditions": [ordered(within=AUTUMN) | {"did": False}, summed("max", "quantity", "gte", 10)],
            },
        ),
        lambda own: (
            (any(order.at >= noon("1998-04-01") for order in own) and len(own) <= 2)
            or (
                not any(noon("1997-09-01") <= order.at < noon("1997-12-01") for order in own)
                and max(order.quantity for order in own) >= 10
            )
        ),
    ),
]


def test_cdnow_is_segmented_as_plain_python_does(shop, cdnow):
    call_command("import_events", str(cdnow), stdout=io.StringIO(), stderr=io.StringIO())
    orders = defaultdict(list)
    with cdnow.open() as file:
        for row in csv.DictReader(file):
            order = Order(*(int(row[column]) for column in ("created_at", "quantity", "total_amount")))
            orders[row["user_id"]].append(order)
    names = dict(Contact.objects.filter(workspace=shop).values_list("pk", "external_id"))
    sizes = []
    for condition, holds in CDNOW:
        expected = {user_id for user_id, own in orders.items() if holds(sorted(own))}
        with one_moment() as now:
            found = {names[pk] for pk in answer(parse(shop, definition(condition)), now).ids}
        assert found == expected, condition
        sizes.append(len(expected))
    # Few of these questions are answered with nobody or everybody.
    assert len(CDNOW) >= 15
    assert sum(0 < size < len(orders) for size in sizes) >= len(CDNOW) - 2


def test_a_demo_set(api, viewer, shop):
    call_command("demo", "--people", "60", "--events", "1500", stdout=io.StringIO(), stderr=io.StringIO())
    expected = defaultdict(list)
    for number in range(1, 61):
        path = f"/events?type=user&user_id=demo-{number}&per_page=200"
        while path:
            body = api.get(path).json()
            for event in body["events"]:
                if event["event_name"] == ORDER:
                    expected[event["user_id"]].append(event["created_at"])
            path = "/" + body["pages"]["next"].split("/", 3)[3] if "next" in body["pages"] else None
    assert len(expected) > 20
    often = sum(len(times) >= 3 for times in expected.values())
    assert preview(api, ordered(count={"op": "gte", "value": 3})) == often > 0
    check(api, viewer, shop, expected, pages=30)
