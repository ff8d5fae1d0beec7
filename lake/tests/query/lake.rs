//! A small lake: an SQLite catalog in memory, an object store, and segments with known rows.
//!
//! The row of offset `n` has queue time [`timestamp_us`]`(n)`, key `k<n>`, and in its declared columns `n` or `s<n>`.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use catalog::{
    ImportedSegment, MetadataStore, SegmentKind, SegmentStore, SqliteMetadataStore, TableStore, TopicConfig, TopicStore,
};
use common::topic::TopicOptions;
use common::{Incarnation, OffsetRange, TopicName, TopicPartition};
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, Int32Array, Int64Array, MapArray, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use lake::keys::NewKey;
use lake::query::{QueryOptions, QuerySession, QueryStore};
use lake::schema::{self, quarantine_schema, table_schema};
use lake::segment::{EncodedSegment, SegmentEncoder};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::spying_store::SpyingStore;

/// `2026-01-01T00:00:00Z` and one second per offset.
pub(crate) fn timestamp_us(offset: u64) -> i64 {
    1_767_225_600_000_000 + i64::try_from(offset).expect("small") * 1_000_000
}

#[derive(Debug)]
pub(crate) struct Lake {
    pub(crate) catalog: Arc<SqliteMetadataStore>,
    pub(crate) store: Arc<SpyingStore>,
    pub(crate) session: QuerySession,
    bucket: String,
    prefix: String,
}

