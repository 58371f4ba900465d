"""Single events that arrive together are committed together, and each has its own end."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, connections, transaction

from eventsapp.group_commit import GroupCommit, store
from eventsapp.incoming import read_event
from eventsapp.models import Contact, Event, Workspace
from eventsapp.summaries import differences
from tests.live import wait_for


def event(user_id, number=0):
    return read_event({"event_name": f"did-{number % 3}", "created_at": 1_760_000_000 + number, "user_id": user_id})


@contextmanager
def nobody_may_write():
    """Hold the lock that writers need."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE eventsapp_event")
        yield


@pytest.fixture
def post():
    """Store an event from a thread of its own; return its outcome or what it raised."""
    queue, threads = GroupCommit(), ThreadPoolExecutor(16)

    def run(workspace, incoming):
        try:
            return queue.store(workspace, incoming)
        except IntegrityError as error:
            return error
        finally:
            connections.close_all()

    def submit(workspace, incoming):
        return threads.submit(run, workspace, incoming)

    submit.queue = queue
    yield submit
    threads.shutdown()


@pytest.mark.django_db(transaction=True)
def test_many_threads_store_each_event_once(post):
    workspaces = [Workspace.objects.create(name=name) for name in ("one", "other")]
    posted = [post(workspaces[number % 2], event(f"person-{number % 7}", number)) for number in range(400)]
    outcomes = [future.result(60) for future in posted]
    assert not [outcome for outcome in outcomes if outcome.fault or outcome.duplicate]
    assert Event.objects.count() == 400
    assert Contact.objects.count() == 14
    assert differences() == []


@pytest.mark.django_db(transaction=True)
def test_what_waits_while_one_writes_is_written_together(post):
    workspace = Workspace.objects.create(name="one")
    with nobody_may_write():
        first = post(workspace, event("first"))
        wait_for(lambda: post.queue._thread and not post.queue._waiting, 5, "the first to be written")
        others = [post(workspace, event(f"other-{number}", number)) for number in range(8)]
        wait_for(lambda: len(post.queue._waiting) == 8, 5, "the others to wait")
        assert not any(future.done() for future in (first, *others))
    assert {future.result(10).fault for future in (first, *others)} == {None}
    # One statement, one moment.
    assert Event.objects.exclude(contact__external_id="first").values("received_at").distinct().count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_fault_is_that_of_its_own_request_alone(post):
    workspace, gone = (Workspace.objects.create(name=name) for name in ("one", "gone"))
    Workspace.objects.filter(pk=gone.pk).delete()
    with nobody_may_write():
        first = post(workspace, event("first"))
        wait_for(lambda: post.queue._thread and not post.queue._waiting, 5, "the first to be written")
        good, bad, fine = (
            post(*one) for one in ((workspace, event("good")), (gone, event("bad")), (workspace, event("fine")))
        )
        wait_for(lambda: len(post.queue._waiting) == 3, 5, "the others to wait")
    assert isinstance(bad.result(10), IntegrityError)
    assert {future.result(10).fault for future in (first, good, fine)} == {None}
    assert set(Contact.objects.values_list("external_id", flat=True)) == {"first", "good", "fine"}
    # The next one is answered too.
    assert post(workspace, event("later")).result(10).fault is None


@pytest.mark.django_db
def test_inside_a_transaction_it_is_written_there(shop):
    assert connection.in_atomic_block
    assert store(shop, event("x")).status == 202
    assert Event.objects.count() == 1
