"""What is done with those who match: why somebody does, a file of all of them, tags for all, and sizes over time."""

import csv
import io
import json
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from pyroaring import BitMap

from eventsapp.cells import safe
from eventsapp.models import Contact, Tag, Tagging
from segments import sizes, tagging
from segments.models import Segment, SegmentSize, TagRun
from segments.urlstate import encode

pytestmark = pytest.mark.django_db
ORDERED = {"kind": "event", "event": "placed-order", "did": True}
PRO = {"kind": "attribute", "field": "custom_attributes.plan", "op": "is", "value": "pro"}


def definition(*conditions, match="all"):
    return {"version": 1, "match": match, "conditions": list(conditions)}


@pytest.fixture
def buyers(shop):
    return Segment.objects.create(workspace=shop, name="Buyers", definition=definition(ORDERED))


@pytest.fixture
def page_of(shop):
    """The address of a page about a question: `page_of("people_why", ORDERED, who="ada")`."""

    def make(name, *conditions, **asked):
        q = f"q={encode(definition(*conditions))}" if conditions else ""
        return f"{reverse(name, args=[shop.app_id])}?{q}" + "".join(f"&{key}={value}" for key, value in asked.items())

    return make


# Why -----------------------------------------------------------------------------------------------------------------


def test_why_somebody_is_in_and_somebody_else_is_not(viewer, page_of, buyer, person, does):
    grace = person("grace", plan="free")
    does(buyer, "placed-order", times=2)
    page = viewer.get(page_of("people_why", ORDERED, PRO, who=buyer.public_id)).content.decode()
    assert "Ada Buyer is not in" in page
    assert re.search(r'class="holds">.*did placed-order.*placed-order 2 times', page)
    assert re.search(r'class="fails">.*plan is pro.*plan is unknown', page)
    page = viewer.get(page_of("people_why", ORDERED | {"did": False}, who="grace")).content.decode()
    assert f"{grace} is in" in page
    assert "placed-order never" in page


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ("", "Write an id"),
        ("nobody", "Nobody is called that"),
        ("ada", "Who of these?"),
        ("ada-2", "Ada Two is not in"),
    ],
)
def test_who_is_found_by_how_they_are_called(viewer, page_of, person, who, told):
    person("ada-1", name="Ada One")
    person("ada-2", name="Ada Two")
    assert told in viewer.get(page_of("people_why", ORDERED, who=who)).content.decode()


def test_who_is_archived_is_told_so(viewer, page_of, person):
    person("gone", name="Gone", archived_at=1, plan="pro")
    page = viewer.get(page_of("people_why", PRO, who="gone")).content.decode()
    assert "Gone is not in" in page
    assert "not counted among people" in page


def test_nobody_of_another_workspace_is_explained(viewer, page_of, person, other_shop):
    stranger = person("stranger", workspace=other_shop)
    for who in ("stranger", stranger.public_id):
        assert "Nobody is called that" in viewer.get(page_of("people_why", ORDERED, who=who)).content.decode()


def test_a_segment_explains_itself_and_what_it_refers_to(viewer, shop, buyers, buyer, does):
    does(buyer, "placed-order")
    inside = Segment.objects.create(
        workspace=shop,
        name="In",
        definition=definition({"kind": "segment", "segment": buyers.pk, "op": "in"}, PRO, match="any"),
    )
    address = f"{reverse('people_why', args=[shop.app_id])}?segment={inside.pk}&who={buyer.public_id}"
    page = viewer.get(address).content.decode()
    assert "Ada Buyer is in" in page
    assert re.search(r"in segment “Buyers”.*<ul.*did placed-order.*placed-order once", page)
    fragment = viewer.get(address, headers={"hx-request": "true"}).content.decode()
    assert fragment.lstrip().startswith("<h2")


