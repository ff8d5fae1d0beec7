"""Types and values of every reader in one form, so that they can be compared.

A type is a tuple: ("int64",), ("decimal", 12, 2), ("timestamp", "us", "UTC"), ("list", type), ("map", key, value),
("struct", ((name, type), …)). Owns: that form, the text of it, and the plain form of a value. Does not own: the types of a
reader (`readers`, `spark_worker`), what a reader shows otherwise (`expectations`). Needs nothing but the standard library.
"""

import datetime
import decimal

EPOCH = datetime.datetime(1970, 1, 1)
PLACE = ("_partition_id", "_incarnation", "_offset", "_row")
SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def text(kind):
    """A type as people read it."""
    name, parts = kind[0], kind[1:]
    if name == "struct":
        return "struct(%s)" % ", ".join("%s:%s" % (member, text(of)) for member, of in parts[0])
    if name in ("list", "map"):
        return "%s(%s)" % (name, ", ".join(text(part) for part in parts))
    return name + ("(%s)" % ",".join(str(part) for part in parts if part != "") if parts else "")


def replaced(kind, change):
    """The type with `change` applied to it, and before that to every type inside of it."""
    if kind[0] == "struct":
        kind = ("struct", tuple((member, replaced(of, change)) for member, of in kind[1]))
    elif kind[0] in ("list", "map"):
        kind = (kind[0], *(replaced(part, change) for part in kind[1:]))
    return change(kind)


def plain(value, kind):
    """A value of a type as JSON can hold it: equal values of two readers have equal forms."""
    name = kind[0]
    if value is None:
        return None
    if name == "list":
        return [plain(item, kind[1]) for item in value]
    if name == "map":
        pairs = value.items() if isinstance(value, dict) else [_pair(item) for item in value]
        return sorted([plain(key, kind[1]), plain(item, kind[2])] for key, item in pairs)
    if name == "struct":
        members = value if isinstance(value, dict) else dict(zip((member for member, _ in kind[1]), value))
        return [[member, plain(members.get(member), of)] for member, of in kind[1]]
    if name == "timestamp":
        return _microseconds(value)
    if name == "date":
        return value.isoformat()
    if name == "binary":
        return "0x" + bytes(value).hex()
    if name == "decimal":
        return format(decimal.Decimal(value).quantize(decimal.Decimal(1).scaleb(-kind[2]), context=_WIDE), "f")
    if name == "float64":
        return repr(float(value))
    return value


_WIDE = decimal.Context(prec=80)


def _pair(item):
    return (item["key"], item["value"]) if isinstance(item, dict) else tuple(item)


def _microseconds(value):
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return (value - EPOCH) // datetime.timedelta(microseconds=1)


def time_text(microseconds):
    """A time as text, always with six digits of a second."""
    return (EPOCH + datetime.timedelta(microseconds=microseconds)).strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")


class Answer:
    """What one reader shows of one table."""

    def __init__(self, schema, rows, figures):
        self.schema = [(name, kind) for name, kind in schema]
        columns = [name for name, _ in self.schema]
        place = [columns.index(name) for name in PLACE if name in columns]
        self.rows = sorted(rows, key=lambda row: [row[index] for index in place])
        self.figures = figures


def difference(found, expected, schema):
    """What differs between an answer and the expected one, whose types in this reader are `schema`; None if nothing does."""
    if found.schema != schema:
        names = [name for name, _ in found.schema], [name for name, _ in schema]
        if names[0] != names[1]:
            return "columns are %s, expected %s" % names
        wrong = [(name, kind, of) for (name, kind), (_, of) in zip(found.schema, schema) if kind != of]
        return "; ".join("column %s is %s, expected %s" % (name, text(kind), text(of)) for name, kind, of in wrong)
    if len(found.rows) != len(expected.rows):
        return "%d rows, expected %d" % (len(found.rows), len(expected.rows))
    for row, other in zip(found.rows, expected.rows):
        for (name, _), value, wanted in zip(schema, row, other):
            if value != wanted:
                return "column %s of row %s is %r, expected %r" % (name, row[:4], value, wanted)
    for figure, value in found.figures.items():
        if value != expected.figures[figure]:
            return "%s is %r, expected %r" % (figure, value, expected.figures[figure])
    return None
