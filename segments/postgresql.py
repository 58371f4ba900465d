"""How PostgreSQL hands over a million ids: one array in binary, two to three times faster than rows."""

import numpy
import psycopg
from django.db import connection


def array_of_ids(sql: str, params) -> numpy.ndarray:
    """Run a SELECT of one int4 column, as Django compiled it; return its values as uint32."""
    connection.ensure_connection()
    whole = f"SELECT array_agg(id) FROM ({connection.ops.compose_sql(sql, params)}) AS asked(id)"
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(whole, binary=True)
        array = cursor.pgresult.get_value(0, 0)
    if array is None:
        return numpy.empty(0, "uint32")
    # An array in PostgreSQL's binary form: a header of 20 bytes, then for each element its length and its value.
    return numpy.frombuffer(array, ">i4", offset=20).reshape(-1, 2)[:, 1].astype("uint32")
