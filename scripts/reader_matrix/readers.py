"""The readers that need no JVM: DataFusion, DuckDB in three ways, PyIceberg in two, Polars.

Each has a function that opens a lake and returns a function from (namespace, topic, figures) to an answer. Owns: opening,
types, rows and figures of each. Does not own: the form of types and values (`values`), Spark (`spark`).
"""

import glob
import importlib.util
import json
import os
import warnings

import duckdb
import polars
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pyiceberg import expressions
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog

from . import figures as of_figures
from .values import Answer, plain, time_text

warnings.filterwarnings("ignore")
EXTENSIONS = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs", "avro", "iceberg")
TOPICS, QUARANTINE = "topics", "quarantine"


def name_in_sql(namespace, topic, quote='"'):
    quoted = quote + topic + quote
    return "quarantine." + quoted if namespace == QUARANTINE else quoted


# Arrow: what DataFusion writes, and what DuckDB and PyIceberg hand over.

def arrow_type(of):
    types = pyarrow.types
    if types.is_struct(of):
        return ("struct", tuple((of.field(index).name, arrow_type(of.field(index).type)) for index in range(of.num_fields)))
    if types.is_map(of):
        return ("map", arrow_type(of.key_type), arrow_type(of.item_type))
    if types.is_list(of) or types.is_large_list(of):
        return ("list", arrow_type(of.value_type))
    if types.is_timestamp(of):
        return ("timestamp", of.unit, of.tz.replace("+00:00", "UTC") if of.tz else "")
    if types.is_decimal(of):
        return ("decimal", of.precision, of.scale)
    names = {"double": "float64", "large_string": "string", "string_view": "string", "large_binary": "binary",
             "binary_view": "binary", "date32[day]": "date", "extension<arrow.json>": "string"}
    return (names.get(str(of), str(of)),)


def arrow_schema(table):
    return [(field.name, arrow_type(field.type)) for field in table.schema]


def arrow_rows(table, schema):
    columns = [[plain(value, kind) for value in column.to_pylist()] for column, (_, kind) in zip(table.columns, schema)]
    return [list(row) for row in zip(*columns)]


# DataFusion.

def datafusion(lake):
    def read(namespace, topic, figures):
        """The reference: without `figures` they are chosen from the rows, and computed from them."""
        file = os.path.join(lake.folder, "answer.parquet")
        table = name_in_sql(namespace, topic)
        lake.run("query", "--hot-tail", "off", "--output", "parquet", "--output-file", file, "SELECT * FROM " + table)
        found = pyarrow.parquet.read_table(file)
        os.unlink(file)
        schema = arrow_schema(found)
        rows = arrow_rows(found, schema)
        chosen = of_figures.chosen(schema, rows)
        script = os.path.join(lake.folder, "figures.sql")
        with open(script, "w") as out:
            out.write("".join(of_figures.statement(figure, table, "datafusion") + ";\n" for figure, _ in chosen))
        lines = lake.run("query", "--hot-tail", "off", "--json", "--file", script).splitlines()
        engine = {figure: of_figures.number(json.loads(line)["v"]) for (figure, _), line in zip(chosen, lines)}
        answer = Answer(schema, rows, dict(chosen))
        wrong = ["%s is %r by SQL, %r by its rows" % (of_figures.label(figure), engine[figure], value)
                 for figure, value in chosen if engine[figure] != value]
        return answer, wrong

    return read


# DuckDB.

def duckdb_connection():
    connection = duckdb.connect(config={"threads": 2, "autoinstall_known_extensions": False})
    connection.execute("SET timezone = 'UTC'; SET enable_progress_bar = false")
    for name in EXTENSIONS:
        package = importlib.util.find_spec("duckdb_extension_" + name)
        folder = os.path.join(os.path.dirname(package.origin), "extensions", "*", name + ".duckdb_extension")
        connection.execute("LOAD '%s'" % glob.glob(folder)[0])
    return connection


def duckdb_type(of):
    if of.id == "struct":
        return ("struct", tuple((name, duckdb_type(kind)) for name, kind in of.children))
    if of.id == "map":
        return ("map", *(duckdb_type(kind) for _, kind in of.children))
    if of.id == "list":
        return ("list", duckdb_type(of.children[0][1]))
    if of.id == "decimal":
        return ("decimal", *(size for _, size in of.children))
    names = {"integer": ("int32",), "bigint": ("int64",), "double": ("float64",), "varchar": ("string",),
             "blob": ("binary",), "boolean": ("bool",), "timestamp with time zone": ("timestamp", "us", "UTC"),
             "timestamp": ("timestamp", "us", ""), "timestamp_ms": ("timestamp", "ms", ""), "timestamp_s": ("timestamp", "s", "")}
    # An alias such as JSON is told by its name alone.
    if str(of) == "JSON":
        return ("json",)
    return names.get(of.id, (str(of).lower(),))


def _duckdb(connection, place):
    def read(namespace, topic, figures):
        table = place(namespace, topic)
        relation = connection.sql("SELECT * FROM " + table)
        schema = list(zip(relation.columns, map(duckdb_type, relation.types)))
        rows = arrow_rows(relation.to_arrow_table(), schema)
        answered = {figure: of_figures.number(connection.sql(of_figures.statement(figure, table, "duckdb")).fetchone()[0])
                    for figure in figures}
        return Answer(schema, rows, answered)

    read.close = connection.close
    return read


def ducklake(lake):
    connection = duckdb_connection()
    connection.execute(lake.duckdb_sql())
    return _duckdb(connection, name_in_sql)


