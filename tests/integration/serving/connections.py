"""Connections of the PostgreSQL protocol at a server that runs one query at once: cancelling, leaving, portals, long messages."""

import os
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import psycopg
import raw
from clients import Doors

doors = Doors(*sys.argv[1:])
ENDLESS = ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t")
host, port = doors.conninfo.split("host=")[1].split()[0], int(doors.conninfo.split("port=")[1].split()[0])


def is_free():
    """The only slot is free: a query is answered."""
    end = time.monotonic() + 60
    while True:
        try:
            return doors.psycopg("SELECT count(*) FROM orders") == [["1997"]]
        except psycopg.errors.TooManyConnections:
            assert time.monotonic() < end, "the slot is still taken"


# A cancelled statement ends with its reason, its connection lives, and its slot is free.
with psycopg.connect(doors.conninfo, autocommit=True) as connection:
    for prepare in (True, False):
        threading.Timer(0.5, connection.cancel).start()
        began = time.monotonic()
        try:
            connection.execute(ENDLESS, prepare=prepare)
            raise SystemExit("it has no end")
        except psycopg.errors.QueryCanceled as error:
            assert "cancelled by its client" in str(error), error
        assert time.monotonic() - began < 30
        assert connection.execute("SELECT 1 AS n").fetchall() == [(1,)]
    assert is_free()


def bind(portal):
    return (b"B", portal + b"\0\0" + struct.pack("!hhh", 0, 0, 0))


def execute(portal, rows):
    return (b"E", portal + b"\0" + struct.pack("!i", rows))


PARSE = (b"P", b"\0SELECT _offset FROM orders LIMIT 5\0" + struct.pack("!h", 0))
SYNC = (b"S", b"")
client = raw.Client(host, port)
client.send((b"Q", b"BEGIN READ ONLY\0"))
client.until(b"Z")
client.send(PARSE, bind(b"part"), execute(b"part", 2), SYNC)
assert client.until(b"Z")[0] == [b"1", b"2", b"D", b"D", b"s", b"Z"]
client.send(execute(b"part", 2), SYNC)
assert client.until(b"Z")[0] == [b"D", b"D", b"s", b"Z"]
client.send(execute(b"part", 0), SYNC)
assert client.until(b"Z")[0] == [b"D", b"C", b"Z"]
client.send((b"Q", b"COMMIT\0"))
client.until(b"Z")
client.send(execute(b"part", 0), SYNC)
seen, text = client.until(b"Z")
assert seen == [b"E", b"Z"] and b"ortal" in text, (seen, text)
# Outside of a transaction a portal ends at once, and its slot is free although the client stays.
client.send(PARSE, bind(b"left"), execute(b"left", 2), SYNC)
client.until(b"Z")
assert is_free()
client.send((b"Q", b"DECLARE c CURSOR FOR SELECT 1\0"))
seen, text = client.until(b"Z")
assert b"setFetchSize" in text and b"0A000" in text, text

# A client that leaves in the middle of a statement frees its slot, whether it says so or not.
for is_said in (True, False):
    leaving = raw.Client(host, port)
    leaving.send((b"Q", ENDLESS.encode() + b"\0"))
    time.sleep(0.5)
    if is_said:
        leaving.send((b"X", b""))
    leaving.file.close()
    leaving.socket.close()
    assert is_free(), is_said


# A message that is too long is refused before it is all there; a statement that is too long says so.
taken, answer = raw.sent(host, port, b"Q", 1 << 29)
assert taken < 1 << 26 and (not answer or b"too long" in answer), (taken, answer[-300:])
client.send((b"Q", b"SELECT '" + b"x" * (2 << 20) + b"'\0"))
seen, text = client.until(b"Z")
assert b"allowed are 1048576" in text, text
assert is_free()
