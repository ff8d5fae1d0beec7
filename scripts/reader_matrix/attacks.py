"""What a reader with all of its rights may try: each attempt must be refused, or change nothing.

Owns: the attempts, and the state that must be the same afterwards. Does not own: what readers see afterwards (`stages`).
"""

import glob
import json
import os

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import IntegerType

from . import data
from .servers import ANALYST
from .spark import catalog_settings, table_name
from .worker import Refused

TABLE = '"%s"' % data.ORDERS
DUCKLAKE = (
    "INSERT INTO lake.{t} SELECT * FROM lake.{t}",
    "DELETE FROM lake.{t}",
    "DELETE FROM lake.{t} WHERE id % 2 = 0",
    "UPDATE lake.{t} SET title = 'x'",
    "TRUNCATE lake.{t}",
    "MERGE INTO lake.{t} AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "DROP TABLE lake.{t}",
    "DROP SCHEMA lake.quarantine CASCADE",
    "ALTER TABLE lake.{t} ADD COLUMN z INTEGER",
    "ALTER TABLE lake.{t} DROP COLUMN title",
    "ALTER TABLE lake.{t} RENAME TO other",
    "CREATE TABLE lake.mine AS SELECT 1 AS a",
    "CREATE SCHEMA lake.mine",
    "CREATE VIEW lake.v AS SELECT 1 AS a",
    "COMMENT ON TABLE lake.{t} IS 'x'",
    "CALL ducklake_merge_adjacent_files('lake')",
    "CALL ducklake_rewrite_data_files('lake', '{n}', delete_threshold => 0)",
    "CALL ducklake_add_data_files('lake', '{n}', '{object}')",
    "CALL ducklake_expire_snapshots('lake', older_than => now())",
    "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)",
    "CALL ducklake_flush_inlined_data('lake')",
    "CALL lake.set_option('target_file_size', '1MB')",
    "CHECKPOINT lake",
)
# The views themselves, as tables of the database.
VIEWS = (
    "DELETE FROM c.{s}ducklake_data_file", "UPDATE c.{s}ducklake_data_file SET record_count = 0",
    "INSERT INTO c.{s}ducklake_snapshot SELECT * FROM c.{s}ducklake_snapshot", "DELETE FROM c.{s}iceberg_tables",
    "UPDATE c.{s}iceberg_tables SET metadata_location = ''",
)
SPARK = (
    "INSERT INTO {t} SELECT * FROM {t} LIMIT 1", "INSERT OVERWRITE {t} SELECT * FROM {t} LIMIT 1", "DELETE FROM {t}",
    "DELETE FROM {t} WHERE id % 2 = 0", "UPDATE {t} SET title = 'x'", "TRUNCATE TABLE {t}",
    "MERGE INTO {t} t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "ALTER TABLE {t} ADD COLUMN z INT", "ALTER TABLE {t} DROP COLUMN title", "ALTER TABLE {t} SET TBLPROPERTIES ('a' = 'b')",
    "ALTER TABLE {t} RENAME TO siltstone.topics.other", "ALTER TABLE {t} CREATE BRANCH b",
    "DROP TABLE {t}", "DROP TABLE {t} PURGE", "CREATE TABLE siltstone.topics.mine (a INT) USING iceberg",
    "CREATE NAMESPACE siltstone.mine", "DROP NAMESPACE siltstone.quarantine CASCADE",
    "CALL siltstone.system.rewrite_data_files('topics.{t_}')", "CALL siltstone.system.rewrite_manifests('topics.{t_}')",
    "CALL siltstone.system.expire_snapshots('topics.{t_}', TIMESTAMP '2100-01-01 00:00:00', 1)",
    "CALL siltstone.system.remove_orphan_files(table => 'topics.{t_}')",
)


def tried(statements, run, errors):
    """Runs each; returns how many were refused, and those that were not."""
    passed = []
    for statement in statements:
        try:
            run(statement)
        except errors:
            continue
        passed.append(statement)
    return len(statements) - len(passed), passed


def by_ducklake(lake, login):
    attach = lake.duckdb_sql().replace("user=" + ANALYST, "user=" + login)
    attach = attach.replace("(READ_ONLY, ", "(").replace(" (READ_ONLY)", "")
    known = lake.rows("SELECT key FROM siltstone.segments WHERE topic = '%s' LIMIT 1" % data.ORDERS)[0]["key"]
    root = lake.settings.get("STORAGE_PATH") or lake.settings["STORAGE_URL"]

    place = "ATTACH '%s' AS c (TYPE sqlite)" % lake.catalog_file
    if lake.catalog == "postgres":
        place = "ATTACH '%s' AS c (TYPE postgres)" % lake.settings["CATALOG_URL"].replace("postgres@", login + "@")

    schema = "lake." if lake.catalog == "postgres" else ""
    lake.duckdb.open(attach + place)

    def run(statement):
        try:
            lake.duckdb.rows(statement.format(t=TABLE, n=data.ORDERS, object=root + "/" + known, s=schema))
        except Refused as error:
            if "INTERNAL" in str(error) or "FATAL" in str(error):
                # Which is the end of a connection of DuckDB.
                lake.duckdb.open(attach + place)
            raise

    return tried(DUCKLAKE + VIEWS, run, Refused)