@pytest.mark.parametrize("name", ["people_why", "people_export"])
def test_what_cannot_be_asked_is_told_and_leads_back_to_what_was_asked(viewer, shop, page_of, name):
    asked = {"kind": "segment", "segment": 999, "op": "in"}
    response = viewer.get(page_of(name, asked, who="ada"))
    assert response.status_code == 422
    page = response.content.decode()
    assert "No segment here has the id 999." in page
    assert f'href="{reverse("people", args=[shop.app_id])}?q={encode(definition(asked))}"' in page


# All of them ----------------------------------------------------------------------------------------------------------


def rows_of(response) -> list[dict]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_all_who_match_are_written_with_what_is_known_of_them(viewer, page_of, shop, buyer, person, does):
    other = person("zoe", plan="pro", seats=3, trial=True, name="Zoë, “Z” Haddad", signed_up_at=1_760_000_000)
    person("never")
    does(buyer, "placed-order", at=1_770_000_000, times=2)
    does(other, "placed-order", at=1_770_000_000)
    Tagging.objects.create(tag=Tag.objects.create(workspace=shop, name="VIP"), contact=other)
    response = viewer.get(page_of("people_export", ORDERED))
    assert response["X-Row-Count"] == "2"
    assert re.fullmatch(r'attachment; filename="people-\d{4}-\d\d-\d\d\.csv"', response["Content-Disposition"])
    zoe, ada = rows_of(response)
    assert zoe["name"] == "Zoë, “Z” Haddad"
    assert (zoe["user_id"], zoe["plan"], zoe["seats"], zoe["trial"], zoe["tags"]) == ("zoe", "pro", "3", "true", "VIP")
    assert (zoe["signed_up_at"], zoe["id"]) == ("2025-10-09 08:53:20", other.public_id)
    assert (ada["placed-order count"], ada["placed-order last"]) == ("2", "2026-02-02 02:40:00")
    assert ada["plan"] == ada["tags"] == ""


def test_everybody_is_written_once_some_at_a_time(viewer, page_of, person, monkeypatch, django_assert_max_num_queries):
    for number in range(9):
        person(f"p{number}")
    monkeypatch.setattr("segments.exporting.AT_ONCE", 4)
    with django_assert_max_num_queries(30):
        rows = rows_of(viewer.get(page_of("people_export")))
    assert [row["user_id"] for row in rows] == [f"p{number}" for number in reversed(range(9))]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+49 30", "'+49 30"), ("-2", "'-2"), ("@me", "'@me"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"),
        ("a=b", "a=b"), (-2, "-2"), (2.5, "2.5"), (None, ""), (False, "false"), ("", ""),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(value, cell):
    assert safe(value) == cell


def test_a_hostile_name_of_an_attribute_is_no_formula_either(viewer, page_of, person):
    person("x", **{"=cmd": "=2"})
    [row] = rows_of(viewer.get(page_of("people_export")))
    assert row["'=cmd"] == "'=2"


def test_a_segment_is_written_under_its_name(viewer, shop, buyers, buyer, does):
    does(buyer, "placed-order")
    response = viewer.get(f"{reverse('people_export', args=[shop.app_id])}?segment={buyers.pk}")
    assert 'filename="buyers-' in response["Content-Disposition"]
    assert [row["user_id"] for row in rows_of(response)] == ["buyer"]


# Tags -----------------------------------------------------------------------------------------------------------------


