"""Who matches: the table of questions, their complements, and what a wrong definition is told."""

import json
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventsapp.models import Contact, EventSummary, EventType
from segments.days import Clock
from segments.definition import Invalid, parse
from segments.engine import answer, explain, one_moment
from segments.models import Segment
from segments.urlstate import decode, encode

pytestmark = pytest.mark.django_db
DAY = 86400


def did(event="placed-order", **parts):
    return {"kind": "event", "event": event, "did": True} | parts


def never(event="placed-order", **parts):
    return did(event, **parts) | {"did": False}


def where(key, op, *value):
    return [{"key": key, "op": op} | ({"value": value[0]} if value else {})]


def attribute(field, op, *value):
    return {"kind": "attribute", "field": field, "op": op} | ({"value": value[0]} if value else {})


def usd(amount):
    return {"amount": amount, "currency": "usd"}


def total(function, op, *value, key="n", **parts):
    found = {"kind": "aggregate", "event": "placed-order", "key": key, "function": function, "op": op}
    return found | ({"value": value[0]} if value else {}) | parts


def sequence(first, then, days, **parts):
    first, then = ({"event": step} if isinstance(step, str) else step for step in (first, then))
    return {"kind": "sequence", "first": first, "then": then, "within_days": days} | parts


@pytest.fixture
def town(shop, person, does):
    """Ada orders often, Björn once long ago, Cem never; Zed is archived, Vic a visitor, and another shop has a twin."""
    ada = person(
        "ada", name="Ada Øster", email="ada@example.org", plan="Pro", seats=5, signed_up_at=int(time.time()) - 40 * DAY
    )
    bjorn = person("björn", name="BJÖRN", plan="free", seats=1, trial=True, renewal_at=int(time.time()) - 3 * DAY)
    person("cem", email="cem@example.com", unsubscribed_from_emails=True)
    zed = person("zed", plan="pro", archived_at=1)
    vic = person("vic", role="visitor")
    does(ada, "placed-order", days_ago=1, metadata={"total": usd(4900), "item": "Lamp", "n": 3, "gift": True})
    does(
        ada,
        "placed-order",
        days_ago=5,
        metadata={"total": {"amount": 100, "currency": "eur"}, "item": "ÉTUI", "n": 3.5},
    )
    does(ada, "placed-order", days_ago=45, metadata={"due_date": int(time.time()) - 45 * DAY, "item": "pen"})
    does(bjorn, "placed-order", days_ago=200, metadata={"item": 3, "n": "3", "gift": "true", "nested": {"a": 1}})
    does(bjorn, "opened-app", days_ago=2)
    for hidden in (zed, vic):
        does(hidden, "placed-order", metadata={"item": "lamp"})
    return shop


def who(workspace, *conditions, match="all", among=None):
    with one_moment() as now:
        definition = parse(workspace, {"version": 1, "match": match, "conditions": list(conditions)})
        ids = answer(definition, now, among=among).ids
    return " ".join(sorted(Contact.objects.filter(pk__in=list(ids)).values_list("external_id", flat=True)))


