"""The few statements that Django's ORM cannot say, or not fast enough for the door by which every event comes in, and
the few words in which SQLite and PostgreSQL differ there.

Rows travel as one JSON text, a single parameter, so that a list of any length is planned once.
"""

import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from eventsapp.text import fold

CONTACT_COLUMNS = {"external_id": "text", "external_id_folded": "text", "email": "text", "email_folded": "text"}
EVENT_COLUMNS = {
    "contact_id": "int",
    "created_at": "bigint",
    "type_id": "int",
    "fingerprint": "bigint",
    "metadata": "jsonb",
    "terms": "jsonb",
    "uuid": "uuid",
}
# An event as it was sent: by names instead of keys.
NAMED_COLUMNS = {"place": "int", "user_id": "text", "name": "text"} | {
    name: kind for name, kind in EVENT_COLUMNS.items() if name not in ("contact_id", "type_id")
}
KEY = ("contact_id", "created_at", "type_id", "fingerprint")
COUNT_COLUMNS = {"type_id": "int", "contact_id": "int", "count": "int"}
BASELINE_COLUMNS = {"type_id": "int", "contact_id": "int", "count": "int", "first_at": "bigint", "last_at": "bigint"}


# What an import of people may change of them.
PERSON_COLUMNS = {
    "id": "int",
    "role": "text",
    **{f"{name}{folded}": "text" for name in ("external_id", "email", "name") for folded in ("", "_folded")},
    "phone": "text",
    "signed_up_at": "bigint",
    "last_seen_at": "bigint",
    "updated_at": "bigint",
    "unsubscribed_from_emails": "boolean",
    "custom_attributes": "jsonb",
    "terms": "jsonb",
}


EMAIL_LOCKS = 64  # a workspace
GAP = 0.12  # seconds in which every writer that waits for SQLite has looked again


class EventRow(NamedTuple):
    """An event as its table has it. `metadata` and `terms` are objects, `uuid` is its sender's own or None."""

    contact_id: int
    created_at: int
    type_id: int
    fingerprint: int
    metadata: dict
    terms: dict | None
    uuid: UUID | None


def dialect() -> "Dialect":
    """Return the dialect of the database in use."""
    return POSTGRESQL if connection.vendor == "postgresql" else SQLITE