def duckdb_views(lake):
    connection = duckdb_connection()
    connection.execute(lake.duckdb_sql("--views"))
    return _duckdb(connection, name_in_sql)


def duckdb_iceberg(lake):
    connection = duckdb_connection()
    if lake.store == "s3":
        # The statement that makes the secret is the first of those for DuckLake.
        connection.execute(lake.duckdb_sql().partition("ATTACH")[0])
    connection.execute("ATTACH 'siltstone' AS ice (TYPE iceberg, ENDPOINT '%s/iceberg', AUTHORIZATION_TYPE 'none')" % lake.url)
    return _duckdb(connection, lambda namespace, topic: 'ice.%s."%s"' % (namespace, topic))


# PyIceberg and Polars.

def rest_catalog(lake):
    return RestCatalog("siltstone", uri=lake.url + "/iceberg", **lake.store_properties())


def sql_catalog(lake):
    return SqlCatalog("siltstone", uri=lake.pyiceberg_uri(), **lake.store_properties())


def iceberg_type(of):
    """The type of Iceberg's schema: what PyIceberg hands over as Arrow may be wider."""
    name = str(of)
    if name.startswith("struct"):
        return ("struct", tuple((field.name, iceberg_type(field.field_type)) for field in of.fields))
    if name.startswith("list"):
        return ("list", iceberg_type(of.element_type))
    if name.startswith("map"):
        return ("map", iceberg_type(of.key_type), iceberg_type(of.value_type))
    if name.startswith("decimal"):
        return ("decimal", of.precision, of.scale)
    names = {"int": ("int32",), "long": ("int64",), "double": ("float64",), "boolean": ("bool",),
             "timestamptz": ("timestamp", "us", "UTC"), "timestamp": ("timestamp", "us", "")}
    return names.get(name, (name,))


def _text_of_bound(kind, bound):
    if kind[0] != "timestamp":
        return bound
    return time_text(bound).replace(" ", "T") + ("+00:00" if kind[2] else "")


def _pyiceberg(catalog):
    def read(namespace, topic, figures):
        table = catalog.load_table((namespace, topic))
        schema = [(field.name, iceberg_type(field.field_type)) for field in table.schema().fields]
        found = table.scan().to_arrow()
        answered = {}
        for figure in figures:
            what, column, kind, bound = figure
            if what == "sum":
                total = pyarrow.compute.sum(found[column]).as_py()
                answered[figure] = of_figures.number(None if total is None else str(total))
                continue
            condition = expressions.AlwaysTrue()
            if what == "null":
                condition = expressions.IsNull(column)
            elif what == "from":
                condition = expressions.GreaterThanOrEqual(column, _text_of_bound(kind, bound))
            answered[figure] = table.scan(row_filter=condition).count()
        return Answer(schema, arrow_rows(found, schema), answered)

    return read


def pyiceberg_rest(lake):
    return _pyiceberg(rest_catalog(lake))


def pyiceberg_sql(lake):
    return _pyiceberg(sql_catalog(lake))


def polars_type(of):
    if isinstance(of, polars.Struct):
        return ("struct", tuple((field.name, polars_type(field.dtype)) for field in of.fields))
    if isinstance(of, polars.Map):
        return ("map", polars_type(of.key), polars_type(of.value))
    if isinstance(of, polars.List):
        return ("list", polars_type(of.inner))
    if isinstance(of, polars.Decimal):
        return ("decimal", of.precision, of.scale)
    if isinstance(of, polars.Datetime):
        return ("timestamp", of.time_unit, of.time_zone or "")
    return ({"Boolean": "bool"}.get(str(of), str(of).lower()),)


def polars_over_pyiceberg(lake):
    catalog = sql_catalog(lake)

    def read(namespace, topic, figures):
        frame = polars.scan_iceberg(catalog.load_table((namespace, topic)))
        schema = [(name, polars_type(of)) for name, of in frame.collect_schema().items()]
        found = frame.collect()
        columns = [[plain(value, kind) for value in found[name].to_list()] for name, kind in schema]
        answered = {}
        for figure in figures:
            what, column, kind, bound = figure
            if what == "sum":
                total = frame.select(polars.col(column).cast(polars.Decimal(38, kind[2] if len(kind) > 2 else 0)).sum()).collect().item()
                is_empty = found[column].null_count() == found.height
                answered[figure] = None if is_empty else of_figures.number(str(total))
                continue
            if what == "null":
                frame_of = frame.filter(polars.col(column).is_null())
            elif what == "from":
                frame_of = frame.filter(polars.col(column) >= _polars_literal(kind, bound))
            else:
                frame_of = frame
            answered[figure] = frame_of.select(polars.len()).collect().item()
        return Answer(schema, [list(row) for row in zip(*columns)], answered)

    return read


def _polars_literal(kind, bound):
    if kind[0] == "timestamp":
        return polars.lit(bound).cast(polars.Datetime("us", kind[2] or None))
    if kind[0] == "date":
        return polars.lit(bound).str.to_date("%Y-%m-%d")
    if kind[0] == "decimal":
        return polars.lit(bound).str.to_decimal(scale=kind[2])
    return polars.lit(float(bound) if kind[0] == "float64" else bound)


LIGHT = {"duckdb-ducklake": ducklake, "duckdb-views": duckdb_views, "duckdb-iceberg": duckdb_iceberg,
         "pyiceberg-rest": pyiceberg_rest, "pyiceberg-sql": pyiceberg_sql, "polars": polars_over_pyiceberg}
