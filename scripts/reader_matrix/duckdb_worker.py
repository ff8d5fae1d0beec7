"""DuckDB in a process of its own: a line of JSON in, a line of JSON out.

Owns: the connection, and the types of DuckDB in the form of `values`. Does not own: the statements (`readers`, `attacks`,
`busy`). A request has `open` (statements for a new connection), `sql` (answered with rows) or `table` and `figures`.
"""

import glob
import importlib.util
import json
import os
import sys

import duckdb

from .arrow import arrow_rows

EXTENSIONS = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs", "avro", "iceberg")
NAMES = {"integer": ("int32",), "bigint": ("int64",), "double": ("float64",), "varchar": ("string",), "blob": ("binary",),
         "boolean": ("bool",), "timestamp with time zone": ("timestamp", "us", "UTC"), "timestamp": ("timestamp", "us", ""),
         "timestamp_ms": ("timestamp", "ms", ""), "timestamp_s": ("timestamp", "s", "")}


def connect():
    connection = duckdb.connect(config={"threads": 2, "autoinstall_known_extensions": False})
    connection.execute("SET timezone = 'UTC'; SET enable_progress_bar = false")
    for name in EXTENSIONS:
        package = importlib.util.find_spec("duckdb_extension_" + name)
        folder = os.path.join(os.path.dirname(package.origin), "extensions", "*", name + ".duckdb_extension")
        connection.execute("LOAD '%s'" % glob.glob(folder)[0])
    return connection


def kind_of(of):
    if of.id == "struct":
        return ("struct", tuple((name, kind_of(kind)) for name, kind in of.children))
    if of.id == "map":
        return ("map", *(kind_of(kind) for _, kind in of.children))
    if of.id == "list":
        return ("list", kind_of(of.children[0][1]))
    if of.id == "decimal":
        return ("decimal", *(size for _, size in of.children))
    # An alias such as JSON is told by its name alone.
    return ("json",) if str(of) == "JSON" else NAMES.get(of.id, (str(of).lower(),))


def table(connection, name, figures):
    relation = connection.sql("SELECT * FROM " + name)
    schema = list(zip(relation.columns, map(kind_of, relation.types)))
    rows = arrow_rows(relation.to_arrow_table(), schema)
    return {"schema": schema, "rows": rows, "figures": [connection.sql(sql).fetchone()[0] for sql in figures]}


def main():
    connection = None
    print(json.dumps({"version": duckdb.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "open" in request:
                if connection:
                    connection.close()
                connection, answer = connect(), {}
                connection.execute(request["open"])
            elif "table" in request:
                answer = table(connection, request["table"], request["figures"])
            else:
                answer = {"rows": connection.execute(request["sql"]).fetchall()}
        except Exception as error:  # every failure is an answer
            answer = {"error": "%s: %s" % (type(error).__name__, (str(error).strip().splitlines() or [""])[0])}
        print(json.dumps(answer, default=str), flush=True)


main()
