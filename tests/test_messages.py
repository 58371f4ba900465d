"""From an event to a message, and a reason for every message that is not sent."""

import smtplib
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from eventsapp.ingest import event_type
from eventsapp.models import EventType, HandOver, Source
from messaging import matching, rules, sending
from messaging.models import AutoMessage, Delivery, Policy
from segments.models import Segment

pytestmark = pytest.mark.django_db
State, Reason = Delivery.State, Delivery.Reason


@pytest.fixture
def rule(shop):
    """Make a live rule that thanks for an order."""

    def make(event="placed-order", live=True, **fields):
        fields = {"subject": "Thanks", "body": "<p>{{ event.metadata.code }}</p>", "frequency": "every_time"} | fields
        message = AutoMessage.objects.create(workspace=shop, name="Thanks", trigger=event_type(shop, event), **fields)
        if live:
            rules.go_live(message)
        return message

    return make


def ends():
    return list(Delivery.objects.order_by("pk").values_list("state", "reason"))


def test_an_order_sends_the_thank_you_with_its_metadata(rule, buyer, does, worker, mailoutbox):
    rule(
        subject='Thanks, {{ contact.name | fallback: "there" }}',
        body="<p>{{ event.metadata.code }}: {{ event.metadata.total | money }}</p>",
    )
    does(buyer, "placed-order", metadata={"code": "C-7", "total": {"amount": 4900, "currency": "usd"}})
    worker()
    [mail] = mailoutbox
    assert mail.to == ["buyer@example.org"]
    assert mail.subject == "Thanks, Ada Buyer"
    assert "C-7: 49.00 USD" in mail.body
    assert mail.extra_headers["Message-ID"] == Delivery.objects.get().mail_id
    assert ends() == [(State.SENT, Reason.NONE)]
    assert not HandOver.objects.exists()


def test_ingest_wakes_the_worker_after_its_commit_and_only_for_watched_events(rule, buyer, does, wakeups):
    rule()
    does(buyer, "opened-app")
    assert wakeups == []
    assert not HandOver.objects.exists()
    does(buyer, "placed-order")
    assert wakeups == ["messaging.tasks.match_events"]
    assert HandOver.objects.get().occurrence == 1


def test_only_events_whose_metadata_match_trigger(rule, buyer, does, worker):
    rule(where=[{"key": "total", "op": "gte", "value": {"amount": 4900, "currency": "usd"}}])
    for amount in (4800, 4900, 5000):
        does(buyer, "placed-order", metadata={"total": {"amount": amount, "currency": "USD"}})
    worker()
    assert [delivery.event["metadata"]["total"]["amount"] for delivery in Delivery.objects.order_by("pk")] == [
        4900,
        5000,
    ]


def test_only_events_received_since_it_is_live_trigger(rule, buyer, does, worker):
    does(buyer, "placed-order", metadata={"n": 1})
    message = rule()
    does(buyer, "placed-order", metadata={"n": 2})
    rules.pause(message)
    does(buyer, "placed-order", metadata={"n": 3})
    worker()
    assert [delivery.event["metadata"]["n"] for delivery in Delivery.objects.all()] == []
    rules.go_live(message)
    does(buyer, "placed-order", metadata={"n": 4})
    worker()
    assert [delivery.event["metadata"]["n"] for delivery in Delivery.objects.all()] == [4]


def test_pausing_the_last_rule_stops_the_handing_over(rule, buyer, does):
    one, other = rule(), rule()
    rules.pause(one)
    assert EventType.objects.get().watched
    rules.pause(other)
    assert not EventType.objects.get().watched
    does(buyer, "placed-order")
    assert not HandOver.objects.exists()


def test_a_duplicate_sends_nothing_more(rule, buyer, does, worker, mailoutbox):
    rule()
    at = int(time.time()) - 5
    for _ in range(3):
        does(buyer, "placed-order", at=at)
        worker()
    assert len(mailoutbox) == 1


def test_imported_history_sends_nothing(rule, buyer, does, worker):
    rule()
    does(buyer, "placed-order", source=Source.IMPORT)
    does(buyer, "placed-order", metadata={"another": 1}, historical=True)
    worker()
    assert ends() == []


def test_the_audience_counts_the_triggering_event(rule, shop, buyer, person, does, worker):
    second = {"kind": "event", "event": "placed-order", "did": True, "count": {"op": "gte", "value": 2}}
    audience = Segment.objects.create(
        workspace=shop, name="Again", definition={"version": 1, "match": "all", "conditions": [second]}
    )
    rule(audience=audience)
    does(buyer, "placed-order", days_ago=3, source=Source.IMPORT)
    does(buyer, "placed-order")
    does(person("new", email="new@example.org"), "placed-order")
    worker()
    assert ends() == [(State.SENT, Reason.NONE), (State.SKIPPED, Reason.NOT_IN_AUDIENCE)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"email": None}, Reason.NO_ADDRESS),
        ({"unsubscribed_from_emails": True}, Reason.UNSUBSCRIBED),
        ({"archived_at": 1}, Reason.NOT_IN_AUDIENCE),
    ],
    ids=str,
)
def test_who_cannot_get_it_is_skipped_with_the_reason(rule, person, does, worker, mailoutbox, fields, reason):
    rule()
    does(person("x", **({"email": "x@example.org"} | fields)), "placed-order")
    worker()
    assert ends() == [(State.SKIPPED, reason)]
    assert mailoutbox == []


