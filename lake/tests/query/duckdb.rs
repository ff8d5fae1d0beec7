//! The printed SQL, run by the real DuckDB.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, MapArray, RecordBatch, StringArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Schema};

use catalog::{FileId, ObjectInfo, SegmentInfo, SegmentKind, SegmentStore, TopicSnapshot, TopicStore};
use lake::duckdb::{self, DuckDbLocation, S3Access};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use support::duckdb::{query, query_with};
use support::s3::S3;

use crate::lake::{Lake, name};

const ORDERS: &str = r#"{"format":"json","columns":[{"name":"id","type":"int64"},{"name":"a \"b\"","type":"date"},
    {"name":"price","type":{"decimal":{"precision":10,"scale":2}}},{"name":"tags","type":{"list":"string"}},
    {"name":"at","type":"timestamp"},{"name":"who","type":{"struct":[{"name":"n","type":"int32"}]}}]}"#;

async fn snapshots(lake: &Lake, topics: &[&str]) -> Vec<TopicSnapshot> {
    let mut snapshots = Vec::new();
    for topic in topics {
        snapshots.push(lake.catalog.snapshot(&name(topic)).await.expect("snapshot"));
    }
    snapshots
}

fn views_sql(snapshots: &[TopicSnapshot], location: &DuckDbLocation) -> String {
    duckdb::views_sql(snapshots, &[], location).expect("names that differ")
}

#[tokio::test]
async fn duckdb_and_datafusion_read_the_same_local_rows() {
    let folder = tempfile::Builder::new().prefix("it's [a] *lake? ").tempdir().expect("a directory");
    let local = LocalFileSystem::new_with_prefix(folder.path()).expect("a store");
    let lake = Lake::over(Arc::new(local), "file:///", "", "some/prefix").await;
    let topics = ["orders", "a/b", "日志", "it's \"quoted\""];
    for topic in topics {
        lake.create(topic, 2, ORDERS).await;
        lake.settle(topic, 0, 0..=9).await;
        lake.settle(topic, 0, 10..=19).await;
        lake.settle(topic, 1, 0..=4).await;
        lake.quarantine(topic, 1, 5..=6).await;
        let stray = lake.key(topic, 1, &(7..=9), SegmentKind::Data);
        lake.put(topic, 1, &(7..=9), SegmentKind::Data, &stray).await;
    }
    let sql = views_sql(&snapshots(&lake, &topics).await, &DuckDbLocation::Local { root: folder.path().to_owned() });
    for topic in topics {
        let quoted = topic.replace('"', "\"\"");
        let totals = format!("SELECT count(*) AS n, sum(id) AS ids FROM \"{quoted}\"");
        let here = lake.json(&totals).await.remove(0);
        assert_eq!(here, serde_json::json!({"n": 25, "ids": 200}), "{topic}");
        let there = query(&format!("{sql}{totals}")).await.expect("DuckDB");
        assert_eq!(there, [["25", "200"]], "{topic}");
        let sql = format!("{sql}SELECT _offset, reason, payload FROM \"quarantine_{quoted}\" ORDER BY 1");
        assert_eq!(query(&sql).await.expect("DuckDB"), [["5", "s5", "b'v5'"], ["6", "s6", "b'v6'"]], "{topic}");
    }
}

#[tokio::test]
async fn an_empty_view_has_the_types_of_a_full_one() {
    let folder = tempfile::tempdir().expect("a directory");
    let local = LocalFileSystem::new_with_prefix(folder.path()).expect("a store");
    let lake = Lake::over(Arc::new(local), "file:///", "", "").await;
    let location = DuckDbLocation::Local { root: folder.path().to_owned() };
    for (topic, options) in [("orders", ORDERS), ("plain", "{}")] {
        lake.create(topic, 1, options).await;
        let columns = |sql: String| async move {
            let describe = |view: &str| format!("{sql}SELECT column_name, column_type FROM (DESCRIBE \"{view}\")");
            let data = query(&describe(topic)).await.expect("DuckDB");
            (data, query(&describe(&format!("quarantine_{topic}"))).await.expect("DuckDB"))
        };
        let empty = columns(views_sql(&snapshots(&lake, &[topic]).await, &location)).await;
        lake.settle(topic, 0, 0..=0).await;
        lake.quarantine(topic, 0, 1..=1).await;
        let full = columns(views_sql(&snapshots(&lake, &[topic]).await, &location)).await;
        assert_eq!(empty, full);
        assert!(empty.0.len() >= 9 && empty.1.len() == 10);
    }
}

