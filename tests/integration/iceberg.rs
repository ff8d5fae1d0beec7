//! Topics as tables of Iceberg, as stock readers see them: PyIceberg through the catalog itself and over HTTP, DuckDB,
//! Polars.
//!
//! Owns: rows, schemas, snapshots and quarantine as these readers see them, and the proof that they can change nothing.
//! Does not own: the metadata (crate `open_tables`), damage and kills (`iceberg::mending`).

mod mending;

use std::sync::Arc;

use catalog::{MetadataStore, NewObject, ReplaceOutcome, Replacement, SegmentKind};
use common::{OwnerId, TopicName, TopicPartition};
use serde_json::{Value, json};

use crate::all_types;
use crate::binary::Siltstone;
use crate::http::{Server, patient};

/// Reads tables: the catalog, then the namespace and name of a table, and an action: `rows` (ordered by offset, without
/// times), `schema`, `history`, `plan FILTER`, or `travel` (rows of each snapshot).
const READ: &str = r#"
import base64, datetime, decimal, json, sys, warnings
warnings.filterwarnings("ignore")
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog

def plain(value):
    if isinstance(value, bytes): return "0x" + value.hex()
    if isinstance(value, decimal.Decimal): return str(value)
    if isinstance(value, (datetime.date, datetime.datetime)): return value.isoformat()
    if isinstance(value, dict): return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)): return [plain(item) for item in value]
    return value

def rows(arrow):
    found = sorted(arrow.to_pylist(), key=lambda row: (row["_partition_id"], row["_offset"], row["_row"]))
    return [{key: plain(value) for key, value in row.items() if key not in ("_timestamp", "_subject", "_headers")} for row in found]

where, namespace, name, action = sys.argv[1:5]
catalog = RestCatalog("lake", uri=where) if where.startswith("http") else SqlCatalog("siltstone", uri=where)
if action == "list":
    answer = [sorted(list(space) for space in catalog.list_namespaces()), sorted(list(table) for table in catalog.list_tables(namespace))]
else:
    table = catalog.load_table((namespace, name))
    if action == "rows":
        answer = rows(table.scan().to_arrow())
        import polars
        assert polars.scan_iceberg(table).collect().height == len(answer)
    elif action == "schema":
        answer = [[field.field_id, field.name, str(field.field_type), field.required] for field in table.schema().fields]
    elif action == "history":
        answer = [[snapshot.summary.operation.value, snapshot.summary["total-records"]] for snapshot in table.snapshots()]
    elif action == "plan":
        answer = len(list(table.scan(row_filter=sys.argv[5]).plan_files()))
    elif action == "travel":
        answer = [table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows for snapshot in table.snapshots()]
print(json.dumps(answer))
"#;

/// Settings with which writers publish only on demand.
fn lake() -> Siltstone {
    Siltstone::new()
}

/// The catalog of a lake as PyIceberg is given it.
fn sqlite(lake: &Siltstone) -> String {
    format!("sqlite:///{}", lake.data().join("catalog.db").display())
}

async fn read(catalog: &str, table: (&str, &str), action: &[&str]) -> Value {
    let arguments: Vec<&str> = [catalog, table.0, table.1].into_iter().chain(action.iter().copied()).collect();
    let printed = support::python::run(READ, &arguments).await.expect("PyIceberg reads");
    serde_json::from_str(printed.trim()).expect("JSON")
}

async fn publish(lake: &Siltstone) {
    lake.run(&["publish-tables"]).await.ok();
}

/// A topic with a column of every type, two rows and a record in quarantine.
async fn all_types(lake: &Siltstone) {
    let create = [&["topic", "create", "all"][..], &all_types::columns()].concat();
    lake.run(&create).await.ok();
    lake.run(&["topic", "create", "a%b", "--format", "text"]).await.ok();
    lake.settle("all", &all_types::LINES).await;
}

