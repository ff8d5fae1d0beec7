//! Pairs of rows that a join looks at before it lets anything else run.
//!
//! Owns: giving a join so few rows of its streamed side at a time that all pairs with the rows of its held side are soon done,
//! and letting others run in between: a join none of whose pairs match has no rows that would interrupt it.
//! Does not own: joining (DataFusion), deadlines and cancelling, which act in those pauses.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, Statistics,
};
use futures::{TryStreamExt, stream};

/// Pairs between two pauses: a part of a second.
const PAIRS: usize = 1 << 24;
/// Streamed rows of a hash join at least: of most of them, few pairs share a key.
const HASHED_ROWS_MIN: usize = 64;

/// Puts pauses into every join, and behind everything that makes many rows of one.
#[derive(Debug)]
pub(in crate::query) struct PauseJoins;

impl PhysicalOptimizerRule for PauseJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let node = match rows_min(node.as_ref()) {
                Some(rows_min) => in_parts(node, rows_min)?,
                None if makes_many(node.as_ref()) => node,
                None => return Ok(Transformed::no(node)),
            };
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as _))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "pause_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The fewest rows that a join should get at a time; `None` where its pairs have a limit, or are all rows of the result.
fn rows_min(node: &dyn ExecutionPlan) -> Option<usize> {
    if node.is::<NestedLoopJoinExec>() {
        return Some(1);
    }
    node.downcast_ref::<HashJoinExec>().and_then(HashJoinExec::filter).map(|_| HASHED_ROWS_MIN)
}

fn makes_many(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>() || node.is::<CrossJoinExec>() || node.is::<SortMergeJoinExec>() || node.is::<UnnestExec>()
}

/// The join with its sides wrapped; the left one is that which joins hold.
fn in_parts(join: Arc<dyn ExecutionPlan>, rows_min: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let [left, right] = match join.children().as_slice() {
        [left, right] => [Arc::clone(left), Arc::clone(right)],
        _ => return Ok(join),
    };
    let partitions = left.output_partitioning().partition_count().max(1);
    let held: Held = (0..partitions).map(|_| AtomicUsize::new(0)).collect();
    let left = Side { input: left, held: Arc::clone(&held), rows_min: None };
    let right = Side { input: right, held, rows_min: Some(rows_min) };
    join.with_new_children(vec![Arc::new(left), Arc::new(right)])
}

/// Rows of each partition of the held side. A join streams nothing before it holds all of them.
type Held = Arc<[AtomicUsize]>;

/// One side of a join.
#[derive(Debug)]
struct Side {
    input: Arc<dyn ExecutionPlan>,
    held: Held,
    /// Of the streamed side.
    rows_min: Option<usize>,
}

impl Side {
    /// Counts the rows that the join will hold.
    fn counted(&self, rows: SendableRecordBatchStream, partition: usize) -> SendableRecordBatchStream {
        let (schema, held) = (rows.schema(), Arc::clone(&self.held));
        held[partition].store(0, Ordering::Relaxed);
        let counted = rows.inspect_ok(move |batch| {
            held[partition].fetch_add(batch.num_rows(), Ordering::Relaxed);
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, counted))
    }

    /// Parts of the batches, each after a pause.
    fn in_parts(&self, rows: SendableRecordBatchStream, at: usize, rows_min: usize) -> SendableRecordBatchStream {
        let (schema, held) = (rows.schema(), Arc::clone(&self.held));
        let parts = rows.map_ok(move |batch| {
            let rows = (PAIRS / held[at].load(Ordering::Relaxed).max(1)).max(rows_min);
            let begins = (0..batch.num_rows()).step_by(rows);
            stream::iter(begins.map(move |from| Ok(batch.slice(from, rows.min(batch.num_rows() - from)))))
        });
        let paused = parts.try_flatten().and_then(async |part| {
            tokio::task::yield_now().await;
            Ok(part)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, paused))
    }
}

impl DisplayAs for Side {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => Ok(()),
            _ => f.write_str(self.name()),
        }
    }
}

impl ExecutionPlan for Side {
    fn name(&self) -> &'static str {
        if self.rows_min.is_some() { "FewPairs" } else { "HeldRows" }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { input: children.swap_remove(0), held: Arc::clone(&self.held), rows_min: self.rows_min }))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.input.partition_statistics(partition)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        // All partitions of the streamed side may share one of the held side.
        let at = partition.min(self.held.len() - 1);
        Ok(match self.rows_min {
            Some(rows_min) => self.in_parts(rows, at, rows_min),
            None => self.counted(rows, at),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use datafusion::arrow::array::{Int8Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::memory::MemorySourceConfig;
    use futures::{StreamExt, poll};

    use super::*;

    fn side(rows: usize, held: &Held, rows_min: Option<usize>) -> SendableRecordBatchStream {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int8, false)]));
        let column = Arc::new(Int8Array::from(vec![1; rows]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).expect("a batch");
        let input = MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).expect("a plan");
        let side = Side { input, held: Arc::clone(held), rows_min };
        side.execute(0, Arc::new(TaskContext::default())).expect("it runs")
    }

    /// The rows of each part, each of which came after a pause.
    async fn parts(rows: usize, held: &Held, rows_min: usize) -> Vec<usize> {
        let (mut stream, mut parts, mut pauses) = (side(rows, held, Some(rows_min)), Vec::new(), 0);
        loop {
            match poll!(stream.next()) {
                Poll::Pending => pauses += 1,
                Poll::Ready(Some(part)) => parts.push(part.expect("a part").num_rows()),
                Poll::Ready(None) => break,
            }
        }
        assert!(pauses >= parts.len(), "{pauses} pauses in {parts:?}");
        parts
    }

    #[tokio::test]
    async fn parts_are_as_small_as_the_held_side_is_large() {
        let held: Held = Arc::new([AtomicUsize::new(0)]);
        for (rows, expected) in [(1 << 20, vec![16, 16, 16, 16, 16, 16, 4]), (1 << 10, vec![100]), (0, vec![100])] {
            side(rows, &held, None).for_each(async |_| ()).await;
            assert_eq!(parts(100, &held, 1).await, expected, "{rows} rows are held");
        }
        side(1 << 20, &held, None).for_each(async |_| ()).await;
        assert_eq!(parts(100, &held, 64).await, [64, 36]);
    }
}