impl Lake {
    pub(crate) async fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()), "siltstone://data", "", "").await
    }

    /// Catalog and objects in files, for other programs.
    pub(crate) async fn in_directory(directory: &std::path::Path) -> Self {
        let catalog = SqliteMetadataStore::new(&directory.join("catalog.db")).await.expect("an SQLite file");
        catalog.record_root("", &format!("{}/", directory.display())).await.expect("recorded");
        let store = LocalFileSystem::new_with_prefix(directory).expect("a directory");
        Self::with_catalog(Arc::new(catalog), Arc::new(store), "file:///", ("", "")).await
    }

    pub(crate) async fn over(store: Arc<dyn ObjectStore>, url: &str, bucket: &str, prefix: &str) -> Self {
        let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("an SQLite in memory"));
        Self::with_catalog(catalog, store, url, (bucket, prefix)).await
    }

    async fn with_catalog(
        catalog: Arc<SqliteMetadataStore>,
        store: Arc<dyn ObjectStore>,
        url: &str,
        (bucket, prefix): (&str, &str),
    ) -> Self {
        let store = Arc::new(SpyingStore::new(store));
        let query_store = QueryStore { url: url.parse().expect("a URL"), store: Arc::clone(&store) as _ };
        let session = QuerySession::open(Arc::clone(&catalog) as Arc<dyn MetadataStore>, query_store).expect("opens");
        Self { catalog, store, session, bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    /// Creates a topic; `options` is its JSON.
    pub(crate) async fn create(&self, topic: &str, partition_count: u32, options: &str) {
        let config = serde_json::from_str(options).expect("options");
        let topic = TopicConfig { name: name(topic), partition_count, retention_ms: None, config };
        self.catalog.create_topic(topic).await.expect("a new topic");
    }

    /// Puts a segment of the topic's present schema and lists it; returns its key.
    pub(crate) async fn settle(&self, topic: &str, partition: u32, offsets: RangeInclusive<u64>) -> String {
        self.settle_kind(topic, partition, offsets, SegmentKind::Data).await
    }

    /// The same, in quarantine.
    pub(crate) async fn quarantine(&self, topic: &str, partition: u32, offsets: RangeInclusive<u64>) -> String {
        self.settle_kind(topic, partition, offsets, SegmentKind::Quarantine).await
    }

    /// A segment whose range is wider than its rows.
    pub(crate) async fn settle_within(
        &self,
        topic: &str,
        partition: u32,
        rows: RangeInclusive<u64>,
        offsets: RangeInclusive<u64>,
    ) -> String {
        self.settle_rows(topic, partition, rows, offsets, SegmentKind::Data).await
    }

    async fn settle_kind(
        &self,
        topic: &str,
        partition: u32,
        offsets: RangeInclusive<u64>,
        kind: SegmentKind,
    ) -> String {
        self.settle_rows(topic, partition, offsets.clone(), offsets, kind).await
    }

    async fn settle_rows(
        &self,
        topic: &str,
        partition_id: u32,
        rows: RangeInclusive<u64>,
        offsets: RangeInclusive<u64>,
        kind: SegmentKind,
    ) -> String {
        let key = self.key(topic, partition_id, &rows, kind);
        let encoded = self.put(topic, partition_id, &rows, kind, &key).await;
        let range = OffsetRange::new(*offsets.start(), *offsets.end()).expect("a range");
        self.list(topic, (partition_id, range), kind, (&key, &encoded)).await;
        key
    }

    /// Lists a segment whose rows are those of a stored object.
    pub(crate) async fn list(
        &self,
        topic: &str,
        (partition_id, range): (u32, OffsetRange),
        kind: SegmentKind,
        (key, encoded): (&str, &EncodedSegment),
    ) {
        let topic = self.catalog.get_topic(&name(topic)).await.expect("catalog").expect("topic");
        let new = NewKey { id: key.to_owned(), key: Path::parse(key).expect("a valid key") };
        let segment = ImportedSegment {
            partition: TopicPartition::new(topic.name, partition_id),
            incarnation: Incarnation(0),
            range,
            segment: encoded.segment(kind, &self.bucket, &new, topic.schema_version),
        };
        self.catalog.add_segment(segment).await.expect("a segment that follows the last");
    }

    /// A key as the writer makes it.
    pub(crate) fn key(&self, topic: &str, partition: u32, offsets: &RangeInclusive<u64>, kind: SegmentKind) -> String {
        let kind = if kind == SegmentKind::Data { "" } else { "quarantine-" };
        let file = format!("{kind}{:020}-{:020}.parquet", offsets.start(), offsets.end());
        let path = format!("{}/2026-01-01/{partition}/{file}", name(topic).encoded());
        if self.prefix.is_empty() { path } else { format!("{}/{path}", self.prefix) }
    }

    /// Puts an object without listing it.
    pub(crate) async fn put(
        &self,
        topic: &str,
        partition: u32,
        offsets: &RangeInclusive<u64>,
        kind: SegmentKind,
        key: &str,
    ) -> EncodedSegment {
        let options = self.catalog.get_topic(&name(topic)).await.expect("catalog").expect("topic").config;
        self.put_rows(key, &rows(&options, partition, offsets.clone(), kind)).await
    }

    /// Puts an object of these rows.
    pub(crate) async fn put_rows(&self, key: &str, rows: &RecordBatch) -> EncodedSegment {
        let mut encoder = SegmentEncoder::new(&rows.schema(), 64 * 1024).expect("schema");
        encoder.write(rows).expect("rows");
        let encoded = encoder.finish(vec![]).expect("in memory");
        self.store.put(&Path::parse(key).expect("a valid key"), encoded.payload.clone()).await.expect("put");
        encoded
    }

    /// Another handle of the same lake.
    pub(crate) fn alike(&self) -> Self {
        let (catalog, store) = (Arc::clone(&self.catalog), Arc::clone(&self.store));
        let (bucket, prefix) = (self.bucket.clone(), self.prefix.clone());
        Self { catalog, store, session: self.session(QueryOptions::default()), bucket, prefix }
    }

    /// Another session, with empty caches.
    pub(crate) fn session(&self, options: QueryOptions) -> QuerySession {
        let store = QueryStore { url: "siltstone://data".parse().expect("a URL"), store: Arc::clone(&self.store) as _ };
        QuerySession::open_with(Arc::clone(&self.catalog) as _, store, options).expect("opens")
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<RecordBatch> {
        let frame = self.session.sql(sql).await.expect(sql);
        frame.collect().await.expect(sql)
    }

    /// The rows as JSON objects.
    pub(crate) async fn json(&self, sql: &str) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        lake::query::write_json_lines(&mut lines, &self.rows(sql).await).expect("JSON");
        let lines = String::from_utf8(lines).expect("UTF-8");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The value of column `n` of the only row.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let rows = self.json(sql).await;
        assert_eq!(rows.len(), 1, "{sql}");
        rows[0]["n"].as_i64().unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }

    /// The error of planning or running the query.
    pub(crate) async fn error(&self, sql: &str) -> String {
        match self.session.sql(sql).await {
            Err(error) => error.to_string(),
            Ok(frame) => frame.collect().await.expect_err(sql).to_string(),
        }
    }
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName::new(topic).expect("a valid name")
}

pub(crate) fn rows(
    options: &TopicOptions,
    partition: u32,
    offsets: RangeInclusive<u64>,
    kind: SegmentKind,
) -> RecordBatch {
    let schema: SchemaRef = match kind {
        SegmentKind::Data => table_schema(options),
        SegmentKind::Quarantine => quarantine_schema(),
    };
    let offsets: Vec<u64> = offsets.collect();
    let columns = schema.fields().iter().map(|field| column(field, partition, &offsets)).collect();
    RecordBatch::try_new(schema, columns).expect("columns of the schema")
}

fn column(field: &Field, partition: u32, offsets: &[u64]) -> ArrayRef {
    let count = offsets.len();
    let numbers = || offsets.iter().map(|n| i64::try_from(*n).expect("small"));
    let texts = |prefix: &str| offsets.iter().map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    match (field.name().as_str(), field.data_type()) {
        (schema::PARTITION, _) => Arc::new(Int32Array::from(vec![i32::try_from(partition).expect("small"); count])),
        (schema::ROW | schema::INCARNATION, _) => Arc::new(Int32Array::from(vec![0; count])),
        (schema::TIMESTAMP, _) => {
            let times: TimestampMicrosecondArray = offsets.iter().map(|n| Some(timestamp_us(*n))).collect();
            Arc::new(times.with_timezone("UTC"))
        }
        (schema::HEADERS, DataType::Map(entries, _)) => headers(entries, &texts("h")),
        (schema::EXTRA, data_type) => new_null_array(data_type, count),
        (schema::KEY, _) => Arc::new(texts("k").iter().map(Some).collect::<BinaryArray>()),
        (_, DataType::Int64) => Arc::new(Int64Array::from_iter_values(numbers())),
        (_, DataType::Utf8) => Arc::new(StringArray::from(texts("s"))),
        (_, DataType::Binary) => Arc::new(texts("v").iter().map(Some).collect::<BinaryArray>()),
        (_, data_type) => new_null_array(data_type, count),
    }
}

/// One header per row, `name: h<n>`.
fn headers(entries: &Arc<Field>, values: &[String]) -> ArrayRef {
    let DataType::Struct(fields) = entries.data_type() else { panic!("entries of a map are structs") };
    let names: ArrayRef = Arc::new(StringArray::from(vec!["name"; values.len()]));
    let values: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, values.len()));
    let pairs = StructArray::new(fields.clone(), vec![names, values], None);
    Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, None, false))
}

/// Number of rows by their value in a column.
pub(crate) fn by_name(rows: &[serde_json::Value], column: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for row in rows {
        *counts.entry(row[column].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}
