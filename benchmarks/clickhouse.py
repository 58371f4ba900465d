"""ClickHouse, inside this process (chdb), with the same data: it counts after us, and its time stands beside ours."""

import csv
import sqlite3
import time
from pathlib import Path

import psycopg
from chdb.session import Session

EXPORTED = {
    "people": """
        SELECT id, custom_attributes, signed_up_at FROM eventsapp_contact
        WHERE role IN ('user', 'lead') AND archived_at IS NULL AND merged_into_id IS NULL AND deleted_at IS NULL
        """,
    "events": """
        SELECT contact_id, type.name, event.created_at, metadata
        FROM eventsapp_event AS event JOIN eventsapp_eventtype AS type ON type.id = type_id
        """,
}
TABLES = {
    "people": """
        id UInt32, custom_attributes String, signed_up_at Int64,
        plan LowCardinality(String) MATERIALIZED JSONExtractString(custom_attributes, 'plan'),
        seats Float64 MATERIALIZED JSONExtractFloat(custom_attributes, 'seats'),
        renewal_at Int64 MATERIALIZED JSONExtractInt(custom_attributes, 'renewal_at')
        """,
    "events": """
        contact_id UInt32, type LowCardinality(String), created_at Int64, metadata String,
        price Float64 MATERIALIZED JSONExtractFloat(metadata, 'price'),
        plan LowCardinality(String) MATERIALIZED JSONExtractString(metadata, 'plan')
        """,
}
ORDERED_BY = {"people": "id", "events": "type, created_at"}
# Metadata as columns of their own, and as they came.
TYPED = {"price": "price", "event_plan": "plan"}
AS_JSON = {"price": "JSONExtractFloat(metadata, 'price')", "event_plan": "JSONExtractString(metadata, 'plan')"}


class ClickHouse:
    """A ClickHouse that holds what the database at `url` holds, in `folder`."""

    def __init__(self, url: str, folder: Path):
        self.session = Session(str(folder / "clickhouse"))
        self.session.query("CREATE DATABASE bench; USE bench")
        for table, columns in TABLES.items():
            file = folder / f"{table}.csv"
            _export(url, EXPORTED[table], file)
            self.session.query(
                f"CREATE TABLE bench.{table} ({columns}) ENGINE = MergeTree ORDER BY ({ORDERED_BY[table]});"
                f"INSERT INTO bench.{table} SELECT * FROM file('{file}', 'CSV')"
            )
            file.unlink()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()

    def count(self, who: str, *, now: int, keys: dict = TYPED) -> tuple[int, float]:
        """Return how many people there are `who` …, and the milliseconds of that."""
        self.session.query("SYSTEM DROP MARK CACHE; SYSTEM DROP UNCOMPRESSED CACHE")
        began = time.perf_counter()
        answer = self.session.query(f"SELECT count() FROM bench.people WHERE {who.format(now=now, **keys)}", "CSV")
        return int(str(answer)), 1000 * (time.perf_counter() - began)


def _export(url: str, sql: str, file: Path):
    if url.startswith("postgres"):
        with (
            file.open("wb") as out,
            psycopg.connect(url) as server,
            server.cursor().copy(f"COPY ({sql}) TO STDOUT (FORMAT csv)") as rows,
        ):
            out.writelines(rows)
        return
    with file.open("w", newline="") as out, sqlite3.connect(url) as database:
        csv.writer(out).writerows(database.execute(sql))
