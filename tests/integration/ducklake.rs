//! The catalog attached as a DuckLake in stock DuckDB.
//!
//! Owns: rows, schemas, time travel and quarantine as that reader sees them, and the proof that it can change nothing.
//! Does not own: the views of `duckdb-sql --views` (`readers`).

use std::path::Path;

use serde_json::Value;
use support::duckdb::query_with;

use crate::all_types;
use crate::binary::Siltstone;

const LOCAL: [&str; 2] = ["ducklake", "sqlite_scanner"];

/// The rows of `sql` after the statements that `duckdb-sql` prints.
async fn rows(lake: &Siltstone, sql: &str) -> Vec<Vec<String>> {
    let attach = lake.run(&["duckdb-sql"]).await.ok().out;
    query_with(&LOCAL, &[], &format!("{attach}{sql}")).await.expect("DuckDB answers")
}

/// The columns of a topic of every type. JSON is text in the query engine; all else is as there.
const SCHEMA: [[&str; 2]; 20] = [
    ["_partition_id", "INTEGER"],
    ["_offset", "BIGINT"],
    ["_row", "INTEGER"],
    ["_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["_key", "BLOB"],
    ["_headers", "MAP(VARCHAR, VARCHAR)"],
    ["_subject", "VARCHAR"],
    ["_incarnation", "INTEGER"],
    ["id", "BIGINT"],
    ["n", "INTEGER"],
    ["d", "DOUBLE"],
    ["amount", "DECIMAL(12,2)"],
    ["ok", "BOOLEAN"],
    ["raw", "BLOB"],
    ["day", "DATE"],
    ["at", "TIMESTAMP WITH TIME ZONE"],
    ["tags", "VARCHAR[]"],
    ["place", "STRUCT(lat DOUBLE, city VARCHAR)"],
    ["doc", "JSON"],
    ["_extra", "JSON"],
];

#[tokio::test]
async fn every_topic_is_a_table_of_its_columns_and_so_is_its_quarantine() {
    let lake = Siltstone::new();
    let create = [&["topic", "create", "all", "--partitions", "2"][..], &all_types::columns()].concat();
    lake.run(&create).await.ok();
    lake.run(&["topic", "create", "empty", "--format", "text"]).await.ok();
    lake.settle("all", &all_types::LINES).await;
    let all = rows(
        &lake,
        "SELECT id, n, d, amount, ok, raw, day, \"at\", tags, place, doc->'k', _extra->>'more' FROM \"all\" ORDER BY id",
    )
    .await;
    let values = [
        "1",
        "-5",
        "0.5",
        "12.50",
        "True",
        "b'\\x00\\x01'",
        "2026-01-31",
        "2026-01-31 12:00:00.250000+00:00",
        "['a', None]",
        "{'lat': 1.5, 'city': 'Ü'}",
        "[1]",
        "7",
    ];
    let absent = ["2", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"];
    assert_eq!(all, [values, absent]);
    let quarantined = rows(&lake, r#"SELECT decode(payload) FROM quarantine."all" WHERE reason LIKE '%id%'"#).await;
    assert_eq!(quarantined, [[r#"{"id":"three"}"#]]);
    assert_eq!(rows(&lake, "SELECT count(*) FROM empty").await, [["0"]]);
    assert_eq!(rows(&lake, "SELECT column_name, column_type FROM (DESCRIBE \"all\")").await, SCHEMA);
    lake.run(&["audit", "--deep"]).await.ok();
}

#[tokio::test]
async fn a_query_sees_what_is_committed_then_and_earlier_states_by_their_number() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--column", "id:int32"]).await.ok();
    lake.settle("t", &[r#"{"id":1}"#]).await;
    let attach = lake.run(&["duckdb-sql"]).await.ok().out;
    let same = async |sql: &str| query_with(&LOCAL, &[], &format!("{attach}{sql}")).await.expect("DuckDB answers");
    let first = same("SELECT max(snapshot_id) FROM lake.snapshots()").await[0][0].clone();
    lake.run(&["topic", "update", "t", "--column", "id:int64", "--column", "name:string"]).await.ok();
    lake.settle("t", &[r#"{"id":5000000000,"name":"n"}"#]).await;
    // The statements need not be printed again.
    assert_eq!(same("SELECT id, name FROM t ORDER BY id").await, [["1", "NULL"], ["5000000000", "n"]]);
    assert_eq!(same(&format!("SELECT * EXCLUDE (_timestamp) FROM t AT (VERSION => {first})")).await.len(), 1);
    lake.run(&["topic", "update", "t", "--rename-column", "name=title", "--drop-column", "id"]).await.ok();
    assert_eq!(same("SELECT title, _extra->>'id' FROM t ORDER BY 1").await, [["n", "NULL"], ["NULL", "NULL"]]);
    // By bounds of objects: one of two is read.
    let plan = same("EXPLAIN ANALYZE SELECT count(title) FROM t WHERE _offset = 1").await;
    assert!(format!("{plan:?}").contains("Total Files Read: 1"), "{plan:?}");
    lake.run(&["topic", "delete", "t", "--yes"]).await.ok();
    let tables = same("SELECT count(*) FROM information_schema.tables WHERE table_catalog = 'lake'").await;
    assert_eq!(tables, [["0"]]);
}

/// Statements of a user with all rights on the files of catalog and store.
const ATTACKS: [&str; 15] = [
    "INSERT INTO lake.t SELECT * FROM lake.t",
    "DELETE FROM lake.t WHERE id = 1",
    "UPDATE lake.t SET id = 9",
    "CREATE TABLE lake.mine AS SELECT 1 AS a",
    "ALTER TABLE lake.t ADD COLUMN z INTEGER",
    "DROP TABLE lake.t",
    "CALL ducklake_merge_adjacent_files('lake')",
    "CALL ducklake_rewrite_data_files('lake', 't', delete_threshold => 0)",
    "CALL ducklake_add_data_files('lake', 't', '{object}')",
    "CALL ducklake_expire_snapshots('lake', older_than => now())",
    "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)",
    "CALL lake.set_option('target_file_size', '1MB')",
    "CHECKPOINT lake",
    "CREATE VIEW lake.v AS SELECT 1 AS a",
];

/// Every file below the directory but SQLite's own, with its size.
fn objects(directory: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
            let (path, metadata) = (entry.path(), entry.metadata().expect("read"));
            match metadata.is_dir() {
                true => open.push(path),
                false => found.push((path.display().to_string(), metadata.len())),
            }
        }
    }
    found.retain(|(name, _)| !name.contains("catalog.db"));
    found.sort();
    found
}

#[tokio::test]
async fn nothing_that_duckdb_is_told_changes_or_deletes_anything() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--column", "id:int64"]).await.ok();
    for id in 0..3 {
        lake.settle("t", &[&format!(r#"{{"id":{id}}}"#)]).await;
    }
    let state = async || {
        let listed: Value = lake.run(&["segments", "t", "--json"]).await.ok().json();
        let told = rows(&lake, "SELECT id, count(*) FROM t GROUP BY id ORDER BY id").await;
        (listed, told, objects(&lake.data()))
    };
    let before = state().await;
    assert_eq!(before.2.len(), 3, "{:?}", before.2);
    // Written but not yet listed: what an orphan looks like.
    let pending = before.2[0].0.replace(".parquet", "-pending.parquet");
    std::fs::copy(&before.2[0].0, &pending).expect("copied");
    let before = state().await;
    let catalog = lake.data().join("catalog.db");
    let attach = format!("ATTACH 'ducklake:sqlite:{}' AS lake;", catalog.display());
    let mut refused = 0;
    for attack in ATTACKS {
        let attack = attack.replace("{object}", &before.2[0].0);
        refused += usize::from(query_with(&LOCAL, &[], &format!("{attach}{attack}")).await.is_err());
        assert_eq!(state().await, before, "{attack}");
    }
    assert!(refused >= 8, "{refused} were refused");
    std::fs::remove_file(pending).expect("removed");
    lake.run(&["audit", "--deep"]).await.ok();
}

#[tokio::test]
async fn a_role_of_postgres_that_sees_the_views_alone_reads_every_topic() {
    let url = support::postgres::fresh_database().await.expect("a database");
    let lake = Siltstone::new().with("CATALOG_URL", &url);
    lake.run(&["topic", "create", "t", "--column", "id:int64"]).await.ok();
    lake.settle("t", &[r#"{"id":1}"#, r#"{"id":"x"}"#]).await;
    let role = format!("analyst_{}", support::unique_name());
    support::postgres::execute(&url, &format!("create role {role} login in role lake_reader")).await.expect("made");
    let attach = lake.run(&["duckdb-sql"]).await.ok().out;
    assert!(attach.contains("METADATA_SCHEMA 'lake'") && attach.contains("user=postgres"), "{attach}");
    let attach = attach.replace("user=postgres", &format!("user={role}"));
    let read = async |sql: &str| query_with(&["ducklake", "postgres_scanner"], &[], &format!("{attach}{sql}")).await;
    let found =
        read("SELECT (SELECT sum(id) FROM t), (SELECT count(*) FROM quarantine.t)").await.expect("DuckDB answers");
    assert_eq!(found, [["1", "1"]]);
    for attack in ATTACKS.iter().filter(|attack| !attack.contains("{object}")) {
        let writable = attach.replace("READ_ONLY, ", "");
        let _ = query_with(&["ducklake", "postgres_scanner"], &[], &format!("{writable}{attack}")).await;
    }
    assert_eq!(read("SELECT count(*) FROM t").await.expect("DuckDB answers"), [["1"]]);
    let as_role = url.replace("postgres@", &format!("{role}@"));
    for statement in [
        "select * from public.topics",
        "delete from lake.ducklake_snapshot",
        "insert into lake.lake_files default values",
    ] {
        support::postgres::execute(&as_role, statement).await.expect_err(statement);
    }
    lake.run(&["audit", "--deep"]).await.ok();
    support::postgres::execute(&url, &format!("drop owned by {role}; drop role {role}")).await.expect("dropped");
}
