//! The table of a topic, or of its quarantine: the live objects of one snapshot.
//!
//! Owns: turning a snapshot and a query's filters into Parquet scans over exactly the objects that may matter.
//! Does not own: taking the snapshot (`schemas`), the choice of objects (`pruning`), the columns of older objects
//! (`layout`), and decoding Parquet (DataFusion).

mod readable;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectMeta;
use object_store::path::Path;

use self::readable::readable;
use super::counts::record_counts;
use super::exact::make_exact;
use super::home::Home;
use super::hot::TopicTail;
use super::known::KnownTopic;
use super::layout::{LakeObject, adapter, laid_out_alike};
use super::object::ListedChecksum;
use super::order;
use super::pruning::prune;
use super::reader::NamedReaderFactory;
use super::recorded::Recorded;
use super::settled_scan::{SettledReads, marked};
use super::statistics::statistics_of;
use crate::schema::{quarantine_schema, table_schema};
use crate::tail::TailRows;
use catalog::{MetadataStore, ObjectInfo, SegmentKind};
use common::topic::TopicOptions;

/// Bytes read from the end of an object at first: footer and page index of a typical segment in one request.
const FOOTER_BYTES_HINT: usize = 64 * 1024;

/// Statistics are given per file only up to this many files × columns: each is about 250 bytes.
const FILE_STATISTICS_MAX: usize = 200_000;

/// The sources of tables.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// Holds the statistics of objects.
    pub(super) catalog: Arc<dyn MetadataStore>,
    pub(super) store_url: ObjectStoreUrl,
    pub(super) readers: Arc<NamedReaderFactory>,
    /// Of the catalog's connections.
    pub(super) home: Home,
}

/// Objects of one kind, as of one catalog snapshot, and the tail of the queue behind them.
#[derive(Debug)]
pub(super) struct LakeTable {
    pub(super) topic: Arc<KnownTopic>,
    pub(super) kind: SegmentKind,
    pub(super) schema: SchemaRef,
    pub(super) sources: Sources,
    pub(super) tail: Arc<TopicTail>,
    /// Columns whose extremes alone are asked for.
    extremes: Vec<String>,
}

/// The columns of a topic's records of a kind, as a query sees them.
pub(super) fn table_schema_of(options: &TopicOptions, kind: SegmentKind) -> SchemaRef {
    match kind {
        SegmentKind::Data => marked(&readable(&table_schema(options))),
        SegmentKind::Quarantine => marked(&readable(&quarantine_schema())),
    }
}

impl LakeTable {
    /// The records of a topic at one moment, with the columns of [`table_schema_of`], perhaps of a moment before: columns are
    /// found by their numbers.
    pub(super) fn new(
        topic: Arc<KnownTopic>,
        (kind, schema): (SegmentKind, SchemaRef),
        sources: Sources,
        tail: Arc<TopicTail>,
    ) -> Self {
        Self { topic, kind, schema, sources, tail, extremes: Vec::new() }
    }

    /// The same for a query that asks for nothing but counts and extremes of all rows, the extremes of these columns.
    pub(super) fn for_extremes(self, extremes: Vec<String>) -> Self {
        Self { extremes, ..self }
    }