TABLE = [
    (did(), "ada björn"),
    (never(), "cem"),
    (did(count={"op": "gte", "value": 3}), "ada"),
    (did(count={"op": "eq", "value": 1}), "björn"),
    (did(count={"op": "ne", "value": 3}), "björn"),
    (did(count={"op": "lt", "value": 3}), "björn"),
    (did(count={"op": "lte", "value": 3}), "ada björn"),
    (did(count={"op": "gt", "value": 3}), ""),
    (did(count={"op": "between", "value": [2, 3]}), "ada"),
    (did(within={"last_days": 30}), "ada"),
    (did(within={"last_days": 30}, count={"op": "eq", "value": 2}), "ada"),
    (did(within={"last_days": 30}, count={"op": "ne", "value": 2}), ""),
    (never(within={"last_days": 30}), "björn cem"),
    (did("Opened.App"), "björn"),
    (did("not-seen-yet"), ""),
    (never("not-seen-yet"), "ada björn cem"),
    (did(where=where("item", "is", "lamp")), "ada"),
    (did(where=where("item", "is", "étui")), "ada"),
    (did(where=where("item", "is", "e\u0301tui")), "ada"),
    (did(where=where("item", "is_not", "lamp")), "ada björn"),
    (did(where=where("item", "contains", "AM")), "ada"),
    (did(where=where("item", "not_contains", "am"), count={"op": "eq", "value": 2}), "ada"),
    (did(where=where("item", "starts_with", "la")), "ada"),
    (did(where=where("item", "ends_with", "MP")), "ada"),
    (did(where=where("item", "in", ["Pen", "x"])), "ada"),
    (did(where=where("item", "not_in", ["pen", "lamp", "étui"])), "björn"),
    (did(where=where("item", "known")), "ada björn"),
    (did(where=where("nested", "known")), "björn"),
    (did(where=where("gift", "unknown")), "ada"),
    (did(where=where("n", "eq", 3)), "ada"),
    (did(where=where("n", "gte", 3.5)), "ada"),
    (did(where=where("n", "between", [3.4, 3.6])), "ada"),
    (did(where=where("n", "ne", 3), count={"op": "eq", "value": 1}), "björn"),
    (did(where=where("gift", "is_true")), "ada"),
    (did(where=where("gift", "is_false")), ""),
    (did(where=where("total", "gte", usd(4900))), "ada"),
    (did(where=where("total", "lt", usd(4900))), ""),
    (did(where=where("total", "between", [usd(1), usd(5000)])), "ada"),
    (did(where=where("total", "gt", 5)), ""),
    (did(where=where("due_date", "more_than_days_ago", 40)), "ada"),
    (did(where=where("due_date", "unknown")), "ada björn"),
    (did(where=[*where("item", "is", "lamp"), *where("n", "eq", 3)]), "ada"),
    (did(where=[*where("item", "is", "lamp"), *where("n", "eq", 3.5)]), ""),
    ({"kind": "event_time", "event": "placed-order", "occurrence": "last", "op": "less_than_days_ago", "value": 2}, "ada"),
    ({"kind": "event_time", "event": "placed-order", "occurrence": "first", "op": "more_than_days_ago", "value": 40}, "ada björn"),
    ({"kind": "event_time", "event": "opened-app", "occurrence": "last", "op": "known"}, "björn"),
    ({"kind": "event_time", "event": "opened-app", "occurrence": "last", "op": "unknown"}, "ada cem"),
    ({"kind": "event_time", "event": "opened-app", "occurrence": "last", "op": "exactly_days_ago", "value": 2}, "björn"),
    (attribute("custom_attributes.plan", "is", "PRO"), "ada"),
    (attribute("custom_attributes.plan", "is_not", "pro"), "björn cem"),
    (attribute("custom_attributes.plan", "unknown"), "cem"),
    (attribute("custom_attributes.seats", "gt", 1), "ada"),
    (attribute("custom_attributes.seats", "ne", 5), "björn cem"),
    (attribute("custom_attributes.trial", "is_true"), "björn"),
    (attribute("custom_attributes.renewal_at", "less_than_days_ago", 4), "björn"),
    (attribute("email", "ends_with", "example.ORG"), "ada"),
    (attribute("email", "unknown"), "björn"),
    (attribute("name", "is", "björn"), "björn"),
    (attribute("name", "contains", "øST"), "ada"),
    (attribute("user_id", "starts_with", "c"), "cem"),
    (attribute("signed_up_at", "more_than_days_ago", 39), "ada"),
    (attribute("signed_up_at", "unknown"), "björn cem"),
    (attribute("role", "is", "Lead"), ""),
    (attribute("role", "is_not", "lead"), "ada björn cem"),
    (attribute("unsubscribed_from_emails", "is_true"), "cem"),
    (attribute("unsubscribed_from_emails", "is_false"), "ada björn"),
    (attribute("unsubscribed_from_emails", "known"), "ada björn cem"),
    (total("sum", "gte", 6.5), "ada"),
    (total("sum", "gt", 6.5), ""),
    (total("sum", "ne", 6.5), "björn cem"),
    (total("sum", "lte", 3, within={"last_days": 3}), "ada"),
    (total("sum", "eq", 3, where=where("item", "is", "lamp")), "ada"),
    (total("avg", "between", [3.2, 3.3]), "ada"),
    (total("min", "lt", 3.1), "ada"),
    (total("max", "gt", 3.4), "ada"),
    (total("max", "known"), "ada"),
    (total("max", "unknown"), "björn cem"),
    (total("max", "known", key="total"), "ada"),
    (total("sum", "eq", usd(4900), key="total"), "ada"),
    (total("sum", "between", [usd(1), usd(4899)], key="total"), ""),
    (total("sum", "eq", {"amount": 100, "currency": "EUR"}, key="total"), "ada"),
    (total("sum", "gte", 1, key="total"), ""),
    (total("sum", "ne", usd(4900), key="total", event="not-seen-yet"), "ada björn cem"),
    (sequence("placed-order", "opened-app", 199), "björn"),
    (sequence("placed-order", "opened-app", 36_500), "björn"),
    (sequence("placed-order", "opened-app", 36_500, did=False), ""),
    (sequence("placed-order", "opened-app", 100), ""),
    (sequence("opened-app", "placed-order", 199), ""),
    (sequence("placed-order", "placed-order", 10), "ada"),
    (sequence("placed-order", "placed-order", 3), ""),
    (sequence({"event": "placed-order", "where": where("item", "is", "étui")}, {"event": "placed-order", "where": where("n", "eq", 3)}, 10), "ada"),
    (sequence({"event": "placed-order", "where": where("item", "is", "étui")}, {"event": "placed-order", "where": where("n", "eq", 4)}, 10), ""),
    (sequence("placed-order", "opened-app", 100, did=False), "björn"),
    (sequence("placed-order", "opened-app", 30, did=False), "ada björn"),
    (sequence("placed-order", "placed-order", 42, did=False), "björn"),
    (sequence("placed-order", "not-seen-yet", 30, did=False), "ada björn"),
    (sequence("not-seen-yet", "placed-order", 30, did=False), ""),
    ({"match": "any", "conditions": [never(), attribute("custom_attributes.plan", "is", "pro")]}, "ada cem"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "expected"), TABLE, ids=lambda value: json.dumps(value)[:90])