/// The rows of that topic.
fn all_rows() -> Value {
    let full = json!({"_partition_id": 0, "_offset": 0, "_row": 0, "_key": null, "_incarnation": 0, "id": 1, "n": -5, "d": 0.5,
        "amount": "12.50", "ok": true, "raw": "0x0001", "day": "2026-01-31", "at": "2026-01-31T12:00:00.250000+00:00",
        "tags": ["a", null], "place": {"lat": 1.5, "city": "Ü"}, "doc": "{\"k\":[1]}", "_extra": "{\"more\":7}"});
    let bare = json!({"_partition_id": 0, "_offset": 1, "_row": 0, "_key": null, "_incarnation": 0, "id": 2, "n": null, "d": null,
        "amount": null, "ok": null, "raw": null, "day": null, "at": null, "tags": null, "place": null, "doc": null,
        "_extra": null});
    json!([full, bare])
}

/// The schema of that topic.
fn all_fields() -> Value {
    json!([
        [1, "_partition_id", "int", true],
        [2, "_offset", "long", true],
        [3, "_row", "int", true],
        [4, "_timestamp", "timestamptz", true],
        [5, "_key", "binary", false],
        [6, "_headers", "map<string, string>", false],
        [7, "_subject", "string", true],
        [13, "_incarnation", "int", false],
        [100, "id", "long", true],
        [101, "n", "int", false],
        [102, "d", "double", false],
        [103, "amount", "decimal(12, 2)", false],
        [104, "ok", "boolean", false],
        [105, "raw", "binary", false],
        [106, "day", "date", false],
        [107, "at", "timestamptz", false],
        [108, "tags", "list<string>", false],
        [110, "place", "struct<111: lat: optional double, 112: city: optional string>", false],
        [113, "doc", "string", false],
        [10, "_extra", "string", false]
    ])
}

#[tokio::test]
async fn every_topic_is_a_table_of_every_type_and_so_is_its_quarantine() {
    let lake = lake();
    all_types(&lake).await;
    let printed = lake.run(&["publish-tables"]).await.ok();
    printed.says(&["topics.all", "quarantine.all", "topics.a%b", "published"]);
    lake.run(&["publish-tables"]).await.ok().says(&["unchanged"]);
    let catalog = sqlite(&lake);
    let spaces = json!([["quarantine"], ["topics"]]);
    let listed = read(&catalog, ("topics", "-"), &["list"]).await;
    assert_eq!(listed, json!([spaces, [["topics", "a%b"], ["topics", "all"]]]));
    assert_eq!(read(&catalog, ("topics", "all"), &["schema"]).await, all_fields());
    assert_eq!(read(&catalog, ("topics", "all"), &["rows"]).await, all_rows());
    assert_eq!(read(&catalog, ("topics", "a%b"), &["rows"]).await, json!([]), "an empty table");
    let quarantined = read(&catalog, ("quarantine", "all"), &["rows"]).await;
    assert_eq!(quarantined[0]["payload"], "0x7b226964223a227468726565227d");
    lake.settle("a%b", &["one", "two"]).await;
    publish(&lake).await;
    let text = read(&catalog, ("topics", "a%b"), &["rows"]).await;
    assert_eq!((&text[0]["value"], &text[1]["value"]), (&json!("one"), &json!("two")));
    lake.run(&["audit", "--deep"]).await.ok().says(&["iceberg"]);
}

#[tokio::test]
async fn the_catalog_in_postgresql_is_read_by_a_login_that_can_only_read() {
    let url = support::postgres::fresh_database().await.expect("a database");
    let lake = lake().with("CATALOG_URL", &url);
    all_types(&lake).await;
    publish(&lake).await;
    let role = format!("analyst_{}", support::unique_name());
    support::postgres::execute(&url, &format!("create role {role} login in role lake_reader")).await.expect("made");
    let as_role = url.replacen("postgres://postgres@", &format!("postgresql+psycopg2://{role}@"), 1);
    let catalog = format!("{as_role}?options=-csearch_path%3Dlake");
    assert_eq!(read(&catalog, ("topics", "all"), &["rows"]).await, all_rows());
    assert_eq!(read(&catalog, ("topics", "all"), &["schema"]).await, all_fields());
    attack(&catalog).await;
    // Nor with all rights.
    attack(&catalog.replacen(&role, "postgres", 1)).await;
    assert_eq!(read(&catalog, ("topics", "all"), &["rows"]).await, all_rows());
    lake.run(&["audit"]).await.ok();
    support::postgres::execute(&url, &format!("drop owned by {role}; drop role {role}")).await.expect("dropped");
}

