"""Does every EventSummary say what its events say? Asked, and mended, set by set."""

from django.db import connection, transaction

# Both databases know FULL JOIN (SQLite since 3.39), and IS DISTINCT FROM for what may be NULL (likewise).
TRUTH = """
    SELECT type_id, contact_id, count(*) AS count, min(created_at) AS first_at, max(created_at) AS last_at
    FROM eventsapp_event GROUP BY type_id, contact_id
"""
DIFFERENCES = f"""
    SELECT coalesce(kept.type_id, truth.type_id), coalesce(kept.contact_id, truth.contact_id),
        kept.count, kept.first_at, kept.last_at, truth.count, truth.first_at, truth.last_at
    FROM eventsapp_eventsummary AS kept
    FULL JOIN ({TRUTH}) AS truth ON truth.type_id = kept.type_id AND truth.contact_id = kept.contact_id
    WHERE coalesce(kept.count, 0) <> coalesce(truth.count, 0)
        OR coalesce(kept.first_at, -1) <> coalesce(truth.first_at, -1)
        OR coalesce(kept.last_at, -1) <> coalesce(truth.last_at, -1)
"""


def differences() -> list[tuple]:
    """Return (type, contact, kept count, first, last, true count, first, last) of each summary that is wrong."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES)
        return cursor.fetchall()


def repair():
    """Make every summary say what its events say; imported baselines stay. Waits for no writer and stops none long.

    Events of nobody go: the database does not check that they are somebody's.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Nobody may add events between the counting and the writing.
            cursor.execute("LOCK TABLE eventsapp_eventsummary IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            """
            DELETE FROM eventsapp_event WHERE NOT EXISTS (
                SELECT 1 FROM eventsapp_contact WHERE eventsapp_contact.id = eventsapp_event.contact_id)
            """
        )
        cursor.execute(
            f"""
            INSERT INTO eventsapp_eventsummary (type_id, contact_id, count, first_at, last_at, imported_count)
            SELECT type_id, contact_id, count, first_at, last_at, 0 FROM ({TRUTH}) AS truth WHERE true
            ON CONFLICT (type_id, contact_id) DO UPDATE SET
                count = excluded.count, first_at = excluded.first_at, last_at = excluded.last_at
            """
        )
        gone = """NOT EXISTS (SELECT 1 FROM eventsapp_event AS event
            WHERE event.type_id = eventsapp_eventsummary.type_id
            AND event.contact_id = eventsapp_eventsummary.contact_id)"""
        cursor.execute(f"DELETE FROM eventsapp_eventsummary WHERE imported_count = 0 AND {gone}")
        cursor.execute(f"UPDATE eventsapp_eventsummary SET count = 0, first_at = NULL, last_at = NULL WHERE {gone}")
