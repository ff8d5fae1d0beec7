//! Answers a query within its memory.
//!
//! Owns: how much parallelism, how large batches and which joins a plan may use for a budget, and running a query again,
//! more frugally, when it ran out of memory before its first rows; the error when even that does not help.
//! Does not own: counting memory and writing temporary files (DataFusion), the budget itself (the caller's).
//!
//! Batches are counted in rows, and nobody knows how wide rows are before they are read. So a plan is made for rows of
//! ordinary width first, and only a query that fails pays for smaller batches and for joins that sort on disk.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, Statistics, execute_stream,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use futures::{Stream, StreamExt, stream};

use super::QueryOptions;
use super::bounded::{Bounds, TOO_LARGE, TOO_MUCH, bound_finally};
use super::chains::balance;
use super::correlated::check_none_left;

/// Memory that a partition of a plan should have at least.
const PARTITION_BYTES: usize = 64 * 1024 * 1024;
/// Rows of a batch at most: DataFusion's own choice.
const BATCH_ROWS: usize = 8192;
/// Partitions of the further attempts: with one, DataFusion never joins by sorting.
const FRUGAL_PARTITIONS: usize = 2;
/// Rows of a batch in each of the further attempts.
const FRUGAL_BATCH_ROWS: [usize; 2] = [512, 16];
/// Memory that one sort keeps free for merging, at most and as a part of a partition's: DataFusion's own choice at most.
const MERGE_BYTES: usize = 10 * 1024 * 1024;
const MERGE_PART: usize = 8;

const NEEDS_MORE: &str = "the query needs more memory ";
const NO_ROOM: &str = "the query found no more room ";

/// The memory of a query, in bytes, and the setting that gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    bytes: usize,
    setting: &'static str,
}

impl Budget {
    pub(super) fn of(options: &QueryOptions) -> Self {
        let setting = if options.memory_of_each { "QUERY_MEMORY_BYTES" } else { "MEMORY_BUDGET_BYTES" };
        Self { bytes: options.memory_bytes_max, setting }
    }
}

/// Settings of the first attempt: parallelism as the budget allows. `cores` are those to use.
pub(super) fn generous(config: SessionConfig, budget: usize, cores: usize) -> SessionConfig {
    let partitions = (budget / PARTITION_BYTES).clamp(1, cores.max(1));
    // Rows of 4 KiB take a 16th of a partition's memory.
    let rows = (budget / partitions / 16 / 4096).clamp(FRUGAL_BATCH_ROWS[0], BATCH_ROWS);
    config
        .with_target_partitions(partitions)
        .with_batch_size(rows)
        .with_sort_spill_reservation_bytes((budget / partitions / MERGE_PART).min(MERGE_BYTES))
}

/// Settings of a further attempt: joins that sort instead of holding a side in memory.
fn frugal(config: SessionConfig, budget: usize, batch_rows: usize) -> SessionConfig {
    let mut config = config
        .with_target_partitions(FRUGAL_PARTITIONS)
        .with_batch_size(batch_rows)
        .with_sort_spill_reservation_bytes((budget / FRUGAL_PARTITIONS / MERGE_PART).min(MERGE_BYTES));
    config.options_mut().optimizer.prefer_hash_join = false;
    config
}

/// Plans queries so that they can be run again.
#[derive(Debug)]
pub(super) struct FrugalPlanner {
    pub(super) budget: Budget,
    /// What one result of an expression may take of it.
    pub(super) bounds: Bounds,
}

#[async_trait]
impl QueryPlanner for FrugalPlanner {
    async fn create_physical_plan(
        &self,
        logical: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Rules for filters take chains apart, and put them together again as deep as they are long.
        let logical = bound_finally(balance(logical.clone())?, self.bounds)?;
        check_none_left(&logical)?;
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(&logical, state).await?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let again = Arc::new(Again { logical, state: state.clone(), budget: self.budget });
        Ok(Arc::new(FrugalExec { plan, again, properties: Arc::new(properties) }))
    }
}

/// What is needed to plan a query again.
struct Again {
    logical: LogicalPlan,
    state: SessionState,
    budget: Budget,
}

