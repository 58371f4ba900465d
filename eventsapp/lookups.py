"""A comparison that Django lacks."""

from django.db.models import CharField, Lookup


@CharField.register_lookup
class Begins(Lookup):
    """`field__begins=text`: begins with these very characters, answered from an ordinary index on either database."""

    lookup_name = "begins"

    def as_sql(self, compiler, connection):
        field, params = self.process_lhs(compiler, connection)
        return f"({field} >= %s AND {field} < %s)", [*params, self.rhs, *params, self.rhs + "\U0010ffff"]

    def as_postgresql(self, compiler, connection):
        # Collations of PostgreSQL don't sort by code point; its pattern index serves LIKE instead.
        field, params = self.process_lhs(compiler, connection)
        escaped = self.rhs.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        return f"{field} LIKE %s", [*params, f"{escaped}%"]