def database_now() -> datetime:
    """Return this instant by the clock that stamps events as received."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def let_others_write():
    """To be called between two transactions of long work. SQLite has no queue of writers: each that waits looks again
    ten times a second, and would hardly ever find a gap."""
    if connection.vendor == "sqlite":
        time.sleep(GAP)


class Dialect(ABC):
    """The statements of ingest; each name says what is asked or written. Rows are tuples in the order of columns."""

    encoder = msgspec.json.Encoder()

    def known(self, workspace: int, user_ids: Iterable[str], names: Iterable[str]) -> tuple[dict, dict]:
        """Return the contacts with these user_ids (of a merged one its heir) as {user_id: id}, and the event types with
        these names as {name: (id, watched)}."""
        rows = self.run(
            f"""
            SELECT external_id, coalesce(merged_into_id, id), NULL FROM eventsapp_contact
            WHERE workspace_id = %(workspace)s AND deleted_at IS NULL AND external_id {self.among("user_ids")}
            UNION ALL
            SELECT name, id, watched FROM eventsapp_eventtype
            WHERE workspace_id = %(workspace)s AND name {self.among("names")}
            """,
            {"workspace": workspace, "user_ids": self.values(user_ids), "names": self.values(names)},
        )
        contacts = {user_id: pk for user_id, pk, watched in rows if watched is None}
        return contacts, {name: (pk, bool(watched)) for name, pk, watched in rows if watched is not None}

    def lock_emails(self, workspace: int, emails: Iterable[str]) -> bool:
        """Wait until nobody else makes a person with one of these (folded) emails; others wait until this transaction
        ends. False where writers are one at a time anyway.

        A constraint cannot keep apart a person known by an email alone and one with a user_id and that email.
        """
        return False

    def insert_contacts(self, workspace: int, people: Sequence, now: int) -> list[int]:
        """Insert users for these `Who`s, except those that are there; return the new ids. `now` in Unix seconds."""
        rows = [
            (who.user_id, who.user_id and fold(who.user_id), who.email, who.email and fold(who.email)) for who in people
        ]
        made = self.run(
            f"""
            INSERT INTO eventsapp_contact (workspace_id, role, external_id, external_id_folded, email, email_folded,
                custom_attributes, created_at, updated_at, unsubscribed_from_emails)
            SELECT %(workspace)s, 'user', external_id, external_id_folded, email, email_folded, '{{}}',
                %(now)s, %(now)s, {self.false}
            FROM {self.table("sent", CONTACT_COLUMNS)} WHERE true
            ON CONFLICT DO NOTHING RETURNING id
            """,
            {"workspace": workspace, "now": now, "sent": self.encode(CONTACT_COLUMNS, rows)},
        )
        return [pk for (pk,) in made]

    def change_contacts(self, contacts: Sequence):
        """Write what PERSON_COLUMNS names of these Contacts. Raises IntegrityError where two would be the same."""
        rows = [tuple(getattr(contact, name) for name in PERSON_COLUMNS) for contact in contacts]
        changed = ", ".join(f"{name} = sent.{name}" for name in PERSON_COLUMNS if name != "id")
        self.run(
            f"""
            UPDATE eventsapp_contact SET {changed} FROM {self.table("sent", PERSON_COLUMNS)}
            WHERE eventsapp_contact.id = sent.id RETURNING eventsapp_contact.id
            """,
            {"sent": self.encode(PERSON_COLUMNS, rows)},
        )

    @abstractmethod
    def store_events(self, rows: Sequence[EventRow], source: str, watched: Sequence[int]) -> list[tuple]:
        """Insert events, except those that are there; add the new ones to their summaries; hand over those of the types
        in `watched`. Return the keys (contact, time, type, fingerprint) of the new."""

    def insert_events(self, sent: str, returning: Iterable[str]) -> str:
        """In the order in which `sent` holds them: that of their keys."""
        columns = ", ".join(EVENT_COLUMNS)
        return f"""
            INSERT INTO eventsapp_event ({columns}, source, received_at)
            SELECT {columns}, %(source)s, {self.clock} FROM {sent} WHERE true
            ON CONFLICT DO NOTHING RETURNING {", ".join(returning)}"""

    def add_to_summaries(self, stored: str) -> str:
        """In the order of its key, so that two writers wait for each other and never lock each other out."""
        return f"""
            INSERT INTO eventsapp_eventsummary AS old (type_id, contact_id, count, first_at, last_at, imported_count)
            SELECT type_id, contact_id, count(*), min(created_at), max(created_at), 0 FROM {stored}
            WHERE true GROUP BY type_id, contact_id ORDER BY type_id, contact_id
            ON CONFLICT (type_id, contact_id) DO UPDATE SET
                count = old.count + excluded.count,
                first_at = {self.least}(coalesce(old.first_at, excluded.first_at), excluded.first_at),
                last_at = {self.greatest}(coalesce(old.last_at, excluded.last_at), excluded.last_at)
            RETURNING type_id, contact_id, count"""

    def insert_hand_overs(self, stored: str, counted: str, watched: str) -> str:
        """Of several new events of one person and type the earliest counts first; the last has the count after all."""
        columns = ", ".join(EVENT_COLUMNS)
        return f"""
            INSERT INTO eventsapp_handover ({columns}, occurrence, source, received_at, due_at, attempts, error)
            SELECT {columns},
                count + 1 - row_number() OVER (
                    PARTITION BY type_id, contact_id ORDER BY created_at DESC, fingerprint DESC),
                %(source)s, {self.clock}, {self.clock}, 0, ''
            FROM {stored} JOIN {counted} USING (type_id, contact_id)
            WHERE type_id {watched} ORDER BY type_id, contact_id, created_at, fingerprint
            ON CONFLICT DO NOTHING"""

    def set_baselines(self, rows: Sequence[tuple]):
        """Set the imported count, first and last of (type, contact); what their events say stays."""
        self.run(
            f"""
            INSERT INTO eventsapp_eventsummary
                (type_id, contact_id, count, imported_count, imported_first_at, imported_last_at)
            SELECT type_id, contact_id, 0, count, first_at, last_at FROM {self.table("sent", BASELINE_COLUMNS)}
            WHERE true
            ON CONFLICT (type_id, contact_id) DO UPDATE SET imported_count = excluded.imported_count,
                imported_first_at = excluded.imported_first_at, imported_last_at = excluded.imported_last_at
            RETURNING type_id
            """,
            {"sent": self.encode(BASELINE_COLUMNS, rows)},
        )

    def hold(self, model: type[Model], pks: Collection[int]) -> list[int]:
        """Let nobody delete these rows until the transaction ends; others may hold and change them, too. Return the ids
        of those that are there.

        The database itself looks only at the end whether what is referred to is there, and then nothing can be saved.
        """
        if not pks:
            return []
        rows = self.run(
            f"SELECT id FROM {model._meta.db_table} WHERE id {self.among('pks')} ORDER BY id {self.for_key_share}",
            {"pks": self.values(pks)},
        )
        return [pk for (pk,) in rows]

    def put_tag(self, tag: int, contacts: Iterable[int]) -> list[int]:
        """Put a tag on these contacts; return the ids of those who did not have it."""
        rows = self.run(
            f"""
            INSERT INTO eventsapp_tagging (tag_id, contact_id)
            SELECT %(tag)s, id FROM eventsapp_contact WHERE id {self.among("contacts")}
            ON CONFLICT DO NOTHING RETURNING contact_id
            """,
            {"tag": tag, "contacts": self.values(contacts)},
        )
        return [pk for (pk,) in rows]

    def take_tag(self, tag: int, contacts: Iterable[int]) -> list[int]:
        """Take a tag off these contacts; return the ids of those who had it."""
        rows = self.run(
            f"DELETE FROM eventsapp_tagging WHERE tag_id = %(tag)s AND contact_id {self.among('contacts')}"
            " RETURNING contact_id",
            {"tag": tag, "contacts": self.values(contacts)},
        )
        return [pk for (pk,) in rows]

    def encode(self, columns: Iterable[str], rows: Iterable[tuple]) -> str:
        """Return rows as the text that a `table` is read from."""
        return self.encoder.encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()


class PostgreSQL(Dialect):
    false = "false"
    for_key_share = "FOR KEY SHARE"
    least, greatest = "least", "greatest"
    # One clock for all writers, the database's own.
    clock = "statement_timestamp()"
    # Type by type, by the index of when events were received: joined in another way, all events would be read.
    not_yet_counted = """
        CROSS JOIN LATERAL (
            SELECT created_at FROM eventsapp_event
            WHERE type_id = type.id AND received_at > type.counted_until OFFSET 0
        ) AS event"""

    def lock_emails(self, workspace, emails):
        # Few locks, because the server has room for some thousand in all; in order, so that no two wait for each other.
        keys = sorted({zlib.crc32(email.encode()) % EMAIL_LOCKS for email in emails})
        self.run(
            "SELECT pg_advisory_xact_lock(%(workspace)s, key) IS NULL FROM unnest(%(keys)s::int[]) AS asked(key)",
            {"workspace": workspace, "keys": keys},
        )
        return True

    def store_events(self, rows, source, watched):
        """One statement, one round trip: while a thread waits for an answer, others hold Python's lock."""
        parts = [
            f"stored AS ({self.insert_events(self.table('sent', EVENT_COLUMNS), EVENT_COLUMNS if watched else KEY)})",
            f"counted AS ({self.add_to_summaries('stored')})",
        ]
        if watched:
            parts.append(f"handed_over AS ({self.insert_hand_overs('stored', 'counted', self.among('watched'))})")
        return self.run(
            f"WITH {', '.join(parts)} SELECT {', '.join(KEY)} FROM stored",
            {"sent": self.encode(EVENT_COLUMNS, rows), "source": source} | ({"watched": watched} if watched else {}),
        )

    def store_named_events(self, workspace: int, rows: Iterable[tuple], source: str) -> list[tuple]:
        """Store rows of NAMED_COLUMNS as `store_events` does, if the contact with that user_id and the type with that
        name are there; return (place, is new, is watched) of these.

        One statement finds, writes, counts and hands over: outside a transaction one round trip, commit included.
        """
        columns = ", ".join(f"sent.{name}" for name in NAMED_COLUMNS if name not in ("user_id", "name"))
        known = f"""
            SELECT {columns}, coalesce(contact.merged_into_id, contact.id) AS contact_id,
                type.id AS type_id, type.watched
            FROM {self.table("sent", NAMED_COLUMNS)}
                JOIN eventsapp_contact AS contact ON contact.workspace_id = %(workspace)s
                    AND contact.external_id = sent.user_id AND contact.deleted_at IS NULL
                JOIN eventsapp_eventtype AS type ON type.workspace_id = %(workspace)s AND type.name = sent.name
            ORDER BY {", ".join(KEY)}, place"""
        watched = "IN (SELECT type_id FROM known WHERE watched)"
        return self.run(
            f"""
            WITH known AS MATERIALIZED ({known}),
                stored AS ({self.insert_events("known", EVENT_COLUMNS)}),
                counted AS ({self.add_to_summaries("stored")}),
                handed_over AS ({self.insert_hand_overs("stored", "counted", watched)})
            SELECT place, stored.contact_id IS NOT NULL
                AND place = first_value(place) OVER (PARTITION BY {", ".join(KEY)} ORDER BY place), watched
            FROM known LEFT JOIN stored USING ({", ".join(KEY)})
            """,
            {"workspace": workspace, "source": source, "sent": self.encode(NAMED_COLUMNS, rows)},
        )

    def table(self, parameter: str, columns: dict[str, str]) -> str:
        described = ", ".join(f"{name} {type}" for name, type in columns.items())
        return f"json_to_recordset(%({parameter})s::json) AS {parameter}({described})"

    def among(self, parameter: str) -> str:
        return f"= ANY(%({parameter})s)"

    def values(self, values: Iterable) -> list:
        return list(values)

    def run(self, sql: str, params: dict) -> list[tuple]:
        """Parameters are bound by the server, and the plan is kept: both cost more than these statements themselves."""
        import psycopg

        connection.ensure_connection()
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            return cursor.execute(sql, params, prepare=True).fetchall()


