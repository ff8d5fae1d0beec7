"""Spark in a process of its own, in its own environment: a line of JSON in, a line of JSON out.

Owns: the session, and reading a table or running a statement in it. Does not own: which (`spark`). Arguments: the folder of
the package, the jars, the folder of native libraries.
"""

import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from pyspark.sql import SparkSession, types  # noqa: E402

from reader_matrix.values import plain  # noqa: E402

NAMES = {types.IntegerType: "int32", types.LongType: "int64", types.DoubleType: "float64", types.StringType: "string",
         types.BinaryType: "binary", types.BooleanType: "bool", types.DateType: "date"}


def kind_of(of):
    if isinstance(of, types.StructType):
        return ("struct", tuple((field.name, kind_of(field.dataType)) for field in of.fields))
    if isinstance(of, types.MapType):
        return ("map", kind_of(of.keyType), kind_of(of.valueType))
    if isinstance(of, types.ArrayType):
        return ("list", kind_of(of.elementType))
    if isinstance(of, types.DecimalType):
        return ("decimal", of.precision, of.scale)
    if isinstance(of, types.TimestampNTZType):
        return ("timestamp", "us", "")
    if isinstance(of, types.TimestampType):
        return ("timestamp", "us", "UTC")
    return (NAMES.get(type(of), of.simpleString()),)


def session():
    native = sys.argv[3]
    return (SparkSession.builder.master("local[2]").config("spark.jars", sys.argv[2])
            .config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "900m")
            .config("spark.driver.extraJavaOptions",
                    "-Dorg.sqlite.lib.path=%s -Djava.library.path=%s -Duser.timezone=UTC" % (native, native))
            .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1")
            .config("spark.sql.warehouse.dir", os.path.join(os.getcwd(), "warehouse"))
            .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
            .getOrCreate())


def answer(spark, request):
    for name, value in request.get("settings", {}).items():
        spark.conf.set(name, value)
    if "table" in request:
        frame = spark.sql("SELECT * FROM " + request["table"])
        kinds = [(field.name, kind_of(field.dataType)) for field in frame.schema.fields]
        rows = [[plain(value, kind) for value, (_, kind) in zip(row, kinds)] for row in frame.collect()]
        figures = [spark.sql(sql).collect()[0][0] for sql in request["figures"]]
        return {"schema": kinds, "rows": rows, "figures": figures}
    if "sql" in request:
        return {"rows": [list(row) for row in spark.sql(request["sql"]).collect()]}
    return {}


def main():
    # The JVM writes to standard output, too: answers have a copy of it for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spark = session()
    spark.sparkContext.setLogLevel("OFF")
    print(json.dumps({"version": spark.version}), file=answers, flush=True)
    sessions = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["session"] not in sessions:
                sessions[request["session"]] = spark.newSession()
            found = answer(sessions[request["session"]], request)
        except Exception as error:  # every failure is an answer
            found = {"error": "%s: %s" % (type(error).__name__, (str(error).strip().splitlines() or [""])[0])}
        print(json.dumps(found, default=str), file=answers, flush=True)
    spark.stop()


main()
