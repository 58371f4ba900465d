"""The builder of the people page, through the fields of its form: what a browser sends, and what it is drawn from."""

import json
import random
import re
import time
from collections import Counter
from html.parser import HTMLParser

import pytest
from django.urls import reverse

from segments.definition import parse
from segments.drafts import read_form
from segments.models import Segment
from segments.urlstate import decode, encode
from tests.test_answers import Questions, Town

ORDERED = {"kind": "event", "event": "placed-order", "did": True}


class Form(HTMLParser):
    """The fields and buttons of the builder in a page, or in an answer that draws it anew."""

    def __init__(self, page: str):
        super().__init__()
        self.page, self.fields, self.acts, self.focus, self._select = page, {}, [], None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        name, value = named.get("name", ""), named.get("value", "")
        if "autofocus" in named:
            self.focus = name.partition("@")[0]
        if tag == "button" and name == "act":
            self.acts.append(value)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and (self._select not in self.fields or "selected" in named):
            self.fields[self._select] = value
        elif tag == "input" and (name in ("shape", "segment") or "@" in name):
            self.fields[name] = value


class Page:
    """The people page in the hands of somebody: fields are filled in, buttons are pressed."""

    def __init__(self, client, workspace, conditions=(), match="all"):
        self.client, self.workspace = client, workspace
        q = {"q": encode({"version": 1, "match": match, "conditions": list(conditions)})} if conditions else {}
        self.first = client.get(reverse("people", args=[workspace.app_id]), q)
        self.form = Form(self.first.content.decode())
        self.fields = self.form.fields

    def send(self, act=None, **headers):
        """Ask with the fields as they are; what is drawn anew is gone on with."""
        data = self.fields | ({"act": act} if act else {})
        address = reverse("people_build", args=[self.workspace.app_id])
        self.answer = self.client.post(address, data, headers={"HX-Request": "true"} | headers)
        page = self.answer.content.decode()
        self.is_redrawn = 'id="rows"' in page
        if self.is_redrawn:
            self.form = Form(page)
            self.fields = self.form.fields
        return self

    def fill(self, **texts):
        """Fill in fields by the end of their path (`__` for a dot): `fill(event="placed-order")`."""
        for end, text in texts.items():
            [name] = [one for one in self.fields if f".{one.partition('@')[0]}".endswith("." + end.replace("__", "."))]
            self.fields[name] = text
        return self.send()

    def press(self, act):
        assert act in self.form.acts, self.form.acts
        return self.send(act)

    @property
    def definition(self) -> dict:
        return json.loads(self.answer.context["to_save"])

    @property
    def conditions(self) -> list:
        return self.definition["conditions"]

    @property
    def count(self) -> int:
        return self.answer.context["result"].count


@pytest.fixture
def page(viewer, shop):
    def make(*conditions, match="all"):
        return Page(viewer, shop, conditions, match)

    return make