    /// The rows of this kind.
    pub(super) fn of_kind<'r>(&self, rows: &'r TailRows) -> &'r [RecordBatch] {
        match self.kind {
            SegmentKind::Data => &rows.rows,
            SegmentKind::Quarantine => &rows.quarantine,
        }
    }

    fn objects(&self) -> &[LakeObject] {
        self.topic.objects(self.kind)
    }

    /// The objects that may hold a row for which all `filters` are true; opens none of them.
    async fn pruned(&self, filters: &[Expr], session: &dyn Session) -> Result<Vec<&LakeObject>> {
        if filters.is_empty() {
            return Ok(self.objects().iter().collect());
        }
        let catalog = self.sources.catalog.as_ref();
        let loading = Recorded::load(&self.topic, (catalog, self.kind), &self.schema, filters);
        let recorded = self.sources.home.run(loading).await?;
        let df_schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        prune(self.objects().iter().collect(), &recorded, &df_schema, filters, session)
    }

    /// A scan over objects of one layout; `unsaid` is the incarnation that their rows lack.
    pub(super) fn scan_of(
        &self,
        objects: &[&LakeObject],
        unsaid: Option<i32>,
        wanted: &Wanted<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let infos: Vec<&ObjectInfo> = objects.iter().map(|object| object.info.as_ref()).collect();
        let mut groups = FileGroup::new(self.files(&infos)?).split_files(wanted.partitions);
        if groups.is_empty() {
            // A scan needs a partition even when nothing is left to read.
            groups.push(FileGroup::default());
        }
        // The filters themselves reach the Parquet reader through the optimizer, once.
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(wanted.options.clone())
            .with_metadata_size_hint(FOOTER_BYTES_HINT)
            .with_parquet_file_reader_factory(Arc::clone(&self.sources.readers) as _);
        record_counts(&source, objects.len(), wanted.pruned);
        let config = FileScanConfigBuilder::new(self.sources.store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(wanted.exact.clone().unwrap_or_else(|| statistics_of(&infos, &self.schema)))
            .with_output_ordering(order::declared(objects, (&self.topic.snapshot.topic, self.kind), &self.schema))
            .with_expr_adapter(Some(reads(unsaid)))
            .with_projection_indices(wanted.projection.cloned())?
            .with_limit(wanted.limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// Statistics that have the extremes which the catalog knows.
    async fn exact(&self, objects: &[&LakeObject]) -> Result<Statistics> {
        let infos: Vec<&ObjectInfo> = objects.iter().map(|object| object.info.as_ref()).collect();
        let mut statistics = statistics_of(&infos, &self.schema);
        let catalog = self.sources.catalog.as_ref();
        let table = (self.topic.as_ref(), self.kind, self.schema.as_ref());
        let making = make_exact(&mut statistics, &self.extremes, table, (catalog, objects));
        self.sources.home.run(making).await?;
        Ok(statistics)
    }

    fn files(&self, objects: &[&ObjectInfo]) -> Result<Vec<PartitionedFile>> {
        let with_statistics = objects.len() * self.schema.fields().len() <= FILE_STATISTICS_MAX;
        let file = |object: &&ObjectInfo| {
            let file = PartitionedFile::new_from_meta(object_meta(object)?);
            let file = file.with_extension(ListedChecksum(object.checksum));
            Ok(match with_statistics {
                true => file.with_statistics(Arc::new(statistics_of(&[*object], &self.schema))),
                false => file,
            })
        };
        objects.iter().map(file).collect()
    }
}

/// How objects are read whose rows do not say this incarnation.
fn reads(unsaid: Option<i32>) -> Arc<dyn PhysicalExprAdapterFactory> {
    Arc::new(SettledReads(adapter(unsaid)))
}

/// The request to a scan.
pub(super) struct Wanted<'a> {
    pub(super) projection: Option<&'a Vec<usize>>,
    pub(super) limit: Option<usize>,
    pub(super) options: TableParquetOptions,
    /// Partitions of the plan, at most.
    pub(super) partitions: usize,
    /// Objects that were left out, to be shown with the scan.
    pub(super) pruned: usize,
    /// Statistics in place of those of the objects' rows.
    pub(super) exact: Option<Statistics>,
}

fn object_meta(object: &ObjectInfo) -> Result<ObjectMeta> {
    // Parsed, not converted: a conversion would percent-encode the key a second time.
    let location = Path::parse(&object.key).map_err(|error| DataFusionError::ObjectStore(Box::new(error.into())))?;
    Ok(ObjectMeta {
        location,
        // Part of the footer cache's check; a key never changes its object, so any constant of the object will do.
        last_modified: Default::default(),
        size: object.size_bytes,
        e_tag: None,
        version: None,
    })
}

/// Keeps as many objects as certainly hold `limit` rows; false if all together do not.
fn take_rows(objects: &mut Vec<&LakeObject>, limit: usize) -> bool {
    let mut rows = 0;
    let enough = objects.iter().position(|object| {
        rows += object.info.record_count;
        rows >= limit as u64
    });
    if let Some(last) = enough {
        objects.truncate(last + 1);
    }
    enough.is_some()
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters choose objects, row groups and pages; rows are filtered above the scan.
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
        let mut objects = self.pruned(filters, session).await?;
        let is_enough = match (filters.is_empty(), limit) {
            (true, Some(limit)) => take_rows(&mut objects, limit),
            _ => false,
        };
        let mut wanted = Wanted {
            projection,
            limit,
            options: session.table_options().parquet.clone(),
            partitions: session.config().target_partitions(),
            pruned: self.objects().len() - objects.len(),
            exact: None,
        };
        let tail = if is_enough { None } else { self.tail_of(filters, session, &wanted).await? };
        let mut scans = Vec::new();
        let groups = laid_out_alike(objects)?;
        if let (true, [alike]) =
            (filters.is_empty() && !self.extremes.is_empty(), groups.values().collect::<Vec<_>>().as_slice())
        {
            wanted.exact = Some(self.exact(alike).await?);
        }
        for (unsaid, alike) in groups {
            scans.push(self.scan_of(&alike, unsaid, &wanted)?);
            // The first scan alone shows them.
            wanted.pruned = 0;
        }
        scans.extend(tail.map(|tail| Arc::new(tail) as Arc<dyn ExecutionPlan>));
        match scans.len() {
            0 => self.scan_of(&[], None, &wanted),
            1 => Ok(scans.swap_remove(0)),
            _ => UnionExec::try_new(scans),
        }
    }
}