def test_all_who_match_are_tagged_and_it_is_undone(
    editor, page_of, shop, buyer, person, does, wakeups, django_capture_on_commit_callbacks
):
    had_it = person("had-it")
    tag = Tag.objects.create(workspace=shop, name="VIP")
    Tagging.objects.create(tag=tag, contact=had_it)
    for one in (buyer, had_it):
        does(one, "placed-order")
    page = editor.get(page_of("people_tag", ORDERED)).content.decode()
    assert "Put it on 2 people" in page
    with django_capture_on_commit_callbacks(execute=True):
        editor.post(page_of("people_tag", ORDERED), {"tag": "vip", "count": "2", "action": "add"})
    assert "segments.tasks.tag_people" in wakeups
    log = editor.get(reverse("people_tagged", args=[shop.app_id])).content.decode()
    assert 'aria-label="0 of 2 people"' in log
    assert tagging.work() == 2
    assert set(tag.taggings.values_list("contact", flat=True)) == {buyer.pk, had_it.pk}
    [run] = TagRun.objects.all()
    assert (run.size, run.changed_size, run.asked_by) == (2, 1, editor.user)
    log = editor.get(reverse("people_tagged", args=[shop.app_id])).content.decode()
    assert "people who match: did placed-order" in log
    assert editor.user.email in log

    # Who had it before keeps it.
    address = reverse("tag_run", args=[shop.app_id, run.pk])
    editor.post(address)
    tagging.work()
    assert [tagging.contact for tagging in tag.taggings.all()] == [had_it]
    response = editor.post(address, follow=True)
    assert "Not undone" in response.content.decode()
    assert TagRun.objects.count() == 2


def test_a_tag_is_taken_off_and_that_is_undone(editor, page_of, shop, person):
    tagged = [person(f"p{number}", plan="pro") for number in range(3)]
    tag = Tag.objects.create(workspace=shop, name="old")
    for one in tagged[:2]:
        Tagging.objects.create(tag=tag, contact=one)
    editor.post(page_of("people_tag", PRO), {"tag": "OLD", "count": "3", "action": "remove"})
    tagging.work()
    assert not tag.taggings.exists()
    editor.post(reverse("tag_run", args=[shop.app_id, TagRun.objects.get().pk]))
    tagging.work()
    assert {one.contact for one in tag.taggings.all()} == set(tagged[:2])


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"tag": "vip", "count": "7"}, "Meanwhile 1 match."),
        ({"tag": " ", "count": "1"}, "Write the name of a tag"),
        ({"tag": "new", "count": "1", "action": "remove"}, "There is no tag “new”."),
        ({"tag": "x" * 256, "count": "1"}, "up to 255 characters"),
    ],
)
def test_what_is_not_as_its_asker_was_told_is_not_done(editor, page_of, buyer, does, sent, told):
    does(buyer, "placed-order")
    response = editor.post(page_of("people_tag", ORDERED), sent)
    assert response.status_code == 422
    page = response.content.decode()
    assert told in page
    assert f'value="{sent["tag"].strip()}"' in page
    assert not TagRun.objects.exists()


def test_a_worker_that_dies_leaves_the_rest_to_the_next(shop, person, editor, monkeypatch):
    people = [person(f"p{number}") for number in range(7)]
    tag = Tag.objects.create(workspace=shop, name="vip")
    run = tagging.ask(tag, BitMap(one.pk for one in people), adds=True, question="all", asked_by=editor.user)
    monkeypatch.setattr(tagging, "AT_ONCE", 3)
    monkeypatch.setattr(tagging, "AT_A_TIME", -1)
    assert tagging.work() == 3
    run.refresh_from_db()
    assert (run.position, run.changed_size, run.done_at) == (3, 3, None)
    # One is archived meanwhile: no longer among the people.
    Contact.objects.filter(pk=people[-1].pk).update(archived_at=1)
    while tagging.work():
        pass
    run.refresh_from_db()
    assert (run.position, run.changed_size) == (7, 6)
    assert run.done_at
    assert tag.taggings.count() == 6


def test_a_tag_that_is_deleted_meanwhile_ends_the_act(shop, person, editor):
    tag = Tag.objects.create(workspace=shop, name="vip")
    run = tagging.ask(tag, BitMap([person("p").pk]), adds=True, question="all", asked_by=editor.user)
    tag.delete()
    tagging.work()
    run.refresh_from_db()
    assert run.done_at
    assert not run.is_undoable
    assert "vip" in editor.get(reverse("people_tagged", args=[shop.app_id])).content.decode()