def test_a_condition_finds(town, condition, expected):
    assert who(town, condition) == expected
    # One by one they are the same people.
    ids = list(Contact.objects.filter(workspace=town).values_list("pk", flat=True))
    assert " ".join(sorted(filter(None, (who(town, condition, among=[pk]) for pk in ids)))) == expected


@pytest.mark.parametrize(("condition", "expected"), TABLE, ids=lambda value: json.dumps(value)[:90])
def test_explaining_agrees_with_belonging(town, condition, expected):
    definition = parse(town, {"conditions": [condition]})
    with one_moment() as now:
        verdicts = {contact: explain(definition, contact, now) for contact in Contact.objects.filter(workspace=town)}
    assert " ".join(sorted(contact.external_id for contact, verdict in verdicts.items() if verdict.holds)) == expected
    assert all(verdict.inner[0].facts or verdict.inner[0].match for verdict in verdicts.values())


FACTS = [
    (did(count={"op": "gte", "value": 4}), "placed-order 3 times, needs at least 4 times; last one on .*, a day ago"),
    (did(where=where("item", "is", "lamp")), "placed-order once; last one on .*, a day ago"),
    (did(where=where("item", "is", "hat")), "placed-order never, as it is asked for here"),
    (never("opened-app"), "opened-app never"),
    ({"kind": "event_time", "event": "placed-order", "occurrence": "first", "op": "known"}, "first placed-order on .*, 45 days ago"),
    (attribute("custom_attributes.plan", "is", "free"), "plan is “Pro”"),
    (attribute("custom_attributes.seats", "gt", 9), "seats is “5”"),
    (attribute("custom_attributes.colour", "is", "red"), "colour is unknown"),
    (attribute("email", "unknown"), "email is “ada@example.org”"),
    (attribute("signed_up_at", "known"), "signed_up_at is on .*, 40 days ago"),
    (total("sum", "gt", 10), "sum 6.50, of placed-order 2 times"),
    (total("max", "gt", usd(9900), key="total"), "highest 49.00 USD, of placed-order once"),
    (total("max", "gt", 1, key="total"), "no total of placed-order to count"),
    (sequence("placed-order", "placed-order", 10), "placed-order 3 times, last one on .*; followed by placed-order within 10 days: 1 of 3"),
    (sequence("opened-app", "placed-order", 10), "opened-app never"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "facts"), FACTS, ids=lambda value: str(value)[:80])
