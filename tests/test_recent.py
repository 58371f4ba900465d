"""While a filter is edited, only what changed is asked again; and no question is asked for ever."""

import time
from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.urls import reverse

from eventsapp.models import Contact
from segments import recent, sizes
from segments.definition import parse
from segments.engine import TooSlow, answer, one_moment
from segments.models import Segment
from segments.recent import Recent
from segments.urlstate import encode

pytestmark = pytest.mark.django_db


def did(event, **parts):
    return {"kind": "event", "event": event} | parts


def ask(shop, *conditions, now=None, only_fill=False):
    """Ask as the builder does, at this moment (Unix seconds) or now."""
    now = now or int(time.time())
    definition = parse(shop, {"conditions": list(conditions)})
    return answer(definition, now, recent=Recent(shop, now, only_fill=only_fill))


def test_a_row_that_was_asked_for_a_moment_ago_is_not_asked_again(shop, person, does):
    ada, bob = person("ada"), person("bob")
    does(ada, "placed-order")
    first = ask(shop, did("placed-order"), did("opened-app", did=False))
    assert (list(first.row_counts.values()), first.everyone) == ([1, 2], 2)
    does(ada, "opened-app")
    does(bob, "placed-order")
    later = first.as_of + 3
    edited = ask(shop, did("placed-order"), did("opened-app"), now=later)
    # What bob did a moment ago is not known yet, what ada did is: and the answer says of when it is.
    assert (list(edited.row_counts.values()), edited.count, edited.as_of) == ([1, 1], 1, first.as_of)
    # Whoever opens the page sees this moment, and so does whoever edits it next.
    for only_fill in (True, False):
        opened = ask(shop, did("placed-order"), did("opened-app"), now=later, only_fill=only_fill)
        assert (list(opened.row_counts.values()), opened.as_of) == ([2, 1], later)


def test_after_five_seconds_it_is_asked_again(shop, buyer, person, does, monkeypatch):
    does(buyer, "placed-order")
    assert ask(shop, did("placed-order")).count == 1
    does(person("other"), "placed-order")
    assert ask(shop, did("placed-order")).count == 1
    monkeypatch.setattr(time, "monotonic", lambda real=time.monotonic: real() + recent.FRESH + 0.1)
    assert ask(shop, did("placed-order")).count == 2


def test_days_of_another_time_zone_and_people_of_another_workspace_are_other_questions(shop, other_shop, buyer, person):
    stranger = person("stranger", workspace=other_shop)
    everybody = {"kind": "attribute", "field": "user_id", "op": "known"}
    assert list(ask(shop, everybody).ids) == [buyer.pk]
    assert list(ask(other_shop, everybody).ids) == [stranger.pk]
    before = len(recent._kept)
    shop.time_zone = "Asia/Tokyo"
    ask(shop, everybody)
    assert len(recent._kept) == before + 2


def test_a_changed_segment_is_another_question(shop, buyer, does):
    saved = shop.segments.create(name="S", definition={"conditions": [did("placed-order")]})
    does(buyer, "placed-order")
    inside = {"kind": "segment", "segment": saved.pk, "op": "in"}
    assert ask(shop, inside).count == 1
    saved.definition = {"conditions": [did("opened-app")]}
    saved.save()
    assert ask(shop, inside).count == 0


def test_the_page_says_as_of_when(viewer, shop, buyer, does):
    does(buyer, "placed-order")
    address, asked = reverse("people", args=[shop.app_id]), {"q": encode({"conditions": [did("placed-order")]})}
    opened = viewer.get(address, asked).context["result"]
    does(buyer, "placed-order", days_ago=1)
    edited = viewer.get(address, asked, headers={"HX-Request": "true"})
    assert edited.context["result"].as_of == opened.as_of
    assert (
        f'{datetime.fromtimestamp(opened.as_of, UTC):as of <time datetime="%Y-%m-%dT%H:%M:%S}'
        in edited.content.decode()
    )


# The time limit --------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowd(transactional_db, shop, settings):
    """So many that no question about their names is answered within a thousandth of a second."""
    people = [Contact(workspace=shop, external_id=f"p{n}", name_folded=f"name of {n} " * 20) for n in range(20_000)]
    Contact.objects.bulk_create(people)
    settings.QUESTION_SECONDS = 0.001


NAMES = {"conditions": [{"kind": "attribute", "field": "name", "op": "contains", "value": "77 name of 77"}]}


def test_a_question_that_takes_too_long_is_stopped_and_the_next_is_answered(shop, crowd, settings):
    definition = parse(shop, NAMES)
    with pytest.raises(TooSlow), one_moment() as now:
        answer(definition, now)
    settings.QUESTION_SECONDS = 20
    with one_moment() as now:
        assert answer(definition, now).count == 3  # 77, 777 and 7,777
    # Whatever is no question has no limit.
    settings.QUESTION_SECONDS = 0.001
    with transaction.atomic():
        assert answer(definition, int(time.time())).count == 3  # 77, 777 and 7,777


def test_what_took_too_long_is_told_by_the_api_and_the_page(api, viewer, shop, crowd):
    refused = api.post("/segments/preview", {"definition": NAMES})
    assert refused.status_code == 422
    [fault] = refused.json()["errors"]
    assert (fault["code"], fault["field"]) == ("too_slow", "definition")
    assert "longer than 0.001 seconds" in fault["message"]
    address, asked = reverse("people", args=[shop.app_id]), {"q": encode(NAMES)}
    assert fault["message"] in viewer.get(address, asked).content.decode()
    row = {"conditions.0.field@text": "Name", "conditions.0.op@op-text": "contains", "conditions.0.value@text": "77"}
    edited = viewer.post(reverse("people_build", args=[shop.app_id]), row, headers={"HX-Request": "true"})
    assert edited["HX-Reswap"] == "none"
    assert fault["message"] in edited.content.decode()


def test_what_a_rule_promises_is_told_to_take_too_long(editor, shop, crowd):
    row = {"conditions.0.field@text": "Name", "conditions.0.op@op-text": "contains", "conditions.0.value@text": "77"}
    typed = {"event": "placed-order", "who": "conditions"} | row
    promised = editor.post(reverse("message_promise", args=[shop.app_id]), typed)
    assert "longer than 0.001 seconds" in promised.content.decode()


def test_a_size_that_takes_too_long_to_count_is_noted(shop, crowd, monkeypatch):
    monkeypatch.setattr(sizes, "SECONDS", 0.001)
    segment = Segment.objects.create(workspace=shop, name="Slow", definition=NAMES | {"version": 1, "match": "all"})
    sizes.measure_due()
    assert "longer than 0.001 seconds" in segment.sizes.get().problem