def test_viewers_tag_nobody(viewer, page_of, shop, buyer, does):
    does(buyer, "placed-order")
    assert "Tag all" not in viewer.get(page_of("people", ORDERED)).content.decode()
    assert viewer.get(page_of("people_tag", ORDERED)).status_code == 403
    assert viewer.post(page_of("people_tag", ORDERED), {"tag": "vip", "count": "1"}).status_code == 403


# Sizes ----------------------------------------------------------------------------------------------------------------


def saved_from_the_page(client, shop, name="Buyers", *conditions):
    sent = {"name": name, "definition": json.dumps(definition(*conditions or [ORDERED]))}
    client.post(reverse("new_segment", args=[shop.app_id]), sent)
    return Segment.objects.get(name=name)


def test_a_segment_is_counted_at_each_save_and_once_a_day(
    editor, shop, buyer, person, does, wakeups, django_capture_on_commit_callbacks
):
    does(buyer, "placed-order")
    person("never")
    with django_capture_on_commit_callbacks(execute=True):
        saved = saved_from_the_page(editor, shop)
    assert "segments.tasks.measure_sizes" in wakeups
    assert "Being counted" in editor.get(saved.get_absolute_url()).content.decode()
    assert sizes.measure_due() == 1
    assert sizes.measure_due() == 0
    [size] = saved.sizes.all()
    assert (size.count, size.everyone, size.problem) == (1, 2, "")
    page = editor.get(saved.get_absolute_url()).content.decode()
    assert re.search(r"<title>\w+, \d+ \w+ \d{4}: 1</title>", page)

    saved.refresh_from_db()
    saved.save()
    assert sizes.measure_due() == 1
    # Yesterday's point is not today's.
    yesterday = timezone.now() - timedelta(days=1)
    Segment.objects.update(measured_at=yesterday, updated_at=yesterday)
    SegmentSize.objects.update(at=yesterday)
    assert sizes.measure_due() == 1
    *_, before, today = sizes.daily_sizes(saved)
    assert (before.size.count, today.size.count, today.height) == (1, 1, 100)


def test_a_worker_that_died_while_counting_is_replaced(shop, buyers):
    assert sizes.measure_due() == 1
    SegmentSize.objects.all().delete()
    assert sizes.measure_due() == 0
    Segment.objects.update(measured_at=timezone.now() - sizes.LOST * 2, updated_at=timezone.now() - sizes.LOST * 3)
    assert sizes.measure_due() == 1


def test_what_cannot_be_counted_says_why(viewer, shop, buyers):
    other = Segment.objects.create(workspace=shop, name="Other", definition=definition(PRO))
    Segment.objects.filter(pk=buyers.pk).update(
        definition=definition({"kind": "segment", "segment": other.pk, "op": "in"})
    )
    other.archive()
    sizes.measure_due()
    assert "No segment here has the id" in buyers.sizes.get().problem
    assert "The last counting failed" in viewer.get(buyers.get_absolute_url()).content.decode()


def test_an_archived_segment_is_not_counted(buyers):
    buyers.archive()
    assert sizes.measure_due() == 0


def test_the_list_shows_sizes_with_one_query_for_all(viewer, shop, django_assert_max_num_queries):
    for number in range(12):
        saved = Segment.objects.create(workspace=shop, name=f"S{number}", definition=definition(PRO))
        SegmentSize.objects.create(segment=saved, count=number, everyone=20)
    with django_assert_max_num_queries(14):
        page = viewer.get(reverse("segments", args=[shop.app_id])).content.decode()
    assert page.count('<svg class="spark"') == 12


# The way back ---------------------------------------------------------------------------------------------------------


