"""Intercom's webhooks of events: who is told of what, how it is signed, and what every answer comes to."""

import hashlib
import hmac
import html
import json
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from eventsapp.erasing import erase
from eventsapp.exporting import export
from eventsapp.ingest import event_type
from eventsapp.merging import merge
from eventsapp.models import Event, EventType, HandOver, Source
from messaging import matching, notifying, rules, subscribing
from messaging.models import AutoMessage, Notification, Policy, Subscription, Wish
from messaging.watching import CATCH_UP_AFTER
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db
State, Reason = Notification.State, Notification.Reason
PUBLIC = "https://example.org/hook"


@pytest.fixture
def own(api_with):
    """The shop's own app, which may do all."""
    return api_with("admin")


@pytest.fixture
def subscribe(own, receiver, worker):
    """Subscribe the receiver over the API; its ping is taken. Returns what the API told of it."""

    def make(*names, url=None, **fields):
        names = list(names or ["placed-order"])
        sent = {"service_type": "web", "topics": ["event.created"], "url": url or receiver.url}
        answer = own.post("/subscriptions", sent | {"metadata": {"event_names": names}} | fields)
        assert answer.status_code == 200, answer.content
        worker()
        receiver.posted.clear()
        return answer.json()

    return make


def the_one() -> Subscription:
    return Subscription.objects.get()


def told() -> list[tuple]:
    """How the notifications of events ended, or wait."""
    events = Notification.objects.filter(topic="event.created").order_by("pk")
    return list(events.values_list("state", "reason"))


def later(**delta):
    """Let this time pass for all that waits."""
    delta = timedelta(**delta)
    Notification.objects.update(due_at=F("due_at") - delta, ended_at=F("ended_at") - delta)
    times = ("paused_until", "failing_since", "counted_since")
    Subscription.objects.update(**{name: F(name) - delta for name in times})


def bodies(receiver) -> list[dict]:
    return [json.loads(sent) for *_, sent in receiver.posted]


# Over the API --------------------------------------------------------------------------------------------------------


def test_a_subscription_is_told_as_api_1_tells_it(own):
    before = int(time.time())
    sent = {
        "service_type": "web",
        "topics": ["event.created"],
        "url": PUBLIC,
        "hub_secret": "s3cret",
        "metadata": {"event_names": ["Invited.Friend", "invited$friend", "placed-order"]},
    }
    made = own.post("/subscriptions/", sent).json()
    assert made.pop("id").startswith("nsub_")
    assert before <= made.pop("created_at") <= made.pop("updated_at") <= time.time()
    assert made == {
        "type": "notification_subscription",
        "service_type": "web",
        "topics": ["event.created"],
        "url": PUBLIC,
        "active": True,
        "hub_secret": None,
        "metadata": {"event_names": ["invited-friend", "placed-order"]},
        "paused_until": None,
        "stopped_because": None,
    }
    assert the_one().hub_secret == "s3cret"


def test_the_documented_subscription_and_post_are_as_they_are(subscribe, own, person, does, worker, receiver):
    document = (Path(__file__).resolve().parents[1] / "docs/api.md").read_text()
    chapter = document.partition("## Webhooks of events")[2].partition("\n## ")[0]
    asked, posted = map(json.loads, re.findall(r"```json\n(.+?)```", chapter, re.DOTALL))
    assert own.post("/subscriptions", asked).status_code == 200
    Subscription.objects.update(url=receiver.url)
    does(person("25"), "placed-order")
    worker()
    # It and the ping are posted side by side.
    [real] = [body for body in bodies(receiver) if body["topic"] == "event.created"]
    assert real.keys() == posted.keys()
    assert real["data"]["item"].keys() == posted["data"]["item"].keys()


def test_it_is_found_listed_and_deleted(own):
    sent = {"topics": ["event.created"], "url": PUBLIC, "metadata": {"event_names": ["placed-order"]}}
    made = own.post("/subscriptions", sent).json()
    address = f"/subscriptions/{made['id']}"
    assert own.get(address).json() == own.get(f"{address}/").json() == made
    listed = own.get("/subscriptions").json()
    # Ruby's SDK looks among the items, python-intercom 3 among the subscriptions.
    assert listed["items"] == listed["subscriptions"] == [made]
    assert listed["pages"]["type"] == "pages"
    assert listed["pages"]["next"] is None
    assert own.delete(address).json() == made | {"active": False}
    assert own.get(address).status_code == own.delete(address).status_code == 404
    assert own.get("/subscriptions").json()["items"] == []
    assert not Notification.objects.exists()


@pytest.mark.parametrize("method", ["put", "post"])
def test_a_change_replaces_the_names_and_leaves_the_rest(own, subscribe, method):
    made = subscribe("placed-order", "signed-up", hub_secret="s3cret")
    change = {"metadata": {"event_names": ["signed-up", "cancelled-plan"]}}
    changed = getattr(own, method)(f"/subscriptions/{made['id']}", change).json()
    assert changed["metadata"] == {"event_names": ["cancelled-plan", "signed-up"]}
    assert changed["url"] == made["url"]
    assert own.put(f"/subscriptions/{made['id']}", changed).status_code == 200, "an answer may be sent back as it came"
    assert the_one().hub_secret == "s3cret"
    own.put(f"/subscriptions/{made['id']}", {"hub_secret": ""})
    assert the_one().hub_secret == ""