def test_a_question_is_built_row_by_row(page, buyer, person, does):
    does(buyer, "placed-order", times=3, metadata={"total": {"amount": 4900, "currency": "usd"}})
    does(person("other", plan="pro"), "placed-order")
    built = page().press("add  event")
    assert built.form.focus == "conditions.0.event"
    assert built.fill(event="Placed.Order").conditions == [ORDERED | {"event": "Placed.Order"}]
    assert built.count == 2
    built.fill(count__value="2")
    assert (built.count, built.is_redrawn) == (1, False)
    built.press("where conditions.0 where").fill(where__0__key="total")
    assert built.form.focus is None
    built.fill(where__0__op="gte")
    built.fill(where__0__value="49")
    assert built.conditions[0]["where"] == [{"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}]
    assert built.count == 1
    built.press("add  attribute").fill(field="plan").fill(conditions__1__value="pro")
    assert (built.count, built.answer.context["builder"].is_finished) == (0, True)


def test_a_row_that_is_not_finished_is_marked_and_not_asked(page, buyer, does):
    does(buyer, "placed-order")
    built = page(ORDERED).press("add  event")
    assert built.conditions == [ORDERED]
    assert "not finished" in built.answer.content.decode()
    assert not built.answer.context["builder"].is_finished
    built.fields["conditions.0.count.value@times"] = "0"
    built.send()
    assert (built.conditions, built.count) == ([], 1)
    assert built.fields["conditions.0.count.value@times"] == "0"


def test_what_is_typed_is_never_drawn_anew_and_replaces_itself_in_the_address(page, buyer, does):
    does(buyer, "placed-order", times=3)
    built = page(ORDERED)
    built.fill(count__value="2")
    assert not built.is_redrawn
    assert decode(built.answer["HX-Replace-Url"].partition("q=")[2])["conditions"][0]["count"]["value"] == 2
    built.fill(count__op="eq")
    assert built.is_redrawn
    assert "HX-Push-Url" in built.answer
    # Nothing moves when nothing changed.
    here = built.answer["HX-Push-Url"]
    built.send(**{"HX-Current-URL": f"http://testserver{here}"})
    assert not {"HX-Push-Url", "HX-Replace-Url"} & set(built.answer.headers)


@pytest.mark.parametrize(
    ("act", "focus", "left"),
    [
        ("copy conditions.0", "conditions.1.event", ["a", "a", ["b", "c"]]),
        ("remove conditions.0", "conditions.0.conditions.0.event", [["b", "c"]]),
        ("wrap conditions.0", "conditions.0.conditions.0.event", [["a"], ["b", "c"]]),
        ("out conditions.1.conditions.0", "conditions.2.event", ["a", ["c"], "b"]),
        ("remove conditions.1.conditions.1", "conditions.1.conditions.0.event", ["a", ["b"]]),
        ("copy conditions.1", "conditions.2.conditions.0.event", ["a", ["b", "c"], ["b", "c"]]),
    ],
    ids=str,
)
def test_rows_are_copied_moved_wrapped_and_removed(page, act, focus, left):
    inner = {"match": "any", "conditions": [ORDERED | {"event": "b"}, ORDERED | {"event": "c"}]}
    built = page(ORDERED | {"event": "a"}, inner).press(act)
    names = [
        [one["event"] for one in row["conditions"]] if "conditions" in row else row["event"] for row in built.conditions
    ]
    assert names == left
    assert built.form.focus == focus


def test_an_edit_asks_few_questions_however_many_people_match(page, person, does, django_assert_max_num_queries):
    for number in range(60):
        does(person(f"p{number}"), "placed-order", times=2)
    built = page(ORDERED, ORDERED | {"count": {"op": "gte", "value": 2}})
    # Who asks, what is offered, the rows that are not known from a moment ago, the table.
    with django_assert_max_num_queries(22):
        built.fill(conditions__1__count__value="1")
    assert built.count == 60


def test_moving_the_last_row_out_takes_its_group_away(page):
    inner = {"match": "any", "conditions": [ORDERED]}
    assert page(inner).press("out conditions.0.conditions.0").conditions == [ORDERED]


def test_another_key_takes_other_operators_and_an_unusual_one_stays(page, person):
    person("ada", plan="pro", seats=5)
    built = page({"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "5"})
    built.fill(field="seats")
    assert built.conditions == [{"kind": "attribute", "field": "custom_attributes.seats", "op": "eq", "value": 5}]
    unusual = {"kind": "attribute", "field": "custom_attributes.seats", "op": "is", "value": "5"}
    assert page(unusual).send().conditions == [unusual]


def test_a_verb_keeps_what_its_sentence_shares_with_the_next(page):
    built = page(ORDERED | {"within": {"last_days": 9}, "where": [{"key": "a", "op": "known"}]})
    built.fields["conditions.0.@verb"] = "sum of"
    built.send().fill(conditions__0__key="total")
    built.fields["conditions.0.value@number"] = "7"
    assert built.send().conditions[0] == {
        "kind": "aggregate", "function": "sum", "key": "total", "event": "placed-order", "op": "eq", "value": 7,
        "within": {"last_days": 9}, "where": [{"key": "a", "op": "known"}],
    }  # fmt: skip
    built.fields["conditions.0.@verb"] = "did this, but not that"
    built.send().fill(then__event="opened-app")
    assert built.conditions[0] == {
        "kind": "sequence", "did": False, "first": {"event": "placed-order", "where": [{"key": "a", "op": "known"}]},
        "then": {"event": "opened-app"}, "within_days": 7,
    }  # fmt: skip


def test_deeper_groups_are_told_and_kept(page, buyer, does):
    deep = {"match": "any", "conditions": [{"match": "all", "conditions": [ORDERED]}]}
    built = page(deep).send()
    assert built.conditions == [deep]
    assert "Made elsewhere; kept as it is." in built.form.page or not built.is_redrawn
    built.press("remove conditions.0.conditions.0")
    assert built.conditions == []


def test_names_that_nobody_sent_yet_are_marked(page, buyer, does):
    does(buyer, "placed-order")
    built = page(ORDERED)
    assert "not seen yet" not in built.form.page
    built.fill(event="invited-freind")
    assert "not seen yet" in built.form.page
    assert built.count == 0


def test_hostile_fields_are_left_out(page):
    built = page(ORDERED)
    built.fields |= {
        "conditions.0.__class__@text": "x",
        "conditions.0.event.deep@text": "x",
        "conditions.0.value@text": "x",
        "conditions.0.value.0@text": "x",
        "conditions.0.where.99.key@text": "k",
        "conditions.999.@verb": "sing",
        "conditions.1.@json": "{",
        "conditions.2.@json": '{"kind": "event", "event": 7}',
        "conditions.9999999999.@verb": "did",
    }
    built.send()
    assert built.answer.status_code == 200
    assert built.send("remove conditions.7").answer.status_code == 200
    assert built.send("copy nonsense here").answer.status_code == 200
    assert built.send("add conditions.0 event").answer.status_code == 200


# Hints ------------------------------------------------------------------------------------------------------------------


def hinted(built) -> dict:
    """The remedies that an answer offers, each with the conditions that it makes."""
    rows = built.answer.context["builder"].root.all()
    hints = [row.about["hint"] for row in rows if "hint" in row.about]
    return {hint.remedy: hint.definition for hint in hints}


SIGNED_UP = {"kind": "attribute", "field": "signed_up_at", "op": "more_than_days_ago", "value": 30}


def test_who_did_not_lately_includes_newcomers_until_they_are_excluded(page):
    lapsed = {"kind": "event", "event": "opened-app", "did": False, "within": {"last_days": 30}}
    built = page(ORDERED, lapsed).send()
    assert "Includes people who signed up less than 30 days ago." in built.answer.content.decode()
    remedy = hinted(built)["Exclude them"]
    assert remedy["conditions"] == [ORDERED, lapsed, SIGNED_UP]
    assert hinted(page(*remedy["conditions"]).send()) == {}
    either = hinted(page(ORDERED, lapsed, match="any").send())["Exclude them"]
    assert either["conditions"] == [ORDERED, {"match": "all", "conditions": [lapsed, SIGNED_UP]}]
    assert hinted(page(lapsed | {"within": {"until": "2026-01-01"}}).send()) == {}


def test_two_is_nots_of_one_field_in_any_match_everyone(page):
    pair = [{"kind": "attribute", "field": "email", "op": "is_not", "value": text} for text in "ab"]
    remedy = hinted(page(*pair, match="any").send())["Switch to “all”"]
    assert (remedy["match"], remedy["conditions"]) == ("all", pair)
    assert hinted(page(*pair).send()) == {}
    assert hinted(page(pair[0], pair[0], match="any").send()) == {}


def test_when_nobody_matches_the_row_that_leaves_the_fewest_is_named(page, buyer, person, does):
    does(buyer, "placed-order")
    person("other")
    nobody = {"kind": "attribute", "field": "email", "op": "is", "value": "nobody@example.org"}
    built = page(ORDERED, nobody).send()
    assert "Nobody of 2 match “email is nobody@example.org” alone." in built.answer.content.decode()
    assert built.answer.context["widening"].definition["conditions"] == [ORDERED]
    assert [row.about["count"] for row in built.answer.context["builder"].root.all()] == [1, 0]


# Saved ------------------------------------------------------------------------------------------------------------------


def test_a_saved_segment_says_what_is_not_saved(viewer, shop):
    saved = Segment.objects.create(
        workspace=shop, name="Orders", definition=parse(shop, {"conditions": [ORDERED]}).as_json()
    )
    fields = Form(viewer.get(saved.get_absolute_url()).content.decode()).fields
    address = reverse("people_build", args=[shop.app_id])
    same = viewer.post(address, fields, headers={"HX-Request": "true"})
    assert not same.context["is_changed"]
    fields["conditions.0.count.value@times"] = "2"
    changed = viewer.post(address, fields, headers={"HX-Request": "true"})
    assert changed.context["is_changed"]
    assert changed["HX-Replace-Url"].startswith(f"{saved.get_absolute_url()}?q=")


def test_nobody_builds_on_a_segment_of_another_workspace(viewer, shop, other_shop):
    foreign = Segment.objects.create(workspace=other_shop, name="Theirs", definition={"conditions": [ORDERED]})
    address = reverse("people_build", args=[shop.app_id])
    assert viewer.post(address, {"segment": foreign.pk}).status_code == 404
    assert viewer.post(reverse("people_build", args=[other_shop.app_id]), {}).status_code == 404
    assert viewer.get(address).status_code == 405


def test_it_works_without_javascript(viewer, shop, buyer, does):
    does(buyer, "placed-order")
    answer = viewer.post(reverse("people_build", args=[shop.app_id]), {"act": "add  event"})
    form = Form(answer.content.decode())
    form.fields["conditions.0.event@text"] = "placed-order"
    answer = viewer.post(reverse("people_build", args=[shop.app_id]), form.fields)
    assert answer.context["result"].count == 1
    assert "<html" in answer.content.decode()


def test_what_the_page_counts_the_api_previews(staff, db):
    chance = random.Random(5)
    seen, kinds = 0, Counter()
    for _ in range(5):
        town = Town(chance)
        client = staff("viewer", town.workspace)
        questions = Questions(town, kinds)
        town.save_segment(questions.group(depth=1))
        for _ in range(10):
            definition = parse(town.workspace, questions.group()).as_json()
            built = Page(client, town.workspace, definition["conditions"], definition["match"]).send()
            assert built.definition == definition
            assert built.count == preview(town.workspace, definition)
            seen += 1
    assert seen == 50


def preview(workspace, definition) -> int:
    from django.test import Client

    from eventsapp.models import ApiToken

    _, secret = ApiToken.make(workspace=workspace, name="app")
    answer = Client().post(
        "/segments/preview", {"definition": definition}, content_type="application/json",
        headers={"authorization": f"Bearer {secret}"},
    )  # fmt: skip
    return answer.json()["count"]


def test_what_cannot_be_asked_any_more_is_kept_beside_rows_that_can(page, buyer, does):
    does(buyer, "placed-order")
    gone = {"kind": "segment", "segment": 99, "op": "in"}
    nested = {"match": "any", "conditions": [gone, ORDERED]}
    opened = page(ORDERED, gone, nested)
    assert [draft.get("kind") for draft in rows_of(opened)] == ["event", None, None]
    assert "No segment here has the id 99." in opened.form.page
    assert opened.form.page.count("A condition that cannot be asked any more.") == 2
    opened.press("remove conditions.2.conditions.0").press("remove conditions.1")
    assert opened.conditions == [ORDERED, {"match": "any", "conditions": [ORDERED]}]
    assert opened.count == 1


def test_more_rows_than_may_be_asked_are_kept_unread(page, shop, django_assert_max_num_queries):
    segment = Segment.objects.create(workspace=shop, name="S", definition={"match": "all", "conditions": [ORDERED]})
    reference = {"kind": "segment", "segment": segment.pk, "op": "in"}
    with django_assert_max_num_queries(170):
        opened = page(*[reference] * 110, match="any")
    assert "There are more than 100 conditions. Write fewer." in opened.form.page
    *rows, rest = rows_of(opened)
    assert rows == [{"kept": reference}] * 100
    assert rest == {"kept": {"match": "any", "conditions": [reference] * 10}}
    opened.press("remove conditions.100")
    for _ in range(50):
        opened.press("remove conditions.0")
    assert opened.conditions == [reference] * 50


def test_fields_that_are_not_of_the_builder_are_left_out_at_once():
    began = time.monotonic()
    draft = read_form([("conditions.1." * 190_000, ""), ("conditions.0.event@text", "placed-order")])
    assert time.monotonic() - began < 1
    assert draft == {"match": "all", "conditions": [{"event": "placed-order"}]}


def rows_of(page):
    return [row.draft for row in page.first.context["builder"].root.rows]


@pytest.mark.parametrize("sent", ["[1]", "7", "null", '{"conditions": 3}', '{"conditions": [3, null]}', "{"])
def test_what_is_no_definition_is_refused_when_it_is_saved(editor, shop, sent):
    answer = editor.post(reverse("new_segment", args=[shop.app_id]), {"name": "Odd", "definition": sent})
    assert answer.status_code == 422
    assert 'value="Odd"' in answer.content.decode()
    assert not Segment.objects.exists()


def test_each_row_says_how_many_it_matches_alone_those_of_groups_too(page, person, does):
    for number in range(3):
        does(person(f"buyer-{number}", plan="pro" if number else "free"), "placed-order")
    person("nobody", plan="pro")
    plan = {"kind": "attribute", "field": "custom_attributes.plan", "op": "is"}
    group = {"match": "any", "conditions": [plan | {"value": "pro"}, plan | {"value": "free"}]}
    opened = page(ORDERED | {"did": False}, group)
    alone = {
        path: re.search(rf'id="alone-{path}">([\d,]+) match this<', opened.form.page)[1]
        for path in (
            "conditions-0",
            "conditions-1",
            "conditions-1-conditions-0",
            "conditions-1-conditions-1",
        )
    }
    assert list(alone.values()) == ["1", "4", "3", "1"]
