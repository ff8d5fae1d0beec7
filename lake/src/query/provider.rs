//! The table of a topic, or of its quarantine: the listed segments of one snapshot.
//!
//! Owns: turning a snapshot and a query's filters into a Parquet scan over exactly the segments that may matter.
//! Does not own: taking the snapshot (`schemas`), and decoding Parquet (DataFusion).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricBuilder;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::object::ListedChecksum;
use super::pruning::prune;
use super::reader::NamedReaderFactory;
use super::statistics::statistics_of;
use crate::schema::{quarantine_schema, table_schema};
use catalog::{SegmentInfo, SegmentKind, TopicSnapshot};

/// Bytes read from the end of an object at first: footer and page index of a typical segment in one request.
const FOOTER_BYTES_HINT: usize = 64 * 1024;

/// Statistics are given per file only up to this many files × columns: each is about 250 bytes.
const FILE_STATISTICS_MAX: usize = 200_000;

const SEGMENTS_SCANNED: &str = "segments_scanned";
const SEGMENTS_PRUNED: &str = "segments_pruned";

/// Segments of one kind, as of one catalog snapshot.
#[derive(Debug)]
pub(super) struct SegmentTable {
    schema: SchemaRef,
    segments: Vec<SegmentInfo>,
    store_url: ObjectStoreUrl,
    readers: Arc<NamedReaderFactory>,
}

impl SegmentTable {
    pub(super) fn new(
        snapshot: &TopicSnapshot,
        kind: SegmentKind,
        store_url: ObjectStoreUrl,
        readers: Arc<NamedReaderFactory>,
    ) -> Self {
        let schema = match kind {
            SegmentKind::Data => readable(&table_schema(&snapshot.topic.config)),
            SegmentKind::Quarantine => quarantine_schema(),
        };
        let wanted = snapshot.segments.iter().filter(|segment| segment.kind == kind && segment.record_count > 0);
        Self { schema, segments: wanted.cloned().collect(), store_url, readers }
    }

    fn files(&self, segments: &[&SegmentInfo]) -> Result<Vec<PartitionedFile>> {
        let with_statistics = segments.len() * self.schema.fields().len() <= FILE_STATISTICS_MAX;
        let file = |segment: &&SegmentInfo| {
            let file = PartitionedFile::new_from_meta(object_meta(segment)?);
            let file = file.with_extension(ListedChecksum(segment.checksum));
            Ok(match with_statistics {
                true => file.with_statistics(Arc::new(statistics_of(&[*segment], &self.schema))),
                false => file,
            })
        };
        segments.iter().map(file).collect()
    }
}

/// The schema a reader needs: a declared column may be missing from older segments, so each may be null.
fn readable(schema: &Schema) -> SchemaRef {
    let field = |field: &FieldRef| match field.name().starts_with('_') {
        true => Arc::clone(field),
        false => nullable(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn nullable(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(members) => DataType::Struct(members.iter().map(nullable).collect()),
        DataType::List(element) => DataType::List(nullable(element)),
        other => other.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(data_type).with_nullable(true))
}

fn object_meta(segment: &SegmentInfo) -> Result<ObjectMeta> {
    // Parsed, not converted: a conversion would percent-encode the key a second time.
    let location = Path::parse(&segment.key).map_err(|error| DataFusionError::ObjectStore(Box::new(error.into())))?;
    Ok(ObjectMeta {
        location,
        // Part of the footer cache's check; a key never changes its object, so any constant of the segment will do.
        last_modified: Default::default(),
        size: segment.size_bytes,
        e_tag: None,
        version: None,
    })
}

/// As many segments as are certain to hold `limit` rows.
fn take_rows(segments: &mut Vec<&SegmentInfo>, limit: usize) {
    let mut rows = 0;
    let enough = segments.iter().position(|segment| {
        rows += segment.record_count;
        rows >= limit as u64
    });
    if let Some(last) = enough {
        segments.truncate(last + 1);
    }
}

#[async_trait]
impl TableProvider for SegmentTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters choose segments, row groups and pages; rows are filtered above the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let df_schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let mut segments = prune(self.segments.iter().collect(), &df_schema, filters, session)?;
        if let (true, Some(limit)) = (filters.is_empty(), limit) {
            take_rows(&mut segments, limit);
        }
        let mut groups = FileGroup::new(self.files(&segments)?).split_files(session.config().target_partitions());
        if groups.is_empty() {
            // A scan needs a partition even when nothing is left to read.
            groups.push(FileGroup::default());
        }
        // The filters themselves reach the Parquet reader through the optimizer, once.
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(session.table_options().parquet.clone())
            .with_metadata_size_hint(FOOTER_BYTES_HINT)
            .with_parquet_file_reader_factory(Arc::clone(&self.readers) as _);
        record_counts(&source, segments.len(), self.segments.len());
        let config = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics_of(&segments, &self.schema))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn record_counts(source: &ParquetSource, scanned: usize, listed: usize) {
    let counter = |name: &'static str| MetricBuilder::new(source.metrics()).global_counter(name);
    counter(SEGMENTS_SCANNED).add(scanned);
    counter(SEGMENTS_PRUNED).add(listed - scanned);
}

/// How many segments a plan leaves out by what the catalog knows of them. `EXPLAIN ANALYZE` shows both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounts {
    /// Segments whose objects may be opened.
    pub scanned: usize,
    /// Segments whose objects will not be opened.
    pub pruned: usize,
}

/// Sums the counts of all scans in a physical plan.
pub fn segment_counts(plan: &dyn ExecutionPlan) -> SegmentCounts {
    let mut counts = SegmentCounts::default();
    if let Some(metrics) = plan.metrics() {
        let value = |name| metrics.sum_by_name(name).map_or(0, |value| value.as_usize());
        counts = SegmentCounts { scanned: value(SEGMENTS_SCANNED), pruned: value(SEGMENTS_PRUNED) };
    }
    for child in plan.children() {
        let below = segment_counts(child.as_ref());
        counts.scanned += below.scanned;
        counts.pruned += below.pruned;
    }
    counts
}