def test_once_means_one_message_per_person(rule, buyer, person, does, worker, mailoutbox):
    rule(frequency="once")
    does(buyer, "placed-order", times=3)
    worker()
    does(buyer, "placed-order", times=2, days_ago=0.5)
    does(person("other", email="other@example.org"), "placed-order")
    worker()
    assert sorted(mail.to[0] for mail in mailoutbox) == ["buyer@example.org", "other@example.org"]
    assert ends().count((State.SKIPPED, Reason.FREQUENCY)) == 4


def test_a_skipped_message_does_not_count_as_the_first(rule, person, does, worker, mailoutbox):
    rule(frequency="once")
    late = person("late")
    does(late, "placed-order", metadata={"n": 1})
    worker()
    late.email = "late@example.org"
    late.fold_texts()
    late.save()
    does(late, "placed-order", metadata={"n": 2})
    worker()
    assert ends() == [(State.SKIPPED, Reason.NO_ADDRESS), (State.SENT, Reason.NONE)]


def test_what_is_too_old_is_held_and_goes_out_when_released(rule, buyer, does, worker, mailoutbox):
    rule()
    does(buyer, "placed-order", days_ago=30)
    does(buyer, "placed-order", days_ago=0.9)
    worker()
    assert ends() == [(State.HELD, Reason.TOO_OLD), (State.SENT, Reason.NONE)]
    assert sending.release(Delivery.objects.get(state=State.HELD))
    worker()
    assert len(mailoutbox) == 2


def test_what_is_held_is_the_first_until_it_is_cancelled_and_a_release_keeps_to_once(
    rule, buyer, does, worker, mailoutbox
):
    rule(frequency="once")
    does(buyer, "placed-order", days_ago=30)
    does(buyer, "placed-order")
    worker()
    assert ends() == [(State.HELD, Reason.TOO_OLD), (State.SKIPPED, Reason.FREQUENCY)]
    held = Delivery.objects.get(state=State.HELD)
    assert sending.cancel(held)
    assert not sending.cancel(held)
    does(buyer, "placed-order", at=int(time.time()) - 60)
    worker()
    assert ends()[0] == (State.CANCELLED, Reason.BY_STAFF)
    assert len(mailoutbox) == 1
    Delivery.objects.filter(pk=held.pk).update(state=State.HELD)
    assert not sending.release(held)


def test_a_text_that_cannot_be_filled_in_fails_with_its_words_and_can_be_replayed(
    rule, buyer, does, worker, mailoutbox
):
    message = rule(body="{{ event.metadata.code | money }}")
    does(buyer, "placed-order", metadata={"code": "x"})
    worker()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.reason) == (State.FAILED, Reason.TEMPLATE_ERROR)
    assert "money" in delivery.detail
    AutoMessage.objects.filter(pk=message.pk).update(body="{{ event.metadata.code }}")
    assert sending.release(delivery)
    worker()
    assert "x" in mailoutbox[0].body


def test_a_paused_rule_holds_what_it_had_queued(rule, buyer, does, worker, mailoutbox):
    message = rule()
    does(buyer, "placed-order")
    matching.match_waiting()
    rules.pause(message)
    worker()
    assert ends() == [(State.HELD, Reason.NOT_LIVE)]
    rules.go_live(message)
    assert sending.release(Delivery.objects.get())
    worker()
    assert len(mailoutbox) == 1


def test_going_live_catches_up_with_what_a_slow_writer_stored(rule, buyer, does, worker, shop):
    message = rule()
    # A transaction that began before the rule was live did not see that it is watched.
    EventType.objects.update(watched=False)
    does(buyer, "placed-order")
    EventType.objects.update(watched=True)
    assert not HandOver.objects.exists()
    AutoMessage.objects.update(live_since=timezone.now() - rules.CATCH_UP_AFTER)
    rules.catch_up()
    rules.catch_up()
    worker()
    assert ends() == [(State.SENT, Reason.NONE)]
    message.refresh_from_db()
    assert message.caught_up


def test_a_rule_that_cannot_work_does_not_go_live(rule):
    broken = rule(live=False, body="{{ event.metadata.code ")
    with pytest.raises(rules.NotReady):
        rules.go_live(broken)
    broken.refresh_from_db()
    assert broken.state == AutoMessage.State.DRAFT


# Sending ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def queued(rule, buyer, does):
    """A delivery that is to be sent now."""
    rule()
    does(buyer, "placed-order")
    matching.match_waiting()
    return Delivery.objects.get()


def test_a_claim_is_for_one_worker_until_its_lease_runs_out(queued):
    [first] = sending.take(20)
    assert sending.take(20) == []
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    [second] = sending.take(20)
    assert second.claim != first.claim


