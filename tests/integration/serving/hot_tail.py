"""Published records at every door before they are committed: as the session or the request wants it.

The argument is JSON: `publish`, the number of rounds of ten records that this program publishes over HTTP; `count`, the
records of the topic `orders` that are there before, of which none is committed; `hidden`, true if a topic `secret` with
records of its own must not be seen.
"""

import http.client
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import adbc_driver_flightsql.dbapi
import psycopg
from clients import Doors, plain

*addresses, token, wanted = sys.argv[1:]
wanted = json.loads(wanted)
doors = Doors(*addresses, token)
COUNT = "SELECT count(*) AS n FROM orders"
ALL = "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM quarantine.orders) AS n"


def post(path, body, headers):
    connection = http.client.HTTPConnection(doors.http_addr, timeout=60)
    if token:
        headers = dict(headers, Authorization="Bearer " + token)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def failure(ask):
    try:
        return "answered: %r" % ask()
    except Exception as error:
        return str(error)


if token:
    # The first token counts within two seconds.
    end = time.monotonic() + 30
    while "token" not in failure(lambda: Doors(*addresses, "").http("SELECT 1")):
        assert time.monotonic() < end
    time.sleep(2)

def is_lag_in(text):
    """True if the text names the lag. JetStream has no offset 0, which counts in each of the two partitions."""
    found = re.search(r"(\d+) offsets in [12] ranges are not committed yet", text)
    return found and total <= int(found[1]) <= total + 2


# What is confirmed is counted at once, by every client.
total = wanted["count"]
for number in range(wanted["publish"]):
    lines = "".join('{"id":%s}\n' % (number * 10 + index) for index in range(10))
    status, body = post("/v1/topics/orders/records?acks=queued", lines, {"Content-Type": "application/x-ndjson"})
    assert status == 200 and len(body["records"]) == 10, body
    total += 10
    for name, ask in doors.all.items():
        found = ask(ALL)
        assert found == [[plain(total)]], (name, number, found, total)
assert total > 0
for name, ask in doors.all.items():
    assert ask(COUNT) == [[plain(total)]], name
    assert ask("SELECT count(DISTINCT id) AS n FROM orders WHERE id >= 5") == [[plain(total - 5)]], name

# A session of PostgreSQL chooses for itself; another one is not concerned.
with psycopg.connect(doors.conninfo) as one, psycopg.connect(doors.conninfo, autocommit=True) as other:
    def asked(connection, sql):
        return connection.execute(sql).fetchone()[0]

    assert asked(one, "SHOW siltstone.hot_tail") == "auto"
    one.execute("SET siltstone.hot_tail = off")
    one.commit()
    assert asked(one, "SHOW siltstone.hot_tail") == "off" and asked(other, "SHOW siltstone.hot_tail") == "auto"
    assert (asked(one, COUNT), asked(other, COUNT)) == (0, total)
    one.execute("RESET siltstone.hot_tail")
    assert asked(one, COUNT) == total
    one.rollback()
    other.execute("SET siltstone.hot_tail_bytes TO 100")
    for ask in (lambda: other.execute(COUNT), lambda: other.execute(COUNT, prepare=True)):
        try:
            raise AssertionError("answered: %r" % ask().fetchall())
        except psycopg.errors.ProgramLimitExceeded as error:
            assert "siltstone.hot_tail_bytes = 100" in str(error) and is_lag_in(str(error)), error
    other.execute("DISCARD ALL")
    assert asked(other, COUNT) == total
    for sql, state, said in (
        ("SET siltstone.hot_tail = maybe", "22023", "auto, on or off"),
        ("SET siltstone.tail = on", "42704", "siltstone.hot_tail"),
        ("SET LOCAL siltstone.hot_tail = off", "0A000", "holds for the session"),
    ):
        try:
            other.execute(sql)
            raise AssertionError(sql)
        except psycopg.Error as error:
            assert error.sqlstate == state and said in str(error), (sql, error.sqlstate, error)
with psycopg.connect(doors.conninfo + " options='-c siltstone.hot_tail=off'") as connection:
    assert connection.execute(COUNT).fetchone()[0] == 0
assert "auto, on or off" in failure(lambda: psycopg.connect(doors.conninfo + " options='-c siltstone.hot_tail=maybe'"))
assert doors.psql("SET siltstone.hot_tail = off; %s" % COUNT)[-1] == ["0"]

# A request over HTTP chooses by its headers.
def asked(headers, sql=COUNT):
    return post("/v1/query", sql, dict(headers, **{"Content-Type": "application/sql"}))


assert asked({}) == (200, [{"n": total}])
assert asked({"Siltstone-Hot-Tail": "off"}) == (200, [{"n": 0}])
assert asked({"Siltstone-Hot-Tail": "on", "Siltstone-Hot-Tail-Timeout": "60s"}) == (200, [{"n": total}])
for headers, sql, status, said in (
    ({"Siltstone-Hot-Tail": "maybe"}, COUNT, 400, "auto, on or off"),
    ({"Siltstone-Hot-Tail-Age": "1"}, COUNT, 400, "siltstone-hot-tail-age"),
    ({}, "SET siltstone.hot_tail = off", 400, "send the headers siltstone-hot-tail"),
):
    found, body = asked(headers, sql)
    assert found == status and said in body["error"]["message"], (headers, found, body)

status, body = asked({"Siltstone-Hot-Tail-Bytes": "100"})
assert status == 422 and is_lag_in(body["error"]["message"]), (status, body)

# A client of Flight SQL does the same.
options = {"adbc.flight.sql.rpc.call_header.siltstone-hot-tail": "off"}
if token:
    options["adbc.flight.sql.authorization_header"] = "Bearer " + token
with adbc_driver_flightsql.dbapi.connect(doors.flight_url, db_kwargs=options, autocommit=True) as connection:
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        assert cursor.fetchall() == [(0,)]

# No right to read a topic, no tail of it.
if wanted["hidden"]:
    for name, ask in doors.all.items():
        for sql in ("SELECT count(*) FROM secret", "SELECT * FROM quarantine.secret"):
            found = failure(lambda: ask(sql)).replace('\\"', '"')
            assert "secret" in found and "answered" not in found and "topics are \"orders\"" in found, (name, sql, found)
