"""Merging somebody into whom they turned out to be: nothing of what they did is lost, doubled, or told of them twice."""

import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventsapp import erasing, merging, signals
from eventsapp.errors import NotFound, Refused
from eventsapp.incoming import ImportedTotal, Who, fingerprint_of, read_event
from eventsapp.ingest import event_type, ingest, ingest_known, set_totals
from eventsapp.merging import merge
from eventsapp.models import Contact, Event, EventSummary, EventType, HandOver, Tagging, Volume, Workspace
from eventsapp.people import archive, contact_named, create_contact
from eventsapp.sql import database_now
from eventsapp.summaries import differences
from eventsapp.tags import find_or_create, put_on
from eventsapp.volumes import daily, roll_up
from messaging import matching, rules, sending
from messaging.models import AutoMessage, Delivery, Policy, Recipient
from messaging.tasks import sweep
from tests.conftest import failing
from tests.threads import side_by_side

pytestmark = pytest.mark.django_db

AT = int(time.time()) - 5 * 3600
State, Reason = Delivery.State, Delivery.Reason


def event(name="placed-order", at=AT, metadata=None, **who):
    return read_event({"event_name": name, "created_at": at, "metadata": metadata or {}} | who)


@pytest.fixture
def lead(person):
    """Somebody of whom an app knows little."""
    return person("lead-1", role="lead", email="ada@home.example.org", name="Ada")


@pytest.fixture
def rule(shop):
    """Make a live rule that answers an order."""

    def make(event="placed-order", **fields):
        fields = {"name": "Thanks", "subject": "Thanks", "body": "<p>Thanks</p>", "frequency": "every_time"} | fields
        message = AutoMessage.objects.create(workspace=shop, trigger=event_type(shop, event), **fields)
        rules.go_live(message)
        return message

    return make


def got(rule, contact, state=State.SENT, event_id=None, **fields) -> Delivery:
    """A message that somebody got, or is to get."""
    if state == State.SENT:
        fields = {"sent_at": timezone.now()} | fields
    return Delivery.objects.create(
        message=rule,
        contact=contact,
        event_id=event_id or uuid.uuid4(),
        event={"event_name": rule.trigger.name, "created_at": AT, "metadata": {}},
        state=state,
        version=rule.versions.last(),
        **fields,
    )


def did(contact) -> dict:
    """What somebody's summaries say: {name: (count, first, last, imported count, first, last)}."""
    columns = ("count", "first_at", "last_at", "imported_count", "imported_first_at", "imported_last_at")
    return {
        name: row for name, *row in EventSummary.objects.filter(contact=contact).values_list("type__name", *columns)
    }


def left_of(contact) -> dict:
    models = (Event, EventSummary, HandOver, Tagging, Delivery, Recipient)
    return {model.__name__: n for model in models if (n := model.objects.filter(contact=contact).count())}


def volumes(shop) -> int:
    return sum(
        bar.count for bars in daily(EventType.objects.filter(workspace=shop), shop.zone).values() for bar in bars
    )


# Who they are --------------------------------------------------------------------------------------------------------

INHERITED = [
    ("name", "Ada", None, "Ada"),
    ("name", "Ada", "", "Ada"),
    ("name", "Ada", "Ada Lovelace", "Ada Lovelace"),
    ("name", None, None, None),
    ("phone", "+44 1", None, "+44 1"),
    ("phone", "+44 1", "+44 2", "+44 2"),
    ("email", "Ada@home.example.org", None, "Ada@home.example.org"),
    ("email", "ada@home.example.org", "ada@work.example.org", "ada@work.example.org"),
    ("custom_attributes", {"plan": "free", "seats": 3}, {"plan": "pro"}, {"plan": "pro", "seats": 3}),
    ("custom_attributes", {}, {"plan": "pro"}, {"plan": "pro"}),
    ("created_at", 5, 7, 5),
    ("created_at", 7, 5, 5),
    ("signed_up_at", 5, 7, 5),
    ("signed_up_at", 5, None, 5),
    ("signed_up_at", None, 7, 7),
    ("signed_up_at", None, None, None),
    ("last_seen_at", 5, 7, 7),
    ("last_seen_at", 7, 5, 7),
    ("last_seen_at", 7, None, 7),
    ("last_seen_at", None, None, None),
    ("unsubscribed_from_emails", True, False, True),
    ("unsubscribed_from_emails", False, True, True),
    ("unsubscribed_from_emails", False, False, False),
    ("archived_at", 5, None, None),
    ("archived_at", None, 5, 5),
    ("external_id", "one", None, None),
    ("external_id", "one", "other", "other"),
    ("role", "lead", "user", "user"),
]