NAMED = {"event_names": ["placed-order"]}
GOOD = {"topics": ["event.created"], "url": PUBLIC, "metadata": NAMED}


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        (GOOD | {"metadata": None}, "metadata.event_names", "which events"),
        (GOOD | {"metadata": {"event_names": []}}, "metadata.event_names", "which events"),
        (GOOD | {"metadata": {"event_names": [" "]}}, "metadata.event_names", "empty"),
        (GOOD | {"metadata": {"event_names": ["a" * 256]}}, "metadata.event_names", "255"),
        (GOOD | {"metadata": {"event_names": ["a"] * 121}}, "metadata.event_names", "at most 120"),
        (GOOD | {"metadata": {"event_names": "placed-order"}}, "metadata.event_names", "list"),
        (GOOD | {"metadata": []}, "metadata", "object"),
        (GOOD | {"topics": ["contact.created"]}, "topics", "There are event.created and ping."),
        (GOOD | {"topics": ["ping"]}, "topics", "event.created"),
        (GOOD | {"topics": []}, "topics", "list"),
        (GOOD | {"topics": None}, "topics", "missing"),
        (GOOD | {"url": None}, "url", "missing"),
        (GOOD | {"url": "ftp://example.org/"}, "url", "https://"),
        (GOOD | {"url": "http://10.0.0.1/"}, "url", "not on the public internet"),
        (GOOD | {"url": "http://localhost/"}, "url", "not on the public internet"),
        (GOOD | {"url": "https://example.org/" + "a" * 500}, "url", "500"),
        (GOOD | {"url": 5}, "url", "address"),
        (GOOD | {"service_type": "intercom"}, "service_type", "web"),
        (GOOD | {"hub_secret": 5}, "hub_secret", "text"),
        (GOOD | {"active": "yes"}, "active", "true or false"),
        ([], "body", "JSON object"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_kept(own, sent, field, words):
    answer = own.post("/subscriptions", sent)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]
    assert not Subscription.objects.exists()
    assert not EventType.objects.exists()


def test_names_count_against_the_limit_of_the_workspace(own, shop, buyer, does):
    does(buyer, "placed-order")
    shop.event_name_limit = 2
    shop.save()
    answer = own.post("/subscriptions", GOOD | {"metadata": {"event_names": ["placed-order", "a", "b"]}})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], "room for 2 event names" in error["message"]) == ("metadata.event_names", True)
    assert own.post("/subscriptions", GOOD | {"metadata": {"event_names": ["placed-order", "a"]}}).status_code == 200


def test_every_fault_is_told_at_once(own):
    answer = own.post("/subscriptions", {"url": "http://10.0.0.1/", "metadata": {"event_names": [""]}})
    assert [error["field"] for error in answer.json()["errors"]] == ["url", "topics", "metadata.event_names"]


def test_there_are_so_many_subscriptions_and_no_more(own, monkeypatch):
    monkeypatch.setattr(subscribing, "MOST", 1)
    assert own.post("/subscriptions", GOOD).status_code == 200
    answer = own.post("/subscriptions", GOOD)
    assert answer.status_code == 422
    assert "Delete one" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("scope", ["write", "read", "events:write"])
def test_only_an_admin_token_may_subscribe(own, api_with, scope):
    made = own.post("/subscriptions", GOOD).json()
    other, address = api_with(scope), f"/subscriptions/{made['id']}"
    assert other.post("/subscriptions", GOOD).status_code == 403
    assert other.put(address, {"active": False}).status_code == other.post(address, {}).status_code == 403
    assert other.delete(address).status_code == other.post(f"{address}/ping").status_code == 403
    assert other.get(address).status_code == (403 if scope == "events:write" else 200)
    assert Subscription.objects.count() == 1


