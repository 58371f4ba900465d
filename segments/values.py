"""Where a compared value stands (a column, or a key inside JSON) and how SQL reads it with its kind.

A value of another kind reads as NULL, so that no positive test matches it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import and_

from django.db.models import BooleanField, CharField, F, FloatField, Func, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, IsNull, LessThan
from pyroaring import BitMap

from segments.days import Span


class JsonRead(Func):
    """A value under a key of a JSON document, as one kind, or NULL. Subclasses say it for each database."""

    postgresql = sqlite = ""
    value = None

    def __init__(self, document, key, **extra):
        super().__init__(document, Value(key), **extra)

    def as_sql(self, compiler, connection, **extra):
        document, key = self.source_expressions
        document_sql, document_params = compiler.compile(document)
        template, label, value = self.postgresql, key.value, self.value
        if connection.vendor == "sqlite":
            # A quoted label takes any key: quotes and backslashes are refused on the way in.
            template, label = self.sqlite, f'$."{key.value}"'
        elif not isinstance(value, str):
            value = json.dumps(value)
        given = {"document": document_params, "key": [label], "value": [value]}
        sql = template.format(document=document_sql, key="%s", value="%s")
        params = []
        # Parameters follow the order in which the template uses them.
        for part in template.split("{")[1:]:
            params += given[part.partition("}")[0]]
        return sql, params


class JsonText(JsonRead):
    output_field = CharField()
    postgresql = "CASE WHEN jsonb_typeof({document} -> {key}) = 'string' THEN {document} ->> {key} END"
    sqlite = "CASE WHEN json_type({document}, {key}) = 'text' THEN json_extract({document}, {key}) END"


class JsonNumber(JsonRead):
    output_field = FloatField()
    postgresql = "CASE WHEN jsonb_typeof({document} -> {key}) = 'number' THEN ({document} ->> {key})::float8 END"
    sqlite = "CASE WHEN json_type({document}, {key}) IN ('integer', 'real') THEN json_extract({document}, {key}) END"


class JsonInteger(JsonRead):
    output_field = FloatField()
    postgresql = "CASE WHEN ({document} -> {key})::text ~ '^-?[0-9]+$' THEN ({document} ->> {key})::float8 END"
    sqlite = "CASE WHEN json_type({document}, {key}) = 'integer' THEN json_extract({document}, {key}) END"


class JsonBoolean(JsonRead):
    output_field = BooleanField()
    postgresql = "CASE WHEN jsonb_typeof({document} -> {key}) = 'boolean' THEN ({document} ->> {key})::boolean END"
    sqlite = "CASE WHEN json_type({document}, {key}) IN ('true', 'false') THEN json_extract({document}, {key}) END"


class JsonAny(JsonRead):
    """Whatever is there, as a text; NULL for null."""

    output_field = CharField()
    postgresql = "({document} ->> {key})"
    sqlite = "CAST(json_extract({document}, {key}) AS text)"


class JsonInner(JsonRead):
    """An object inside a document."""

    postgresql = sqlite = "({document} -> {key})"


class JsonTest(JsonRead):
    """Whether a value under a key compares so (`=`, `>` …) to a text, or to a number, and is of that kind itself;
    `whole` asks for an integer.

    PostgreSQL compares first, a number as jsonb: most values fail there, and only the others are asked what they are.
    """

    output_field = BooleanField()

    def __init__(self, document, key, op: str, value: float | str, *, whole: bool = False, **extra):
        super().__init__(document, key, **extra)
        if isinstance(value, str):
            self.value, kinds = value, "'text'"
            self.postgresql = (
                f"(({{document}} ->> {{key}}) {op} {{value}} AND jsonb_typeof({{document}} -> {{key}}) = 'string')"
            )
        else:
            self.value, kinds = value, "'integer'" if whole else "'integer', 'real'"
            self.postgresql = (
                f"(({{document}} -> {{key}}) {op} {{value}}::jsonb"
                " AND jsonb_typeof({document} -> {key}) = 'number'"
                + (" AND strpos({document} ->> {key}, '.') = 0)" if whole else ")")
            )
        self.sqlite = (
            f"(json_type({{document}}, {{key}}) IN ({kinds}) AND json_extract({{document}}, {{key}}) {op} {{value}})"
        )


class IsOneOf(Func):
    """Whether an id, which is never NULL, is one of many, which travel as a single parameter."""

    output_field = BooleanField()

    def __init__(self, id, ids: Iterable[int]):
        super().__init__(id)
        self.ids = BitMap(ids)

    def as_sql(self, compiler, connection, **extra):
        sql, params = compiler.compile(self.source_expressions[0])
        return f"{sql} IN (SELECT value FROM json_each(%s))", [*params, json.dumps(list(self.ids))]

    def as_postgresql(self, compiler, connection, **extra):
        # Imported here because of numpy, for which SQLite has no use.
        from segments.postgresql import bits_of

        sql, params = compiler.compile(self.source_expressions[0])
        if bits := bits_of(self.ids):
            first, last = self.ids.min(), self.ids.max()
            test = f"CASE WHEN {sql} BETWEEN %s AND %s THEN get_bit(%s, {sql} - %s) = 1 ELSE false END"
            return test, [*params, first, last, bits, *params, first]
        # Small ids would come as smallint: with those PostgreSQL compares one after the other, as no hash is of both.
        return f"{sql} = ANY(%s::integer[])", [*params, list(self.ids)]


def within(seconds, span: Span):
    """Return the test that an expression of Unix seconds lies in `span`."""
    return _within(span, lambda op, limit: {">=": GreaterThanOrEqual, "<": LessThan}[op](seconds, limit))


def _within(span, compared):
    limits = [(">=", span.low), ("<", span.high)]
    return reduce(and_, (Q(compared(op, limit)) for op, limit in limits if limit is not None), Q())


def _is_there(text):
    """Neither NULL nor empty."""
    return GreaterThan(Coalesce(text, Value("")), Value(""))


@dataclass(frozen=True)
class Column:
    """A column that holds values of one kind: "text", folded; "date", Unix seconds; or "boolean"."""

    field: str
    kind: str

    def text(self):
        return F(self.field)

    boolean = text

    def within(self, span: Span):
        return within(F(self.field), span)

    def equals(self, text: str):
        return Exact(F(self.field), text)

    def present(self):
        return _is_there(F(self.field)) if self.kind == "text" else IsNull(F(self.field), False)


@dataclass(frozen=True)
class InJson:
    """A key of metadata or of custom attributes, as filters compare them. `document` names the column of values."""

    document: str
    key: str

    def _terms(self):
        return Coalesce("terms", self.document)

    def text(self):
        return JsonText(self._terms(), self.key)

    def compared(self, op: str, value: float | str):
        return JsonTest(self._terms(), self.key, op, value)

    def equals(self, text: str):
        return self.compared("=", text)

    def number(self):
        return JsonNumber(self._terms(), self.key)

    def within(self, span: Span):
        return _within(span, lambda op, limit: JsonTest(self._terms(), self.key, op, limit, whole=True))

    def boolean(self):
        return JsonBoolean(self._terms(), self.key)

    def money(self):
        """(amount in cents, currency) of a monetary amount."""
        inner = JsonInner(self._terms(), self.key)
        return JsonInteger(inner, "amount"), JsonText(inner, "currency")

    def present(self):
        return _is_there(JsonAny(self._terms(), self.key))
