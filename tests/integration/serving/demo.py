"""Runs each statement in each client and prints their rows, by client."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clients import Doors

*addresses, statements = sys.argv[1:]
doors = Doors(*addresses)
print(json.dumps({name: [ask(sql) for sql in json.loads(statements)] for name, ask in doors.all.items()}))
