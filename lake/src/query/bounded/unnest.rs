//! The rows that `unnest` makes of one batch.
//!
//! Owns: giving it so few rows at a time that what it makes of them fits: each element of a list becomes a row, in which
//! all other columns are repeated.
//! Does not own: unnesting (DataFusion).

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics};
use futures::{StreamExt, stream};

use super::Bounds;
use super::size::{range_bytes, range_elements};

/// Puts a [`FewRows`] below every `unnest`.
#[derive(Debug)]
pub(in crate::query) struct BoundUnnest(pub(in crate::query) Bounds);

impl PhysicalOptimizerRule for BoundUnnest {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let bound = |node: Arc<dyn ExecutionPlan>| {
            let Some(unnest) = node.downcast_ref::<UnnestExec>() else { return Ok(Transformed::no(node)) };
            let lists = unnest.list_column_indices().iter().map(|list| list.index_in_input_schema).collect();
            let few = FewRows { input: Arc::clone(unnest.input()), lists, bounds: self.0 };
            Ok(Transformed::yes(node.with_new_children(vec![Arc::new(few)])?))
        };
        plan.transform_up(bound).data()
    }

    fn name(&self) -> &'static str {
        "bound_unnest"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The rows of a plan in batches that may be unnested.
#[derive(Debug)]
struct FewRows {
    input: Arc<dyn ExecutionPlan>,
    /// The columns that are unnested.
    lists: Vec<usize>,
    bounds: Bounds,
}

impl DisplayAs for FewRows {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => Ok(()),
            _ => f.write_str(self.name()),
        }
    }
}

impl ExecutionPlan for FewRows {
    fn name(&self) -> &'static str {
        "FewRows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        Ok(Arc::new(Self { input, lists: self.lists.clone(), bounds: self.bounds }))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.input.partition_statistics(partition)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.input.execute(partition, context)?;
        let (schema, lists, bounds) = (batches.schema(), self.lists.clone(), self.bounds);
        let parts = batches.flat_map(move |batch| {
            stream::iter(match batch.and_then(|batch| parts(&batch, &lists, bounds)) {
                Ok(parts) => parts.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, parts)))
    }
}

/// The batch in parts, of each of which the unnested rows fit.
fn parts(batch: &RecordBatch, lists: &[usize], bounds: Bounds) -> Result<Vec<RecordBatch>> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0_u64);
    for row in 0..batch.num_rows() {
        let made = unnested_bytes(batch, lists, row);
        if made > bounds.result_bytes as u64 {
            return Err(bounds.exceeded("unnest", made));
        }
        if bytes.saturating_add(made) > bounds.result_bytes as u64 {
            parts.push(batch.slice(from, row - from));
            (from, bytes) = (row, 0);
        }
        bytes += made;
    }
    parts.push(batch.slice(from, batch.num_rows() - from));
    Ok(parts)
}

/// Bytes of the rows that one row becomes.
fn unnested_bytes(batch: &RecordBatch, lists: &[usize], row: usize) -> u64 {
    let rows = lists.iter().map(|list| range_elements(batch.column(*list), row, 1)).max().unwrap_or(1).max(1);
    let bytes = |(index, column): (usize, &ArrayRef)| {
        let bytes = range_bytes(column, row, 1);
        if lists.contains(&index) { bytes } else { bytes.saturating_mul(rows) }
    };
    batch.columns().iter().enumerate().map(bytes).fold(0, u64::saturating_add)
}
