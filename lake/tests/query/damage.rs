//! Objects that are missing, cut short or altered, and the errors that readers get.

use datafusion::parquet::arrow::{ArrowSchemaConverter, parquet_to_arrow_schema};
use lake::query::{QueryOptions, unreadable_segment};
use lake::schema::{quarantine_schema, table_schema};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::lake::Lake;

/// A lake of one segment with ten rows; its key, and its object.
async fn one_segment() -> (Lake, Path, Vec<u8>) {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    let path = Path::parse(lake.settle("events", 0, 0..=9).await).expect("a key");
    let bytes = lake.store.get(&path).await.expect("get").bytes().await.expect("bytes");
    (lake, path, bytes.to_vec())
}

#[tokio::test]
async fn a_missing_object_is_an_error_that_names_its_key() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    lake.settle("events", 0, 0..=9).await;
    let key = lake.settle("events", 0, 10..=19).await;
    lake.store.delete(&Path::parse(&key).expect("a key")).await.expect("deleted");
    let error = lake.error("SELECT sum(_offset) FROM events").await;
    assert!(error.contains(&key) && error.contains("missing"), "{error}");
}

#[tokio::test]
async fn a_truncated_object_is_an_error_that_names_its_key() {
    let (lake, path, whole) = one_segment().await;
    for kept in [whole.len() - 1, whole.len() / 2, 3, 0] {
        lake.store.put(&path, whole[..kept].to_vec().into()).await.expect("put");
        let error = lake.error("SELECT sum(_offset) FROM events").await;
        assert!(error.contains(path.as_ref()), "{kept} bytes kept: {error}");
    }
}

#[tokio::test]
async fn the_error_of_an_object_that_cannot_be_read_is_typed() {
    let (lake, path, _) = one_segment().await;
    lake.store.delete(&path).await.expect("deleted");
    let planned = lake.session.sql("SELECT sum(_offset) FROM events").await.expect("plans");
    let error = planned.collect().await.expect_err("the object is gone");
    let segment = unreadable_segment(&error).expect("typed");
    assert_eq!(segment.key, path.as_ref());
    assert!(unreadable_segment(&lake.session.sql("SELECT 1 +").await.expect_err("no SQL")).is_none());
}

#[tokio::test]
async fn a_verifying_session_uses_no_byte_of_an_object_that_was_altered() {
    let (lake, path, whole) = one_segment().await;
    let session = lake.session(QueryOptions { verify: true, ..QueryOptions::default() });
    let sql = "SELECT count(*) AS n, sum(_offset) FROM events WHERE _offset > 3";
    let sound = session.sql(sql).await.expect("plans").collect().await.expect("as listed");
    assert_eq!(sound.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
    for place in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        lake.store.put(&path, bytes.into()).await.expect("put");
        let error = session.sql(sql).await.expect("plans").collect().await.expect_err("another checksum");
        let segment = unreadable_segment(&error).expect("typed");
        assert!(segment.key == path.as_ref() && segment.reason.contains("CRC-32C"), "byte {place}: {segment}");
    }
}

#[tokio::test]
async fn an_altered_object_is_named_by_the_error_that_it_causes() {
    let (lake, path, whole) = one_segment().await;
    let mut failures = 0;
    let tail = whole.len() - 64;
    for place in (0..tail).step_by(5).chain(tail..whole.len()) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        lake.store.put(&path, bytes.into()).await.expect("put");
        // A new session: footers are cached.
        let planned =
            lake.session(QueryOptions::default()).sql("SELECT * FROM events WHERE _offset < 8").await.expect("plans");
        // A panic that is not contained ends this test.
        let Err(error) = planned.collect().await else { continue };
        let segment = unreadable_segment(&error).unwrap_or_else(|| panic!("byte {place}: {error}"));
        assert_eq!(segment.key, path.as_ref(), "byte {place}");
        failures += 1;
    }
    assert!(failures > 50, "only {failures} changes were errors");
}

#[tokio::test]
async fn the_altered_one_of_many_objects_is_named_wherever_a_plan_reads_it() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    let mut keys = Vec::new();
    for first in [0, 10, 20, 30, 40] {
        keys.push(lake.settle("events", 0, first..=first + 9).await);
    }
    let path = Path::parse(&keys[2]).expect("a key");
    let mut bytes = lake.store.get(&path).await.expect("get").bytes().await.expect("bytes").to_vec();
    // The length of the footer, which is trusted.
    let place = bytes.len() - 6;
    bytes[place] ^= 0x10;
    lake.store.put(&path, bytes.into()).await.expect("put");
    let plans = [
        "SELECT * FROM events",
        "SELECT _key FROM events WHERE value <> 'x' ORDER BY value LIMIT 3",
        "SELECT CAST(substr(CAST(value AS VARCHAR), 2) AS BIGINT) FROM events",
        "SELECT _row FROM events WHERE _offset < 5 UNION ALL SELECT _row FROM events WHERE _offset = 23",
        "SELECT (SELECT max(value) FROM events)",
        "SELECT 1 FROM events AS a JOIN events AS b ON a._key = b._key AND a.value = b.value",
        "EXPLAIN ANALYZE SELECT * FROM events",
    ];
    for (sql, parallelism) in plans.iter().flat_map(|sql| [(sql, 1), (sql, 3)]) {
        let session = lake.session(QueryOptions { parallelism, ..QueryOptions::default() });
        let error = session.sql(sql).await.expect(sql).collect().await.expect_err(sql);
        let segment = unreadable_segment(&error).unwrap_or_else(|| panic!("{sql}: {error}"));
        assert_eq!(segment.key, keys[2], "{sql}");
    }
}

#[tokio::test]
async fn a_damaged_arrow_schema_in_a_footer_does_not_matter() {
    const KEY: &[u8] = b"ARROW:schema";
    let (lake, path, mut bytes) = one_segment().await;
    let start = bytes.windows(KEY.len()).position(|part| part == KEY).expect("the writer's hint") + KEY.len();
    let text = bytes[start..].windows(64).position(|part| part.iter().all(u8::is_ascii_alphanumeric)).expect("base64");
    bytes[start + text..][..64].fill(b'A');
    lake.store.put(&path, bytes.into()).await.expect("put");
    assert_eq!(lake.number("SELECT sum(_offset) AS n FROM events WHERE value <> 'v3'").await, 45 - 3);
}

#[test]
fn every_type_of_a_table_is_told_by_parquet_alone() {
    let columns = [
        r#""bool""#,
        r#""int32""#,
        r#""int64""#,
        r#""float64""#,
        r#""string""#,
        r#""json""#,
        r#""binary""#,
        r#""date""#,
        r#""timestamp""#,
        r#"{"decimal":{"precision":9,"scale":2}}"#,
        r#"{"decimal":{"precision":18,"scale":2}}"#,
        r#"{"decimal":{"precision":38,"scale":0}}"#,
        r#"{"list":{"list":"int32"}}"#,
        r#"{"struct":[{"name":"a","type":"date"},{"name":"b","type":{"list":"timestamp"}}]}"#,
    ];
    let column = |(number, of): (usize, &&str)| format!(r#"{{"name":"c{number}","type":{of}}}"#);
    let columns: Vec<String> = columns.iter().enumerate().map(column).collect();
    let options = format!(r#"{{"format":"json","columns":[{}]}}"#, columns.join(","));
    for schema in [table_schema(&serde_json::from_str(&options).expect("options")), quarantine_schema()] {
        let stored = ArrowSchemaConverter::new().convert(&schema).expect("Parquet has every type");
        assert_eq!(&parquet_to_arrow_schema(&stored, None).expect("back"), schema.as_ref());
    }
}