def test_a_worker_whose_lease_ran_out_notes_nothing(queued, shop, mailoutbox):
    [slow] = sending.take(1, only=queued.pk)
    Delivery.objects.update(due_at=timezone.now())
    [quick] = sending.take(1)
    sending.deliver(slow, Policy.of(shop))
    assert Delivery.objects.get().state == State.SENDING
    sending.deliver(quick, Policy.of(shop))
    assert Delivery.objects.get().state == State.SENT
    # Both went out, under one Message-ID: the receiver can tell.
    assert len({mail.extra_headers["Message-ID"] for mail in mailoutbox}) == 1


def test_what_is_claimed_and_finds_no_time_is_given_back(rule, buyer, does, worker, mailoutbox, monkeypatch):
    rule()
    does(buyer, "placed-order", times=3)
    matching.match_waiting()
    monkeypatch.setattr(sending, "ENOUGH", -1)
    monkeypatch.setattr(sending, "TURN", 0.01)
    assert sending.send_due() == 0
    assert Delivery.objects.due().count() == 3
    monkeypatch.undo()
    assert sending.send_due() == 3


def test_a_channel_is_used_as_fast_as_it_may_be(rule, buyer, does, settings, mailoutbox, wakeups):
    settings.PER_SECOND = {"email": 5, "webhook": 0, "in_app": 0}
    rule()
    rule(channel="in_app")
    does(buyer, "placed-order", times=12)
    matching.match_waiting()
    sending.send_due()
    assert len(mailoutbox) <= 6
    assert wakeups[-1] == "messaging.tasks.send_due"
    began = time.monotonic()
    while len(mailoutbox) < 12:
        sending.send_due()
    assert time.monotonic() - began > 1
    assert Delivery.objects.filter(message__channel="in_app", state=State.SENT).count() == 12


REFUSALS = [
    (smtplib.SMTPRecipientsRefused({"buyer@example.org": (550, b"no such user")}), State.FAILED, Reason.REFUSED),
    (smtplib.SMTPRecipientsRefused({"buyer@example.org": (450, b"mailbox busy")}), State.QUEUED, Reason.NONE),
    (smtplib.SMTPDataError(554, b"spam"), State.FAILED, Reason.REFUSED),
    (smtplib.SMTPDataError(451, b"later"), State.QUEUED, Reason.NONE),
    (smtplib.SMTPAuthenticationError(535, b"bad password"), State.QUEUED, Reason.NONE),
    (smtplib.SMTPSenderRefused(550, b"not from you", "me"), State.QUEUED, Reason.NONE),
    (smtplib.SMTPServerDisconnected("gone"), State.QUEUED, Reason.NONE),
    (ConnectionRefusedError("refused"), State.QUEUED, Reason.NONE),
    (TimeoutError("slow"), State.QUEUED, Reason.NONE),
    (RuntimeError("a bug"), State.FAILED, Reason.BROKEN),
]


class StubbornServer:
    """A mail backend whose server answers as the test says: Django's border, not our code."""

    error = None

    def __init__(self, **kwargs):
        pass

    def send_messages(self, messages):
        raise StubbornServer.error


@pytest.mark.parametrize(("error", "state", "reason"), REFUSALS, ids=lambda value: repr(value)[:50])
def test_what_the_server_says_decides_the_end(queued, settings, error, state, reason):
    settings.EMAIL_BACKEND = "tests.test_messages.StubbornServer"
    StubbornServer.error = error
    sending.send_due()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.reason, delivery.attempts) == (state, reason, 1)
    assert delivery.detail
    if state == State.QUEUED:
        assert timedelta(seconds=20) < delivery.due_at - timezone.now() < timedelta(seconds=40)


def test_after_a_day_of_tries_it_is_given_up_and_can_be_replayed(queued, settings, mailoutbox):
    settings.EMAIL_BACKEND = "tests.test_messages.StubbornServer"
    StubbornServer.error = ConnectionRefusedError("refused")
    Delivery.objects.update(queued_at=timezone.now() - timedelta(hours=25))
    sending.send_due()
    assert ends() == [(State.FAILED, Reason.GAVE_UP)]
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert sending.release(Delivery.objects.get())
    sending.send_due()
    assert ends() == [(State.SENT, Reason.NONE)]


def test_an_event_that_cannot_be_matched_is_parked_and_blocks_nobody(rule, shop, buyer, does, worker, mailoutbox):
    broken = Segment.objects.create(workspace=shop, name="Broken", definition={"conditions": [{"kind": "gone"}]})
    rule(event="signed-up", audience=broken)
    rule(event="signed-up", subject="Another rule of that event")
    rule(event="placed-order")
    does(buyer, "signed-up")
    does(buyer, "placed-order")
    for _ in range(matching.MOST_ATTEMPTS):
        HandOver.objects.update(due_at=timezone.now())
        worker()
    assert sorted(mail.subject for mail in mailoutbox) == ["Another rule of that event", "Thanks"]
    parked = HandOver.objects.get()
    assert parked.parked_at
    assert "Invalid" in parked.error
