"""One lake: its queue, catalog and store, the programs that work on it, and what was published to it.

Owns: settings, commands, publishing, waiting until all of it is committed. Does not own: servers (`servers`), messages
(`data`), reading (`readers`).
"""

import asyncio
import json
import os
import subprocess
import time
import urllib.parse
import urllib.request

from . import data
from .servers import ANALYST, Failure, until
from .worker import DuckDb

# Name: queue, catalog, store, and the programs that commit and answer over HTTP.
KINDS = {
    "memory-sqlite-disk": ("memory", "sqlite", "disk", ("siltstone up",)),
    "nats-sqlite-disk": ("nats", "sqlite", "disk", ("siltstone up",)),
    "nats-postgres-disk": ("nats", "postgres", "disk", ("writer", "ingester")),
    "nats-postgres-s3": ("nats", "postgres", "s3", ("siltstone up",)),
}

DEADLINE = 120


class Lake:
    """A lake whose programs are stopped and started again between the stages."""

    def __init__(self, name, servers):
        self.name, self.servers = name, servers
        self.queue, self.catalog, self.store, self.programs = KINDS[name]
        self.topics = data.TABLES + ((data.ODD,) if self.queue == "memory" else ())
        self.published, self.offsets, self.running, self.starts = data.Published(self.topics), {}, [], 0
        self.folder = servers.path(name)
        os.mkdir(self.folder)
        self.catalog_file = os.path.join(self.folder, "catalog.db")
        settings = {
            "PATH": os.environ["PATH"], "LOG_LEVEL": "info", "LOG_FORMAT": "json", "QUEUE_TYPE": self.queue,
            "FLUSH_INTERVAL_SECS": "1", "LEASE_SECS": "15", "COMPACTION": "off", "COMPACTION_MIN_OBJECTS": "2",
            "STORAGE_PATH": os.path.join(self.folder, "data"), "CATALOG_URL": "sqlite:" + self.catalog_file,
            "HTTP_ADDR": "127.0.0.1:0", "INGEST_ADDR": "127.0.0.1:0", "RUST_BACKTRACE": "1",
        }
        if self.queue == "nats":
            settings["NATS_URL"] = servers.start_nats(name)
        if self.catalog == "postgres":
            settings["CATALOG_URL"] = servers.database(name.replace("-", "_"))
        if self.store == "s3":
            store = servers.store()
            settings.update(STORAGE_TYPE="s3", STORAGE_URL="s3://%s/%s" % (store["bucket"], name),
                            AWS_ENDPOINT_URL=store["endpoint"], AWS_REGION=store["region"], AWS_ALLOW_HTTP="true",
                            AWS_ACCESS_KEY_ID=store["access_key"], AWS_SECRET_ACCESS_KEY=store["secret_key"])
            del settings["STORAGE_PATH"]
        self.settings = settings
        access = {key: value for key, value in settings.items() if key.startswith("AWS_")}
        self.duckdb = DuckDb(servers, name + "-duckdb", access)

    # The command.

    def attempt(self, *words, **more):
        environment = dict(self.settings, LOG_LEVEL="error", LOG_FORMAT="text", **more)
        return subprocess.run([self.servers.binary("siltstone"), *words], env=environment, cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def run(self, *words, **more):
        done = self.attempt(*words, **more)
        if done.returncode != 0:
            raise Failure("siltstone %s ended with %d: %s" % (" ".join(words), done.returncode, done.stderr.decode()[-2000:]))
        return done.stdout.decode()

    def rows(self, sql):
        lines = self.run("query", "--hot-tail", "off", "--json", sql).splitlines()
        return [json.loads(line, parse_float=str) for line in lines]

    def audit(self, *words):
        """The audit's report; fails if it is not clean."""
        done = self.attempt("audit", "--json", *words)
        report = json.loads(done.stdout or b"{}")
        if done.returncode != 0 or not report.get("clean"):
            raise Failure("%s: audit is not clean: %s" % (self.name, (done.stdout + done.stderr).decode()[-3000:]))
        return report

    # The programs.

    def start(self, **more):
        """Starts the programs that commit and answer."""
        self.starts += 1
        for program in self.programs:
            name, *words = program.split()
            log = "%s-%s-%d" % (self.name, name, self.starts)
            settings = dict(self.settings, **more)
            self.running.append(self.servers.spawn(log, [self.servers.binary(name), *words], env=settings, cwd=self.folder))
        address = until(lambda: "no address: " + self.servers.log_tail(log), lambda: self.logged(log, "ingest"))
        self.url = "http://" + address.removeprefix("http://").rstrip("/")
        if self.catalog == "postgres":
            self.servers.let_analyst_read()

    def logged(self, log, member):
        with open(self.servers.path(log + ".log"), errors="replace") as file:
            for line in file:
                found = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
                if found.get(member):
                    return found[member]
        if self.running[-1].poll() is not None:
            raise Failure("%s ended: %s" % (log, self.servers.log_tail(log)))
        return None

    def stop(self):
        for program in reversed(self.running):
            self.servers.end(program)
        self.running = []

    # Publishing.

    def publish(self, messages):
        """Publishes them in order, and remembers what must become of them."""
        messages = [message for message in messages if message.topic in self.topics]
        self.sent_at = time.time()
        if self.queue == "nats":
            asyncio.run(self._to_nats(messages))
        else:
            for message in messages:
                self.post(message)
        self.published.add(messages)
        for message in messages:
            place = message.topic, message.partition
            self.offsets[place] = self.offsets.get(place, 0) + 1

    async def _to_nats(self, messages):
        import nats
        client = await nats.connect(self.settings["NATS_URL"])
        try:
            stream = client.jetstream()
            for message in messages:
                headers = dict(message.headers)
                if message.key is not None:
                    headers["Siltstone-Key"] = message.key.decode()
                await stream.publish("%s.%d" % (message.topic, message.partition), message.payload, headers=headers or None)
        finally:
            await client.close()

    def post(self, message, acks="queued"):
        query = {"partition": message.partition, "acks": acks}
        if message.key is not None:
            query["key"] = message.key.decode()
        url = "%s/v1/topics/%s/records?%s" % (self.url, urllib.parse.quote(message.topic, safe=""), urllib.parse.urlencode(query))
        headers = {"Content-Type": "application/octet-stream"}
        headers.update(("Siltstone-Header-" + name.lower(), urllib.parse.quote(value)) for name, value in message.headers.items())
        with urllib.request.urlopen(urllib.request.Request(url, message.payload, headers), timeout=DEADLINE) as answer:
            answer.read()

    def post_records(self, topic, partition, records):
        """Records over HTTP, committed at once, which are no part of `published`."""
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        url = "%s/v1/topics/%s/records?partition=%d&acks=committed" % (self.url, topic, partition)
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            answer.read()

    def create(self, topics):
        for topic, words in topics.items():
            self.run("topic", "create", topic, *words)

    def begin_again(self, topic, partition):
        """Deletes a partition's stream and makes it again, empty, with the same configuration."""
        async def work():
            import nats
            client = await nats.connect(self.settings["NATS_URL"])
            try:
                manager = client.jsm()
                wanted = {"%s.%d" % (topic, partition), "%s.%d.>" % (topic, partition)}
                [stream] = [found for found in await manager.streams_info() if wanted & set(found.config.subjects)]
                await manager.delete_stream(stream.config.name)
                await manager.add_stream(stream.config)
            finally:
                await client.close()

        asyncio.run(work())
        self.offsets[topic, partition] = 0

    def settle(self):
        """Waits until all that was published is committed."""
        first = 1 if self.queue == "nats" else 0
        found = {}

        def is_settled():
            for row in self.rows("SELECT topic, partition, high_watermark, state FROM siltstone.partitions"):
                found[row["topic"], row["partition"]] = row["high_watermark"], row["state"]
            return all(found.get(place, (0,))[0] == count + first for place, count in self.offsets.items() if count)

        until(lambda: "%s: not committed: %s of %s\n%s" % (self.name, found, self.offsets, self.tails()), is_settled)

    def tails(self):
        return "".join(self.servers.log_tail("%s-%s-%d" % (self.name, program.split()[0], self.starts))
                       for program in self.programs)

    def publish_tables(self):
        self.run("publish-tables")

    # Where readers find the catalog.

    def duckdb_sql(self, *words):
        """The statements for DuckDB, in PostgreSQL with a login that may read the views alone."""
        return self.run("duckdb-sql", *words).replace("user=postgres", "user=" + ANALYST)

    def pyiceberg_uri(self, login=ANALYST):
        if self.catalog == "sqlite":
            return "sqlite:///" + self.catalog_file
        url = self.settings["CATALOG_URL"].replace("postgres://postgres@", "postgresql+psycopg2://%s@" % login)
        return url + "?options=-csearch_path%3Dlake"

    def jdbc_uri(self):
        if self.catalog == "sqlite":
            return "jdbc:sqlite:" + self.catalog_file
        return self.settings["CATALOG_URL"].replace("postgres://postgres@", "jdbc:postgresql://") + "?currentSchema=lake"

    def store_properties(self):
        """PyIceberg's own access to the store."""
        if self.store != "s3":
            return {}
        store = self.servers.store()
        return {"s3.endpoint": store["endpoint"], "s3.region": store["region"], "s3.access-key-id": store["access_key"],
                "s3.secret-access-key": store["secret_key"]}

    def polars_options(self):
        """Polars' own access to the store."""
        return {name.lower(): value for name, value in self.settings.items() if name.startswith("AWS_")} or None
