"""The servers of a run: NATS for each lake, and the PostgreSQL and S3 servers that `scripts/test` starts as well.

Owns: NATS, a database for each lake, the folder of binaries and tools. Does not own: starting and ending PostgreSQL and S3,
the run's folder, ending what a killed run left behind (`scripts/test`, whose class `Run` this extends).
"""

import importlib.machinery
import importlib.util
import os
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Long enough for a machine on which other work runs.
DEADLINE = 300
ANALYST = "analyst"


def _test_command():
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("test_command", os.path.join(ROOT, "scripts", "test"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("test_command", loader))
    loader.exec_module(module)
    module.say = lambda text: None
    return module


test_command = _test_command()
Failure = test_command.Failure


def until(what, attempt, deadline=DEADLINE):
    """The first answer of `attempt` that is true."""
    end = time.monotonic() + deadline
    while True:
        found = attempt()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure("after %d s: %s" % (deadline, what() if callable(what) else what))
        time.sleep(0.5)


class Servers(test_command.Run):
    """The servers and the folder of one run, and the programs under test."""

    def __init__(self, binaries):
        for program in ("siltstone", "writer", "ingester"):
            if not os.path.exists(os.path.join(binaries, program)):
                raise Failure("%s is not in %s: build it with `cargo build --workspace --bins`, or name its folder with --binaries"
                              % (program, binaries))
        super().__init__()
        self.binaries = binaries
        self.postgres_url = self.s3_store = None

    def binary(self, name):
        return os.path.join(self.binaries, name)

    def start_nats(self, name):
        [port] = test_command.free_ports(1, 12_000, 14_000)
        command = [os.path.join(test_command.VENV, "nats-server"), "-js", "-a", "127.0.0.1", "-p", str(port),
                   "-sd", self.path(name + "-streams")]
        server = self.spawn(name + "-nats", command)

        def is_ready():
            if server.poll() is not None:
                raise Failure("nats-server ended: " + self.log_tail(name + "-nats"))
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False

        until("nats-server does not answer", is_ready)
        return "nats://127.0.0.1:%d" % port

    def database(self, name):
        """A new database; returns its URL."""
        if self.postgres_url is None:
            self.postgres_url = self.postgres()["SILTSTONE_TEST_POSTGRES_URL"]
        self.sql(self.postgres_url, "CREATE DATABASE " + name)
        return self.postgres_url.rpartition("/")[0] + "/" + name

    def let_analyst_read(self):
        """Makes the login of readers, once there is the role that Siltstone made."""
        self.sql(self.postgres_url, "DO $$ BEGIN CREATE ROLE %s LOGIN IN ROLE lake_reader; "
                                    "EXCEPTION WHEN duplicate_object THEN NULL; END $$" % ANALYST)

    def sql(self, url, statement):
        import psycopg
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    def store(self):
        if self.s3_store is None:
            found = self.s3()
            self.s3_store = {name.rpartition("_S3_")[2].lower(): value for name, value in found.items()}
        return self.s3_store

    def read(self, name):
        """What a program of the run has printed."""
        with open(self.path(name + ".log"), errors="replace") as file:
            return file.read()

    def end(self, server):
        """Lets a program that this run started drain, and waits for it."""
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