@pytest.mark.parametrize(("field", "of_source", "own", "after"), INHERITED, ids=[str(row) for row in INHERITED])
def test_the_heir_keeps_what_it_has_and_gets_what_it_lacks(shop, field, of_source, own, after):
    def make(role, value):
        contact = Contact(workspace=shop, **{"role": role, field: value})
        contact.fold_texts()
        contact.save()
        return contact

    heir = merge(make("lead", of_source), make("user", own))
    stored = Contact.objects.get(pk=heir.pk)
    assert getattr(heir, field) == getattr(stored, field) == after
    assert stored.email_folded == (stored.email and stored.email.lower())
    assert stored.name_folded == (stored.name and stored.name.lower())
    folded = Contact(custom_attributes=stored.custom_attributes)
    folded.fold_texts()
    assert stored.terms == folded.terms


def test_what_stays_of_the_other_are_its_ids_and_its_heir(lead, buyer, shop):
    Contact.objects.update(updated_at=1)
    heir = merge(lead, buyer)
    assert heir == buyer
    assert heir.get_absolute_url() == buyer.get_absolute_url()
    assert heir.updated_at > 1
    kept = {name: value for name, value in Contact.objects.filter(pk=lead.pk).values().get().items() if value}
    assert kept.pop("updated_at") > 1
    assert kept.pop("created_at")
    assert kept == {
        "id": lead.pk,
        "workspace_id": shop.pk,
        "role": "lead",
        "external_id": "lead-1",
        "external_id_folded": "lead-1",
        "email": "ada@home.example.org",
        "merged_into_id": buyer.pk,
    }


def test_the_email_of_who_was_merged_is_found_by_nobody_and_bars_nobody(buyer, person, shop):
    nameless = person(None, email="old@example.org")
    merge(nameless, buyer)
    with pytest.raises(NotFound):
        contact_named(shop, email="old@example.org")
    new = create_contact(shop, {"email": "old@example.org"})
    assert contact_named(shop, email="OLD@example.org") == new
    ingest(shop, [event(email="old@example.org")])
    assert did(new)["placed-order"][0] == 1


def test_an_email_goes_to_the_heir_though_both_are_users_without_user_id(person):
    heir = merge(person(None, email="one@example.org"), person(None, name="Other"))
    assert heir.email == "one@example.org"


BARRED = [
    ("user", None, "user", None, None),
    ("user", None, "user", "third", None),
    ("user", "own", "user", None, None),
    ("user", "own", "user", "third", "ada@home.example.org"),
    ("user", "own", "lead", "third", "ada@home.example.org"),
    ("lead", "own", "user", None, "ada@home.example.org"),
]


@pytest.mark.parametrize(("role", "own_id", "other_role", "other_id", "email"), BARRED)
def test_an_email_that_another_has_stays_theirs_alone(person, lead, role, own_id, other_role, other_id, email):
    """As when somebody is made: two users with user_ids may share one."""
    person(other_id, role=other_role, email="ADA@home.example.org")
    assert merge(lead, person(own_id, role=role)).email == email


# Who cannot be -------------------------------------------------------------------------------------------------------


def test_nobody_is_merged_into_themselves_or_into_another_workspace(lead, person, other_shop):
    for into in (lead, person("far", workspace=other_shop)):
        with pytest.raises(Refused) as refused:
            merge(lead, into)
        assert refused.value.status == 400
        assert refused.value.faults[0].code == "invalid_merge"


def test_who_was_deleted_or_merged_away_cannot_be(lead, buyer, person):
    erased, merged, third = person("erased"), person("merged"), person("third")
    erasing.erase(erased)
    merge(merged, third)
    for source, into in [(erased, buyer), (lead, erased), (merged, buyer), (lead, merged), (third, merged)]:
        with pytest.raises(NotFound, match="was deleted, or merged into another"):
            merge(source, into)
    assert left_of(lead) == left_of(buyer) == {}
    assert Contact.objects.get(pk=lead.pk).merged_into is None


def test_twice_is_harmless(lead, buyer, does):
    does(lead, "placed-order")
    merge(lead, buyer)
    before = Contact.objects.filter(pk=buyer.pk).values().get(), did(buyer)
    assert merge(lead, buyer) == buyer
    assert (Contact.objects.filter(pk=buyer.pk).values().get(), did(buyer)) == before


def test_who_is_archived_may_be_merged(lead, buyer, does):
    does(lead, "placed-order")
    merge(archive(lead, archived=True), buyer)
    assert did(buyer)["placed-order"][0] == 1


# What they did -------------------------------------------------------------------------------------------------------


def test_what_one_did_the_other_did(lead, buyer, does):
    does(lead, "placed-order", times=3, at=AT)
    does(lead, "opened-app", at=AT + 9)
    does(buyer, "placed-order", times=2, at=AT + 100)
    does(buyer, "signed-up", at=AT)
    merge(lead, buyer)
    assert did(buyer) == {
        "placed-order": [5, AT - 2, AT + 100, 0, None, None],
        "opened-app": [1, AT + 9, AT + 9, 0, None, None],
        "signed-up": [1, AT, AT, 0, None, None],
    }
    assert left_of(lead) == {}
    assert differences() == []
    assert Event.objects.filter(contact=buyer).count() == 7


