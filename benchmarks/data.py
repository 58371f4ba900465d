"""What is there already when something is measured: made by SQL, as no app would, because it takes seconds so."""

import json
import math
import random
import time
from contextlib import contextmanager

from django.db import connection

from eventsapp import summaries, volumes
from eventsapp.models import Contact, Event, EventType, Workspace
from eventsapp.sql import KEY

YEAR = 365 * 24 * 3600
TYPES = 20
# How many of ten people have which plan.
PLANS = ["free"] * 6 + ["pro"] * 3 + ["team"]


def fill(workspace: Workspace, *, people: int, events: int):
    """Put `people` (user_id person-0 …) and `events` of twenty types (type-0 …) over the last year into the database.

    Types are skewed: each is about two thirds as frequent as the one before it. Each event has three metadata keys,
    each person three custom attributes. Rows lie as apps would have written them: events by their time, summaries by
    their first event.
    """
    EventType.objects.bulk_create(EventType(workspace=workspace, name=f"type-{n}") for n in range(TYPES))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            _fill_postgresql(cursor, workspace, people, events)
    else:
        _fill_sqlite(workspace, people, events)
    volumes.roll_up()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _fill_postgresql(cursor, workspace, people, events):
    cursor.execute("SELECT setseed(0.5)")
    cursor.execute(
        """
        INSERT INTO eventsapp_contact (workspace_id, role, external_id, external_id_folded, email, email_folded,
            custom_attributes, created_at, updated_at, signed_up_at, unsubscribed_from_emails)
        SELECT %(workspace)s, 'user', 'person-' || n, 'person-' || n, 'person-' || n || '@example.org',
            'person-' || n || '@example.org',
            jsonb_build_object('plan', (%(plans)s::text[])[1 + floor(random() * 10)],
                'seats', 1 + floor(-ln(1 - random()) * 5),
                'renewal_at', extract(epoch FROM now())::bigint + floor((random() - 0.5) * %(year)s)::bigint),
            extract(epoch FROM now()), extract(epoch FROM now()),
            extract(epoch FROM now())::bigint - floor(random() * 2 * %(year)s)::bigint, false
        FROM generate_series(0, %(people)s - 1) AS n
        """,
        {"workspace": workspace.pk, "plans": PLANS, "year": YEAR, "people": people},
    )
    with _bare(cursor, "eventsapp_event"):
        cursor.execute(
            """
            INSERT INTO eventsapp_event (contact_id, created_at, type_id, fingerprint, metadata, source, received_at)
            SELECT first_contact + floor(random() * %(people)s),
                extract(epoch FROM now())::bigint - ((%(events)s - n + random()) * %(year)s / %(events)s)::bigint,
                first_type + least(floor(-ln(1 - random()) * 2.5), %(types)s - 1), n,
                jsonb_build_object('order', 'o-' || n, 'price', floor(random() * 500),
                    'plan', (array['free', 'pro', 'team'])[1 + floor(random() * 3)]),
                'api', now() - interval '1 hour'
            FROM generate_series(1, %(events)s) AS n,
                (SELECT min(id) AS first_contact FROM eventsapp_contact WHERE workspace_id = %(workspace)s) AS c,
                (SELECT min(id) AS first_type FROM eventsapp_eventtype WHERE workspace_id = %(workspace)s) AS t
            """,
            {"people": people, "types": TYPES, "events": events, "year": YEAR, "workspace": workspace.pk},
        )
    with _bare(cursor, "eventsapp_eventsummary"):
        _summarize(cursor)


def _summarize(cursor):
    """What `summaries.repair` would find, faster into an empty table."""
    cursor.execute(f"""
        INSERT INTO eventsapp_eventsummary (type_id, contact_id, count, first_at, last_at, imported_count)
        SELECT type_id, contact_id, count, first_at, last_at, 0 FROM ({summaries.TRUTH}) AS truth ORDER BY first_at
    """)


@contextmanager
def _bare(cursor, table: str):
    """Take a table's constraints and indexes away, and put them back: made at once they take a fraction of the time."""
    cursor.execute(
        """
        SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f') ORDER BY contype DESC
        """,
        [table],
    )
    constraints = cursor.fetchall()
    for name, _ in constraints:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table])
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    cursor.execute("SET maintenance_work_mem = '512MB'")
    for name, definition in constraints:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        cursor.execute(definition.replace(" ON ONLY ", " ON "))  # of all partitions


def _fill_sqlite(workspace, people, events):
    """The same by Python: SQLite's functions differ, and here it is little."""
    chance, now = random.Random(5), int(time.time())
    Contact.objects.bulk_create(_person(workspace, n, chance, now) for n in range(people))
    first_contact = Contact.objects.filter(workspace=workspace).order_by("pk").values_list("pk", flat=True)[0]
    first_type = EventType.objects.get(workspace=workspace, name="type-0").pk
    columns = (*KEY, "metadata", "source", "received_at")
    rows = (
        (
            first_contact + chance.randrange(people),
            now - int((events - n + chance.random()) * YEAR / events),
            first_type + min(int(-math.log(1 - chance.random()) * 2.5), TYPES - 1),
            n,
            json.dumps(
                {"order": f"o-{n}", "price": chance.randrange(500), "plan": chance.choice(["free", "pro", "team"])}
            ),
            "api",
            "2020-01-01 00:00:00",
        )
        for n in range(1, events + 1)
    )
    places = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(f"INSERT INTO {Event._meta.db_table} ({', '.join(columns)}) VALUES ({places})", rows)
        _summarize(cursor)
        cursor.execute("COMMIT")


def _person(workspace, n, chance, now) -> Contact:
    contact = Contact(
        workspace=workspace,
        external_id=f"person-{n}",
        email=f"person-{n}@example.org",
        signed_up_at=now - chance.randrange(2 * YEAR),
        custom_attributes={
            "plan": chance.choice(PLANS),
            "seats": 1 + int(-math.log(1 - chance.random()) * 5),
            "renewal_at": now + int((chance.random() - 0.5) * YEAR),
        },
    )
    contact.fold_texts()
    return contact
