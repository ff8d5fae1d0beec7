//! Ten thousand segments with a billion listed rows: a query opens the few objects that may match.
//!
//! The catalog's rows are made by a program, with objects of a few rows behind those segments that are opened. Each segment
//! has 100,000 offsets, 100 seconds, and ten values of a column that rises.

use common::topic::TopicOptions;
use lake::query::{SegmentCounts, segment_counts};
use serde_json::json;

use crate::lake::{Lake, name, rows, timestamp_us};

const SEGMENTS: u64 = 10_000;
const ROWS: u64 = 100_000;
/// Segments with an object.
const REAL: [u64; 4] = [0, 4_999, 5_000, 9_999];

const COLUMNS: &str =
    r#"{"format":"json","columns":[{"name":"c","type":"int64"},{"name":"s","type":"string"}],"sort":["c"]}"#;

/// Lists the segments in the catalog's file. Arguments: the file, segments, rows of each, time of the first, and the objects as
/// JSON: number of the segment to size, footer and checksum.
const LIST: &str = r#"
import datetime, json, sqlite3, sys
path, segments, rows, begin, real = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
db = sqlite3.connect(path)
table, = db.execute("SELECT table_id FROM topics WHERE name = 'big'").fetchone()
snapshot, first = db.execute("SELECT snapshot_id, next_file_id FROM lake_head").fetchone()
objects, listed, statistics = [], [], []
def text(us):
    time = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)
    return time.strftime("%Y-%m-%d %H:%M:%S.%f+00")
for n in range(segments):
    id, low, high = first + n, n * rows, n * rows + rows - 1
    oldest, newest = begin + n * 100_000_000, begin + n * 100_000_000 + 99_999_999
    size, footer, checksum = real.get(str(n), [1_000_000, 1_000, 0])
    objects.append((id, table, "", "big/%05d" % n, snapshot, 1, 2, rows, size, footer, checksum, 1, 0, 0, low, high, oldest,
                    newest, 0))
    listed.append(("big-%05d" % n, "big", 0, 0, "data", low, high, rows, oldest, newest, 1, id, 0))
    statistics.append((table, 100, id, 10, rows, 0, str(n * 10), str(n * 10 + 9)))
    statistics.append((table, 101, id, 10, rows, 0, "s%06d" % n, "s%06dz" % n))
    statistics.append((table, 4, id, 10, rows, 0, text(oldest), text(newest)))
db.executemany("INSERT INTO objects VALUES (" + ",".join("?" * 19) + ")", objects)
db.executemany("INSERT INTO segments VALUES (" + ",".join("?" * 13) + ")", listed)
db.executemany("INSERT INTO segment_stats VALUES (" + ",".join("?" * 8) + ")", statistics)
db.execute("UPDATE lake_head SET snapshot_id = snapshot_id + 1, next_file_id = next_file_id + ?", (segments,))
db.execute("UPDATE partitions SET high_watermark = ? WHERE topic = 'big'", (segments * rows,))
db.commit()
"#;

/// Ten rows of a segment, at its first offsets.
fn ten_rows(options: &TopicOptions, segment: u64) -> datafusion::arrow::array::RecordBatch {
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;
    let base = segment * ROWS;
    let plain = rows(options, 0, base..=base + 9, catalog::SegmentKind::Data);
    let numbers: Vec<i64> = (0..10).map(|n| i64::try_from(segment * 10 + n).expect("small")).collect();
    let begin = timestamp_us(segment * 100);
    let times: TimestampMicrosecondArray = (0..10).map(|n| Some(begin + n)).collect();
    let schema = plain.schema();
    let columns = schema.fields().iter().enumerate().map(|(place, field)| -> ArrayRef {
        match field.name().as_str() {
            "c" => Arc::new(Int64Array::from(numbers.clone())),
            "s" => Arc::new(StringArray::from(vec![format!("s{segment:06}"); 10])),
            "_timestamp" => Arc::new(times.clone().with_timezone("UTC")),
            _ => Arc::clone(plain.column(place)),
        }
    });
    let columns = columns.collect();
    RecordBatch::try_new(plain.schema(), columns).expect("columns of the schema")
}