#[tokio::test]
async fn readers_over_http_see_the_same_tables() {
    let lake = patient();
    all_types(&lake).await;
    publish(&lake).await;
    let server = Server::start(&lake).await;
    let catalog = format!("{}/iceberg", server.url);
    assert_eq!(read(&catalog, ("topics", "all"), &["rows"]).await, all_rows());
    let attach = format!("ATTACH 'siltstone' AS ice (TYPE iceberg, ENDPOINT '{catalog}', AUTHORIZATION_TYPE 'none');");
    let extensions = ["avro", "httpfs", "iceberg"];
    let duckdb = async |sql: &str| support::duckdb::query_with(&extensions, &[], &format!("{attach}{sql}")).await;
    let rows = duckdb("SELECT id, amount, tags, place, _extra FROM ice.topics.all ORDER BY id").await.expect("read");
    assert_eq!(rows[0], ["1", "12.50", "['a', None]", "{'lat': 1.5, 'city': 'Ü'}", "{\"more\":7}"]);
    assert_eq!(duckdb("SELECT count(*) FROM ice.quarantine.all").await.expect("read"), [["1"]]);
    for sql in [
        "INSERT INTO ice.topics.all SELECT * FROM ice.topics.all",
        "DROP TABLE ice.topics.all",
        "CREATE TABLE ice.topics.more (i INT)",
        "CREATE SCHEMA ice.more",
        "DELETE FROM ice.topics.all",
    ] {
        assert!(duckdb(sql).await.is_err(), "{sql}");
    }
    attack(&catalog).await;
    assert_eq!(read(&catalog, ("topics", "all"), &["rows"]).await, all_rows());
    lake.run(&["audit"]).await.ok();
}

/// Tries everything that changes a table or a catalog; each attempt must fail.
const ATTACK: &str = r#"
import sys, warnings
warnings.filterwarnings("ignore")
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import IntegerType
where = sys.argv[1]
catalog = RestCatalog("lake", uri=where) if where.startswith("http") else SqlCatalog("siltstone", uri=where)
name = ("topics", "all")
table = lambda: catalog.load_table(name)
def add_column():
    with table().update_schema() as update: update.add_column("more", IntegerType())
attempts = {
    "append": lambda: table().append(table().scan(limit=1).to_arrow()),
    "overwrite": lambda: table().overwrite(table().scan(limit=1).to_arrow()),
    "delete": lambda: table().delete("id = 1"),
    "add column": add_column,
    "set property": lambda: table().transaction().set_properties({"a": "b"}).commit_transaction(),
    "roll back": lambda: table().manage_snapshots().remove_branch("main").commit(),
    "drop": lambda: catalog.drop_table(name),
    "purge": lambda: catalog.purge_table(name),
    "rename": lambda: catalog.rename_table(name, ("topics", "other")),
    "create": lambda: catalog.create_table(("topics", "other"), table().schema()),
    "create namespace": lambda: catalog.create_namespace("other"),
    "drop namespace": lambda: catalog.drop_namespace("quarantine"),
}
for what, attempt in attempts.items():
    try: attempt()
    except Exception: continue
    print(what)
"#;

async fn attack(catalog: &str) {
    let done = support::python::run(ATTACK, &[catalog]).await.expect("it runs");
    assert_eq!(done.trim(), "", "these attempts did not fail");
}

#[tokio::test]
async fn nobody_changes_a_table_through_the_catalog_itself() {
    let lake = lake();
    all_types(&lake).await;
    publish(&lake).await;
    let before = lake.run(&["publish-tables", "all"]).await.ok().out;
    attack(&sqlite(&lake)).await;
    assert_eq!(read(&sqlite(&lake), ("topics", "all"), &["rows"]).await, all_rows());
    assert_eq!(lake.run(&["publish-tables", "all"]).await.ok().out, before, "the same version");
    lake.run(&["audit", "--deep"]).await.ok();
}

