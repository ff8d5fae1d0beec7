//! Two tables of one seed in a lake and in DuckDB.
//!
//! Owns: objects by the product's encoder, listed in an SQLite catalog; DuckDB's copy of them by the product's views.
//! Does not own: the values (`tables`), the statements.

use std::sync::Arc;

use catalog::{
    ImportedSegment, MetadataStore, SegmentKind, SegmentStore, SqliteMetadataStore, TopicConfig, TopicStore,
};
use common::topic::TopicOptions;
use common::{Incarnation, OffsetRange, TopicName, TopicPartition};
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::Field;
use lake::duckdb::{DuckDbLocation, views_sql};
use lake::keys::NewKey;
use lake::query::{QueryOptions, QuerySession, QueryStore};
use lake::schema;
use lake::segment::SegmentEncoder;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use support::duckdb_session::DuckDbSession;
use tempfile::TempDir;

use crate::arrow;
use crate::reference;
use crate::scope::identifier;
use crate::tables::{SegmentRows, Table};
use crate::value::Value;
use crate::verdict::Answer;

/// Tables that both engines hold.
pub(crate) struct World {
    catalog: Arc<SqliteMetadataStore>,
    store: Arc<LocalFileSystem>,
    session: QuerySession,
    folder: TempDir,
}

impl World {
    /// Stores the tables, and makes DuckDB's copy of them.
    pub(crate) async fn make(tables: &[Table], parallelism: usize, duckdb: &mut DuckDbSession) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).expect("a store"));
        let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("an SQLite in memory"));
        let query_store = QueryStore { url: "file:///".parse().expect("a URL"), store: Arc::clone(&store) as _ };
        let options = QueryOptions { parallelism, ..QueryOptions::default() };
        let session = QuerySession::open_with(Arc::clone(&catalog) as Arc<dyn MetadataStore>, query_store, options);
        let world = Self { catalog, store, session: session.expect("opens"), folder };
        for table in tables {
            world.fill(table).await;
        }
        world.copy_to(duckdb, tables).await;
        world
    }

    /// The product's answer.
    pub(crate) async fn ask(&self, sql: &str) -> Answer {
        let frame = self.session.sql(sql).await.map_err(|error| error.to_string())?;
        let batches = frame.collect().await.map_err(|error| error.to_string())?;
        Ok(arrow::rows(&batches))
    }

    async fn fill(&self, table: &Table) {
        let name = TopicName::new(table.name).expect("a valid name");
        let config = table.options(true);
        let topic = TopicConfig { name: name.clone(), partition_count: 2, retention_ms: None, config };
        self.catalog.create_topic(topic).await.expect("a new topic");
        let mut next = [0, 0];
        let (old, new): (Vec<&SegmentRows>, Vec<_>) = table.segments.iter().partition(|segment| segment.is_old);
        for segment in old {
            self.settle(table, segment, 1, &mut next).await;
        }
        let changed = table.options(false);
        self.catalog.update_topic_config(&name, 1, None, changed).await.expect("a change that keeps rows readable");
        for segment in new {
            self.settle(table, segment, 2, &mut next).await;
        }
    }

    async fn settle(&self, table: &Table, segment: &SegmentRows, schema_version: u32, next: &mut [u64; 2]) {
        let next = &mut next[segment.partition as usize];
        let range = OffsetRange::new(*next, *next + segment.rows.len() as u64 - 1).expect("a range");
        let rows = batch(table, segment, *next);
        *next += segment.rows.len() as u64;
        let mut encoder = SegmentEncoder::new(&rows.schema(), 64 * 1024).expect("a schema");
        encoder.write(&rows).expect("rows");
        let encoded = encoder.finish(vec![]).expect("in memory");
        let key = format!("{}/partition={}/{:020}.parquet", table.name, segment.partition, range.base());
        let new = NewKey { id: key.clone(), key: Path::parse(&key).expect("a valid key") };
        self.store.put(&new.key, encoded.payload.clone()).await.expect("put");
        let imported = ImportedSegment {
            partition: TopicPartition::new(TopicName::new(table.name).expect("valid"), segment.partition),
            incarnation: Incarnation(0),
            range,
            segment: encoded.segment(SegmentKind::Data, "", &new, schema_version),
        };
        self.catalog.add_segment(imported).await.expect("a segment that follows the last");
    }

    /// DuckDB gets tables of its own, so that its answers do not depend on any statistics of the objects.
    async fn copy_to(&self, duckdb: &mut DuckDbSession, tables: &[Table]) {
        let (mut snapshots, mut names) = (Vec::new(), Vec::new());
        for table in tables {
            let name = TopicName::new(table.name).expect("valid");
            snapshots.push(self.catalog.snapshot(&name).await.expect("a snapshot"));
            names.push(name);
        }
        let location = DuckDbLocation::Local { root: self.folder.path().to_owned() };
        let mut sql = String::from("DROP SCHEMA IF EXISTS views CASCADE; CREATE SCHEMA views; USE views;");
        sql.push_str(&views_sql(&snapshots, &names, &location).expect("names that differ"));
        sql.push_str("USE main;");
        for table in tables {
            let schema = schema::table_schema(&table.options(false));
            let columns: Vec<String> = schema.fields().iter().map(|field| identifier(field.name())).collect();
            let columns = columns.join(", ");
            sql.push_str(&format!("CREATE OR REPLACE TABLE {0} AS SELECT {columns} FROM views.{0};", table.name));
        }
        reference::ask(duckdb, &sql).expect("DuckDB reads the objects");
    }
}

fn batch(table: &Table, segment: &SegmentRows, first: u64) -> RecordBatch {
    let options: TopicOptions = table.options(segment.is_old);
    let schema = schema::table_schema(&options);
    let column = |field: &Field| {
        let declared = table.columns.iter().position(|column| column.spec.name == *field.name());
        match declared {
            Some(place) => arrow::array(field, &segment.rows.iter().map(|row| &row[place]).collect::<Vec<&Value>>()),
            None => system_column(field, segment, first),
        }
    };
    let columns = schema.fields().iter().map(|field| column(field)).collect();
    RecordBatch::try_new(schema, columns).expect("columns of the schema")
}

fn system_column(field: &Field, segment: &SegmentRows, first: u64) -> ArrayRef {
    let count = segment.rows.len();
    let offsets = || (first..).take(count).map(|offset| i64::try_from(offset).expect("small"));
    match field.name().as_str() {
        schema::PARTITION => {
            let partition = i32::try_from(segment.partition).expect("small");
            Arc::new(Int32Array::from(vec![partition; count]))
        }
        schema::OFFSET => Arc::new(Int64Array::from_iter_values(offsets())),
        schema::ROW | schema::INCARNATION => Arc::new(Int32Array::from(vec![0; count])),
        schema::TIMESTAMP => {
            let times = offsets().map(|offset| 1_767_225_600_000_000 + offset * 1_000_000);
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
        }
        schema::SUBJECT => Arc::new(StringArray::from(vec!["subject"; count])),
        schema::KEY => {
            let keys = offsets().map(|offset| (offset % 3 > 0).then(|| format!("k{}", offset % 4)));
            Arc::new(keys.collect::<BinaryArray>())
        }
        _ => new_null_array(field.data_type(), count),
    }
}
