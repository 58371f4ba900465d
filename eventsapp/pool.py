"""Connections of the web process, of which there are fewer than threads."""

from django.db import DEFAULT_DB_ALIAS, connections


def lend():
    """Give this thread's connection back to the pool while it waits for something else than the database; the next
    question takes one again. Where there is no pool, or a transaction is open, it is kept."""
    own = connections[DEFAULT_DB_ALIAS]
    if own.connection is not None and getattr(own, "pool", None) and not own.in_atomic_block:
        own.close()
