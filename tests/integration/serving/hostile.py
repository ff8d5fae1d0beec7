"""Hostile statements through every door: each is refused with a reason, or ends within its bounds.

A statement in REFUSED must fail at each door; one in BOUNDED may answer, or fail by a limit.
"""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import Doors

REFUSED = [
    # Writing.
    "CREATE TABLE x (a int)", "CREATE TABLE x AS SELECT 1", "CREATE VIEW x AS SELECT 1", "DROP TABLE orders",
    "INSERT INTO orders VALUES (1)", "DELETE FROM orders", "UPDATE orders SET status = 'x'", "TRUNCATE orders",
    "ALTER TABLE orders ADD COLUMN x int", "CREATE SCHEMA x", "CREATE DATABASE x", "DROP SCHEMA public",
    "CREATE INDEX i ON orders (order_id)", "GRANT ALL ON orders TO public", "MERGE INTO orders USING orders o ON true WHEN MATCHED THEN DELETE",
    # Files and addresses.
    "COPY orders TO '/tmp/stolen.csv'", "COPY (SELECT 1) TO '/tmp/stolen.parquet' STORED AS PARQUET",
    "COPY orders FROM '/etc/passwd'", "EXPLAIN COPY orders TO '/tmp/stolen.csv'",
    "EXPLAIN ANALYZE COPY orders TO '/tmp/stolen.csv'",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'http://127.0.0.1:1/x'",
    "SELECT * FROM '/etc/passwd'", "SELECT * FROM \"/etc/passwd\"", "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM 's3://bucket/key.parquet'", "SELECT * FROM 'http://169.254.169.254/latest/meta-data'",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')", "SELECT * FROM glob('/*')", "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')", "SELECT load_extension('x')",
    "LOAD 'x'", "INSTALL httpfs", "ATTACH '/tmp/x.db' AS x",
    "CREATE FUNCTION f() RETURNS int LANGUAGE C AS '/tmp/x.so'", "CREATE FUNCTION f(int) RETURNS int RETURN $1 + 1",
    # Settings and sessions.
    "SET datafusion.execution.batch_size = 1", "SET datafusion.runtime.memory_limit = '100G'",
    "SET QUERY_ROWS_MAX = 5", "RESET datafusion.runtime.memory_limit; SELECT 1 FROM nothing",
    "PREPARE p AS SELECT 1", "EXECUTE p", "CALL x()", "KILL 1", "VACUUM", "LOCK TABLE orders",
    # Other catalogs and tables.
    "SELECT * FROM other.public.orders", "SELECT * FROM datafusion.public.orders", "SELECT * FROM siltstone.siltstone.tokens",
    "SELECT * FROM siltstone.tokens", "SELECT * FROM sqlite_master", "SELECT hash FROM siltstone.topics",
    # Texts that are no statement, or several.
    "", "-- nothing", "/* not closed", "SELECT 'not closed", "SELECT 1; DROP TABLE orders", "SELECT", ")(", "\x01\x02",
    "SELECT * FROM orders WHERE " + "(" * 5000 + "true" + ")" * 5000,
    "SELECT " + "-" * 1 + " " + "NOT " * 100_000 + "true",
    "SELECT '" + "x" * 2_000_000 + "'",
    # Bombs that a limit must stop.
    "SELECT * FROM generate_series(1, 1000000000000)",
    "SELECT count(*) FROM generate_series(1, 1000000000000) a, generate_series(1, 1000000) b WHERE a.value * b.value % 7 = 8",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "SELECT a._offset FROM orders a, orders b, orders c, orders d",
    "SELECT length(repeat('x', 2000000000))",
    "SELECT array_agg(a.value) FROM generate_series(1, 100000000) a",
    "SELECT count(DISTINCT a.value) FROM generate_series(1, 3000000000) a",
]
BOUNDED = [
    "SELECT regexp_match(repeat('a', 10000), '(a+)+$b')", "SELECT regexp_replace(repeat('a', 5000), '((a*)*)*', 'b')",
    "SELECT 'a' ~ '(((((a{1,100}){1,100}){1,100}){1,100}){1,100})'",
    "SELECT repeat(repeat('x', 1000), 100)", "SELECT power(9999999, 99999)", "SELECT 1/0",
    "SELECT " + " + ".join(["1"] * 3000), "SELECT " + ", ".join("1 AS c%d" % n for n in range(2000)),
    "SELECT * FROM information_schema.tables", "SELECT * FROM information_schema.df_settings", "SHOW ALL",
    "SELECT * FROM orders a NATURAL JOIN orders b LIMIT 10", "SELECT 1 -- ; DROP TABLE orders",
    "SELECT /* ; COPY orders TO '/tmp/x' */ 1", "SELECT 'x' || chr(0)",
]
assert len(REFUSED) + len(BOUNDED) >= 60
# psql reads commands of its own, and comments; the protocol is the same as psycopg's.
ASKED = ["psycopg", "adbc", "http"]
NO_FAILURE_AT = {
    # PostgreSQL answers an empty text with an empty answer, and its clients see no error.
    "psycopg": {"", "-- nothing"},
}

doors = Doors(*sys.argv[1:])
for sql in REFUSED + BOUNDED:
    for name in ASKED:
        began = time.monotonic()
        reason = None
        try:
            doors.all[name](sql)
        except Exception as error:
            reason = str(error)
        shown = "%s: %.80r" % (name, sql)
        assert time.monotonic() - began < 30, "%s took %.1f s" % (shown, time.monotonic() - began)
        assert reason is None or "defect" not in reason and "panicked" not in reason, "%s: %s" % (shown, reason)
        if sql in REFUSED and sql not in NO_FAILURE_AT.get(name, ()):
            assert reason, shown + " was answered"
assert not os.path.exists("/tmp/stolen.csv") and not os.path.exists("/tmp/stolen.parquet")

# Bytes that are no UTF-8.
try:
    doors.post(b"SELECT '\xff\xfe'", "application/json", "application/sql")
    raise SystemExit("it is no UTF-8")
except RuntimeError as error:
    assert "not UTF-8" in str(error), error
host, port = doors.conninfo.split("host=")[1].split()[0], int(doors.conninfo.split("port=")[1].split()[0])
for garbage in (b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x00\x00\x00\x08\x00\x03\x00\x00"):
    with socket.create_connection((host, port)) as client:
        client.sendall(garbage)
for name, ask in doors.all.items():
    assert ask("SELECT count(*) > 0 AS n FROM orders") in ([["True"]], [["t"]]), name
