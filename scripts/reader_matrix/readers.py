"""The readers that need no JVM: DataFusion, DuckDB in three ways, PyIceberg in two, Polars.

Each has a function that opens a lake and returns a function from (namespace, topic, figures) to an answer. Owns: opening,
types, rows and figures of each. Does not own: the form of types and values (`values`), Spark (`spark`).
"""

import json
import os
import warnings

import polars
import pyarrow.compute
import pyarrow.parquet
from pyiceberg import expressions
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog

from . import figures as of_figures
from .arrow import arrow_rows, arrow_schema
from .values import Answer, plain, time_text

warnings.filterwarnings("ignore")
TOPICS, QUARANTINE = "topics", "quarantine"


def name_in_sql(namespace, topic, quote='"'):
    quoted = quote + topic + quote
    return "quarantine." + quoted if namespace == QUARANTINE else quoted


# DataFusion.

def datafusion(lake):
    def read(namespace, topic, share):
        """The reference, with one of `share` figures that its rows give, and what SQL says otherwise of them."""
        file = os.path.join(lake.folder, "answer.parquet")
        table = name_in_sql(namespace, topic)
        lake.run("query", "--hot-tail", "off", "--output", "parquet", "--output-file", file, "SELECT * FROM " + table)
        found = pyarrow.parquet.read_table(file)
        os.unlink(file)
        schema = arrow_schema(found)
        rows = arrow_rows(found, schema)
        chosen = of_figures.chosen(schema, rows)[::share]
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


# DuckDB, in a process of its own.

def _duckdb(lake, statements, place):
    lake.duckdb.open(statements)

    def read(namespace, topic, figures):
        table = place(namespace, topic)
        found = lake.duckdb.ask(table=table, figures=[of_figures.statement(figure, table, "duckdb") for figure in figures])
        return answer_of_worker(found, figures)

    return read


def ducklake(lake):
    return _duckdb(lake, lake.duckdb_sql(), name_in_sql)


def duckdb_views(lake):
    return _duckdb(lake, lake.duckdb_sql("--views"), name_in_sql)


def duckdb_iceberg(lake):
    # The statement that makes the secret is the first of those for DuckLake.
    secret = lake.duckdb_sql().partition("ATTACH")[0] if lake.store == "s3" else ""
    attach = "ATTACH 'siltstone' AS ice (TYPE iceberg, ENDPOINT '%s/iceberg', AUTHORIZATION_TYPE 'none')" % lake.url
    return _duckdb(lake, secret + attach, lambda namespace, topic: 'ice.%s."%s"' % (namespace, topic))


def answer_of_worker(found, figures):
    """What DuckDB's or Spark's process has answered: types are lists in JSON."""
    answered = {figure: of_figures.number(value) for figure, value in zip(figures, found["figures"])}
    return Answer([(name, _as_tuple(kind)) for name, kind in found["schema"]], found["rows"], answered)


def _as_tuple(kind):
    if kind[0] == "struct":
        return ("struct", tuple((name, _as_tuple(of)) for name, of in kind[1]))
    return (kind[0], *(_as_tuple(part) if isinstance(part, list) else part for part in kind[1:]))


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
        frame = polars.scan_iceberg(catalog.load_table((namespace, topic)), storage_options=lake.polars_options())
        schema = [(name, polars_type(of)) for name, of in frame.collect_schema().items()]
        found = frame.collect()
        columns = [[plain(value, kind) for value in found[name].to_list()] for name, kind in schema]
        answered = {}
        for figure in figures:
            what, column, kind, bound = figure
            if what == "sum":
                wide = polars.col(column).cast(polars.Decimal(38, kind[2] if len(kind) > 2 else 0))
                total = frame.select(wide.sum()).collect().item()
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