def test_the_facts_of_a_condition_are_those_of_the_person(town, condition, facts):
    with one_moment() as now:
        verdict = explain(parse(town, {"conditions": [condition]}), Contact.objects.get(external_id="ada"), now)
    assert re.fullmatch(facts, verdict.inner[0].facts)


def test_nobody_who_is_hidden_belongs_and_the_explanation_says_so(town):
    with one_moment() as now:
        verdict = explain(parse(town, {"conditions": [did()]}), Contact.objects.get(external_id="zed"), now)
    assert not verdict.holds
    assert verdict.facts.startswith("archived")


def test_all_and_any_join(town):
    pro, ordered = attribute("custom_attributes.plan", "is", "free"), did()
    assert who(town, pro, ordered) == "björn"
    assert who(town, pro, ordered, match="any") == "ada björn"
    assert who(town) == "ada björn cem"


def test_imported_totals_count_where_no_window_and_no_metadata_is_asked(town):
    cem = Contact.objects.get(external_id="cem")
    type = EventType.objects.get(name="placed-order")
    EventSummary.objects.create(
        contact=cem, type=type, imported_count=4, imported_first_at=1_500_000_000, imported_last_at=1_600_000_000
    )
    assert who(town, did(count={"op": "eq", "value": 4})) == "cem"
    assert who(town, did(within={"last_days": 36_500})) == "ada björn"
    last = {"kind": "event_time", "event": "placed-order", "occurrence": "last", "op": "before", "value": "2020-12-01"}
    assert who(town, last) == "cem"


def test_another_workspace_is_never_seen(town, other_shop, person, does):
    twin = person("twin", workspace=other_shop, plan="pro")
    does(twin, "placed-order", times=5)
    for condition, expected in TABLE:
        assert "twin" not in who(town, condition).split(), condition
        assert set(who(other_shop, condition).split()) <= {"twin"}, (condition, expected)


def test_days_are_those_of_the_workspace():
    # 25 October 2026 has 25 hours in Berlin.
    clock = Clock(int(datetime(2026, 10, 26, 12, tzinfo=UTC).timestamp()), ZoneInfo("Europe/Berlin"))
    span = clock.compared("exactly_days_ago", 1)
    assert span.high - span.low == 25 * 3600
    assert datetime.fromtimestamp(span.low, UTC) == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert clock.compared("less_than_days_ago", 2).low == clock.now - 2 * DAY + 1
    assert clock.compared("more_than_days_ago", 2).high == clock.now - 2 * DAY
    on = datetime(2026, 10, 25).date()
    assert clock.compared("before", on).high == clock.compared("on", on).low
    assert clock.compared("after", on).low == clock.compared("on", on).high
    assert clock.compared("between", (on, on + timedelta(days=1))).low == clock.compared("on", on).low