def test_who_searched_finds_back_to_the_filter(viewer, shop, page_of, person):
    person("ada", name="Ada Maria Lovelace")
    filtered = page_of("people", ORDERED)
    people = reverse("people", args=[shop.app_id])
    came = {"referer": f"http://testserver{filtered}"}
    page = viewer.get(people, {"search": "maria love"}, headers=came).content.decode()
    assert "Ada Maria Lovelace" in page
    assert f'<a href="{filtered}">Back to the filter</a>' in page
    assert f'name="back" value="{filtered}"' in page
    for hostile in ("https://evil.example/app/", "//evil.example", "/app/other/", "javascript:alert(1)"):
        page = viewer.get(people, {"search": "ada", "back": hostile}, headers={"referer": hostile}).content.decode()
        assert f'<a href="{people}">Back to the filter</a>' in page


# Around a segment -----------------------------------------------------------------------------------------------------


def test_a_segment_is_duplicated_archived_and_brought_back(editor, shop, buyers):
    editor.post(buyers.get_absolute_url(), {"action": "duplicate"})
    editor.post(buyers.get_absolute_url(), {"action": "duplicate"})
    assert set(shop.segments.values_list("name", flat=True)) == {"Buyers", "Buyers (copy)", "Buyers (copy) 2"}
    editor.post(buyers.get_absolute_url(), {"action": "archive"})
    assert editor.get(buyers.get_absolute_url()).status_code == 404
    archived = editor.get(reverse("segments", args=[shop.app_id]) + "?archived").content.decode()
    assert "Bring it back" in archived
    # Somebody took the name meanwhile.
    Segment.objects.create(workspace=shop, name="Buyers", definition=definition(PRO))
    editor.post(buyers.get_absolute_url(), {"action": "unarchive"})
    buyers.refresh_from_db()
    assert (buyers.name, buyers.archived_at) == ("Buyers 2", None)


def test_what_is_archived_meanwhile_is_not_saved(editor, shop, buyers):
    buyers.archive()
    sent = {"name": "Buyers", "definition": json.dumps(definition(PRO))}
    page = editor.post(buyers.get_absolute_url(), sent, follow=True).content.decode()
    assert "was archived meanwhile" in page
    buyers.refresh_from_db()
    assert buyers.definition == definition(ORDERED)


def test_a_segment_says_what_uses_it_before_it_is_archived(viewer, editor, shop, buyers):
    other = Segment.objects.create(
        workspace=shop, name="Others", definition=definition({"kind": "segment", "segment": buyers.pk, "op": "not_in"})
    )
    page = editor.get(buyers.get_absolute_url()).content.decode()
    assert f'Segment: <a href="{other.get_absolute_url()}">Others</a>' in page
    assert 'value="archive"' not in page
    assert 'value="archive"' in editor.get(other.get_absolute_url()).content.decode()
    assert 'value="archive"' not in viewer.get(other.get_absolute_url()).content.decode()


def test_an_emptied_segment_stays_empty_when_it_is_opened_again(viewer, shop, buyers, buyer):
    address = f"{buyers.get_absolute_url()}?q={encode(definition())}"
    page = viewer.get(address).content.decode()
    assert "people in all" in page or "person</p>" in page or "person in all" in page
    assert "Unsaved changes" in page


def test_who_begins_is_offered_questions_that_can_be_asked(viewer, shop, person, buyer, does):
    does(buyer, "placed-order", times=3)
    does(buyer, "opened-app", days_ago=40)
    page = viewer.get(reverse("people", args=[shop.app_id])).content.decode()
    links = {name: q for q, name in re.findall(r'<a href="\?q=([^"]+)" title="[^"]+">([^<]+)</a>', page)}
    assert list(links) == ["New", "Active", "Slipping away", "Did one, never the other"]
    counts = {
        name: viewer.get(reverse("people", args=[shop.app_id]) + f"?q={q}").context["result"].count
        for name, q in links.items()
    }
    assert counts == {"New": 1, "Active": 1, "Slipping away": 0, "Did one, never the other": 0}
