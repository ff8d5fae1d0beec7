"""Figures of a table that each engine computes by itself: counts, sums, and counts behind filters, which readers may answer
from statistics and bounds without opening an object.

Owns: the choice of figures, their values by hand from the rows of the reference, and their SQL in each dialect. Does not
own: running them (`readers`, `spark_worker`). Needs nothing but the standard library.
"""

import decimal

from .values import text, time_text

# Sums of decimals have up to 38 digits, beyond the 28 that Python rounds to by itself.
decimal.getcontext().prec = 80
ORDERED = ("int32", "int64", "float64", "decimal", "string", "date", "timestamp")
SUMMED = ("int32", "int64", "decimal")
# A column to itself would be one that a name of a reader hides.
QUOTES = {"datafusion": '"', "duckdb": '"', "spark": "`"}


def chosen(schema, rows):
    """The figures of a table with these plain rows: (what, column, type, value of the filter), each with its result."""
    found = [(("count", None, None, None), len(rows))]
    for index, (name, kind) in enumerate(schema):
        values = [row[index] for row in rows if row[index] is not None]
        if kind[0] in ORDERED:
            values.sort(key=_order(kind))
        if kind[0] in SUMMED and not name.startswith("_"):
            total = sum((decimal.Decimal(value) for value in values), decimal.Decimal(0)) if values else None
            found.append((("sum", name, kind, None), None if total is None else _number(total)))
        if not name.startswith("_") and (kind[0] not in ORDERED or len(values) < len(rows)):
            found.append((("null", name, kind, None), len(rows) - len(values)))
        if kind[0] in ORDERED and values and name not in ("_subject",):
            # No literal of SQL has the character NUL.
            bound = next(value for value in values[len(values) // 2:] + values if "\0" not in str(value))
            least = _order(kind)(bound)
            found.append((("from", name, kind, bound), sum(_order(kind)(value) >= least for value in values)))
    return found


def label(figure):
    what, column, _, bound = figure
    return {"count": "count(*)", "sum": "sum(%s)" % column, "null": "rows without %s" % column,
            "from": "rows with %s >= %s" % (column, bound)}[what]


def statement(figure, table, dialect):
    """SQL that answers with one number, as text, or null."""
    what, column, kind, bound = figure
    quote = QUOTES[dialect]
    name = quote + column + quote if column else ""
    as_text = "STRING" if dialect == "spark" else "VARCHAR"
    if what == "sum":
        return "SELECT CAST(sum(%s) AS %s) AS v FROM %s" % (name, as_text, table)
    where = {"count": "", "null": " WHERE %s IS NULL" % name}.get(what)
    if where is None:
        where = " WHERE %s >= %s" % (name, _literal(kind, bound, dialect))
    return "SELECT CAST(count(*) AS %s) AS v FROM %s%s" % (as_text, table, where)


def number(answered):
    """The result of a statement, in the form of `chosen`."""
    return None if answered is None else _number(decimal.Decimal(answered))


def _number(value):
    whole = value.to_integral_value()
    return int(whole) if whole == value else format(value.normalize(), "f")


def _order(kind):
    return {"float64": float, "decimal": decimal.Decimal, "string": lambda value: value.encode()}.get(
        kind[0], lambda value: value)


def _literal(kind, bound, dialect):
    if kind[0] in ("int32", "int64"):
        return str(bound)
    if kind[0] == "float64":
        return "CAST('%s' AS DOUBLE)" % bound
    if kind[0] == "decimal":
        return "CAST('%s' AS %s)" % (bound, text(kind))
    if kind[0] == "date":
        return "DATE '%s'" % bound
    if kind[0] == "timestamp":
        words = {"duckdb": "TIMESTAMPTZ", "spark": "TIMESTAMP", "datafusion": "TIMESTAMP"}[dialect]
        if not kind[2]:
            words = {"duckdb": "TIMESTAMP", "spark": "TIMESTAMP_NTZ", "datafusion": "TIMESTAMP"}[dialect]
        return "%s '%s%s'" % (words, time_text(bound), "+00:00" if kind[2] else "")
    if dialect == "spark":
        return "decode(X'%s', 'UTF-8')" % bound.encode().hex()
    return "'%s'" % bound.replace("'", "''")
