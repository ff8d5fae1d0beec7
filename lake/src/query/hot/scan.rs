//! The plan of reading a topic's tail.
//!
//! Owns: reading the parts of several partitions at once, page by page, within the session's memory and the bounds of the
//! tail; the columns as the table has them.
//! Does not own: the place of each offset's row (`crate::tail::TailCursor`), committed rows (`committed`).

mod reader;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::common::config::TableParquetOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, stream};

use self::reader::PartReader;
use super::TopicTail;
use super::pruned::{TailPart, pruned};
use crate::query::provider::{LakeTable, Wanted};
use crate::query::settled::{may_be_unsettled, settled};

/// Parts that one partition of the plan reads at once: they wait for the queue most of the time.
const PARTS_AT_ONCE: usize = 8;

/// A scan's request to the tail.
#[derive(Debug)]
struct TailScan {
    /// The table without its objects.
    table: LakeTable,
    tail: Arc<TopicTail>,
    /// Columns of the table, by number.
    projection: Vec<usize>,
    /// The table's columns that are wanted.
    schema: SchemaRef,
    options: TableParquetOptions,
    /// Bytes of messages that were read by all partitions of the plan.
    read_bytes: AtomicUsize,
}

impl LakeTable {
    /// The plan of reading the tail, if it may have a row for which all of `filters` are true.
    pub(in crate::query) async fn tail_of(
        &self,
        filters: &[Expr],
        session: &dyn Session,
        wanted: &Wanted<'_>,
    ) -> Result<Option<TailExec>> {
        let ends = self.tail.ends().await?;
        if ends.is_empty() {
            return Ok(None);
        }
        let parts = pruned(ends, &DFSchema::try_from(Arc::clone(&self.schema))?, filters, session)?;
        if parts.is_empty() {
            return Ok(None);
        }
        let (topic, kind, schema) = (Arc::clone(&self.topic), self.kind, Arc::clone(&self.schema));
        let (sources, tail) = (self.sources.clone(), Arc::clone(&self.tail));
        let projection = wanted.projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let scan = TailScan {
            schema: Arc::new(schema.project(&projection)?),
            table: Self::new(topic, (kind, schema), sources, Arc::clone(&tail)),
            tail,
            projection,
            options: wanted.options.clone(),
            read_bytes: Default::default(),
        };
        Ok(Some(tail_scan(scan, parts, wanted.partitions)))
    }
}

impl TailScan {
    /// The wanted columns of rows as decoders make them.
    fn in_table(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.projection.len());
        for field in self.schema.fields() {
            // By name: the topic may have other columns than when the statement was planned.
            let index = batch.schema_ref().index_of(field.name()).map_err(|_| {
                let (topic, column) = (&self.tail.topic().name, field.name());
                DataFusionError::Execution(format!(
                    "topic {topic} lost its column {column} while the statement was planned; run it again"
                ))
            })?;
            let column = batch.column(index);
            let column = match may_be_unsettled(batch.schema_ref().field(index)) {
                true => settled(column)?,
                false => Arc::clone(column),
            };
            // Members of objects may be null in older objects, and so in the table's type.
            columns.push(match column.data_type() == field.data_type() {
                true => column,
                false => cast(&column, field.data_type())?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The wanted columns of rows as the table has them.
    fn projected(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.projection.iter().map(|index| Arc::clone(batch.column(*index))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The offsets that the tail has in all, for people.
    fn lag(&self, parts: &[TailPart]) -> String {
        let count = |part: &TailPart| part.to - part.from;
        let all: u64 = parts.iter().map(count).sum();
        let Some(most) = parts.iter().max_by_key(|part| count(part)) else { return "it has no offsets".to_owned() };
        format!(
            "{all} offsets in {} are not committed yet, of which partition {} has {} to {}",
            if parts.len() == 1 { "1 range".to_owned() } else { format!("{} ranges", parts.len()) },
            most.partition.partition_id,
            most.from,
            most.to - 1
        )
    }
}

/// Reads the tail of a topic.
#[derive(Debug)]
pub(in crate::query) struct TailExec {
    scan: Arc<TailScan>,
    /// The parts of each partition of the plan.
    groups: Vec<Vec<TailPart>>,
    /// The lag, for errors.
    lag: Arc<str>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The plan of reading `parts`, in at most `partitions` partitions.
fn tail_scan(scan: TailScan, parts: Vec<TailPart>, partitions: usize) -> TailExec {
    let lag = scan.lag(&parts).into();
    let count = parts.len().min(partitions).max(1);
    let mut groups: Vec<Vec<TailPart>> = vec![Vec::new(); count];
    for (number, part) in parts.into_iter().enumerate() {
        groups[number % count].push(part);
    }
    let properties = PlanProperties::new(
        EquivalenceProperties::new(Arc::clone(&scan.schema)),
        Partitioning::UnknownPartitioning(count),
        EmissionType::Incremental,
        Boundedness::Bounded,
    );
    let metrics = ExecutionPlanMetricsSet::new();
    TailExec { scan: Arc::new(scan), groups, lag, properties: Arc::new(properties), metrics }
}

impl DisplayAs for TailExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(format, DisplayFormatType::TreeRender) {
            return Ok(());
        }
        write!(f, "HotTailExec: topic={}, offsets=[", self.scan.tail.topic().name)?;
        for (number, part) in self.groups.iter().flatten().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}: {}..{}", part.partition.partition_id, part.from, part.to)?;
        }
        f.write_str("]")
    }
}

impl ExecutionPlan for TailExec {
    fn name(&self) -> &'static str {
        "HotTailExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (scan, lag) = (Arc::clone(&self.scan), Arc::clone(&self.lag));
        let messages: Count = MetricBuilder::new(&self.metrics).counter("tail_messages", partition);
        let read = move |part: TailPart| {
            let reader = PartReader::new(Arc::clone(&scan), Arc::clone(&lag), part, &context, messages.clone());
            let batches = stream::try_unfold(reader, async |mut reader| {
                let batch = reader.next().await?;
                Ok(batch.map(|batch| (batch, reader)))
            });
            batches.boxed()
        };
        let parts = self.groups[partition].clone();
        let batches = stream::iter(parts).map(read).flatten_unordered(PARTS_AT_ONCE);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.scan.schema), batches)))
    }
}
