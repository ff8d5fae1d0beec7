"""Readers that read in a loop while messages are committed and compaction swaps objects.

Owns: the load, the loops, and what each read must hold: offsets dense from the first one on, no place twice, no count that
goes back. Does not own: the readers' way to a lake (`readers`, `spark`).
"""

import threading
import time

from . import data, spark as of_spark
from .readers import rest_catalog, sql_catalog
from .servers import until
from .values import PLACE

PARTITIONS = 2
GROUPS = ("SELECT _partition_id, _incarnation, count(*), count(DISTINCT (_offset, _row)), min(_offset), max(_offset) FROM %s "
          "GROUP BY 1, 2 ORDER BY 1, 2")

SNAPSHOTS = "SELECT snapshot_id, CAST(changes AS VARCHAR) FROM lake.snapshots()"


class Loop(threading.Thread):
    """A reader in a loop. `read` returns the groups above, and a count of all rows, of one moment."""

    def __init__(self, name, read, first):
        super().__init__(daemon=True)
        self.name, self.read, self.first = name, read, first
        self.reads, self.errors, self.gaps, self.doubles, self.backwards, self.last = 0, [], 0, 0, 0, {}
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.is_set():
            self.once()

    def once(self):
        try:
            groups, total = self.read()
        except Exception as error:  # every failure of a reader is counted, with its text
            self.errors.append("%s: %s" % (type(error).__name__, (str(error).splitlines() or [""])[0][:300]))
            time.sleep(0.2)
            return
        self.reads += 1
        seen = {}
        for partition, incarnation, count, places, least, most in groups:
            seen[partition, incarnation] = count
            self.doubles += count - places
            self.gaps += least != self.first or most - least + 1 != places
        self.backwards += any(count > seen.get(place, 0) for place, count in self.last.items())
        if total is not None and total != sum(seen.values()):
            self.errors.append("count(*) is %d, the groups hold %d" % (total, sum(seen.values())))
        self.last = seen

    def finding(self, expected):
        found = sum(self.last.values())
        if self.errors:
            return "%d errors, such as %s" % (len(self.errors), self.errors[0])
        if self.gaps or self.doubles or self.backwards:
            return "%d gaps, %d doubles, %d counts that went back in %d reads" % (
                self.gaps, self.doubles, self.backwards, self.reads)
        return None if found == expected else "%d rows at the end, expected %d" % (found, expected)


def by_ducklake(lake):
    reads, attach = [0], lake.duckdb_sql()
    lake.duckdb.open(attach)

    def read():
        reads[0] += 1
        if reads[0] % 10 == 0:
            lake.duckdb.open(attach)
        # Two statements of one moment; the count comes from the catalog, the groups from the objects.
        lake.duckdb.rows("BEGIN")
        try:
            return lake.duckdb.rows(GROUPS % data.BUSY), lake.duckdb.rows("SELECT count(*) FROM " + data.BUSY)[0][0]
        finally:
            lake.duckdb.rows("ROLLBACK")

    return read


def by_pyiceberg(catalog):
    def read():
        scan = catalog.load_table(("topics", data.BUSY)).scan(selected_fields=PLACE)
        rows, groups = scan.to_arrow().to_pydict(), {}
        for partition, incarnation, *place in zip(*(rows[name] for name in scan.selected_fields)):
            groups.setdefault((partition, incarnation), []).append(tuple(place))
        found = [(*group, len(places), len(set(places)), min(places)[0], max(places)[0]) for group, places in groups.items()]
        return found, scan.count()

    return read


def by_spark(spark, lake, way):
    session = spark.catalog(of_spark.catalog_settings(lake, way))
    statement = GROUPS.replace("count(DISTINCT (_offset, _row))", "count(DISTINCT _offset, _row)")

    def read():
        return spark.ask(session=session, sql=statement % of_spark.table_name("topics", data.BUSY))["rows"], None

    return read


class Load:
    """Requests of records for both partitions, until it is ended; `sent` is their number."""

    def __init__(self, lake):
        self.lake, self.sent, self.is_over, self.error = lake, 0, threading.Event(), None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over.is_set() and self.error is None:
            for partition in range(PARTITIONS):
                try:
                    self.lake.post_records(data.BUSY, partition, [{"id": self.sent + index} for index in range(20)])
                except OSError as error:
                    self.error = error
                    return
                self.sent += 20
            time.sleep(0.1)

    def end(self):
        self.is_over.set()
        self.thread.join()
        if self.error:
            raise self.error


def stage(lake, spark, seconds):
    """Yields each reader with what was wrong (or None) and a line about it."""
    lake.stop()
    lake.start(COMPACTION="on", COMPACTION_MIN_OBJECTS="4", ICEBERG_PUBLISH_INTERVAL_SECS="1")
    lake.run("topic", "create", data.BUSY, "--partitions", str(PARTITIONS), "--column", "id:int64!")
    lake.run("publish-tables", data.BUSY)
    compaction = lake.servers.spawn(lake.name + "-compact", [lake.servers.binary("siltstone"), "compact", "--topic", data.BUSY],
                                    cwd=lake.folder, env=dict(lake.settings, LOG_LEVEL="error", COMPACTION_MIN_OBJECTS="4"))
    first = 1 if lake.queue == "nats" else 0
    loops = [Loop("duckdb-ducklake", by_ducklake(lake), first), Loop("pyiceberg-rest", by_pyiceberg(rest_catalog(lake)), first),
             Loop("pyiceberg-sql", by_pyiceberg(sql_catalog(lake)), first)]
    if spark:
        loops += [Loop("spark-" + way, by_spark(spark, lake, way), first) for way in ("rest", "jdbc")]
    began = max(row[0] for row in lake.duckdb.rows(SNAPSHOTS))
    load = Load(lake)
    try:
        for loop in loops:
            loop.start()
        time.sleep(seconds)
    finally:
        load.end()
    wanted = "SELECT CAST(count(*) AS BIGINT) AS n FROM " + data.BUSY
    until("%s: not all of %d records are committed" % (lake.name, load.sent), lambda: lake.rows(wanted)[0]["n"] == load.sent)
    lake.run("publish-tables", data.BUSY)
    for loop in loops:
        loop.is_over.set()
        loop.join()
        loop.once()
    lake.servers.end(compaction)
    changes = [row[1] for row in lake.duckdb.rows(SNAPSHOTS) if row[0] > began]
    commits, swaps = (sum(kind in change for change in changes) for kind in ("insert", "compact"))
    lake.stop()
    for loop in loops:
        about = "%d reads, %d errors, %d gaps, %d doubles; %d rows by %d commits, %d compactions" % (
            loop.reads, len(loop.errors), loop.gaps, loop.doubles, load.sent, commits, swaps)
        yield loop.name, loop.finding(load.sent), about
