"""Many writers at once: nothing is lost, nothing is stored twice, and nobody sees how they get out of each other's way."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from tests.live import Installation, Postgres, database, free_port
from tests.poster import PEOPLE, four_posters, stored_orders

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.postgres]


@pytest.fixture
def postgres():
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up()
        installation.start_web()
        yield installation


def assert_each_is_stored_once(installation, answers):
    stored = stored_orders(installation)
    assert {order for order, statuses in answers.items() if statuses[-1] == 202} == stored.keys()
    assert set(stored.values()) == {1}
    installation.manage("check_summaries")  # raises when one is wrong
    with psycopg.connect(installation.environment["DATABASE_URL"]) as connection:
        [people] = connection.execute("SELECT count(*) FROM eventsapp_contact").fetchone()
    assert people <= PEOPLE


def test_thirty_two_threads_of_four_processes_and_two_servers(postgres):
    other = free_port()
    postgres.start_web(other)
    with four_posters(postgres, [postgres.port, other], seconds=15) as answers:
        pass
    assert {status for statuses in answers.values() for status in statuses} == {202}
    assert len(answers) > 1_000
    assert_each_is_stored_once(postgres, answers)


def test_a_server_killed_in_the_middle_loses_nothing_that_it_answered(postgres):
    with four_posters(postgres, [postgres.port], seconds=10) as answers:
        time.sleep(3)
        postgres.kill(postgres.processes[-1])
        time.sleep(1)
        postgres.start_web()
    assert {status for statuses in answers.values() for status in statuses} == {0, 202}
    assert_each_is_stored_once(postgres, answers)


@pytest.mark.parametrize(("away", "answers_seen"), [(1, {202}), (12, {202, 503})], ids=["a second", "twelve seconds"])
def test_a_database_that_was_away_loses_nothing_that_was_answered(away, answers_seen):
    with Postgres() as server, Installation(DATABASE_URL=server.url) as installation:
        installation.set_up().start_web()
        with four_posters(installation, [installation.port], seconds=5 + away) as answers:
            time.sleep(2)
            server.kill()
            time.sleep(away)
            server.start()
        assert {status for statuses in answers.values() for status in statuses} == answers_seen
        assert_each_is_stored_once(installation, answers)


def test_first_events_by_one_email_at_the_same_moment_make_one_person(postgres):
    other = free_port()
    postgres.start_web(other)
    ports = [postgres.port, other] * 4
    barrier = Barrier(len(ports))

    def post(place, number):
        barrier.wait()
        who = {"email": f"new-{number}@example.org"} | ({"user_id": f"new-{number}"} if place % 4 == 3 else {})
        body = {"event_name": "signed-up", "created_at": int(time.time()), "metadata": {"place": place}}
        return postgres.request("POST", "/events", body | who, port=ports[place])[0]

    with ThreadPoolExecutor(len(ports)) as threads:
        for number in range(25):
            assert list(threads.map(post, range(len(ports)), [number] * len(ports))) == [202] * len(ports)
    with psycopg.connect(postgres.environment["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT email, count(*), max(external_id) FROM eventsapp_contact GROUP BY 1"
        ).fetchall()
    assert sorted(rows) == sorted((f"new-{number}@example.org", 1, f"new-{number}") for number in range(25))


TWICE = """
from django.db import connection
from eventsapp.incoming import read_event
from eventsapp.ingest import ingest_known
from eventsapp.models import Workspace

for number in range(20):
    event = read_event({"event_name": "opened-app", "created_at": 1760000000 + number, "user_id": "1"})
    ingest_known(Workspace.objects.get(), [event], source="api")
with connection.cursor() as cursor:
    cursor.execute("SELECT statement FROM pg_prepared_statements")
    print(sum("eventsapp_event" in statement for [statement] in cursor.fetchall()))
"""


def test_the_statement_that_stores_events_is_planned_once(postgres):
    assert postgres.python(TWICE) == "1"
