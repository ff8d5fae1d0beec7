"""A token that may read one topic sees that topic alone, at every door; others are refused."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import raw
from clients import Doors

*addresses, token, producer = sys.argv[1:]
doors = Doors(*addresses, token)
HIDDEN = ["SELECT * FROM secret", "SELECT * FROM quarantine.secret", "SELECT * FROM public.secret", "DESCRIBE secret"]
LISTS = [
    "SELECT topic FROM siltstone.topics", "SELECT DISTINCT topic FROM siltstone.partitions",
    "SELECT DISTINCT topic FROM siltstone.segments", "SELECT DISTINCT topic FROM siltstone.commits",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
]


def failure(ask, sql):
    try:
        return "answered: %r" % ask(sql)
    except Exception as error:
        return str(error)


# The first token counts within two seconds.
end = time.monotonic() + 30
while "token" not in failure(Doors(*addresses, "").http, "SELECT 1"):
    assert time.monotonic() < end
time.sleep(2)
for name, ask in doors.all.items():
    assert ask("SELECT count(*) FROM orders") == [["1997"]], name
    for sql in HIDDEN:
        # JSON over HTTP has quotes with a backslash.
        found = failure(ask, sql).replace('\\"', '"')
        assert "secret" in found and "answered" not in found and "topics are \"orders\"" in found, (name, sql, found)
    for sql in LISTS:
        assert ask(sql) == [["orders"]], (name, sql, ask(sql))
    assert ask("SELECT count(*) FROM siltstone.agents") == [["0"]], name
assert doors.psql("SELECT relname FROM pg_class WHERE relname IN ('orders', 'secret') AND relnamespace = 'public'::regnamespace") \
    == [["orders"]]
for other, reason in (("", "token"), (producer, "has no right `read`"), (token[:-8] + "00000000", "not known")):
    for name, ask in Doors(*addresses, other).all.items():
        found = failure(ask, "SELECT 1 AS n")
        assert "answered" not in found and (reason in found or "password" in found or "nauthenticated" in found), (name, found)
# Who is not logged in can send no long message.
host, port = doors.conninfo.split("host=")[1].split()[0], int(doors.conninfo.split("port=")[1].split()[0])
for kind in (b"p", b"Q"):
    taken, answer = raw.sent(host, port, kind, 1 << 29)
    assert taken < 1 << 24, (kind, taken)
