"""Real purchases of 2,357 people, and a demo set: what pages and API say is what plain Python counts."""

import csv
import html
import io
import re
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.urls import reverse

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
    address = reverse("people", args=[shop.app_id])
    link = f"?q={encode(definition(ordered()))}"
    while link:
        page = viewer.get(address + link).content.decode()
        for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", page, re.S):
            user_id = re.search(r"</th><td>([^<]+)</td>", row)[1]
            count = int(re.search(r'<td class="number">([\d,]+)</td>', row)[1].replace(",", ""))
            last = re.search(r'<td class="number">[\d,]+</td><td><time datetime="([^"]+)"', row)[1]
            shown[user_id] = count, int(datetime.fromisoformat(last).timestamp())
            links[user_id] = re.search(r'href="([^"]+)"', row)[1]
        older = re.search(r'href="(\?[^"]*)"[^>]*>Older', page)
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
