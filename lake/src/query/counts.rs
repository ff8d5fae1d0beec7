//! Counts of what a plan reads.
//!
//! Owns: the metrics of scans, and their sums over a plan. Does not own: the choice of objects (`pruning`).

use std::sync::Arc;

use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::MetricBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};

const SEGMENTS_SCANNED: &str = "segments_scanned";
const SEGMENTS_PRUNED: &str = "segments_pruned";

/// Records the objects of a scan in its metrics.
pub(super) fn record_counts(source: &ParquetSource, scanned: usize, pruned: usize) {
    let counter = |name: &'static str| MetricBuilder::new(source.metrics()).global_counter(name);
    counter(SEGMENTS_SCANNED).add(scanned);
    counter(SEGMENTS_PRUNED).add(pruned);
}

/// Counts of the objects that a plan opens and of those that it prunes by the catalog's statistics. `EXPLAIN ANALYZE`
/// shows them as `segments_scanned` and `segments_pruned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounts {
    /// Objects that may be opened.
    pub scanned: usize,
    /// Objects that will not be opened.
    pub pruned: usize,
}

/// Rows that the scans of a plan have read so far.
pub fn rows_read(plan: &dyn ExecutionPlan) -> usize {
    let below = plan.children();
    match below.is_empty() {
        true => plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or_default(),
        false => below.into_iter().map(|child| rows_read(child.as_ref())).sum(),
    }
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

/// Starts a plan; its counts can be looked at while its rows come.
///
/// # Errors
/// DataFusion's.
pub fn execute(plan: Arc<dyn ExecutionPlan>, tasks: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    execute_stream(plan, tasks)
}
