"""What clients need beside plain statements: parameters, the answers at connect, every form over HTTP, and refusals."""

import io
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import adbc_driver_flightsql.dbapi
import psycopg
import pyarrow.parquet
from clients import Doors, arrow_rows

doors = Doors(*sys.argv[1:])

# Parameters.
sql = "SELECT count(*) AS n FROM orders WHERE status = %s AND quantity > %s"
expected = doors.http("SELECT count(*) AS n FROM orders WHERE status = 'paid' AND quantity > 3")
assert expected[0][0] not in (None, "0"), expected
numbered = "SELECT count(*) AS n FROM orders WHERE status = $1 AND quantity > $2"
assert doors.psycopg(sql, ["paid", 3]) == expected
assert doors.adbc(numbered, ["paid", 3]) == expected
assert doors.http(numbered, ["paid", 3]) == expected
for ask in (doors.adbc, doors.http):
    try:
        ask(numbered, ["paid"])
        raise AssertionError("a parameter is missing")
    except AssertionError:
        raise
    except Exception as error:
        assert "parameters are given" in str(error), error

# What clients of PostgreSQL ask at connect, and psql's commands.
with psycopg.connect(doors.conninfo) as connection:
    assert "Siltstone" in connection.execute("SELECT version()").fetchone()[0]
    assert connection.execute("SELECT current_schema()").fetchone()[0] == "public"
    assert connection.execute("SHOW transaction isolation level").fetchone()[0] == "read committed"
    connection.execute("SET extra_float_digits = 3")
    connection.commit()
    names = connection.execute(
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind = 'r'").fetchall()
    assert names == [("orders",)], names
    connection.rollback()
    columns = connection.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' "
                                 "AND table_schema = 'public'").fetchall()
    assert ("order_id",) in columns, columns
    value = connection.execute("SELECT items, amount, created_at FROM orders ORDER BY order_id LIMIT 1", binary=True).fetchone()
    text = connection.execute("SELECT items, amount, created_at FROM orders ORDER BY order_id LIMIT 1").fetchone()
    assert value == text and isinstance(value[0], list), (value, text)

def psql(command):
    done = subprocess.run([doors.psql_program, "-X", "-d", doors.conninfo, "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and "ERROR" not in done.stderr, (command, done.stderr)
    return done.stdout

assert "orders" in psql("\\dt"), psql("\\dt")
described = psql("\\d orders")
assert "order_id" in described and "numeric(12,2)" in described and "timestamp with time zone" in described, described
# A table of another schema has the same name; it is found by both.
assert "quarantine.orders" not in described and "reason" in psql("\\d quarantine.orders"), described
assert "siltstone" in psql("\\dt *.*"), psql("\\dt *.*")

# What does not read is refused as such, and a table is named as it was.
for ask in (doors.psycopg, doors.adbc, doors.flight, doors.http):
    for sql, expected in (("INSERT INTO orders VALUES (1)", "only SELECT, SHOW, DESCRIBE and EXPLAIN are allowed here, not INSERT"),
                          ("SELECT * FROM siltstone.segment", "no table siltstone.segment; tables of siltstone are agents, ")):
        try:
            raise SystemExit("%s was answered: %r" % (sql, ask(sql)))
        except Exception as error:
            assert expected in str(error), error
try:
    doors.psycopg("SELECT * FROM information_schema.tabels")
    raise SystemExit("there is no such table")
except psycopg.Error as error:
    assert "no table information_schema.tabels; tables of information_schema are " in str(error), error

# Several statements in one message are answered in order.
assert psql("BEGIN; SELECT 41 + 1 AS n; COMMIT").count("42") == 1

# Lists of Flight SQL.
with adbc_driver_flightsql.dbapi.connect(doors.flight_url, autocommit=True) as connection:
    found = connection.adbc_get_objects(depth="columns").read_all().to_pylist()
    schemas = {schema["db_schema_name"]: schema for schema in found[0]["catalog_db_schemas"]}
    tables = {table["table_name"]: table for table in schemas["public"]["db_schema_tables"]}
    assert "order_id" in {column["column_name"] for column in tables["orders"]["table_columns"]}, tables
    assert connection.adbc_get_table_types() == ["TABLE"]
    assert connection.adbc_get_info()["vendor_name"] == "Siltstone"

# Every form over HTTP.
sql = "SELECT order_id, items, amount FROM orders ORDER BY order_id LIMIT 3"
lines = [json.loads(line) for line in doors.post(sql, "application/x-ndjson", "application/sql").splitlines()]
assert json.loads(doors.post(sql, "application/json", "application/sql")) == lines and len(lines) == 3
text = doors.post(sql, "text/csv", "text/plain").decode().splitlines()
assert text[0] == "order_id,items,amount" and len(text) == 4, text
# In CSV, null and the empty text differ.
texts = "SELECT '' AS a, NULL AS b, 'x,y' AS c, [1, NULL] AS d"
assert doors.post(texts, "text/csv", "application/sql").decode() == 'a,b,c,d\n"",,"x,y","[1,null]"\n'
table = pyarrow.parquet.read_table(io.BytesIO(doors.post(sql, "application/vnd.apache.parquet", "application/sql")))
assert arrow_rows(table) == doors.http(sql)
empty = "SELECT order_id FROM orders WHERE false"
assert json.loads(doors.post(empty, "application/json", "application/sql")) == []
assert doors.post(empty, "text/csv", "application/sql").decode() == "order_id\n"
