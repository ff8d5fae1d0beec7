"""The same answer over TLS at every door, and none for a client that does not trust the server, or asks in the clear."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import Doors

*addresses, token, files = sys.argv[1:]
ca, other_ca = files.split(",")
trusting = Doors(*addresses, token).with_tls(ca)
for name, ask in trusting.all.items():
    assert ask("SELECT count(*) FROM orders") == [["1997"]], name
for doors in (Doors(*addresses, token).with_tls(other_ca), Doors(*addresses, token)):
    for name, ask in doors.all.items():
        # Only the PostgreSQL protocol leaves the choice to its client, as PostgreSQL does.
        if doors.ca is None and name in ("psql", "psycopg"):
            continue
        try:
            answer = ask("SELECT count(*) FROM orders")
        except Exception:
            continue
        raise SystemExit("%s was answered: %s" % (name, answer))
