"""What only PostgreSQL does: it answers the conditions of a question side by side, on connections that see the same."""

import threading

import psycopg
import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from eventsapp import uploads
from eventsapp.contact_pages import Cursor
from eventsapp.erasing import erase
from eventsapp.models import Contact, RefusedRow
from eventsapp.people_columns import Columns
from eventsapp.people_import import store
from segments.engine import one_moment
from segments.postgresql import sets_of_ids
from tests.live import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

NOON = 1_760_011_200  # 2025-10-09 12:00 UTC
WHO_ANSWERS = ("SELECT pg_backend_pid() FROM pg_sleep(%s)", (0.3,))
EVERYBODY = ("SELECT id FROM eventsapp_contact", ())


def elsewhere(act):
    """Do it on another connection, and wait until it is done."""

    def run():
        act()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.parametrize("connections", [1, 2, 3])
def test_a_question_takes_as_many_connections_as_it_may(settings, connections):
    settings.QUESTION_CONNECTIONS = connections
    with one_moment():
        answered = sets_of_ids([WHO_ANSWERS] * 4)
    assert len(set.union(*map(set, answered))) == connections


def test_outside_a_moment_one_connection_answers_all():
    assert len(set.union(*map(set, sets_of_ids([WHO_ANSWERS] * 3)))) == 1


def test_all_connections_see_the_moment_at_which_the_question_began(shop, person):
    before = {person("ada").pk, person("cem").pk}
    with one_moment():
        assert set(*sets_of_ids([EVERYBODY])) == before
        elsewhere(lambda: Contact.objects.create(workspace=shop, external_id="late"))
        answered = sets_of_ids([EVERYBODY, WHO_ANSWERS, EVERYBODY, None, EVERYBODY])
        assert [set(answered[place]) for place in (0, 2, 3, 4)] == [before, before, set(), before]
    assert len(*sets_of_ids([EVERYBODY])) == 3


def test_whichever_connection_fails_the_question_fails():
    wrong = ("SELECT 1 / (SELECT 0)", ())
    for selects in ([wrong, WHO_ANSWERS], [WHO_ANSWERS, wrong], [WHO_ANSWERS, WHO_ANSWERS, wrong, EVERYBODY]):
        with pytest.raises(DataError), one_moment():
            sets_of_ids(selects)
    with one_moment():
        assert not any(sets_of_ids([EVERYBODY, None]))


def test_where_no_connection_is_to_spare_a_question_is_answered_by_its_own():
    with one_moment():
        _let_in(False)
        try:
            assert len(set.union(*map(set, sets_of_ids([WHO_ANSWERS] * 2)))) == 1
        finally:
            _let_in(True)


def _let_in(allowed: bool):
    """Whether the server takes further connections to this database."""
    settings = connection.get_connection_params()
    address = {key: settings[key] for key in ("host", "port", "user", "password") if settings.get(key)}
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{settings["dbname"]}" ALLOW_CONNECTIONS {allowed}')


def test_events_of_a_type_lie_together(shop, person, does):
    for who in (person("ada"), person("cem")):
        does(who, "opened-app")
        does(who, "placed-order")
    for table in ("eventsapp_event", "eventsapp_eventsummary"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT type_id, count(DISTINCT tableoid) FROM {table} GROUP BY 1")
            assert [places for _, places in cursor.fetchall()] == [1, 1]


LATER_PAGES = {
    "GET /contacts": lambda api, after: api.get(f"/contacts?starting_after={after}"),
    "GET /users": lambda api, after: api.get(f"/users?starting_after={after}"),
    "GET /users/scroll": lambda api, after: api.get(f"/users/scroll?scroll_param={after}"),
    "POST /contacts/search": lambda api, after: api.post(
        "/contacts/search",
        {
            "query": {"field": "role", "operator": "=", "value": "user"},
            "sort": {"field": "created_at", "order": "ascending"},
            "pagination": {"starting_after": after},
        },
    ),
}


@pytest.mark.parametrize("page", LATER_PAGES.values(), ids=LATER_PAGES)
def test_a_page_of_people_begins_in_the_index_and_sorts_nobody_else(api, shop, page):
    people = (Contact(workspace=shop, external_id=str(n), created_at=NOON + n // 5) for n in range(3000))
    made = Contact.objects.bulk_create(people)
    after = str(Cursor(made[1500].created_at, made[1500].pk, 2))
    with CaptureQueriesContext(connection) as captured:
        assert page(api, after).status_code == 200
    [asked] = [query["sql"] for query in captured if "sort_key" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE eventsapp_contact")
        cursor.execute(f"EXPLAIN {asked}")
        plan = [line.strip(" ->") for (line,) in cursor.fetchall()]
    assert any(line.startswith("Index Scan") and "using contact_people_new" in line for line in plan)
    assert any(line.startswith("Index Cond") and "created_at" in line for line in plan)
    assert not any(line.startswith(("Sort  (", "Seq Scan on eventsapp_contact")) for line in plan), plan


def test_the_members_of_a_large_segment_are_no_long_list_in_a_statement(api, api_with, shop):
    Contact.objects.bulk_create(Contact(workspace=shop, external_id=str(n), name_folded="a") for n in range(9000))
    definition = {"conditions": [{"kind": "attribute", "field": "name", "op": "is", "value": "a"}]}
    segment = api_with("admin").post("/segments", {"name": "A", "definition": definition}).json()["id"]
    query = {"field": "segment_id", "operator": "=", "value": segment}
    with CaptureQueriesContext(connection) as captured:
        for page in (api.get(f"/users?segment_id={segment}"), api.post("/contacts/search", {"query": query})):
            assert page.json()["total_count"] == 9000
    assert max(len(query["sql"]) for query in captured) < 5000


def test_whoever_else_makes_a_person_meanwhile_the_import_changes_them(shop, person):
    """By the user_id, which only the constraint of the table knows of."""
    columns = Columns(["user_id", "name"], ["user_id", "name"], shop.zone)
    rows = [columns.row(2, ["7", "Ada"]), columns.row(3, ["8", "Bea"])]
    outcomes = []
    importing = threading.Thread(target=lambda: (outcomes.extend(store(shop, rows)), connection.close()))
    with transaction.atomic():
        ada = person("7", plan="free")
        importing.start()
        wait_for(_somebody_waits, 10, "the import to wait for the other")
    importing.join()
    assert [outcome.what for outcome in outcomes] == ["changed", "made"]
    ada.refresh_from_db()
    assert (ada.name, ada.custom_attributes, Contact.objects.count()) == ("Ada", {"plan": "free"}, 2)


def test_deleting_somebody_waits_for_their_import_and_lets_nothing_of_it_stay(shop, person, editor):
    grace = person("7", email="grace@shop.example")
    lines = [b"user_id,email\n", b"7,grace@shop.example\n", b"7,grace@shop.example;\n"]
    run = uploads.upload(shop, "people.csv", lines, by=editor.user)
    uploads.ask(run, targets=["user_id", "email"], tags=[])
    erasing = threading.Thread(target=lambda: (erase(grace), connection.close()))
    with transaction.atomic():
        assert uploads.work() == 2
        erasing.start()
        wait_for(_somebody_waits, 10, "the deletion to wait for the import")
    erasing.join()
    [row] = RefusedRow.objects.all()
    assert (row.error, bytes(row.cells)) == (uploads.GONE, b"[]")
    assert not Contact.objects.filter(email_folded="grace@shop.example").exists()


def _somebody_waits() -> bool:
    """Whether somebody waits for this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return bool(cursor.fetchone())