def test_an_event_that_both_have_is_one(lead, buyer, does, shop):
    key = str(uuid.uuid4())
    for who in (lead, buyer):
        does(who, "placed-order", times=3, at=AT)
        ingest(shop, [event(id=who.public_id, uuid=key)])
    does(lead, "placed-order", at=AT + 1)
    does(buyer, "opened-app")
    roll_up(until=database_now())
    does(lead, "placed-order", at=AT + 2, metadata={"n": 1})
    does(buyer, "placed-order", at=AT + 2, metadata={"n": 1})
    merge(lead, buyer)
    assert did(buyer)["placed-order"] == [6, AT - 2, AT + 2, 0, None, None]
    assert differences() == []
    # Only what had been counted is counted no longer.
    assert sum(Volume.objects.values_list("count", flat=True)) == 6
    assert volumes(shop) == 7
    roll_up(until=database_now())
    assert volumes(shop) == 7


def test_what_moves_is_counted_where_it_was(lead, buyer, does):
    does(lead, "placed-order", times=3, at=AT)
    roll_up(until=database_now())
    before = set(Volume.objects.values_list("type", "quarter", "count"))
    merge(lead, buyer)
    roll_up(until=database_now())
    assert set(Volume.objects.values_list("type", "quarter", "count")) == before


def test_imported_totals_are_added_up(lead, buyer, shop, does):
    set_totals(shop, Who(id=lead.public_id), [ImportedTotal("placed-order", 5, 100, 300)])
    set_totals(shop, Who(id=buyer.public_id), [ImportedTotal("placed-order", 2, 200, 400)])
    set_totals(shop, Who(id=lead.public_id), [ImportedTotal("opened-app", 1, 7, 8)])
    does(buyer, "placed-order", at=AT)
    does(lead, "opened-app", at=AT)
    merge(lead, buyer)
    assert did(buyer) == {"placed-order": [1, AT, AT, 7, 100, 400], "opened-app": [1, AT, AT, 1, 7, 8]}
    assert left_of(lead) == {}
    assert differences() == []


def test_tags_are_of_the_heir(lead, buyer, shop):
    for name, who in [("VIP", lead), ("VIP", buyer), ("new", lead), ("old", buyer)]:
        put_on(find_or_create(shop, name), who)
    merge(lead, buyer)
    assert sorted(buyer.taggings.values_list("tag__name", flat=True)) == ["VIP", "new", "old"]
    assert left_of(lead) == {}


def test_what_was_said_about_the_one_later_is_of_the_other(lead, buyer, shop, does):
    sent = [event(user_id="lead-1", metadata={"n": 1}), event(id=lead.public_id, at=AT + 1)]
    ingest(shop, sent)
    merge(lead, buyer)
    # A retry of what was stored before is absorbed, by whichever id it comes.
    again = [*sent, event(id=buyer.public_id, metadata={"n": 1}), event(user_id="buyer", at=AT + 1)]
    assert [outcome.duplicate for outcome in ingest(shop, again)] == [True] * 4
    new = [event(user_id="lead-1", at=AT + 2), event(id=lead.public_id, at=AT + 3)]
    assert not any(outcome.duplicate or outcome.person_created for outcome in ingest(shop, new))
    # The same event by both ids, in one list.
    assert [
        o.duplicate for o in ingest(shop, [event(user_id="lead-1", at=AT + 4), event(user_id="buyer", at=AT + 4)])
    ] == [False, True]
    assert did(buyer)["placed-order"] == [5, AT, AT + 4, 0, None, None]
    set_totals(shop, Who(user_id="lead-1"), [ImportedTotal("placed-order", 5, 100, 300)])
    assert did(buyer)["placed-order"][3] == 5
    assert left_of(lead) == {}
    assert Contact.objects.count() == 2


def test_events_stored_in_one_statement_are_the_heirs_too(lead, buyer, shop, does):
    does(buyer, "placed-order", at=AT)
    merge(lead, buyer)
    outcomes = ingest_known(shop, [event(user_id="lead-1", at=AT), event(user_id="lead-1", at=AT + 1)], source="api")
    assert [outcome and outcome.duplicate for outcome in outcomes] in ([True, False], [None, None])
    assert left_of(lead) == {}