async fn big_lake(directory: &std::path::Path) -> Lake {
    let lake = Lake::in_directory(directory).await;
    lake.create("big", 1, COLUMNS).await;
    let options = catalog::TopicStore::get_topic(lake.catalog.as_ref(), &name("big")).await;
    let options = options.expect("catalog").expect("topic").config;
    let mut real = serde_json::Map::new();
    for segment in REAL {
        let encoded = lake.put_rows(&format!("big/{segment:05}"), &ten_rows(&options, segment)).await;
        let object = encoded.object("", &object_store::path::Path::from("x"), 1);
        real.insert(segment.to_string(), json!([object.size_bytes, object.footer_bytes, object.checksum]));
    }
    let path = directory.join("catalog.db").display().to_string();
    let (segments, rows, begin) = (SEGMENTS.to_string(), ROWS.to_string(), timestamp_us(0).to_string());
    let real = serde_json::Value::Object(real).to_string();
    support::python::run(LIST, &[&path, &segments, &rows, &begin, &real]).await.expect("listed");
    lake
}

fn key(segment: u64) -> String {
    format!("big/{segment:05}")
}

/// Asserts that the query has so many rows, and opens the objects of these segments.
async fn assert_opens(lake: &Lake, filter: &str, rows: usize, segments: &[u64]) {
    let sql = format!("SELECT c FROM big WHERE {filter}");
    let plan = lake.session.sql(&sql).await.expect(filter).create_physical_plan().await.expect(filter);
    let total = usize::try_from(SEGMENTS).expect("small");
    let counts = SegmentCounts { scanned: segments.len(), pruned: total - segments.len() };
    assert_eq!(segment_counts(plan.as_ref()), counts, "{filter}");
    let found: usize = lake.rows(&sql).await.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(found, rows, "{filter}");
    assert_eq!(lake.store.take_opened(), segments.iter().map(|n| key(*n)).collect::<Vec<_>>(), "{filter}");
}

#[tokio::test]
async fn a_point_query_over_a_billion_rows_opens_the_objects_that_may_match() {
    let directory = tempfile::tempdir().expect("a directory");
    let lake = big_lake(directory.path()).await;
    lake.store.take_opened();
    assert_eq!(lake.number("SELECT count(*) AS n FROM big").await, 1_000_000_000);
    let ends = "SELECT min(_offset) AS a, max(_offset) AS b, min(c) AS c, max(c) AS d, min(_timestamp) AS e, count(c) AS f \
                FROM big";
    let expected =
        json!({"a": 0, "b": 999_999_999, "c": 0, "d": 99_999, "e": "2026-01-01T00:00:00Z", "f": 1_000_000_000});
    assert_eq!(lake.json(ends).await, [expected]);
    assert!(lake.store.take_opened().is_empty(), "the catalog answers");

    assert_opens(&lake, "_offset = 500000003", 1, &[5_000]).await;
    assert_opens(&lake, "_partition_id = 0 AND _offset >= 999900005", 5, &[9_999]).await;
    assert_opens(&lake, "_timestamp < '2026-01-01T00:00:01Z'", 10, &[0]).await;
    // The last second of one segment and the first of the next.
    let times = "_timestamp BETWEEN '2026-01-06T18:53:19.5Z' AND '2026-01-06T18:53:20.000004Z'";
    assert_opens(&lake, times, 5, &[4_999, 5_000]).await;
    assert_opens(&lake, "c = 50003", 1, &[5_000]).await;
    assert_opens(&lake, "c IN (3, 99999)", 2, &[0, 9_999]).await;
    assert_opens(&lake, "s = 's004999' AND c > 49994", 5, &[4_999]).await;
    assert_opens(&lake, "c = 100000", 0, &[]).await;

    // What comes later is found, and what was known before still is.
    lake.settle("big", 0, SEGMENTS * ROWS..=SEGMENTS * ROWS + 9).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM big").await, 1_000_000_010);
    lake.store.take_opened();
    let sql = "SELECT c FROM big WHERE _offset IN (1000000003, 4)";
    assert_eq!(lake.rows(sql).await.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
    assert_eq!(lake.store.take_opened().len(), 2);
}