class SQLite(Dialect):
    false = "0"
    for_key_share = ""  # one transaction writes at a time
    least, greatest = "min", "max"
    # SQLite has no finer clock than Python, and both run on the same machine.
    clock = "%(now)s"
    not_yet_counted = """
        JOIN eventsapp_event AS event ON event.type_id = type.id AND event.received_at > type.counted_until"""
    encoder = msgspec.json.Encoder(uuid_format="hex")

    def store_events(self, rows, source, watched):
        """SQLite knows no writing inside WITH, so each statement's answer goes into the next."""
        params = {"sent": self.encode(EVENT_COLUMNS, rows), "source": source}
        params["now"] = connection.ops.adapt_datetimefield_value(timezone.now())
        columns = tuple(EVENT_COLUMNS) if watched else KEY
        new = self.run(self.insert_events(self.table("sent", EVENT_COLUMNS), columns), params)
        if not new:
            return []
        stored = self.table("stored", columns)
        params["stored"] = self.encode(columns, new)
        counts = self.run(self.add_to_summaries(stored), params)
        if watched:
            params |= {"counted": self.encode(COUNT_COLUMNS, counts), "watched": self.encoder.encode(watched).decode()}
            self.run(
                self.insert_hand_overs(stored, self.table("counted", COUNT_COLUMNS), self.among("watched")), params
            )
        return [row[: len(KEY)] for row in new]

    def table(self, parameter: str, columns: Iterable[str]) -> str:
        picked = ", ".join(f"value ->> '{name}' AS {name}" for name in columns)
        return f"(SELECT {picked} FROM json_each(%({parameter})s)) AS {parameter}"

    def among(self, parameter: str) -> str:
        return f"IN (SELECT value FROM json_each(%({parameter})s))"

    def values(self, values: Iterable) -> str:
        return self.encoder.encode(list(values)).decode()

    def run(self, sql: str, params: dict) -> list[tuple]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()


POSTGRESQL, SQLITE = PostgreSQL(), SQLite()