def test_one_step_leads_to_the_heir_of_an_heir(person, shop, does):
    chain = [person(name) for name in "abcd"]
    for contact in chain:
        does(contact, "placed-order", at=AT + contact.pk)
    a, b, c, d = chain
    merge(a, b)
    merge(c, d)
    merge(b, d)
    assert set(Contact.objects.exclude(pk=d.pk).values_list("merged_into", flat=True)) == {d.pk}
    assert did(d)["placed-order"][0] == 4
    ingest(shop, [event(user_id=name, at=AT + number) for number, name in enumerate("abcd", 100)])
    assert did(d)["placed-order"][0] == 8
    erasing.erase(Contact.objects.get(pk=d.pk))
    assert not Contact.objects.filter(deleted_at=None).exists()
    assert not Event.objects.exists()


# What is still to be matched -----------------------------------------------------------------------------------------


def test_what_waits_to_be_matched_is_the_heirs(rule, lead, buyer, does, worker, mailoutbox):
    rule()
    does(lead, "placed-order", times=2, at=AT)
    merge(lead, buyer)
    assert set(HandOver.objects.values_list("contact", flat=True)) == {buyer.pk}
    worker()
    assert [mail.to for mail in mailoutbox] == [["buyer@example.org"]] * 2
    assert left_of(lead) == {}


def test_an_event_that_both_have_is_answered_once(rule, lead, buyer, does, worker, mailoutbox):
    rule()
    for who in (lead, buyer):
        does(who, "placed-order", at=AT)
    merge(lead, buyer)
    worker()
    assert len(mailoutbox) == 1


def test_an_event_that_the_heir_had_and_was_answered_is_not_answered_again(rule, lead, buyer, does, worker, mailoutbox):
    rule()
    does(buyer, "placed-order", at=AT)
    worker()
    does(lead, "placed-order", at=AT)
    merge(lead, buyer)
    worker()
    assert len(mailoutbox) == 1
    assert not HandOver.objects.exists()


def test_the_nth_of_an_event_is_the_heirs_nth(rule, lead, buyer, does, worker):
    third = rule(nth=3)
    does(buyer, "placed-order", at=AT + 50)
    does(lead, "placed-order", at=AT + 1)
    does(lead, "placed-order", at=AT + 2)
    does(lead, "placed-order", at=AT + 3)
    HandOver.objects.filter(created_at=AT + 1).delete()  # answered before
    merge(lead, buyer)
    waiting = HandOver.objects.order_by("created_at").values_list("created_at", "occurrence")
    assert list(waiting) == [(AT + 2, 3), (AT + 3, 4), (AT + 50, 1)]
    worker()
    assert Delivery.objects.get(message=third).event["created_at"] == AT + 2


# What they got -------------------------------------------------------------------------------------------------------


def test_deliveries_are_of_the_heir_and_name_its_event(rule, lead, buyer, does, worker, shop):
    message, own = rule(), uuid.uuid4()
    does(lead, "placed-order", at=AT)
    ingest(shop, [event(user_id="lead-1", uuid=str(own))])
    worker()
    before = set(Delivery.objects.values_list("event_id", flat=True))
    merge(lead, buyer)
    deliveries = Delivery.objects.filter(contact=buyer)
    ids = {one.public_id for one in Event.objects.filter(contact=buyer)}
    assert {delivery.event_id for delivery in deliveries} == ids
    assert {delivery.event["id"] for delivery in deliveries} == {str(id) for id in ids}
    # An id that the sender gave stays.
    assert before & ids == {own}
    # So an event that is handed over again is not answered again.
    AutoMessage.objects.update(caught_up=False, live_since=message.live_since - timedelta(minutes=1))
    Event.objects.update(received_at=message.live_since - timedelta(seconds=50))
    rules.catch_up()
    assert HandOver.objects.count() == 2
    worker()
    assert Delivery.objects.count() == 2


@pytest.mark.parametrize(
    ("of_lead", "of_buyer", "kept"),
    [
        (State.SENT, State.SENT, "buyer"),
        (State.SENT, State.QUEUED, "lead"),
        (State.SENT, State.SKIPPED, "lead"),
        (State.SENT, State.SENDING, "lead"),
        (State.SENDING, State.QUEUED, "lead"),
        (State.SENDING, State.SENT, "buyer"),
        (State.SENDING, State.SENDING, "buyer"),
        (State.QUEUED, State.SKIPPED, "buyer"),
        (State.QUEUED, State.QUEUED, "buyer"),
    ],
)
def test_of_two_deliveries_because_of_one_event_one_stays(rule, lead, buyer, of_lead, of_buyer, kept):
    message, id = rule(), uuid.uuid4()
    both = {"lead": got(message, lead, of_lead, id), "buyer": got(message, buyer, of_buyer, id)}
    other = got(message, lead, event_id=uuid.uuid4())
    merge(lead, buyer)
    assert set(buyer.deliveries.all()) == {both[kept], other}


