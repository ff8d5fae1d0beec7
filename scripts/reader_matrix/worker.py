"""A reader in a process of its own: a line of JSON in, a line of JSON out.

DuckDB and Spark have one each. Two libraries of SQLite in one process break each other's locks on a file, so DuckDB and
PyIceberg, which both open the catalog, may not share one. Owns: the process and its lines. Does not own: what it answers
(`duckdb_worker`, `spark_worker`).
"""

import json
import os
import subprocess
import threading

from .servers import ROOT, Failure


class Refused(Exception):
    """A statement that the reader did not carry out."""


class Worker:
    """Requests are answered one at a time, from any thread."""

    def __init__(self, servers, name, command, environment, cwd):
        self.name, self.log, self.turn = name, servers.path(name + ".log"), threading.Lock()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=log, start_new_session=True, text=True)
        servers.record(self.process)
        servers.servers.append((name, self.process))
        self.version = self._answer()["version"]

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            with open(self.log, errors="replace") as log:
                raise Failure("%s ended: %s" % (self.name, log.read()[-3000:]))
        return json.loads(line)

    def ask(self, **request):
        with self.turn:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            found = self._answer()
        if "error" in found:
            raise Refused(found["error"])
        return found

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


class DuckDb(Worker):
    """DuckDB with its extensions. A connection is made anew by `open`, with statements that come first."""

    def __init__(self, servers, name, variables):
        import sys
        environment = {"PATH": os.environ["PATH"], "HOME": servers.folder, "TZ": "UTC", "PYTHONUTF8": "1",
                       "PYTHONPATH": os.path.join(ROOT, "scripts"), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        super().__init__(servers, name, [sys.executable, "-m", "reader_matrix.duckdb_worker"], environment, servers.folder)

    def open(self, statements):
        self.ask(open=statements)

    def rows(self, sql):
        return self.ask(sql=sql)["rows"]