def by_pyiceberg(lake, way, login):
    if way == "rest":
        catalog = RestCatalog("siltstone", uri=lake.url + "/iceberg", **lake.store_properties())
    else:
        catalog = SqlCatalog("siltstone", uri=lake.pyiceberg_uri(login), **lake.store_properties())
    name, other = ("topics", data.ORDERS), ("topics", "other")

    def table():
        return catalog.load_table(name)

    def add_column():
        with table().update_schema() as update:
            update.add_column("more", IntegerType())

    attempts = {
        "append": lambda: table().append(table().scan(limit=1).to_arrow()),
        "overwrite": lambda: table().overwrite(table().scan(limit=1).to_arrow()),
        "delete": lambda: table().delete("id > 0"),
        "add column": add_column,
        "set property": lambda: table().transaction().set_properties({"a": "b"}).commit_transaction(),
        "remove branch": lambda: table().manage_snapshots().remove_branch("main").commit(),
        "drop": lambda: catalog.drop_table(name),
        "purge": lambda: catalog.purge_table(name),
        "rename": lambda: catalog.rename_table(name, other),
        "create": lambda: catalog.create_table(other, table().schema()),
        "register": lambda: catalog.register_table(other, table().metadata_location),
        "create namespace": lambda: catalog.create_namespace("other"),
        "drop namespace": lambda: catalog.drop_namespace("quarantine"),
    }
    return tried(attempts, lambda attempt: attempts[attempt](), Exception)


def by_spark(spark, lake, way, login):
    session = spark.catalog(catalog_settings(lake, way, login))
    name = table_name("topics", data.ORDERS)
    return tried(SPARK, lambda statement: spark.ask(
        session=session, sql=statement.format(t=name, t_="`%s`" % data.ORDERS)), Refused)


def attackers(lake, spark):
    """Each attacker's name, and what it does."""
    logins = (ANALYST, "postgres") if lake.catalog == "postgres" else ("",)
    for login in logins:
        with_login = " as " + login if login else ""
        yield "duckdb-ducklake" + with_login, lambda: by_ducklake(lake, login)
        yield "pyiceberg-sql" + with_login, lambda: by_pyiceberg(lake, "sql", login)
    yield "pyiceberg-rest", lambda: by_pyiceberg(lake, "rest", "")
    if spark:
        for login in logins:
            yield "spark-jdbc" + (" as " + login if login else ""), lambda: by_spark(spark, lake, "jdbc", login)
        yield "spark-rest", lambda: by_spark(spark, lake, "rest", "")


def state(lake):
    """The list of objects, what the audit says of it, and the files of the store that were there."""
    listed = sorted(repr(row) for row in lake.rows("SELECT * FROM siltstone.segments"))
    published = lake.run("publish-tables", "--json")
    return listed, published, _lasting(lake.audit("--deep")), files(lake)


def _lasting(report):
    """The audit without what changes by itself: a writer thins the kept snapshots, and with them retired objects out."""
    if isinstance(report, dict):
        return {name: _lasting(part) for name, part in report.items() if name != "retired"}
    return [_lasting(part) for part in report] if isinstance(report, list) else report


def files(lake):
    if lake.store == "s3":
        import pyarrow.fs
        store = lake.servers.store()
        system = pyarrow.fs.S3FileSystem(access_key=store["access_key"], secret_key=store["secret_key"], region=store["region"],
                                         endpoint_override=store["endpoint"])
        place = pyarrow.fs.FileSelector("%s/%s" % (store["bucket"], lake.name), recursive=True)
        return {(found.path, found.size) for found in system.get_file_info(place) if found.is_file}
    found = glob.glob(os.path.join(lake.settings["STORAGE_PATH"], "**", "*"), recursive=True)
    return {(path, os.path.getsize(path)) for path in found if os.path.isfile(path)}


def harm(before, after):
    """What the attempts changed; None if nothing."""
    changed = ["%s: %s" % (what, _first_change(one, other)) for what, one, other in
               zip(("the list of objects", "the published tables", "the audit"), before, after) if one != other]
    lost = before[3] - after[3]
    if lost:
        changed.append("%d files of the store, such as %s" % (len(lost), sorted(lost)[0]))
    return ", ".join(changed) or None


def _first_change(one, other):
    one, other = json.dumps(one, indent=1).splitlines(), json.dumps(other, indent=1).splitlines()
    return next(("%s -> %s" % pair for pair in zip(one, other) if pair[0] != pair[1]), "%d -> %d lines" % (len(one), len(other)))