FREQUENCIES = [
    ("every_time", State.SENT, State.QUEUED, [State.SENT, State.QUEUED]),
    ("once", State.SENT, State.QUEUED, [State.SENT, State.SKIPPED]),
    ("once", State.QUEUED, State.SENT, [State.SKIPPED, State.SENT]),
    ("once", State.QUEUED, State.QUEUED, [State.QUEUED, State.SKIPPED]),
    ("once", State.SENDING, State.QUEUED, [State.SENDING, State.SKIPPED]),
    ("once", State.SENT, State.SENT, [State.SENT, State.SENT]),
    ("once", State.SKIPPED, State.QUEUED, [State.SKIPPED, State.QUEUED]),
    ("once", State.CANCELLED, State.QUEUED, [State.CANCELLED, State.QUEUED]),
    ("once_per", State.SENT, State.QUEUED, [State.SENT, State.SKIPPED]),
]


@pytest.mark.parametrize(("frequency", "of_lead", "of_buyer", "after"), FREQUENCIES)
def test_what_both_got_counts_for_one(rule, lead, buyer, frequency, of_lead, of_buyer, after):
    message = rule(frequency=frequency, per_seconds=3600)
    deliveries = [got(message, lead, of_lead), got(message, buyer, of_buyer)]
    merge(lead, buyer)
    for delivery, state in zip(deliveries, after, strict=True):
        delivery.refresh_from_db()
        assert (delivery.contact, delivery.state) == (buyer, state)


def test_what_the_one_got_the_other_gets_no_more(rule, lead, buyer, does, worker, mailoutbox):
    once = rule(frequency="once")
    does(lead, "placed-order", at=AT)
    worker()
    merge(lead, buyer)
    does(buyer, "placed-order", at=AT + 1)
    worker()
    assert [mail.to for mail in mailoutbox] == [["ada@home.example.org"]]
    assert set(Delivery.objects.values_list("state", "reason")) == {
        (State.SENT, Reason.NONE),
        (State.SKIPPED, Reason.FREQUENCY),
    }
    assert list(Recipient.objects.values_list("message", "contact")) == [(once.pk, buyer.pk)]


def test_what_one_person_may_get_in_all_counts_what_both_got(rule, lead, buyer, does, worker, mailoutbox, shop):
    Policy.objects.create(workspace=shop, most=2)
    message = rule()
    got(message, lead)
    got(message, buyer)
    merge(lead, buyer)
    does(buyer, "placed-order", at=AT)
    worker()
    assert mailoutbox == []
    assert Delivery.objects.filter(reason=Reason.CAP).count() == 1


def test_a_message_on_its_way_is_sent_once_and_noted(rule, lead, buyer, does, mailoutbox, shop):
    rule()
    does(lead, "placed-order", at=AT)
    matching.match_waiting()
    [taken] = sending.take(1)
    merge(lead, buyer)
    assert sending.take(1) == []
    sending.deliver(taken, Policy.of(shop))
    sending.send_due()
    assert len(mailoutbox) == 1
    delivery = Delivery.objects.get()
    assert (delivery.contact, delivery.state, delivery.claim) == (buyer, State.SENT, None)


def test_a_message_whose_worker_died_is_sent_to_the_heir(rule, lead, buyer, does, mailoutbox):
    rule()
    does(lead, "placed-order", at=AT)
    matching.match_waiting()
    [taken] = sending.take(1)
    merge(lead, buyer)
    Delivery.objects.update(due_at=timezone.now())
    sending.send_due()
    assert [(message.to, message.extra_headers["Message-ID"]) for message in mail.outbox] == [
        (["buyer@example.org"], taken.mail_id)
    ]


# When something comes across -----------------------------------------------------------------------------------------


def test_a_listener_that_fails_undoes_all_of_it(rule, lead, buyer, does, worker, shop):
    rule(frequency="once")
    does(lead, "placed-order", times=2, at=AT)
    worker()
    does(lead, "placed-order", at=AT + 5)
    put_on(find_or_create(shop, "VIP"), lead)
    before = list(Contact.objects.order_by("pk").values()), left_of(lead), left_of(buyer)
    with failing(signals.contact_merging):
        merge(lead, buyer)
    assert (list(Contact.objects.order_by("pk").values()), left_of(lead), left_of(buyer)) == before


def test_the_sweep_moves_what_was_being_stored_at_that_moment(rule, lead, buyer, does, shop):
    message = rule(frequency="once")
    does(buyer, "placed-order", at=AT)
    merge(lead, buyer)
    # As if its transaction had found the lead before, and come to its end after.
    Contact.objects.filter(pk=lead.pk).update(merged_into=None)
    does(lead, "placed-order", at=AT + 1)
    does(lead, "placed-order", at=AT)
    set_totals(shop, Who(id=lead.public_id), [ImportedTotal("opened-app", 5, 100, 300)])
    put_on(find_or_create(shop, "VIP"), lead)
    got(message, lead)
    lately = int(time.time()) - merging.LATELY
    Contact.objects.filter(pk=lead.pk).update(merged_into=buyer, updated_at=lately + 60)
    sweep()
    assert left_of(lead) == {}
    assert did(buyer) == {"placed-order": [2, AT, AT + 1, 0, None, None], "opened-app": [0, None, None, 5, 100, 300]}
    assert left_of(buyer)["Tagging"] == 1
    assert set(Delivery.objects.values_list("contact", flat=True)) == {buyer.pk}
    assert differences() == []