#[tokio::test]
async fn a_column_added_later_is_null_in_older_rows_of_the_view() {
    let folder = tempfile::tempdir().expect("a directory");
    let local = LocalFileSystem::new_with_prefix(folder.path()).expect("a store");
    let lake = Lake::over(Arc::new(local), "file:///", "", "").await;
    lake.create("orders", 1, r#"{"format":"json","columns":[{"name":"id","type":"int64"}]}"#).await;
    lake.settle("orders", 0, 0..=1).await;
    let more = r#"{"format":"json","columns":[{"name":"id","type":"int64"},{"name":"note","type":"string"}]}"#;
    let more = serde_json::from_str(more).expect("options");
    lake.catalog.update_topic_config(&name("orders"), 1, None, more).await.expect("updated");
    lake.settle("orders", 0, 2..=2).await;
    let location = DuckDbLocation::Local { root: folder.path().to_owned() };
    let sql = views_sql(&snapshots(&lake, &["orders"]).await, &location);
    let rows = query(&format!("{sql}SELECT id, note FROM orders ORDER BY id")).await.expect("DuckDB");
    assert_eq!(rows, [["0", "NULL"], ["1", "NULL"], ["2", "s2"]]);
}

#[tokio::test]
async fn topics_whose_names_differ_only_in_case_are_named_and_no_view_is_printed() {
    let lake = Lake::in_memory().await;
    lake.create("Orders", 1, "{}").await;
    let upper = snapshots(&lake, &["Orders"]).await.remove(0);
    let mut lower = upper.clone();
    lower.topic.name = name("orders");
    let location = DuckDbLocation::Local { root: "/lake".into() };
    let error = duckdb::views_sql(&[upper.clone(), lower], &[], &location).expect_err("one name").to_string();
    assert!(error.contains("\"Orders\"") && error.contains("\"orders\"") && error.contains("case"), "{error}");
    let names = [name("Orders"), name("orders")];
    assert!(duckdb::views_sql(&[upper], &names, &location).is_ok(), "one of them alone has a view");
}

/// Rows as version 0.1.0 laid them out, each with the header `T` twice.
fn rows_of_layout_1(rows: &RecordBatch) -> RecordBatch {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let column = match (field.name().as_str(), field.data_type()) {
            ("_incarnation", _) => continue,
            ("_headers", DataType::Map(entries, _)) => doubled_headers(entries, rows.num_rows()),
            _ => Arc::clone(column),
        };
        let stored_name = if field.name() == "_partition_id" { "_partition" } else { field.name() };
        fields.push(Field::clone(field).with_name(stored_name));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of the schema")
}

fn doubled_headers(entries: &Arc<Field>, count: usize) -> ArrayRef {
    let DataType::Struct(fields) = entries.data_type() else { panic!("entries of a map are structs") };
    let texts = |three: [&str; 3]| Arc::new(StringArray::from(three.repeat(count))) as ArrayRef;
    let pairs = StructArray::new(fields.clone(), vec![texts(["T", "U", "T"]), texts(["b", "x", "c"])], None);
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(3, count));
    Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, None, false))
}

