//! The rows of all tables that a statement names, at one moment.
//!
//! Owns: putting tables of one catalog transaction in the place of names, in the whole plan with its subqueries.
//! Does not own: reading the catalog (`known`), the tables (`provider`, `system`).

mod extremes;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;

use super::hot::QueryTails;
use super::known::{Known, Moment};
use super::named::{NamedTable, TableName};
use super::scope::Scope;

/// A lake in a plan, with the tables of it that the plan names.
struct Named {
    lake: Arc<Known>,
    names: BTreeSet<TableName>,
}

/// The plan over the rows of its tables: those of one lake are of one transaction of its catalog, with these tails, and
/// no more than the scope shows.
pub(super) async fn bound(plan: LogicalPlan, tails: &Arc<QueryTails>, scope: &Scope) -> Result<LogicalPlan> {
    let mut moments = Vec::new();
    for Named { lake, names } in lakes_of(&plan)? {
        let moment = lake.moment(&names, Arc::clone(tails), scope).await?;
        moments.push((lake, moment));
    }
    if moments.is_empty() {
        return Ok(plan);
    }
    let replace = |node: LogicalPlan| {
        // An aggregate of a whole table comes first, so that its table is made for it.
        if let Some(aggregate) = extremes::over_bound(&node, |scan, columns| rows_of(&moments, scan, columns))? {
            return Ok(Transformed::yes(aggregate));
        }
        let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
        Ok(match rows_of(&moments, &scan, Vec::new())? {
            Some(table) => Transformed::yes(over(table, scan)),
            None => Transformed::no(LogicalPlan::TableScan(scan)),
        })
    };
    plan.transform_down_with_subqueries(replace).data()
}

/// The scan of a table in place of its name.
fn over(table: Arc<dyn TableProvider>, scan: TableScan) -> LogicalPlan {
    LogicalPlan::TableScan(TableScan { source: provider_as_source(table), ..scan })
}

fn lakes_of(plan: &LogicalPlan) -> Result<Vec<Named>> {
    let mut lakes: Vec<Named> = Vec::new();
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
        with_named(scan, |table| match lakes.iter_mut().find(|known| Arc::ptr_eq(&known.lake, &table.lake)) {
            Some(known) => drop(known.names.insert(table.name.clone())),
            None => lakes.push(Named { lake: Arc::clone(&table.lake), names: [table.name.clone()].into() }),
        });
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(lakes)
}

/// The table for the scan's name; `None` if the scan is of something else.
fn rows_of(
    moments: &[(Arc<Known>, Moment)],
    scan: &TableScan,
    extremes: Vec<String>,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let table = |table: &NamedTable| {
        let found = moments.iter().find(|(lake, _)| Arc::ptr_eq(lake, &table.lake));
        found.map(|(_, moment)| moment.table(table, extremes))
    };
    with_named(scan, table).flatten().transpose()
}

/// Runs `work` on the table of the scan if it is a name.
fn with_named<T>(scan: &TableScan, work: impl FnOnce(&NamedTable) -> T) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<NamedTable>().map(work)
}

/// Binds the tables of each plan before another planner plans it. Queries see committed rows alone.
#[derive(Debug)]
pub(super) struct BindingPlanner(pub(super) Arc<dyn QueryPlanner + Send + Sync>);

#[async_trait]
impl QueryPlanner for BindingPlanner {
    async fn create_physical_plan(
        &self,
        logical: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bound = bound(logical.clone(), &QueryTails::none(), &Scope::default()).await?;
        self.0.create_physical_plan(&bound, state).await
    }
}