def test_who_was_merged_long_ago_is_asked_about_no_more(lead, buyer, django_assert_num_queries):
    merge(lead, buyer)
    Contact.objects.update(updated_at=int(time.time()) - merging.LATELY - 60)
    with django_assert_num_queries(2):
        merging.finish()


def test_whose_heir_was_being_deleted_at_that_moment_goes_with_them(lead, buyer, shop):
    merge(lead, buyer)
    # As if erase had looked for whom to delete just before.
    Contact.objects.filter(pk=lead.pk).update(merged_into=None)
    erasing.erase(buyer)
    Contact.objects.filter(pk=lead.pk).update(merged_into=buyer)
    merging.finish()
    assert not Contact.objects.filter(deleted_at=None).exists()
    ingest(shop, [event(user_id="lead-1")])
    assert Contact.objects.get(external_id="lead-1").merged_into is None


def test_the_number_of_queries_does_not_grow_with_what_they_did(person, does, django_assert_max_num_queries):
    for number, times in enumerate((1, 200)):
        source, into = person(f"source-{number}"), person(f"into-{number}")
        for name in ("placed-order", "opened-app", "signed-up"):
            does(source, name, times=times, at=AT)
        with django_assert_max_num_queries(45):
            merge(source, into)
        assert did(into)["placed-order"][0] == times


# Whatever happens ----------------------------------------------------------------------------------------------------

PEOPLE, NAMES = 5, ("ordered", "opened")
ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.integers(0, PEOPLE - 1),
            st.sampled_from(NAMES),
            st.integers(0, 2),
            st.sampled_from([None, None, 1]),
            st.booleans(),
            st.booleans(),
        ),
        st.tuples(st.just("total"), st.integers(0, PEOPLE - 1), st.sampled_from(NAMES), st.integers(1, 9)),
        st.tuples(st.just("merge"), st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1)),
        st.tuples(st.just("erase"), st.integers(0, PEOPLE - 1)),
        st.tuples(st.just("tag"), st.integers(0, PEOPLE - 1), st.integers(0, 1)),
        st.tuples(st.just("match")),
        st.tuples(st.just("roll up")),
    ),
    min_size=10,
    max_size=40,
)


