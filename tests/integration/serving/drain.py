"""A statement whose rows are read before and after the server is told to end; the program is told to go on by a line."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import psycopg
from clients import Doors

doors = Doors(*sys.argv[1:])
# More than the buffers between both hold, and prepared: its last message follows the rows.
sql = "SELECT a._offset, repeat('x', 200) FROM orders a CROSS JOIN orders b LIMIT 200000"
with psycopg.connect(doors.conninfo, autocommit=True) as connection:
    with connection.cursor() as cursor:
        rows = cursor.stream(sql)
        count = len([next(rows)])
        print("running", flush=True)
        sys.stdin.readline()
        count += sum(1 for _ in rows)
        print(count, flush=True)
