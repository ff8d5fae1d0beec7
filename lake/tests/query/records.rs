//! Segments of given records.

use datafusion::arrow::json::ReaderBuilder;
use lake::query::write_json_lines;
use lake::schema::table_schema;
use serde_json::{Value, json};

use catalog::{SegmentKind, TopicStore};
use common::OffsetRange;

use crate::lake::{Lake, name};

impl Lake {
    /// Creates a topic `t` with these columns, as JSON, and lists one segment of these records.
    pub(crate) async fn with_records(columns: &str, records: Value) -> Self {
        let lake = Self::in_memory().await;
        lake.create_with_records("t", columns, records).await;
        lake
    }

    /// The same in a lake that is there; `_extra` is a member of the records.
    pub(crate) async fn create_with_records(&self, topic: &str, columns: &str, records: Value) {
        self.create(topic, 1, &format!(r#"{{"format":"json","columns":{columns}}}"#)).await;
        self.settle_records(topic, 0, records).await;
    }

    /// Lists one segment more, of these records from an offset on.
    pub(crate) async fn settle_records(&self, topic: &str, first: u64, records: Value) {
        let options = self.catalog.get_topic(&name(topic)).await.expect("catalog").expect("topic").config;
        let records = records.as_array().expect("records");
        let reader = ReaderBuilder::new(table_schema(&options)).with_batch_size(records.len());
        let mut decoder = reader.build_decoder().expect("a schema");
        for (offset, record) in (first..).zip(records) {
            let mut row = json!({"_partition_id": 0, "_offset": offset, "_row": 0, "_incarnation": 0, "_subject": "s",
                                 "_timestamp": "2026-01-01T00:00:00Z"});
            row.as_object_mut().expect("an object").extend(record.as_object().expect("an object").clone());
            decoder.decode(format!("{row}\n").as_bytes()).expect("a row");
        }
        let rows = decoder.flush().expect("rows of the schema").expect("some rows");
        let last = first + rows.num_rows() as u64 - 1;
        let key = self.key(topic, 0, &(first..=last), SegmentKind::Data);
        let encoded = self.put_rows(&key, &rows).await;
        let range = OffsetRange::new(first, last).expect("a range");
        self.list(topic, (0, range), SegmentKind::Data, (&key, &encoded)).await;
    }

    /// The only value of the only row.
    pub(crate) async fn value(&self, sql: &str) -> Value {
        let rows = self.json(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        let row = rows[0].as_object().expect("an object");
        assert_eq!(row.len(), 1, "{sql}: {row:?}");
        row.values().next().expect("one").clone()
    }

    /// The values of the only column.
    pub(crate) async fn column(&self, sql: &str) -> Vec<Value> {
        let only = |row: Value| {
            let row = row.as_object().expect("an object");
            assert_eq!(row.len(), 1, "{sql}: {row:?}");
            row.values().next().expect("one").clone()
        };
        self.json(sql).await.into_iter().map(only).collect()
    }

    /// The text of the only value of the only row, with all digits.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let mut line = Vec::new();
        write_json_lines(&mut line, &self.rows(sql).await).expect("JSON");
        let line = String::from_utf8(line).expect("UTF-8");
        let value = line.trim_end().rsplit_once("\":").expect("a member").1;
        value.strip_suffix('}').expect("an object").to_owned()
    }
}