class Told:
    """What plain Python makes of it: people by their ids here, each with what they did, and to whom user_ids lead."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.leads_to: dict[str, int] = {}
        self.events: dict[int, set] = {}
        self.totals: dict[int, dict] = {}
        self.tags: dict[int, set] = {}
        self.ids: dict[str, int] = {}

    def know(self, user_id):
        """Whoever has this user_id was made just now, unless they were there."""
        if user_id not in self.leads_to:
            pk = Contact.objects.get(workspace=self.workspace, external_id=user_id).pk
            self.leads_to[user_id] = self.ids[user_id] = pk
            self.events[pk], self.totals[pk], self.tags[pk] = set(), {}, set()
        return self.leads_to[user_id]

    def send(self, who, name, at, value, has_own, by_id):
        own = uuid.UUID(int=10 * at + NAMES.index(name)) if has_own else None
        user_id = f"u{who}"
        data = {"v": value} if value else {}
        named = {"user_id": user_id}
        if by_id and user_id in self.ids:
            named = {"id": f"{self.workspace.key}{self.ids[user_id]:016x}"}
        sent = event(name, AT + at, data, **named | ({"uuid": str(own)} if own else {}))
        [outcome] = ingest(self.workspace, [sent])
        assert outcome.fault is None
        done = self.events[self.know(user_id)]
        key = (name, AT + at, sent.fingerprint)
        assert outcome.duplicate is (key in done)
        done.add(key)

    def total(self, who, name, count):
        set_totals(self.workspace, Who(user_id=f"u{who}"), [ImportedTotal(name, count, count, 10 * count)])
        self.totals[self.know(f"u{who}")][name] = (count, count, 10 * count)

    def merge(self, one, other):
        source, into = (
            Contact.objects.filter(external_id=f"u{n}", workspace=self.workspace).first() for n in (one, other)
        )
        if not source or not into or one == other:
            return
        heir = self.leads_to[f"u{other}"]
        if source.merged_into_id == into.pk:
            assert merge(source, into) == into
        elif source.merged_into_id or into.merged_into_id:
            with pytest.raises(NotFound):
                merge(source, into)
        else:
            assert merge(source, into).pk == heir
            self.leads_to |= {user_id: heir for user_id, pk in self.leads_to.items() if pk == source.pk}
            self.events[heir] |= self.events.pop(source.pk)
            self.tags[heir] |= self.tags.pop(source.pk)
            for name, (count, first, last) in self.totals.pop(source.pk).items():
                own = self.totals[heir].get(name, (0, first, last))
                self.totals[heir][name] = (count + own[0], min(first, own[1]), max(last, own[2]))

    def erase(self, who):
        if pk := self.leads_to.get(f"u{who}"):
            erasing.erase(Contact.objects.get(pk=pk))
            for user_id in [user_id for user_id, to in self.leads_to.items() if to == pk]:
                del self.leads_to[user_id], self.ids[user_id]
            for kept in (self.events, self.totals, self.tags):
                del kept[pk]

    def tag(self, who, number):
        if pk := self.leads_to.get(f"u{who}"):
            put_on(find_or_create(self.workspace, f"tag {number}"), Contact.objects.get(pk=pk))
            self.tags[pk].add(f"tag {number}")

    def match(self):
        matching.match_waiting()

    def roll_up(self):
        roll_up(until=database_now())

    def check(self):
        events = Event.objects.filter(type__workspace=self.workspace).select_related("type")
        stored = {pk: set() for pk in self.events}
        ids = {(pk, name): set() for pk in self.events for name in NAMES}
        for one in events:
            stored[one.contact_id].add((one.type.name, one.created_at, one.fingerprint))
            ids[one.contact_id, one.type.name].add(one.public_id)
        assert stored == self.events
        assert differences() == []
        summaries = EventSummary.objects.filter(type__workspace=self.workspace).exclude(imported_count=0)
        totals = {pk: {} for pk in self.totals}
        for row in summaries.select_related("type"):
            totals[row.contact_id][row.type.name] = (row.imported_count, row.imported_first_at, row.imported_last_at)
        assert totals == self.totals
        tags = {pk: set() for pk in self.tags}
        for pk, name in Tagging.objects.filter(tag__workspace=self.workspace).values_list("contact", "tag__name"):
            tags[pk].add(name)
        assert tags == self.tags
        assert volumes(self.workspace) == sum(map(len, self.events.values()))
        # Each event was answered by its rules, once; and one of them answers a person no more than once.
        assert not HandOver.objects.filter(type__workspace=self.workspace).exists()
        every, once = AutoMessage.objects.filter(workspace=self.workspace).order_by("pk")
        for rule in (every, once):
            answered = {pk: set() for pk in self.events}
            for pk, id in Delivery.objects.filter(message=rule).values_list("contact", "event_id"):
                assert id not in answered[pk]
                answered[pk].add(id)
            assert answered == {pk: ids[pk, rule.trigger.name] for pk in self.events}
        for pk, done in self.events.items():
            counting = Delivery.objects.counting().filter(contact=pk)
            assert counting.filter(message=every).count() == len([key for key in done if key[0] == every.trigger.name])
            assert counting.filter(message=once).count() == any(key[0] == once.trigger.name for key in done)
        people = Contact.objects.filter(workspace=self.workspace, deleted_at=None)
        heirs = {user_id: heir or pk for user_id, pk, heir in people.values_list("external_id", "pk", "merged_into")}
        assert heirs == self.leads_to


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=ACTS)
def test_whatever_happens_is_what_plain_python_makes_of_it(db, acts):
    workspace = Workspace.objects.create(name="random")
    for name, frequency in zip(NAMES, ("every_time", "once"), strict=True):
        fields = {"subject": "x", "body": "x", "frequency": frequency}
        rules.go_live(
            AutoMessage.objects.create(workspace=workspace, name=name, trigger=event_type(workspace, name), **fields)
        )
    told = Told(workspace)
    for act, *values in acts:
        getattr(told, act.replace(" ", "_"))(*values)
    matching.match_waiting()
    told.check()
    # Nothing was left for the sweep, and it changes nothing.
    merging.finish()
    erasing.finish()
    told.check()


# At the same moment --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_events_that_come_in_while_people_are_merged_are_the_heirs_and_none_is_lost():
    workspace = Workspace.objects.create(name="Busy")
    trigger = event_type(workspace, "step-0")
    rule = {"name": "x", "subject": "x", "body": "x", "frequency": "once"}
    rules.go_live(AutoMessage.objects.create(workspace=workspace, trigger=trigger, **rule))
    sent, writing = [set() for _ in range(3)], threading.Barrier(4)
    done = threading.Event()

    def send(thread):
        chance = random.Random(thread)
        for number in range(90):
            # Of few times and without metadata, so that two people did the same, and some of it is sent again; always
            # of somebody new, too, and of somebody who was merged already.
            happened = [
                (
                    f"u{max(number // 10 - chance.randrange(3), 0)}-{chance.randrange(4)}",
                    f"step-{chance.randrange(4)}",
                    AT + chance.randrange(20),
                )
                for _ in range(1 + number % 5)
            ]
            events = [event(name, at, user_id=who) for who, name, at in happened]
            outcomes = ingest_known(workspace, events, source="api") if number % 2 else [None] * len(events)
            if None in outcomes:
                outcomes = ingest(workspace, events)
            assert [outcome.fault for outcome in outcomes] == [None] * len(events)
            sent[thread].update(happened)

    def merge_some(thread):
        chance = random.Random(thread)
        while not done.is_set():
            present = list(Contact.objects.filter(workspace=workspace).present())
            if len(present) > 2:
                with suppress(NotFound):
                    merge(*chance.sample(present, 2))
            time.sleep(0.02)  # or the others hardly get Python's lock

    def match(thread):
        while not done.is_set():
            matching.match_waiting()
            time.sleep(0.01)

    def act(number):
        try:
            [send, send, send, merge_some, merge_some, match][number](number)
        finally:
            if number < 3:
                writing.wait(60)

    def wait(_):
        writing.wait(60)
        done.set()

    results = side_by_side(7, lambda number: wait(number) if number == 6 else act(number))
    assert results == [None] * 7
    merging.finish()
    tombstones = Contact.objects.exclude(merged_into=None)
    assert tombstones.exists()
    for model in (Event, EventSummary, HandOver):
        assert not model.objects.filter(contact__in=tombstones).exists()
    assert differences() == []
    people = Contact.objects.values_list("external_id", "pk", "merged_into")
    heirs = {user_id: heir or pk for user_id, pk, heir in people}
    expected = {(heirs[who], name, at, fingerprint_of({})) for who, name, at in set.union(*sent)}
    stored = Event.objects.values_list("contact", "type__name", "created_at", "fingerprint")
    assert sorted(stored) == sorted(expected)
    roll_up(until=database_now())
    assert volumes(workspace) == len(expected)


@pytest.mark.django_db(transaction=True)
def test_merging_crossways_and_deleting_at_once_locks_nobody_out():
    workspace = Workspace.objects.create(name="Busy")
    ended = threading.Event()

    def send():
        chance = random.Random(1)
        for number in range(80):
            who = [f"u{chance.randrange(6)}" for _ in range(4)]
            ingest(workspace, [event(f"step-{n}", AT + number, user_id=user_id) for n, user_id in enumerate(who)])

    def act(number):
        if not number:
            try:
                return send()
            finally:
                ended.set()
        chance = random.Random(number)
        while not ended.is_set():
            present = list(Contact.objects.filter(workspace=workspace).present())
            try:
                if number == 3 and present:
                    erasing.erase(chance.choice(present))
                elif len(present) > 1:
                    merge(*chance.sample(present, 2))
            except NotFound:
                pass
            time.sleep(0.02)

    assert side_by_side(4, act) == [None] * 4
    merging.finish()
    erasing.finish()
    gone = Contact.objects.exclude(deleted_at=None, merged_into=None)
    assert gone.exists()
    for model in (Event, EventSummary, HandOver):
        assert not model.objects.filter(contact__in=gone).exists()
    assert not Contact.objects.exclude(merged_into__merged_into=None, merged_into__deleted_at=None).exists()
    assert differences() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["stored", "merged"])
def test_an_event_that_the_heir_is_being_given_as_well_is_one(first):
    """Whoever stores it waits for what the merge holds, which finds it not yet there: one of them has to begin anew."""
    if connections["default"].vendor != "postgresql":
        pytest.skip("SQLite writes one after the other")
    workspace = Workspace.objects.create(name="Busy")
    ingest(workspace, [event(user_id="one"), event(user_id="one", at=AT + 1), event(user_id="other", at=AT + 2)])
    one, other = Contact.objects.order_by("external_id")
    between, go_on = threading.Event(), threading.Event()

    def store():
        try:
            with transaction.atomic():
                # As the first half of what stores an event: it is there, and not yet counted.
                [row] = Event.objects.filter(contact=one, created_at=AT)
                row.contact_id = other.pk
                row.save(force_insert=True)
                between.set()
                go_on.wait(5)
                EventSummary.objects.filter(contact=other).select_for_update().get()
                EventSummary.objects.filter(contact=other).update(count=2, first_at=AT)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        storing = threads.submit(store)
        between.wait(5)
        if first == "stored":
            go_on.set()
        else:
            threading.Timer(0.5, go_on.set).start()
        merge(one, other)
        storing.result()
    assert did(other)["placed-order"] == [3, AT, AT + 2, 0, None, None]
    assert differences() == []


def test_an_event_stored_for_a_tombstone_waits_for_its_heir(rule, lead, buyer, does):
    rule()
    merge(lead, buyer)
    does(buyer, "placed-order")
    HandOver.objects.update(contact=lead)
    assert matching.match_waiting() == 0
    HandOver.objects.update(contact=buyer)
    assert matching.match_waiting() == 1
