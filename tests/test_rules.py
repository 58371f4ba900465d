"""The life of a rule beyond going live: running away, being edited, ending; and what waits meanwhile."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from eventsapp.ingest import event_type
from eventsapp.models import EventType, Source
from messaging import matching, rules, sending
from messaging.models import AutoMessage, Delivery
from segments.definition import Invalid

pytestmark = pytest.mark.django_db
State, Reason = Delivery.State, Delivery.Reason


@pytest.fixture
def rule(shop):
    """Make a live rule that thanks for an order."""

    def make(event="placed-order", **fields):
        fields = {"subject": "Thanks", "body": "<p>{{ event.metadata.n }}</p>", "frequency": "every_time"} | fields
        message = AutoMessage.objects.create(workspace=shop, name="Thanks", trigger=event_type(shop, event), **fields)
        rules.go_live(message)
        return message

    return make


def ends():
    return list(Delivery.objects.order_by("pk").values_list("state", "reason"))


# Running away ---------------------------------------------------------------------------------------------------------


def test_a_rule_that_runs_away_pauses_itself_says_so_and_loses_nothing(
    rule, shop, staff, buyer, does, worker, mailoutbox, django_capture_on_commit_callbacks
):
    staff("admin")
    staff("viewer")
    message = rule(guard_per_hour=3)
    for n in range(5):
        does(buyer, "placed-order", metadata={"n": n})
    with django_capture_on_commit_callbacks(execute=True):
        matching.match_waiting()
    message.refresh_from_db()
    assert message.state == AutoMessage.State.PAUSED
    assert "More than 3 messages" in message.paused_because
    [told] = mailoutbox
    assert told.to == [f"admin-{shop.pk}@example.org"]
    assert message.get_absolute_url() in told.body

    # What came to be is held, and so is what comes after: nothing is sent, nothing is lost.
    does(buyer, "placed-order", metadata={"n": 5})
    worker()
    assert ends() == [(State.HELD, Reason.NOT_LIVE)] * 6
    assert len(mail.outbox) == 1

    home = staff("editor").get(shop.get_absolute_url()).content.decode()
    assert "“Thanks” has paused itself. More than 3 messages" in home

    since = message.live_since
    rules.go_live(message)
    message.refresh_from_db()
    assert (message.state, message.paused_because, message.live_since) == (AutoMessage.State.LIVE, "", since)
    assert sending.release_all(message, State.HELD) == 6
    AutoMessage.objects.update(guard_per_hour=100)
    worker()
    assert ends() == [(State.SENT, Reason.NONE)] * 6


def test_what_is_held_is_cancelled_as_a_whole(rule, buyer, does, worker, mailoutbox):
    message = rule()
    does(buyer, "placed-order", times=4, days_ago=3)
    worker()
    assert sending.cancel_all(message, State.HELD) == 4
    assert ends() == [(State.CANCELLED, Reason.BY_STAFF)] * 4
    assert sending.release_all(message, State.HELD) == 0


def test_a_guard_counts_an_hour(rule, buyer, does, worker):
    message = rule(guard_per_hour=2)
    does(buyer, "placed-order", times=2)
    worker()
    Delivery.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    does(buyer, "placed-order", metadata={"n": 7})
    worker()
    message.refresh_from_db()
    assert message.state == AutoMessage.State.LIVE


def test_pausing_by_hand_ends_what_the_guard_went_on_with(rule, buyer, does, worker):
    message = rule(guard_per_hour=1)
    does(buyer, "placed-order", times=2)
    worker()
    message.refresh_from_db()
    rules.pause(message)
    assert not EventType.objects.get().watched
    does(buyer, "placed-order", metadata={"n": 9})
    worker()
    assert Delivery.objects.count() == 2


# Versions -------------------------------------------------------------------------------------------------------------


def test_every_delivery_knows_the_version_that_it_sent(rule, editor, buyer, does, worker, mailoutbox):
    message = rule()
    does(buyer, "placed-order", metadata={"n": 1})
    worker()
    message.body = "<p>New {{ event.metadata.n }}</p>"
    message.save()
    second = rules.note_version(message, by=editor.user)
    assert rules.note_version(message, by=editor.user) == second
    does(buyer, "placed-order", metadata={"n": 2})
    worker()
    first, last = Delivery.objects.order_by("pk")
    assert (first.version.number, last.version.number) == (1, 2)
    assert first.version.rule["body"] != last.version.rule["body"] == "<p>New {{ event.metadata.n }}</p>"
    assert last.version.made_by == editor.user
    assert "New 2" in last.body


def test_what_waited_is_sent_as_the_rule_is_now(rule, buyer, does, worker, mailoutbox):
    message = rule(delay_seconds=3600)
    does(buyer, "placed-order", metadata={"n": 1})
    worker()
    message.subject = "Better words"
    message.save()
    rules.note_version(message)
    Delivery.objects.update(due_at=timezone.now())
    worker()
    assert mailoutbox[0].subject == "Better words"
    assert Delivery.objects.get().version.number == 2


# What is wrong with a rule ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken", [{"unless": {"event": ""}}, {"hours": {"days": []}}, {"conditions": {"conditions": [{"kind": "gone"}]}}]
)
def test_a_rule_that_breaks_while_its_messages_wait_ends_them_and_holds_up_no_others(
    rule, buyer, does, worker, mailoutbox, broken
):
    message, other = rule(delay_seconds=60), rule(delay_seconds=60)
    does(buyer, "placed-order")
    worker()
    AutoMessage.objects.filter(pk=message.pk).update(**broken)
    Delivery.objects.update(due_at=timezone.now(), created_at=timezone.now() - timedelta(minutes=5))
    worker()
    ended = dict(Delivery.objects.values_list("message", "state"))
    assert ended == {message.pk: State.FAILED, other.pk: State.SENT}
    assert Delivery.objects.get(message=message).reason == Reason.BROKEN
    assert Delivery.objects.get(message=message).detail


# Ending ---------------------------------------------------------------------------------------------------------------


def test_an_archived_rule_answers_nothing_and_cancels_what_waits(rule, buyer, does, worker, mailoutbox):
    message = rule(delay_seconds=60)
    does(buyer, "placed-order", metadata={"n": 1})
    does(buyer, "placed-order", metadata={"n": 2}, at=int(timezone.now().timestamp()) - 5 * 86_400)
    worker()
    assert ends() == [(State.QUEUED, Reason.NONE), (State.HELD, Reason.TOO_OLD)]
    rules.archive(message)
    Delivery.objects.filter(state=State.QUEUED).update(due_at=timezone.now())
    does(buyer, "placed-order", metadata={"n": 3})
    worker()
    assert ends() == [(State.CANCELLED, Reason.ARCHIVED)] * 2
    assert mailoutbox == []


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"body": " "}, "The body is empty"),
        ({"subject": ""}, "The subject is empty"),
        ({"subject": "{{ contact.name"}, "The subject"),
        ({"channel": "webhook", "url": ""}, "The address of the webhook"),
        ({"channel": "webhook", "url": "http://127.0.0.1/"}, "127.0.0.1"),
    ],
    ids=str,
)
def test_a_rule_that_could_send_nothing_does_not_go_live(shop, fields, missing):
    whole = {"subject": "Thanks", "body": "Thanks"} | fields
    message = AutoMessage.objects.create(workspace=shop, name="No", trigger=event_type(shop, "placed-order"), **whole)
    with pytest.raises(rules.NotReady, match=missing):
        rules.go_live(message)


def test_a_rule_whose_conditions_cannot_be_asked_does_not_go_live(shop):
    for wrong in ({"conditions": {"conditions": [{"kind": "gone"}]}}, {"unless": {"event": ""}}):
        message = AutoMessage.objects.create(
            workspace=shop, name="No", trigger=event_type(shop, "placed-order"), subject="S", body="B", **wrong
        )
        with pytest.raises(Invalid):
            rules.go_live(message)


# From a browser -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "allows", "end"),
    [("email", False, State.SKIPPED), ("email", True, State.SENT), ("in_app", False, State.SENT)],
)
def test_what_a_browser_proved_nothing_about_mails_only_where_the_rule_allows_it(
    rule, buyer, does, worker, channel, allows, end
):
    rule(channel=channel, allows_browser=allows)
    does(buyer, "placed-order", source=Source.BROWSER)
    does(buyer, "placed-order", source=Source.BROWSER_VERIFIED, metadata={"n": 2})
    worker()
    assert [state for state, _ in ends()] == [end, State.SENT]