#[tokio::test]
async fn a_doubled_header_of_version_0_1_0_is_one_key_in_the_view_also_beside_objects_of_now() {
    let folder = tempfile::tempdir().expect("a directory");
    let local = LocalFileSystem::new_with_prefix(folder.path()).expect("a store");
    let lake = Lake::over(Arc::new(local), "file:///", "", "").await;
    lake.create("orders", 1, r#"{"format":"json","columns":[{"name":"id","type":"int64"}]}"#).await;
    lake.settle("orders", 0, 0..=0).await;
    lake.settle("orders", 0, 1..=1).await;
    let mut snapshot = snapshots(&lake, &["orders"]).await.remove(0);
    let rows = crate::lake::rows(&snapshot.topic.config, 0, 0..=0, SegmentKind::Data);
    let old = &mut snapshot.segments[0];
    lake.put_rows(&old.object.key, &rows_of_layout_1(&rows)).await;
    old.object = Arc::new(ObjectInfo { layout: 1, ..ObjectInfo::clone(&old.object) });
    let sql = views_sql(&[snapshot], &DuckDbLocation::Local { root: folder.path().to_owned() });
    let rows = query(&format!("{sql}SELECT id, _headers, _incarnation FROM orders ORDER BY id")).await.expect("DuckDB");
    assert_eq!(rows, [["0", "{'T': 'b\\nc', 'U': 'x'}", "0"], ["1", "{'name': 'h1'}", "0"]]);
    let values = query(&format!("{sql}SELECT _headers['T'] FROM orders ORDER BY id")).await.expect("DuckDB");
    assert_eq!(values, [["b\nc"], ["NULL"]]);
}

#[tokio::test]
async fn a_view_over_thousands_of_objects_is_accepted() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    lake.settle("events", 0, 0..=0).await;
    let mut snapshot = snapshots(&lake, &["events"]).await.remove(0);
    let segment = snapshot.segments[0].clone();
    let of_object = |number| {
        let object = ObjectInfo { file_id: FileId(number), ..ObjectInfo::clone(&segment.object) };
        SegmentInfo { object: Arc::new(object), ..segment.clone() }
    };
    snapshot.segments = (0..10_000).map(of_object).collect();
    let sql = views_sql(&[snapshot], &DuckDbLocation::Local { root: "/lake".into() });
    assert_eq!(sql.matches("/lake/events/").count(), 10_000);
    // DuckDB opens the files when the view is made; an error about the first shows that it took the whole list.
    let error = format!("{:#}", query(&sql).await.expect_err("the files are not there"));
    assert!(error.contains("/lake/events/") || error.contains("No files found"), "{error}");
}

#[tokio::test]
async fn duckdb_reads_s3_with_the_printed_secret() {
    let s3 = S3::shared().expect("an S3 server");
    let store = AmazonS3Builder::new()
        .with_bucket_name(&s3.bucket)
        .with_endpoint(&s3.endpoint)
        .with_region(&s3.region)
        .with_allow_http(true)
        .with_access_key_id(&s3.access_key)
        .with_secret_access_key(&s3.secret_key)
        .build()
        .expect("a client");
    let url = format!("s3://{}", s3.bucket);
    let lake = Lake::over(Arc::new(store), &url, &s3.bucket, &s3.fresh_prefix()).await;
    lake.create("a/b", 1, ORDERS).await;
    lake.settle("a/b", 0, 0..=9).await;
    assert_eq!(lake.number("SELECT sum(id) AS n FROM \"a/b\"").await, 45);
    let access =
        S3Access { endpoint: Some(s3.endpoint.clone()), region: Some(s3.region.clone()), virtual_hosted: false };
    let location = DuckDbLocation::S3 { bucket: s3.bucket.clone(), access };
    let sql = views_sql(&snapshots(&lake, &["a/b"]).await, &location);
    assert!(!sql.contains(&s3.secret_key) && !sql.contains(&s3.access_key), "{sql}");
    // As httpfs does by itself when the variables are in DuckDB's environment.
    let setup = [
        format!("SET s3_access_key_id = '{}'", s3.access_key),
        format!("SET s3_secret_access_key = '{}'", s3.secret_key),
    ];
    let setup: Vec<&str> = setup.iter().map(String::as_str).collect();
    let rows = query_with(&["httpfs"], &setup, &format!("{sql}SELECT sum(id) FROM \"a/b\"")).await.expect("DuckDB");
    assert_eq!(rows, [["45"]]);
}