/// Lists a copy of the topic's oldest object in its place, as a compaction of one object would.
async fn replace_oldest(lake: &Siltstone, catalog: &Arc<dyn MetadataStore>, topic: &TopicName) {
    let snapshot = catalog.snapshot(topic).await.expect("read");
    let oldest = snapshot.objects.iter().find(|object| object.kind == SegmentKind::Data).expect("listed");
    let key = format!("{}/copy.parquet", topic.encoded());
    std::fs::copy(lake.data().join(&oldest.key), lake.data().join(&key)).expect("copied");
    let replacement = Replacement {
        topic: topic.clone(),
        kind: SegmentKind::Data,
        owner: OwnerId(uuid::Uuid::now_v7()),
        inputs: vec![oldest.as_ref().into()],
        output: NewObject {
            bucket: oldest.bucket.clone(),
            key,
            record_count: oldest.record_count,
            size_bytes: oldest.size_bytes,
            footer_bytes: oldest.footer_bytes.expect("known"),
            checksum: oldest.checksum,
            schema_version: oldest.schema_version,
            statistics: vec![],
        },
    };
    catalog.record_replacement_intent(&replacement.intent()).await.expect("recorded");
    let outcome = catalog.replace(&replacement).await;
    assert!(matches!(outcome, ReplaceOutcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn tables_follow_changes_of_columns_replacements_and_retention_and_keep_earlier_snapshots() {
    let lake = lake();
    lake.run(&["topic", "create", "t", "--column", "id:int32", "--column", "gone:string"]).await.ok();
    lake.settle("t", &[r#"{"id":1,"gone":"x"}"#, r#"{"id":2}"#]).await;
    publish(&lake).await;
    lake.run(&["topic", "update", "t", "--column", "id:int64", "--column", "name:string"]).await.ok();
    lake.run(&["topic", "update", "t", "--rename-column", "name=title", "--drop-column", "gone"]).await.ok();
    lake.settle("t", &[r#"{"id":5000000000,"name":"n"}"#]).await;
    publish(&lake).await;
    let catalog = sqlite(&lake);
    let ids = async || {
        let rows = read(&catalog, ("topics", "t"), &["rows"]).await;
        let rows = rows.as_array().expect("a list").iter();
        rows.map(|row| json!([row["_offset"], row["id"], row["title"]])).collect::<Vec<_>>()
    };
    let all = [json!([0, 1, null]), json!([1, 2, null]), json!([2, 5_000_000_000_u64, "n"])];
    assert_eq!(ids().await, all);
    assert_eq!(read(&catalog, ("topics", "t"), &["plan", "_offset = 2"]).await, json!(1), "one of two objects");
    assert_eq!(read(&catalog, ("topics", "t"), &["plan", "_offset = 7"]).await, json!(0));

    let (topic, place) = (TopicName::new("t").expect("valid"), lake.data().join("catalog.db"));
    let store = ::catalog::connect(&format!("sqlite:{}", place.display())).await.expect("a catalog");
    replace_oldest(&lake, &store, &topic).await;
    publish(&lake).await;
    assert_eq!(ids().await, all);
    let partition = TopicPartition::new(topic, 0);
    assert_eq!(store.delete_segments_before(&partition, 2).await.expect("expired"), 1);
    store.close().await;
    publish(&lake).await;
    assert_eq!(ids().await, all[2..]);
    let history = read(&catalog, ("topics", "t"), &["history"]).await;
    assert_eq!(history, json!([["append", "2"], ["append", "3"], ["replace", "3"], ["delete", "1"]]));
    assert_eq!(read(&catalog, ("topics", "t"), &["travel"]).await, json!([2, 3, 3, 1]));
    lake.run(&["audit"]).await.ok();
    lake.run(&["publish-tables", "--withdraw"]).await.ok().says(&["withdrawn"]);
    assert_eq!(read(&catalog, ("topics", "-"), &["list"]).await[1], json!([]));
    lake.run(&["topic", "delete", "t", "--yes"]).await.ok();
    lake.run(&["publish-tables", "t"]).await.fails(1, &["topic not found: t"]);
}