WRONG = [
    ([], "definition"),
    ({"version": 2, "conditions": [did()]}, "version"),
    ({"match": "some", "conditions": [did()]}, "match"),
    ({"conditions": {}}, "conditions"),
    ({"conditions": [7]}, "conditions[0]"),
    ({"conditions": [{"kind": "hobby"}]}, "conditions[0].kind"),
    ({"conditions": [did(""), did()]}, "conditions[0].event"),
    ({"conditions": [did(count={"op": "gte", "value": 0})]}, "conditions[0].count.value"),
    ({"conditions": [did(count={"op": "lt", "value": 1})]}, "conditions[0].count.value"),
    ({"conditions": [did(count={"op": "between", "value": [3, 2]})]}, "conditions[0].count.value"),
    ({"conditions": [never(count={"op": "gte", "value": 2})]}, "conditions[0].count"),
    ({"conditions": [did(within={})]}, "conditions[0].within"),
    ({"conditions": [did(within={"last_days": 0})]}, "conditions[0].within.last_days"),
    ({"conditions": [did(within={"since": "2026-02-30"})]}, "conditions[0].within.since"),
    ({"conditions": [did(within={"since": "2026-02-02", "until": "2026-02-01"})]}, "conditions[0].within.since"),
    ({"conditions": [did(where=[])]}, "conditions[0].where"),
    ({"conditions": [did(where=where("a", "is", ""))]}, "conditions[0].where[0].value"),
    ({"conditions": [did(where=where("a", "is", 5))]}, "conditions[0].where[0].value"),
    ({"conditions": [did(where=where("a", "gt", "5"))]}, "conditions[0].where[0].value"),
    ({"conditions": [did(where=where("a", "known", 1))]}, "conditions[0].where[0].value"),
    ({"conditions": [did(where=where("a", "on", "2026-01-01"))]}, "conditions[0].where[0].op"),
    ({"conditions": [did(where=where("a_date", "gt", 5))]}, "conditions[0].where[0].op"),
    ({"conditions": [did(where=where("a", "between", [usd(1), 5]))]}, "conditions[0].where[0].value"),
    ({"conditions": [did(where=where("a", "in", []))]}, "conditions[0].where[0].value"),
    ({"conditions": [attribute("hobby", "is", "x")]}, "conditions[0].field"),
    ({"conditions": [total("median", "gt", 1)]}, "conditions[0].function"),
    ({"conditions": [total("sum", "contains", "x")]}, "conditions[0].op"),
    ({"conditions": [total("sum", "gt", "x")]}, "conditions[0].value"),
    ({"conditions": [total("sum", "gt", 1, key='a"b')]}, "conditions[0].key"),
    (
        {"conditions": [sequence("a", {"event": "b", "where": where("c", "is", 1)}, 7)]},
        "conditions[0].then.where[0].value",
    ),
    ({"conditions": [sequence("a", {}, 7)]}, "conditions[0].then.event"),
    ({"conditions": [sequence("a", "b", None)]}, "conditions[0].within_days"),
    ({"conditions": [sequence("a", "b", 7, within={"last_days": 3})]}, "conditions[0].within"),
    ({"conditions": [attribute("email", "gt", 5)]}, "conditions[0].op"),
    ({"conditions": [attribute("signed_up_at", "is", "x")]}, "conditions[0].op"),
    ({"conditions": [attribute("unsubscribed_from_emails", "is", "true")]}, "conditions[0].op"),
    ({"conditions": [did(colour="red")]}, "conditions[0].colour"),
    ({"conditions": [{"match": "all", "conditions": []}]}, "conditions[0].conditions"),
]


@pytest.mark.parametrize(("data", "path"), WRONG, ids=lambda value: str(value)[:80])
def test_a_fault_names_its_path_and_what_to_write(shop, data, path):
    with pytest.raises(Invalid) as caught:
        parse(shop, data)
    [fault] = caught.value.faults
    assert fault.field == path
    assert fault.message.endswith((".", ". "))


def test_every_fault_is_told_at_once(shop):
    with pytest.raises(Invalid) as caught:
        parse(
            shop,
            {"conditions": [did(""), did(count={"op": "x"}, where=where("a", "gt", "b")), attribute("?", "is", 1)]},
        )
    assert [fault.field for fault in caught.value.faults] == [
        "conditions[0].event",
        "conditions[1].count.op",
        "conditions[1].where[0].value",
        "conditions[2].field",
    ]


def test_depth_and_number_are_limited(shop):
    deep = did()
    for _ in range(5):
        deep = {"match": "all", "conditions": [deep]}
    with pytest.raises(Invalid):
        parse(shop, {"conditions": [deep]})
    assert not parse(shop, {"conditions": [did()] * 100}).is_empty


