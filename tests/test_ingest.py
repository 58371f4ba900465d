"""One set-based act for a list of events: whatever the list, the same as one after the other."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventsapp.incoming import fingerprint_of, read_event
from eventsapp.ingest import ingest
from eventsapp.models import Contact, Event, EventSummary, Workspace
from eventsapp.summaries import differences, repair

pytestmark = pytest.mark.django_db
AT = 1_760_000_000


def event(name="placed-order", at=AT, metadata=None, **who):
    return read_event({"event_name": name, "created_at": at, "metadata": metadata or {}} | who)


def test_a_list_with_doubles_is_stored_once_and_says_so(shop):
    outcomes = ingest(shop, [event(user_id="1"), event(user_id="1"), event(user_id="2")])
    assert [outcome.duplicate for outcome in outcomes] == [False, True, False]
    assert [outcome.duplicate for outcome in ingest(shop, [event(user_id="1")])] == [True]
    assert Event.objects.count() == 2


def test_what_is_refused_leaves_the_others(shop):
    outcomes = ingest(shop, [event(id="f" * 24), event(user_id="1")])
    assert [outcome.status for outcome in outcomes] == [404, 202]
    assert Event.objects.count() == 1


def test_an_email_and_a_new_user_id_with_it_are_one_person_in_one_list(shop):
    ingest(shop, [event(email="Ada@example.org"), event(user_id="1", email="ada@example.org", name="signed-in")])
    assert Contact.objects.count() == 1
    assert Contact.objects.get().external_id == "1"
    assert EventSummary.objects.count() == 2


def test_of_two_spellings_in_one_list_it_is_not_chance_which_is_kept(shop):
    spelt = [f"{name}{n}@example.org" for n in range(20) for name in ("Ada", "ada")]
    ingest(
        shop, [event(email=email) for email in spelt] + [event(user_id="1", email=email) for email in ("B@x", "b@x")]
    )
    emails = sorted(Contact.objects.values_list("email", flat=True))
    assert emails == sorted([f"ada{n}@example.org" for n in range(20)] + ["b@x"])


def test_the_number_of_queries_does_not_grow_with_the_list(shop):
    def queries(n, first):
        events = [event(user_id=f"{first}-{number}", at=AT + number) for number in range(n)]
        with CaptureQueriesContext(connection) as captured:
            ingest(shop, events)
        return len(captured)

    queries(1, "warm")
    assert queries(500, "many") == queries(2, "few")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": {"x": [1.0, {"y": 2}]}}, {"a": {"x": [1, {"y": 2.0}]}}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": None}, {}, False),
        ({"a": 0.1}, {"a": 0.10000000000000002}, False),
    ],
)
def test_the_fingerprint_is_of_what_the_metadata_say(one, other, same):
    assert (fingerprint_of(one) == fingerprint_of(other)) is same


WHO = st.one_of(
    st.builds(lambda n: {"user_id": f"u{n}"}, st.integers(0, 3)),
    st.builds(lambda n: {"email": f"E{n}@example.org"}, st.integers(0, 2)),
    st.builds(lambda n, m: {"user_id": f"u{n}", "email": f"e{m}@example.org"}, st.integers(0, 3), st.integers(0, 2)),
)
EVENTS = st.lists(
    st.tuples(WHO, st.sampled_from(["a", "B", "a.b"]), st.integers(0, 4), st.sampled_from([None, 1, "x"])), max_size=30
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=EVENTS, cuts=st.lists(st.integers(1, 8), min_size=8, max_size=8))
def test_however_it_is_cut_nothing_is_lost_or_doubled(db, sent, cuts):
    workspace = Workspace.objects.create(name="random")
    events = [event(name, AT + at, {"v": value} if value else {}, **who) for who, name, at, value in sent]
    stored, rest = 0, list(events)
    for cut in [*cuts, len(events)]:
        outcomes = ingest(workspace, rest[:cut])
        stored += sum(not outcome.fault and not outcome.duplicate for outcome in outcomes)
        rest = rest[cut:]
    assert Event.objects.filter(type__workspace=workspace).count() == stored
    # Sending everything again changes nothing.
    again = ingest(workspace, events)
    assert all(outcome.duplicate or outcome.fault for outcome in again)
    summaries = EventSummary.objects.filter(type__workspace=workspace)
    assert sum(summary.count for summary in summaries) == stored
    assert differences() == []
    assert not summaries.filter(type__name__contains=".").exists()


@pytest.mark.django_db
def test_events_of_nobody_are_found_and_go(buyer, does):
    does(buyer, "placed-order", times=2)
    buyer.summaries.all().delete()
    Contact.objects.filter(pk=buyer.pk)._raw_delete(using="default")
    assert len(differences()) == 1
    repair()
    assert not Event.objects.exists()
    assert differences() == []