impl Again {
    /// The rows of a more frugal plan.
    async fn run(&self, batch_rows: usize) -> Result<SendableRecordBatchStream> {
        let config = frugal(self.state.config().clone(), self.budget.bytes, batch_rows);
        let state = SessionStateBuilder::new_from_existing(self.state.clone()).with_config(config).build();
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(&self.logical, &state).await?;
        execute_stream(without_top_rows(plan)?, state.task_ctx())
    }
}

/// The plan with whole sorts in place of those that keep only their first rows, which they hold in memory.
fn without_top_rows(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let whole = plan.transform_up(|node| {
        let sort = node.downcast_ref::<SortExec>().and_then(|sort| Some((sort, sort.fetch()?)));
        let Some((sort, first)) = sort else { return Ok(Transformed::no(node)) };
        let whole = Arc::new(SortExec::with_fetch(sort, None)) as Arc<dyn ExecutionPlan>;
        Ok(Transformed::yes(Arc::new(LocalLimitExec::new(whole, first)) as _))
    });
    whole.data()
}

/// The root of a query's plan.
struct FrugalExec {
    plan: Arc<dyn ExecutionPlan>,
    again: Arc<Again>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for FrugalExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrugalExec").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl DisplayAs for FrugalExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => Ok(()),
            _ => f.write_str(self.name()),
        }
    }
}

impl ExecutionPlan for FrugalExec {
    fn name(&self) -> &'static str {
        "FrugalExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (again, properties) = (Arc::clone(&self.again), Arc::clone(&self.properties));
        Ok(Arc::new(Self { plan: children.swap_remove(0), again, properties }))
    }

    fn partition_statistics(&self, _: Option<usize>) -> Result<Arc<Statistics>> {
        self.plan.partition_statistics(None)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let first = execute_stream(Arc::clone(&self.plan), context)?;
        let rows = stream::once(with_rows(first, Arc::clone(&self.again))).flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// The rows of the first attempt that has some, or comes to its end.
async fn with_rows(mut rows: SendableRecordBatchStream, again: Arc<Again>) -> impl Stream<Item = Result<RecordBatch>> {
    let mut further = FRUGAL_BATCH_ROWS.into_iter();
    let first = loop {
        let first = rows.next().await;
        let Some(Err(error)) = &first else { break first };
        let Some(batch_rows) = further.next().filter(|_| is_exhausted(error)) else { break first };
        tracing::debug!(%error, batch_rows, "query runs again with less memory");
        // Its memory is free before the next attempt takes some.
        drop(rows);
        rows = match again.run(batch_rows).await {
            Ok(rows) => rows,
            Err(error) => Box::pin(RecordBatchStreamAdapter::new(
                Arc::new(again.logical.schema().as_arrow().clone()),
                stream::iter([Err(error)]),
            )),
        };
    };
    let budget = again.budget;
    stream::iter(first).chain(rows).map(move |batch| batch.map_err(|error| explained(error, budget)))
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// True for the reason of an error about a limit, where it says already which one.
pub fn is_explained_limit(reason: &str) -> bool {
    [TOO_MUCH, TOO_LARGE, NEEDS_MORE, NO_ROOM].iter().any(|start| reason.starts_with(start))
}

/// The error in terms of what a user can set. The reason stays in it where it names a part of the statement.
fn explained(error: DataFusionError, budget: Budget) -> DataFusionError {
    let DataFusionError::ResourcesExhausted(reason) = error.find_root() else { return error };
    let (directory, Budget { bytes, setting }) = (std::env::temp_dir(), budget);
    let directory = directory.display();
    DataFusionError::ResourcesExhausted(if reason.contains("max_temp_directory_size") {
        format!(
            "{NO_ROOM}for temporary files in {directory}: all queries of this process together may have \
             {} GiB; ask for fewer rows or columns, or run fewer queries at once",
            super::session::SPILL_BYTES_MAX >> 30
        )
    } else if reason.starts_with(TOO_MUCH) {
        reason.clone()
    } else if reason.starts_with(TOO_LARGE) {
        format!("{reason} ({setting}={bytes}); raise {setting}, or ask for a smaller result")
    } else {
        format!(
            "{NEEDS_MORE}than {setting}={bytes} allows, although it sorts and groups in temporary files in \
             {directory}; raise {setting}, or ask for fewer or narrower columns"
        )
    })
}