def test_another_workspace_finds_none_of_it(own, api_with, other_shop, subscribe, buyer, does, worker):
    made = subscribe()
    does(buyer, "placed-order")
    worker()
    stranger, address = api_with("admin", other_shop), f"/subscriptions/{made['id']}"
    replay = f"{address}/notifications/{Notification.objects.last().public_id}/replay"
    assert stranger.get("/subscriptions").json()["items"] == []
    answers = [
        stranger.get(address),
        stranger.put(address, {"active": False}),
        stranger.delete(address),
        stranger.get(f"{address}/notifications"),
        stranger.post(f"{address}/ping"),
        stranger.post(replay),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert the_one().active


def test_an_event_of_another_workspace_is_not_told(subscribe, other_shop, person, does, worker, receiver):
    subscribe()
    stranger = person("25", workspace=other_shop)
    EventType.objects.create(workspace=other_shop, name="placed-order", watched=True)
    does(stranger, "placed-order")
    worker()
    assert receiver.posted == []


# What is posted ------------------------------------------------------------------------------------------------------


def test_an_event_is_posted_as_intercom_posts_it(own, subscribe, person, worker, receiver, shop):
    made = subscribe("Invited.Friend")
    ada = person("25", email="ada@example.org")
    event = {"event_name": "invited-friend", "created_at": 1790000000, "user_id": "25", "uuid": str(uuid.uuid4())}
    answer = own.post("/events", event | {"metadata": {"invite_code": "ADDAFRIEND"}})
    assert answer.status_code == 202
    before = int(time.time())
    worker()
    [(path, headers, sent)] = receiver.posted
    body = json.loads(sent)
    assert path == "/hook?a=1"
    assert uuid.UUID(body["id"].removeprefix("notif_"))
    assert before <= body["first_sent_at"] <= time.time()
    assert abs(body["created_at"] - before) <= 2
    assert body == {
        "type": "notification_event",
        "app_id": shop.app_id,
        "id": body["id"],
        "topic": "event.created",
        "created_at": body["created_at"],
        "delivery_attempts": 1,
        "first_sent_at": body["first_sent_at"],
        "data": {
            "type": "notification_event_data",
            "item": {
                "type": "event",
                "id": event["uuid"],
                "event_name": "invited-friend",
                "created_at": 1790000000,
                "user_id": "25",
                "intercom_user_id": ada.public_id,
                "email": "ada@example.org",
                "metadata": {"invite_code": "ADDAFRIEND"},
            },
        },
    }
    [listed] = own.get("/events?type=user&user_id=25").json()["events"]
    assert body["data"]["item"] == listed
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "intercom-parrot-service-client/1.0"
    [row, ping] = own.get(f"/subscriptions/{made['id']}/notifications").json()["data"]
    assert (row["id"], row["state"], row["attempts"], row["item"]) == (body["id"], "sent", 1, listed)
    assert (ping["topic"], ping["state"]) == ("ping", "sent")


@pytest.mark.parametrize("secret", ["s3cret", "", "Ünïcode ☃"])
def test_the_signature_is_of_the_very_body(subscribe, buyer, does, worker, receiver, shop, secret):
    subscribe(hub_secret=secret)
    does(buyer, "placed-order", metadata={"name": "Ünïcode ☃ \U0001f600"})
    worker()
    [(_, headers, sent)] = receiver.posted
    key = secret or Policy.of(shop).webhook_secret
    assert headers["X-Hub-Signature"] == "sha1=" + hmac.digest(key.encode(), sent, hashlib.sha1).hex()


def test_a_new_subscription_is_pinged_and_may_be_again(own, receiver, worker, shop):
    made = own.post("/subscriptions", {"topics": ["ping"], "url": receiver.url}).json()
    worker()
    [body] = bodies(receiver)
    assert (body["topic"], body["data"]["item"]["type"]) == ("ping", "ping")
    asked = own.post(f"/subscriptions/{made['id']}/ping").json()
    worker()
    assert bodies(receiver)[-1]["id"] == asked["id"] != body["id"]
    own.put(f"/subscriptions/{made['id']}", {"active": False})
    assert own.post(f"/subscriptions/{made['id']}/ping").status_code == 409


def test_each_subscription_that_names_it_is_told_once(subscribe, buyer, does, worker, receiver):
    for names in (["placed-order", "signed-up"], ["placed-order"], ["cancelled-plan"]):
        subscribe(*names)
    does(buyer, "placed-order", times=2)
    worker()
    worker()
    assert len(receiver.posted) == 4
    assert len({body["id"] for body in bodies(receiver)}) == 4


@pytest.mark.parametrize("source", [Source.API, Source.BROWSER, Source.BROWSER_VERIFIED])
def test_events_of_apps_and_browsers_are_told_however_old(subscribe, buyer, does, worker, receiver, source):
    subscribe()
    does(buyer, "placed-order", days_ago=400, source=source)
    worker()
    assert len(receiver.posted) == 1


def test_imports_and_history_cause_none(subscribe, buyer, does, worker, receiver):
    subscribe()
    does(buyer, "placed-order", source=Source.IMPORT)
    does(buyer, "placed-order", days_ago=1, historical=True)
    Wish.objects.update(since=timezone.now() - CATCH_UP_AFTER)
    notifying.catch_up()
    worker()
    assert receiver.posted == []


def test_a_rule_and_a_subscription_answer_the_same_event(subscribe, shop, buyer, does, worker, receiver, mailoutbox):
    subscribe()
    trigger = event_type(shop, "placed-order")
    rule = AutoMessage.objects.create(workspace=shop, name="Thanks", trigger=trigger, subject="Hi", body="<p>Hi</p>")
    rules.go_live(rule)
    does(buyer, "placed-order")
    worker()
    assert (len(mailoutbox), len(receiver.posted)) == (1, 1)


def test_matching_asks_one_question_for_a_batch_and_none_for_each_event(subscribe, buyer, does, shop):
    def questions(times, day):
        does(buyer, "placed-order", times=times, days_ago=day)
        with CaptureQueriesContext(connection) as asked:
            matching.match_waiting()
        assert sum("messaging_wish" in query["sql"] for query in asked.captured_queries) == 1
        return len(asked)

    subscribe()
    assert questions(2, day=1) == questions(40, day=2)
    assert Notification.objects.filter(topic="event.created").count() == 42


# Who asks for what, and since when -----------------------------------------------------------------------------------


def watched() -> set[str]:
    return set(EventType.objects.filter(watched=True).values_list("name", flat=True))


def test_an_event_is_watched_until_the_last_who_asks_goes(own, subscribe, shop):
    one, other = subscribe("placed-order", "signed-up"), subscribe("placed-order")
    assert watched() == {"placed-order", "signed-up"}
    own.put(f"/subscriptions/{one['id']}", {"metadata": {"event_names": ["cancelled-plan"]}})
    assert watched() == {"placed-order", "cancelled-plan"}
    trigger = EventType.objects.get(name="placed-order")
    rule = AutoMessage.objects.create(workspace=shop, name="Thanks", trigger=trigger, subject="Hi", body="<p>Hi</p>")
    rules.go_live(rule)
    own.delete(f"/subscriptions/{other['id']}")
    assert watched() == {"placed-order", "cancelled-plan"}
    rules.pause(rule)
    assert watched() == {"cancelled-plan"}
    own.put(f"/subscriptions/{one['id']}", {"active": False})
    assert watched() == set()
    own.put(f"/subscriptions/{one['id']}", {"active": True})
    assert watched() == {"cancelled-plan"}
    own.put(f"/subscriptions/{one['id']}", {"topics": ["ping"]})
    assert watched() == set()


def test_a_rule_that_pauses_leaves_an_event_watched_for_a_subscription(subscribe, shop):
    subscribe("placed-order")
    trigger = EventType.objects.get(name="placed-order")
    rule = AutoMessage.objects.create(workspace=shop, name="Thanks", trigger=trigger, subject="Hi", body="<p>Hi</p>")
    rules.go_live(rule)
    rules.pause(rule)
    assert watched() == {"placed-order"}


def test_only_what_is_received_from_then_on_is_told(own, subscribe, buyer, does, worker, receiver):
    other = subscribe("signed-up", "placed-order")
    does(buyer, "placed-order", days_ago=1)
    # Handed over, but not matched yet when the second one comes.
    made = subscribe_without_work(own, receiver)
    worker()
    assert len([body for body in bodies(receiver) if body["topic"] == "event.created"]) == 1
    own.put(f"/subscriptions/{made['id']}", {"active": False})
    own.put(f"/subscriptions/{other['id']}", {"active": False})
    does(buyer, "placed-order", days_ago=2)
    own.put(f"/subscriptions/{made['id']}", {"active": True})
    receiver.posted.clear()
    does(buyer, "placed-order", days_ago=3)
    worker()
    assert len(receiver.posted) == 1


def subscribe_without_work(own, receiver, **fields):
    sent = GOOD | {"url": receiver.url} | fields
    return own.post("/subscriptions", sent).json()


def test_what_a_slow_writer_stored_meanwhile_is_told_once(subscribe, buyer, does, worker, receiver):
    subscribe()
    # A transaction that began before did not see that it is watched.
    EventType.objects.update(watched=False)
    does(buyer, "placed-order")
    EventType.objects.update(watched=True)
    does(buyer, "placed-order", days_ago=1)
    assert HandOver.objects.count() == 1
    worker()
    Wish.objects.update(since=timezone.now() - CATCH_UP_AFTER)
    notifying.catch_up()
    worker()
    notifying.catch_up()
    worker()
    assert len(receiver.posted) == 2
    assert Wish.objects.get().caught_up


def test_a_name_that_stays_is_not_asked_for_anew(own, subscribe):
    made = subscribe("placed-order")
    since = Wish.objects.get().since
    names = {"metadata": {"event_names": ["placed-order", "signed-up"]}}
    own.put(f"/subscriptions/{made['id']}", names | {"url": "https://example.org/other"})
    assert Wish.objects.get(type__name="placed-order").since == since
    assert Wish.objects.get(type__name="signed-up").since > since


@pytest.mark.django_db(transaction=True)
def test_an_event_that_cannot_be_told_is_tried_again_and_then_parked(own, receiver, buyer, does, monkeypatch):
    subscribe_without_work(own, receiver)

    def full(*_, **__):
        raise RuntimeError("the disk is full")

    does(buyer, "placed-order")
    with monkeypatch.context() as border:
        border.setattr(type(Notification.objects), "bulk_create", full)
        for _ in range(matching.MOST_ATTEMPTS):
            HandOver.objects.update(due_at=timezone.now())
            matching.match_waiting()
    parked = HandOver.objects.get()
    assert parked.parked_at
    assert "the disk is full" in parked.error


# What every answer comes to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [302, 400, 401, 404, 408, 500, 503])
def test_what_is_not_taken_is_tried_once_more_after_a_minute(subscribe, buyer, does, worker, receiver, answer):
    subscribe()
    receiver.answers = [answer, answer, 200]
    does(buyer, "placed-order")
    worker()
    later(seconds=55)
    worker()
    assert len(receiver.posted) == 1
    later(seconds=6)
    worker()
    later(days=1)
    worker()
    assert told() == [(State.FAILED, Reason.REFUSED)]
    assert Notification.objects.last().detail.startswith(str(answer))
    first, second = bodies(receiver)
    assert (first.pop("delivery_attempts"), second.pop("delivery_attempts")) == (1, 2)
    assert first == second


def test_the_second_attempt_may_succeed(subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [500, 204]
    does(buyer, "placed-order")
    worker()
    later(seconds=61)
    worker()
    assert told() == [(State.SENT, Reason.NONE)]
    assert the_one().failing_since is None


def test_a_receiver_that_does_not_answer_has_five_seconds(subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [lambda handler: time.sleep(8)]
    does(buyer, "placed-order")
    began = time.monotonic()
    worker()
    assert 4.5 < time.monotonic() - began < 7.5
    assert told() == [(State.QUEUED, Reason.NONE)]
    assert "TimeoutError" in Notification.objects.last().detail
    later(seconds=61)
    worker()
    assert told() == [(State.SENT, Reason.NONE)]


def test_a_receiver_that_is_slow_holds_up_no_other(subscribe, own, buyer, does, receiver):
    with Receiver() as slow:
        subscribe("placed-order")
        subscribe_without_work(own, slow)
        notifying.post_due()
        receiver.posted.clear()
        slow.answers = [lambda handler: time.sleep(8)] * 100
        does(buyer, "placed-order", times=60)
        matching.match_waiting()
        notifying.post_due()
        assert len(receiver.posted) == 60
        # What did not fit beside the others makes way for them.
        assert len(slow.posted) < 60


def test_nobody_there_is_an_error_too(subscribe, buyer, does, worker):
    with Receiver() as gone:
        url = gone.url
    subscribe(url=url)
    does(buyer, "placed-order")
    for _ in range(2):
        worker()
        later(seconds=61)
    assert told() == [(State.FAILED, Reason.NO_ANSWER)]
    assert "refused" in Notification.objects.last().detail


def test_410_stops_it(own, subscribe, buyer, does, worker, receiver):
    made = subscribe()
    receiver.answers = [410]
    does(buyer, "placed-order", times=1)
    worker()
    does(buyer, "placed-order", days_ago=1)
    worker()
    assert told() == [(State.FAILED, Reason.GONE)]
    shown = own.get(f"/subscriptions/{made['id']}").json()
    assert not shown["active"]
    assert "410" in shown["stopped_because"]
    assert watched() == set()


def test_admins_are_told_by_mail_once_when_one_stops_by_itself(
    own, subscribe, buyer, does, worker, receiver, admin, editor, mailoutbox
):
    made = subscribe()
    for active in (False, True):
        own.put(f"/subscriptions/{made['id']}", {"active": active})
    assert mailoutbox == []
    receiver.answers = [410, 410, 410]
    does(buyer, "placed-order", times=3)
    worker()
    assert told() == [(State.FAILED, Reason.GONE)] * 3
    [mail] = mailoutbox
    assert (mail.to, mail.subject) == ([admin.user.email], "The webhook to 127.0.0.1 has stopped")
    assert "410" in mail.body
    assert the_one().get_absolute_url() in mail.body


def test_a_subscription_that_is_made_causes_no_message_anew(shop, subscribe, buyer, does, worker, mailoutbox):
    rule = AutoMessage.objects.create(
        workspace=shop, name="Third", trigger=event_type(shop, "placed-order"), nth=3,
        frequency="every_time", subject="Thanks", body="Thanks",
    )  # fmt: skip
    rules.go_live(rule)
    AutoMessage.objects.update(caught_up=True)
    subscribe()
    for number in range(4):
        does(buyer, "placed-order", at=int(time.time()) - number)
    worker()
    assert len(mailoutbox) == 1
    Wish.objects.update(since=timezone.now() - CATCH_UP_AFTER)
    notifying.catch_up()
    # Nor does what a rule that goes live may have missed.
    AutoMessage.objects.update(caught_up=False, live_since=timezone.now() - CATCH_UP_AFTER)
    rules.catch_up()
    worker()
    assert len(mailoutbox) == 1


def test_what_waited_when_it_was_stopped_has_failed_and_can_be_replayed(own, subscribe, buyer, does, worker, receiver):
    made = subscribe()
    address = f"/subscriptions/{made['id']}"
    receiver.answers = [500]
    does(buyer, "placed-order")
    worker()
    own.put(address, {"active": False})
    assert told() == [(State.FAILED, Reason.STOPPED)]
    replay = f"{address}/notifications/{Notification.objects.last().public_id}/replay"
    assert own.post(replay).status_code == 409
    own.put(address, {"active": True})
    replayed = own.post(replay)
    assert (replayed.status_code, replayed.json()["state"]) == (200, "queued")
    worker()
    assert told() == [(State.SENT, Reason.NONE)]
    assert {body["id"] for body in bodies(receiver)} == {replayed.json()["id"]}
    assert own.post(replay).status_code == 409
    nobody = f"{address}/notifications/notif_{uuid.uuid4()}/replay"
    assert own.post(nobody).status_code == 404


def test_what_was_claimed_when_it_was_stopped_is_not_posted(own, subscribe, buyer, does, receiver):
    made = subscribe()
    does(buyer, "placed-order")
    matching.match_waiting()
    notifying.take(20)
    own.put(f"/subscriptions/{made['id']}", {"active": False})
    later(seconds=61)
    notifying.post_due()
    assert told() == [(State.FAILED, Reason.STOPPED)]
    assert receiver.posted == []


def test_a_replay_is_tried_as_often_as_a_new_one(own, subscribe, buyer, does, worker, receiver):
    made = subscribe()
    receiver.answers = [500, 500, 500]
    does(buyer, "placed-order")
    for _ in range(2):
        worker()
        later(seconds=61)
    own.post(f"/subscriptions/{made['id']}/notifications/{Notification.objects.last().public_id}/replay")
    for _ in range(2):
        worker()
        later(seconds=61)
    assert told() == [(State.SENT, Reason.NONE)]
    assert [body["delivery_attempts"] for body in bodies(receiver)] == [1, 2, 3, 4]


def slow_down(**headers):
    return 429, headers, b"slow down"


def test_a_429_waits_as_long_as_it_says_and_all_others_with_it(own, subscribe, buyer, does, worker, receiver):
    made = subscribe()
    receiver.answers = [slow_down(**{"Retry-After": "300"})]
    does(buyer, "placed-order")
    worker()
    does(buyer, "placed-order", days_ago=1)
    worker()
    later(seconds=290)
    worker()
    assert len(receiver.posted) == 1
    assert own.get(f"/subscriptions/{made['id']}").json()["paused_until"]
    later(seconds=11)
    worker()
    assert told() == [(State.SENT, Reason.NONE)] * 2
    assert the_one().throttles == 0


def test_a_429_without_a_time_waits_longer_each_time_and_is_dropped_in_the_end(
    subscribe, buyer, does, worker, receiver
):
    subscribe()
    receiver.answers = [slow_down() for _ in range(9)]
    does(buyer, "placed-order")
    for minutes in (1, 2, 4, 8, 16, 32, 64, 120):
        worker()
        before = len(receiver.posted)
        later(seconds=minutes * 60 - 5)
        worker()
        assert len(receiver.posted) == before, minutes
        later(seconds=6)
    worker()
    assert told() == [(State.FAILED, Reason.THROTTLED)]
    assert len(receiver.posted) == 9
    assert the_one().active


def test_many_that_meet_a_429_at_once_are_one_wait(subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [slow_down() for _ in range(20)]
    does(buyer, "placed-order", times=20)
    worker()
    later(seconds=61)
    worker()
    assert told() == [(State.SENT, Reason.NONE)] * 20


def test_a_429_among_successes_is_kept_to(subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [slow_down(), *[200] * 19]
    does(buyer, "placed-order", times=20)
    worker()
    assert the_one().is_paused
    later(seconds=61)
    worker()
    assert told() == [(State.SENT, Reason.NONE)] * 20


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120), ("0", 1), ("Wed, 21 Oct 2015 07:28:00 GMT", 1), ("soon", None), ("", None), ("²", None)]
    + [("Wed, 21 Oct 99999999999 07:28:00 GMT", None), ("9" * 90, 10**6)],
)
def test_a_retry_after_is_read(said, seconds):
    assert notifying.wait_in(said) == (None if seconds is None else timedelta(seconds=seconds))


def test_a_retry_after_may_be_a_time():
    at = (timezone.now() + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert 85 <= notifying.wait_in(at).total_seconds() <= 90


def test_more_than_a_thousand_straight_errors_pause_it_for_a_quarter_of_an_hour(
    subscribe, buyer, does, worker, receiver
):
    subscribe()
    does(buyer, "placed-order", times=3)
    Subscription.objects.update(straight_errors=999, counted_since=timezone.now(), failing_since=timezone.now())
    receiver.answers = [500, 500, 500]
    worker()
    assert the_one().is_paused
    later(minutes=14)
    does(buyer, "placed-order", days_ago=1)
    worker()
    assert len(receiver.posted) == 3
    later(minutes=2)
    worker()
    assert told() == [(State.SENT, Reason.NONE)] * 4
    assert not the_one().is_paused


def test_a_thousand_errors_do_not_pause_it_nor_do_slower_ones(subscribe, buyer, does, worker, receiver):
    subscribe()
    Subscription.objects.update(straight_errors=999, counted_since=timezone.now())
    receiver.answers = [500]
    does(buyer, "placed-order")
    worker()
    assert not the_one().is_paused
    later(minutes=16)
    receiver.answers = [500]
    worker()
    assert (the_one().is_paused, the_one().straight_errors) == (False, 1)


def test_one_success_ends_a_row_of_errors(subscribe, buyer, does, worker, receiver):
    subscribe()
    Subscription.objects.update(straight_errors=999, counted_since=timezone.now(), failing_since=timezone.now())
    does(buyer, "placed-order")
    worker()
    assert (the_one().straight_errors, the_one().failing_since) == (0, None)


def test_errors_for_seven_days_stop_it(own, subscribe, buyer, does, worker, receiver, admin, shop):
    made = subscribe()
    receiver.answers = [500] * 3
    does(buyer, "placed-order")
    worker()
    later(days=6, hours=23)
    worker()
    assert the_one().active
    later(hours=2)
    does(buyer, "placed-order", days_ago=1)
    does(buyer, "signed-up")
    worker()
    shown = own.get(f"/subscriptions/{made['id']}").json()
    assert not shown["active"]
    assert "7 days" in shown["stopped_because"]
    assert {state for state, _ in told()} == {State.FAILED}
    assert "For 7 days" in admin.get(f"/app/{shop.app_id}/").content.decode()
    own.put(f"/subscriptions/{made['id']}", {"active": True})
    assert the_one().stopped_because == ""
    does(buyer, "placed-order", days_ago=2)
    worker()
    assert told()[-1] == (State.SENT, Reason.NONE)


def test_a_private_address_is_never_posted_to(subscribe, buyer, does, worker, receiver, settings):
    subscribe()
    settings.WEBHOOK_ALLOW_PRIVATE = False
    does(buyer, "placed-order")
    worker()
    assert told() == [(State.FAILED, Reason.NOT_ALLOWED)]
    assert "not on the public internet" in Notification.objects.last().detail
    assert receiver.posted == []


# Workers that die, and many of them ----------------------------------------------------------------------------------


def test_what_a_killed_worker_had_is_posted_when_its_lease_ran_out(subscribe, buyer, does, receiver):
    subscribe()
    does(buyer, "placed-order")
    matching.match_waiting()
    [lost] = notifying.take(20)
    notifying.post_due()
    assert receiver.posted == []
    later(seconds=61)
    notifying.post_due()
    assert [body["id"] for body in bodies(receiver)] == [lost.public_id]
    assert told() == [(State.SENT, Reason.NONE)]


def test_a_worker_that_comes_back_too_late_notes_nothing(subscribe, buyer, does, receiver):
    subscribe()
    does(buyer, "placed-order")
    matching.match_waiting()
    late = notifying.take(20)
    later(seconds=61)
    notifying.post_due()
    receiver.answers = [410]
    with ThreadPoolExecutor(1) as lines:
        notifying._post_all(late, lines)
    assert told() == [(State.SENT, Reason.NONE)]
    assert the_one().active


@pytest.mark.django_db(transaction=True)
def test_many_workers_post_each_once(own, receiver, buyer, does):
    subscribe_without_work(own, receiver)
    does(buyer, "placed-order", times=120)
    matching.match_waiting()

    def work():
        try:
            notifying.post_due()
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    ids = [body["id"] for body in bodies(receiver)]
    assert len(ids) == len(set(ids)) == 121
    assert {state for state, _ in told()} == {State.SENT}


def test_a_worker_is_woken_and_a_sweep_needs_no_waking(
    subscribe, buyer, does, wakeups, settings, django_capture_on_commit_callbacks
):
    subscribe()
    wakeups.clear()
    with django_capture_on_commit_callbacks(execute=True):
        does(buyer, "placed-order")
        matching.match_waiting()
    assert "messaging.tasks.post_notifications" in wakeups
    swept = {entry["task"]: entry["schedule"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert swept["messaging.tasks.post_notifications"] == 5


def test_ended_ones_are_forgotten_after_some_days(subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [200, 410]
    does(buyer, "placed-order")
    worker()
    does(buyer, "placed-order", days_ago=1)
    worker()
    later(days=6, hours=23)
    notifying.forget_ended()
    assert len(told()) == 2
    later(hours=2)
    notifying.forget_ended()
    assert told() == [(State.FAILED, Reason.GONE)]
    later(days=24)
    notifying.forget_ended()
    assert told() == []


def test_the_list_has_pages_and_a_filter(own, subscribe, buyer, does, worker, receiver):
    made = subscribe()
    receiver.answers = [410]
    does(buyer, "placed-order", times=1)
    worker()
    own.put(f"/subscriptions/{made['id']}", {"active": True})
    does(buyer, "placed-order", times=5, days_ago=1)
    worker()
    address, seen, after = f"/subscriptions/{made['id']}/notifications", [], ""
    while after is not None:
        page = own.get(f"{address}?per_page=2&starting_after={after}").json()
        seen += [row["id"] for row in page["data"]]
        after = page["pages"]["next"] and page["pages"]["next"]["starting_after"]
    assert len(seen) == len(set(seen)) == 7
    [failed] = own.get(f"{address}?state=failed").json()["data"]
    assert (failed["reason"], failed["detail"][:3]) == ("gone", "410")
    assert own.get(f"{address}?state=lost").json()["errors"][0]["field"] == "state"


# People --------------------------------------------------------------------------------------------------------------


def test_of_the_deleted_nothing_is_told_or_kept(subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [(500, {}, b"no buyer@example.org here")]
    does(buyer, "placed-order", times=2)
    worker()
    erase(buyer)
    later(days=1)
    worker()
    assert Notification.objects.filter(topic="event.created").count() == 0
    assert len(receiver.posted) == 2


def test_a_merge_tells_of_the_heir_and_nothing_twice(subscribe, person, does, worker, receiver):
    subscribe()
    lead, heir = person(None, role="lead", email="ada@example.org"), person("25", email="heir@example.org")
    at = int(time.time())
    does(lead, "placed-order", at=at)
    does(heir, "placed-order", at=at)
    does(lead, "placed-order", at=at - 5)
    matching.match_waiting()
    merge(lead, heir)
    worker()
    items = [body["data"]["item"] for body in bodies(receiver)]
    assert {item["user_id"] for item in items} == {"25"}
    assert sorted(item["created_at"] for item in items) == [at - 5, at]
    assert {item["id"] for item in items} == {str(event.public_id) for event in Event.objects.filter(contact=heir)}


def test_an_export_says_what_others_were_told(subscribe, buyer, does, worker, receiver):
    subscribe()
    does(buyer, "placed-order", metadata={"code": "C-7"})
    worker()
    told_of = json.loads("".join(export(buyer)))["notifications"]
    assert [(one["told_to"], one["item"]["metadata"]) for one in told_of] == [("127.0.0.1", {"code": "C-7"})]


# The page ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def press(admin, shop):
    """Press a button of the page as an admin: `press("ping", subscription)`; returns the page that follows."""

    def post(act, subscription=None, **data):
        address = f"/app/{shop.app_id}/settings/webhooks/" + (f"{subscription.pk}/" if subscription else "")
        prefix = subscription.public_id if subscription else "new"
        fields = {f"{prefix}-{name}": data.pop(name) for name in ("url", "event_names", "hub_secret") if name in data}
        return admin.post(address, {"act": act} | fields | data, follow=True)

    return post


def shown(answer) -> str:
    return html.unescape(answer.content.decode())


def test_an_admin_makes_one_on_the_page(press, receiver, worker, buyer, does):
    page = press("", url=receiver.url, event_names="Placed.Order\n\n signed-up \n", hub_secret="s3cret")
    assert "A ping is on its way." in shown(page)
    made = the_one()
    assert (made.event_names(), made.hub_secret) == (["placed-order", "signed-up"], "s3cret")
    does(buyer, "placed-order")
    worker()
    # They are posted side by side.
    assert {body["topic"] for body in bodies(receiver)} == {"ping", "event.created"}
    assert "s3cret" not in shown(press("ping", made))


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(press):
    page = press("", url="http://10.0.0.1/hook", event_names="placed-order\n" + "a" * 256)
    assert page.status_code == 422
    assert 'value="http://10.0.0.1/hook"' in shown(page)
    assert "placed-order\n" + "a" * 256 in shown(page).replace("\r", "")
    assert "10.0.0.1 is not on the public internet" in shown(page)
    assert "more than 255 characters" in shown(page)
    assert not Subscription.objects.exists()


def test_an_admin_changes_turns_off_resumes_and_deletes_it(press, subscribe):
    subscribe("placed-order", hub_secret="s3cret")
    page = press("change", the_one(), url=PUBLIC, event_names="signed-up", hub_secret="")
    assert "Saved." in shown(page)
    assert (the_one().url, the_one().event_names(), the_one().hub_secret) == (PUBLIC, ["signed-up"], "s3cret")
    wrong = press("change", the_one(), url="nowhere", event_names="signed-up")
    assert wrong.status_code == 422
    assert 'value="nowhere"' in shown(wrong)
    press("turn_off", the_one())
    assert (the_one().active, watched()) == (False, set())
    assert "Resume it first" in shown(press("ping", the_one()))
    press("resume", the_one())
    assert (the_one().active, watched()) == (True, {"signed-up"})
    assert "is deleted" in shown(press("delete", the_one()))
    assert (Subscription.objects.count(), watched()) == (0, set())


def test_failures_are_shown_with_their_reason_and_replayed(press, subscribe, own, buyer, does, worker, receiver):
    made = subscribe()
    for day in range(7):
        receiver.answers = [(410, {}, b"no more <b>here</b>")]
        does(buyer, "placed-order", days_ago=day)
        worker()
        own.put(f"/subscriptions/{made['id']}", {"active": True})
    answer = press("ping", the_one())
    page = shown(answer)
    assert page.count("The receiver is gone") == 5
    assert "410 Gone: no more <b>here</b>" in page
    assert b"<b>here</b>" not in answer.content
    assert "Replay all 7" in page
    press("replay", the_one(), notification=Notification.objects.failed().first().pk)
    assert Notification.objects.failed().count() == 6
    assert "6 are posted again" in shown(press("replay", the_one()))
    worker()
    assert {state for state, _ in told()} == {State.SENT}
    assert "Nothing is posted again" in shown(press("replay", the_one()))


def test_a_pause_is_ended_from_the_page(press, subscribe, buyer, does, worker, receiver):
    subscribe()
    receiver.answers = [slow_down(**{"Retry-After": "7000"})]
    does(buyer, "placed-order")
    worker()
    assert "Nothing is posted there until" in shown(press("replay", the_one()))
    press("resume", the_one())
    worker()
    assert told() == [(State.SENT, Reason.NONE)]


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_the_page_is_for_admins(staff, role, shop, subscribe, admin, other_shop):
    subscribe()
    address = f"/app/{shop.app_id}/settings/webhooks/"
    colleague, stranger = staff(role), staff("admin", other_shop)
    assert colleague.get(address).status_code == colleague.post(f"{address}{the_one().pk}/").status_code == 403
    assert stranger.get(address).status_code == 404
    elsewhere = f"/app/{other_shop.app_id}/settings/webhooks/{the_one().pk}/"
    assert stranger.post(elsewhere, {"act": "delete"}).status_code == 404
    assert admin.post(f"{address}{the_one().pk}/", {"act": "explode"}).status_code == 404
    assert the_one().active


def test_the_page_asks_as_much_for_many_as_for_one(admin, shop, subscribe):
    address = f"/app/{shop.app_id}/settings/webhooks/"

    def questions():
        with CaptureQueriesContext(connection) as asked:
            assert admin.get(address).status_code == 200
        return len(asked)

    subscribe()
    questions()
    with_one = questions()
    for _ in range(3):
        subscribe()
    assert questions() == with_one


def test_an_event_says_that_a_webhook_uses_it(admin, shop, subscribe, receiver):
    subscribe()
    page = shown(admin.get(f"/app/{shop.app_id}/events/{EventType.objects.get().pk}/"))
    assert the_one().get_absolute_url() in page
    assert receiver.url not in page, "it may hold a secret, and viewers read this"


def test_metrics_count_what_waits_and_what_failed(client, subscribe, buyer, does):
    subscribe()
    does(buyer, "placed-order")
    matching.match_waiting()
    text = client.get("/metrics").content.decode()
    assert 'eventsapp_notifications{state="queued"} 1' in text
    assert "eventsapp_notification_oldest_due_seconds" in text
