"""On PostgreSQL a question about one type reads that type's summaries, or its events of some time. In one table they lie
among those of all others, as they came, and it reads nearly every page.

Partitions by the hash of the type keep them together, and leave writing as cheap as it is: an index that held all that
is asked would have to be written with every event.
"""

from django.db import migrations

TABLES = ("eventsapp_eventsummary", "eventsapp_event")
PARTITIONS = 16
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f') ORDER BY contype DESC
"""
OTHER_INDEXES = """
    SELECT indexdef FROM pg_indexes WHERE tablename = %s
        AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass)
"""


def split(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            for table in TABLES:
                _split(cursor, table)


def _split(cursor, table):
    cursor.execute(CONSTRAINTS, [table])
    constraints = cursor.fetchall()
    cursor.execute(OTHER_INDEXES, [table, table])
    indexes = [definition for (definition,) in cursor.fetchall()]
    cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
    cursor.execute(f"CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS) PARTITION BY HASH (type_id)")
    for number in range(PARTITIONS):
        cursor.execute(
            f"CREATE TABLE {table}_{number:02} PARTITION OF {table}"
            f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
        )
    cursor.execute(f"INSERT INTO {table} SELECT * FROM {table}_before")
    cursor.execute(f"DROP TABLE {table}_before")
    for name, definition in constraints:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for definition in indexes:
        cursor.execute(definition)


class Migration(migrations.Migration):
    dependencies = [("eventsapp", "0008_find_people_by_an_index_alone")]

    operations = [migrations.RunPython(split)]
