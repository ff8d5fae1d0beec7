"""The stages of a lake, and the comparison of all readers after each.

Owns: their order, what each does to the lake, and the lines of output. Does not own: messages (`data`), commands (`lake`),
readers (`readers`, `spark`), what a reader cannot help (`expectations`).
"""

import time
from functools import partial

from . import attacks, busy, data, expectations, spark as of_spark
from .figures import label
from .readers import LIGHT, QUARANTINE, TOPICS, datafusion
from .servers import Failure, until
from .values import difference

# Seconds between the messages that retention takes and those that stay.
APART = 8
# Stages with both small and merged objects of two sets of columns; a third of the figures does for the others.
ALL_FIGURES = ("columns", "compaction")
STAGES = ("types", "columns", "compaction", "retention", "resume", "attacks", "busy")


class Matrix:
    """The comparisons of a run: one line for each lake, stage and reader."""

    def __init__(self, spark, seconds, wanted):
        self.spark, self.seconds, self.wanted = spark, seconds, wanted
        self.compared = self.differ = 0

    def line(self, lake, stage, reader, wrong, about=""):
        self.compared += 1
        self.differ += bool(wrong)
        print("%-19s %-11s %-27s %s" % (lake.name, stage, reader, "DIFFERS: " + wrong if wrong else "ok  " + about), flush=True)

    def run(self, lake):
        works = [types, columns, compaction, retention] + ([resume] if lake.queue == "nats" else [])
        try:
            # Each stage is worked through up to the last that is wanted, since the next one builds on it.
            last = max(STAGES.index(name) for name in self.wanted)
            for name, work in list(zip(STAGES, works))[:last + 1]:
                work(lake)
                if name in self.wanted:
                    self.compare(lake, name)
            if "attacks" in self.wanted:
                self.attack(lake)
            if "busy" in self.wanted:
                for reader, wrong, about in busy.stage(lake, self.spark_for(lake), self.seconds):
                    self.line(lake, "busy", reader, wrong, about)
            lake.audit("--deep")
        finally:
            lake.stop()

    def spark_for(self, lake):
        """Spark's process, if it can read the lake: no registry that is used here has a client of Spark for S3."""
        return None if lake.store == "s3" else self.spark

    def readers(self, lake):
        found, spark = dict(LIGHT), self.spark_for(lake)
        if spark:
            found.update(("spark-" + way, partial(of_spark.reader, spark, way)) for way in ("rest", "jdbc"))
        return found

    def compare(self, lake, stage):
        lake.publish_tables()
        expected, wrong = self.reference(lake, 1 if stage in ALL_FIGURES else 3)
        rows = sum(len(answer.rows) for answer in expected.values())
        self.line(lake, stage, "datafusion", "; ".join(wrong), "%d tables, %d rows" % (len(expected), rows))
        for name, opened in self.readers(lake).items():
            wrong, figures = [], 0
            try:
                read = opened(lake)
            except Exception as error:  # whatever a reader fails with is what differs
                self.line(lake, stage, name, "cannot open: " + _said(error))
                continue
            for table, answer in expected.items():
                try:
                    found = read(*table, expectations.asked(name, answer.figures))
                except Exception as error:
                    wrong.append("%s.%s: %s" % (*table, _said(error)))
                    continue
                schema = expectations.expected_schema(name, answer.schema)
                found.figures = {label(figure): value for figure, value in found.figures.items()}
                figures += len(found.figures)
                differs = difference(expectations.as_shown(name, found), expectations.as_expected(name, answer), schema)
                if differs:
                    wrong.append("%s.%s: %s" % (*table, differs))
            self.line(lake, stage, name, "; ".join(wrong), "%d tables, %d rows, %d figures" % (len(expected), rows, figures))
        lake.audit()

    def reference(self, lake, share):
        """What DataFusion shows of every table, and what is wrong with it, seen from what was published."""
        read, expected, wrong = datafusion(lake), {}, []
        for topic, (rows, refused, ids) in lake.published.topics.items():
            for namespace, wanted in ((TOPICS, rows), (QUARANTINE, refused)):
                answer, said = read(namespace, topic, share)
                expected[namespace, topic] = answer
                wrong += ["%s.%s: %s" % (namespace, topic, what) for what in said]
                if len(answer.rows) != wanted:
                    wrong.append("%s.%s: %d rows, %d were published" % (namespace, topic, len(answer.rows), wanted))
            columns = [name for name, _ in expected[TOPICS, topic].schema]
            if "id" in columns:
                found = sum(row[columns.index("id")] for row in expected[TOPICS, topic].rows)
                if found != ids:
                    wrong.append("topics.%s: the sum of id is %d, %d was published" % (topic, found, ids))
        return expected, wrong

    def attack(self, lake):
        lake.publish_tables()
        before = attacks.state(lake)
        for name, attempt in attacks.attackers(lake, self.spark_for(lake)):
            refused, passed = attempt()
            after = attacks.state(lake)
            own = len(after[3] - before[3])
            about = "%d refused, %d without effect%s%s" % (
                refused, len(passed), ", %d files of its own left" % own if own else "",
                " (%s)" % "; ".join(passed) if passed else "")
            self.line(lake, "attacks", name, attacks.harm(before, after), about)
            before = after
        self.compare(lake, "attacked")


def _said(error):
    return "%s: %s" % (type(error).__name__, (str(error).strip().splitlines() or [""])[0][:400])


def commit(lake, messages):
    lake.publish(messages)
    lake.settle()


def types(lake):
    """Topics of every kind, in several objects."""
    lake.create({topic: data.CREATED[topic] for topic in lake.topics})
    lake.start()
    for first in (0, 40):
        commit(lake, data.batch(first))


def columns(lake):
    """Columns that take more, more of them, fewer, and other names, beside older objects."""
    for topic, changes in data.UPDATED.items():
        for change in changes:
            lake.run("topic", "update", topic, *change)
    for first in (80, 120):
        commit(lake, data.batch(first, is_updated=True))


def compaction(lake):
    """Small objects are merged, rows stay."""
    count = "SELECT CAST(count(DISTINCT key) AS BIGINT) AS n FROM siltstone.segments"
    before = lake.rows(count)[0]["n"]
    lake.run("compact", "--once")
    after = lake.rows(count)[0]["n"]
    if after >= before:
        raise Failure("%s: compaction left %d of %d objects" % (lake.name, after, before))


def retention(lake):
    """The older rows of two topics leave."""
    time.sleep(max(0.0, lake.sent_at + APART - time.time()))
    began = time.time()
    for topic in (data.TYPES, data.ORDERS):
        lake.published.forget(topic)
    commit(lake, data.batch(160, is_updated=True))
    # No writer may run while the topics have a retention: it would take the later rows, too.
    lake.stop()
    for topic in (data.TYPES, data.ORDERS):
        kept = int((time.time() - began + APART / 2) * 1000)
        lake.run("topic", "update", topic, "--retention", "%dms" % kept)
        lake.run("retention", topic)
        lake.run("topic", "update", topic, "--retention", "none")
    lake.start()


def resume(lake):
    """A partition's stream is made again, and the partition goes on in another incarnation."""
    lake.begin_again(data.ORDERS, 0)
    messages = data.batch(200, is_updated=True)
    lake.publish(messages)
    state = "SELECT state FROM siltstone.partitions WHERE topic = '%s' AND partition = 0" % data.ORDERS
    until(lambda: "%s: not halted\n%s" % (lake.name, lake.tails()), lambda: lake.rows(state)[0]["state"] == "halted")
    lake.run("topic", "resume", data.ORDERS, "--yes")
    lake.settle()
