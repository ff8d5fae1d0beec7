"""What a reader shows otherwise and cannot help: each one named, with its reason, and counted where it applies.

Owns: the list. Does not own: comparing (`values`). Anything that is not in the list is a difference.
"""

from .figures import label
from .values import Answer, replaced


class Expectation:
    """What these readers show otherwise, or cannot be asked.

    `change` turns the type of a column in DataFusion into theirs, `same` a value of theirs into DataFusion's; `skips` says
    which figures they cannot compute.
    """

    def __init__(self, name, readers, change=None, same=None, skips=None):
        self.name, self.readers, self.change, self.same, self.skips = name, readers, change, same, skips
        self.seen = 0


PYICEBERG = ("pyiceberg-rest", "pyiceberg-sql")
ICEBERG = ("duckdb-iceberg", *PYICEBERG, "polars", "spark-rest", "spark-jdbc")
JSON_COLUMNS = ("doc", "_extra")


def _is_list_of_structs(kind):
    return kind[0] == "list" and kind[1][0] == "struct"


ALL = [
    Expectation("columns of JSON have DuckDB's own type JSON, where DataFusion and Iceberg have text", ("duckdb-ducklake",),
                change=lambda name, kind: ("json",) if name in JSON_COLUMNS and kind == ("string",) else kind),
    Expectation("a double of -0.0 keeps its sign, which DataFusion's SQL here does not show",
                ("duckdb-ducklake", "duckdb-views", *ICEBERG),
                same=lambda value, kind: "0.0" if kind == ("float64",) and value == "-0.0" else value),
    Expectation("no filter is taken on a list or a map (\"Cannot explicitly project List or Map types\")", PYICEBERG,
                skips=lambda figure: figure[0] == "null" and figure[2][0] in ("list", "map")),
    # Its reader makes such a list anew from offsets alone (LargeListArray.from_arrays); no list here is empty otherwise.
    Expectation("a list of structs that is null is read as an empty one", PYICEBERG,
                same=lambda value, kind: None if value == [] and _is_list_of_structs(kind) else value),
]


def expected_schema(reader, schema):
    """The reference's schema as this reader shows it."""
    found = []
    for name, kind in schema:
        for expectation in ALL:
            if reader in expectation.readers and expectation.change:
                changed = replaced(kind, lambda of: expectation.change(name, of))
                expectation.seen += changed != kind
                kind = changed
        found.append((name, kind))
    return found


def as_shown(reader, answer):
    """The answer of this reader with values that it shows apart as one."""
    for expectation in ALL:
        if reader in expectation.readers and expectation.same:
            for index, (_, kind) in enumerate(answer.schema):
                for row in answer.rows:
                    one = expectation.same(row[index], kind)
                    expectation.seen += one != row[index]
                    row[index] = one
    return answer


def as_expected(reader, answer):
    """The reference with figures by their label."""
    found = Answer(answer.schema, answer.rows, {label(figure): value for figure, value in answer.figures.items()})
    return found


def asked(reader, figures):
    """The figures that the reader can compute."""
    found = []
    for figure in figures:
        skipping = [one for one in ALL if reader in one.readers and one.skips and one.skips(figure)]
        for one in skipping:
            one.seen += 1
        if not skipping:
            found.append(figure)
    return found


def report():
    return ["%s: %s (%d times)" % (", ".join(one.readers), one.name, one.seen) for one in ALL if one.seen]