def test_conditions_are_counted_before_they_are_read(shop, django_assert_max_num_queries):
    fifty = Segment.objects.create(workspace=shop, name="50", definition={"match": "all", "conditions": [did()] * 50})
    reference = {"kind": "segment", "segment": fifty.pk, "op": "in"}
    group = {"match": "any", "conditions": [did()] * 50}
    too_many = "There are more than 100 conditions. Write fewer."
    for conditions in ([did()] * 101, [reference] * 10_000, [group, group, did()], [group] * 5_000, [7] * 5_000):
        with pytest.raises(Invalid) as caught, django_assert_max_num_queries(5):
            parse(shop, {"conditions": conditions})
        assert [(fault.field, fault.message) for fault in caught.value.faults] == [("conditions", too_many)]
    assert len(list(parse(shop, {"conditions": [reference, *[did()] * 49]}).root.leaves())) == 50


@pytest.mark.parametrize(("condition", "expected"), TABLE, ids=lambda value: json.dumps(value)[:90])
def test_a_definition_survives_its_own_json(shop, condition, expected):
    definition = parse(shop, {"match": "any", "conditions": [condition]})
    again = parse(shop, definition.as_json())
    assert again == definition
    assert str(again) == str(definition)
    assert decode(encode(definition.as_json())) == definition.as_json()


# How it is asked -------------------------------------------------------------------------------------------------------


def plans_of(workspace, condition) -> list[str]:
    """What the database says it will do for each SELECT that a condition compiles to, alone and for some people."""
    clock = Clock(int(time.time()), workspace.zone)
    leaves = list(parse(workspace, {"conditions": [condition]}).root.leaves())
    word = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    plans = []
    for contacts in (leaf.contacts(clock, among) for leaf in leaves for among in (None, [1, 2])):
        with suppress(EmptyResultSet), connection.cursor() as cursor:
            sql, params = contacts.query.sql_with_params()
            cursor.execute(f"{word} {sql}", params)
            plans.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    return plans


@pytest.mark.parametrize(("condition", "expected"), TABLE, ids=lambda value: json.dumps(value)[:90])
def test_a_condition_reads_what_it_must_and_never_what_is_not_there(town, condition, expected):
    reads_events = {"where", "within", "key", "first"} & condition.keys()
    for plan in plans_of(town, condition):
        assert "eventsapp_" in plan or "One-Time Filter: false" in plan
        # PostgreSQL's words; SQLite's for the same are a "correlated" subquery.
        assert "Anti" not in plan
        assert "CORRELATED" not in plan
        if not reads_events:
            assert not re.search(r"eventsapp_event(_\d+)?\b", plan)


def test_how_many_statements_a_question_needs_does_not_depend_on_the_number_of_people(town, person, does):
    def statements():
        with CaptureQueriesContext(connection) as captured:
            who(town, did(), never("opened-app"), attribute("email", "known"), total("sum", "gt", 1))
        return len(captured)

    before = statements()
    for number in range(20):
        does(person(f"p{number}", email=f"p{number}@example.org"), "placed-order", metadata={"n": 5})
    assert statements() == before


# The preview -----------------------------------------------------------------------------------------------------------


def test_the_preview_counts_and_shows_the_newest(api, town):
    response = api.post("/segments/preview", {"definition": {"version": 1, "match": "all", "conditions": [did()]}})
    assert response.status_code == 200
    body = response.json()
    assert body["count"] == 2
    assert {contact["external_id"] for contact in body["contacts"]} == {"ada", "björn"}
    assert {contact["type"] for contact in body["contacts"]} == {"contact"}


def test_the_preview_has_the_answer_right_after_an_event(api, shop):
    definition = {"definition": {"conditions": [did("signed-up", count={"op": "eq", "value": 1})]}}
    for expected in (1, 0):
        api.post("/events", {"event_name": "signed-up", "created_at": int(time.time()) - expected, "user_id": "25"})
        assert api.post("/segments/preview", definition).json()["count"] == expected


def test_a_wrong_preview_is_an_error_list_with_paths(api):
    response = api.post("/segments/preview", {"definition": {"conditions": [did(within={"last_days": "x"})]}})
    assert response.status_code == 422
    [fault] = response.json()["errors"]
    assert fault["field"] == "conditions[0].within.last_days"
    assert api.post("/segments/preview", {}).status_code == 400
    assert api.post("/segments/preview", [1]).status_code == 400
